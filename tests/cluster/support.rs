//! What these tests have in common.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use paquebot_testkit::Client;
use paquebot_testkit::cluster::{Cluster, Node, until};
use paquebot_tests::lmtp;
use paquebot_tests::message::{message, token_of};
use paquebot_tests::session::{Endpoint, PASSWORD};

/// Who only asks whether changes can be made.
pub const PROBE: &str = "probe";

pub fn endpoint(node: &Node, account: &str) -> Endpoint {
    Endpoint { imap: node.imap(), lmtp: node.lmtp(), account: account.to_owned() }
}

/// Of all nodes.
pub fn endpoints(cluster: &Cluster, account: &str) -> Vec<Endpoint> {
    cluster.nodes.iter().map(|node| endpoint(node, account)).collect()
}

/// A cluster of three with an account.
pub fn start(options: paquebot_testkit::cluster::ClusterOptions, account: &str) -> Result<Cluster> {
    let cluster = Cluster::start(options)?;
    cluster.add_account(account, PASSWORD)?;
    Ok(cluster)
}

/// Until each node takes changes, of the account [`PROBE`].
pub fn until_all_take_changes(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes.iter().filter(|node| node.runs()) {
        until(&format!("node {} takes changes", node.name()), || {
            let mut client = node.client(PROBE, PASSWORD)?;
            client.append("INBOX", &[], None, &message(1))?.ok().map(drop)
        })?;
    }
    Ok(())
}

pub fn deliver(node: &Node, account: &str, token: u64) -> Result<String> {
    lmtp::deliver(node.lmtp(), &format!("{account}@example.org"), &message(token))
}

/// The messages of a mailbox as a client sees them, each whole: UIDs, tokens, flags and MODSEQs as the server tells them.
pub fn seen(client: &mut Client, mailbox: &str) -> Result<Vec<(String, u64)>> {
    client.command(&format!("SELECT {mailbox} (CONDSTORE)"))?.ok()?;
    let answer = client.command("UID FETCH 1:* (UID FLAGS MODSEQ BODY.PEEK[])")?.ok()?;
    let fetched = answer.untagged.iter().filter_map(|response| {
        let body = response.literals().first()?.to_vec();
        // Recent is a message to one session alone.
        let told = paquebot_tests::wire::text(response).replace(" \\Recent", "").replace("\\Recent", "");
        Some(token_of(&body).map(|token| (told, token)).map_err(anyhow::Error::msg))
    });
    fetched.collect()
}

pub fn tokens(client: &mut Client, mailbox: &str) -> Result<Vec<u64>> {
    Ok(seen(client, mailbox)?.into_iter().map(|(_, token)| token).collect())
}

/// Every node that runs shows the same of this mailbox.
pub fn all_show_the_same(cluster: &Cluster, account: &str, mailbox: &str) -> Result<Vec<u64>> {
    let mut first: Option<(String, Vec<(String, u64)>)> = None;
    for node in cluster.nodes.iter().filter(|node| node.runs()) {
        let there =
            seen(&mut node.client(account, PASSWORD)?, mailbox).with_context(|| format!("on {}", node.name()))?;
        match &first {
            None => first = Some((node.name().to_owned(), there)),
            Some((name, expected)) => {
                ensure!(*expected == there, "{name} shows {expected:?}, {} shows {there:?}", node.name());
            }
        }
    }
    let (_, messages) = first.context("no node runs")?;
    Ok(messages.into_iter().map(|(_, token)| token).collect())
}

/// Whether nothing is left to be copied to this node: its shards are there, and their bodies.
pub fn is_whole(cluster: &Cluster, node: usize) -> Result<()> {
    let status = cluster.status(node)?;
    let shards = status["shards"].as_array().context("no shards")?;
    let whole = shards.iter().all(|shard| shard["lag"] == 0 && shard["joining"].as_array().is_some_and(Vec::is_empty));
    ensure!(!shards.is_empty() && whole, "shards are not all here: {status}");
    ensure!(status["bodies_wanted"] == 0, "bodies are missing: {}", status["bodies_wanted"]);
    Ok(())
}

/// The end of what each node wrote.
pub fn logs(cluster: &Cluster) -> String {
    let nodes = cluster.nodes.iter().map(|node| {
        let log = node.log();
        // Etcd says much of itself.
        let lines: Vec<&str> = log.lines().rev().filter(|line| !line.contains(" etcd: ")).take(25).collect();
        format!("--- node {}\n{}\n", node.name(), lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    });
    nodes.collect()
}

/// Polls fast; what the last attempt came to after `limit`, with how long it took.
pub fn within<T>(limit: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<(T, Duration)> {
    let began = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok((value, began.elapsed())),
            Err(error) if began.elapsed() > limit => return Err(error.context(format!("not within {limit:?}"))),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

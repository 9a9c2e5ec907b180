//! Without a quorum of etcd: reads go on, changes are put off, and nothing that was refused shows up later.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{Cluster, ClusterOptions, Etcd, Node, until};
use paquebot_tests::message::message;
use paquebot_tests::session::PASSWORD;

use crate::support::{all_show_the_same, deliver, start, tokens};

#[test]
fn reads_go_on_and_changes_are_put_off() -> Result<()> {
    let mut cluster = start(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() }, "alice")?;
    for token in 1..4 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    let node = &cluster.nodes[1];
    let (mut idle, mut client) = (node.client("alice", PASSWORD)?, node.client("alice", PASSWORD)?);
    idle.command("SELECT INBOX")?.ok()?;
    let tag = idle.tag();
    idle.send(format!("{tag} IDLE\r\n").as_bytes())?;
    idle.wait_for_continuation(&tag)?;
    client.command("SELECT INBOX")?.ok()?;

    let etcds = cluster.etcds.as_mut().context("there is an etcd")?;
    etcds.kill(0)?;
    etcds.kill(1)?;
    // What was on its way when the quorum went may end as unknown; from then on everything is refused.
    let node = &cluster.nodes[1];
    let put_off = until("changes are put off", || {
        let mut client = node.client("alice", PASSWORD)?;
        let answer = client.append("INBOX", &[], None, &message(50))?;
        ensure!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "{}", answer.tagged);
        Ok(answer.tagged)
    })?;
    println!("APPEND without a quorum: {put_off}");
    let answer = client.append("INBOX", &[], None, &message(60))?;
    ensure!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "APPEND: {}", answer.tagged);
    let answer = client.command("STORE 1 +FLAGS (\\Flagged)")?;
    ensure!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "STORE: {}", answer.tagged);
    let answer = deliver(&cluster.nodes[2], "alice", 70)?;
    ensure!(answer.starts_with("451"), "LMTP: {answer}");

    // New sessions and old ones read.
    let mut fresh = cluster.nodes[2].client("alice", PASSWORD)?;
    let there = tokens(&mut fresh, "INBOX")?;
    ensure!(there.starts_with(&[1, 2, 3]), "without a quorum there are {there:?}");
    ensure!(client.command("FETCH 1:3 (BODY.PEEK[])")?.ok()?.literals().len() == 3, "not all bodies");
    let select = fresh.command("SELECT INBOX")?.ok()?;
    let warned = select.untagged.iter().any(|response| response.starts_with("* NO [UNAVAILABLE]"));
    ensure!(warned, "SELECT does not say that it may lag: {:?}", select.untagged);

    let etcds = cluster.etcds.as_mut().context("there is an etcd")?;
    etcds.start_again(0)?;
    etcds.start_again(1)?;
    let node = &cluster.nodes[0];
    until("changes are taken again", || {
        let answer = deliver(node, "alice", 4)?;
        ensure!(answer.starts_with("250"), "{answer}");
        Ok(())
    })?;
    // The session in IDLE was there all the time, and hears.
    loop {
        let response = idle.read()?.context("the session in IDLE was ended")?;
        if response.contains("EXISTS") {
            break;
        }
    }
    idle.send(b"DONE\r\n")?;
    idle.answer(&tag)?.ok()?;
    thread::sleep(Duration::from_secs(1));
    let there = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(there.iter().all(|token| ![60, 70].contains(token)), "what was refused is there: {there:?}");
    let flagged = cluster.nodes[0].client("alice", PASSWORD)?.command("STATUS INBOX (MESSAGES)")?;
    flagged.ok()?;
    Ok(())
}

/// All nodes have been stopped, and one is started again while two of etcd's three members are away. It reads, and changes nothing; gives how long it took.
fn starts_without_a_quorum(etcd: Etcd, end: impl Fn(&mut Node) -> Result<()>) -> Result<(Cluster, Duration)> {
    let mut cluster = start(ClusterOptions { etcd, ..ClusterOptions::default() }, "alice")?;
    for token in 1..4 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    all_show_the_same(&cluster, "alice", "INBOX")?;
    // Now all that it has shown is on its disk.
    cluster.nodes[1].terminate()?;
    cluster.start_node(1)?;
    for node in [0, 2, 1] {
        end(&mut cluster.nodes[node])?;
        if let Some(etcds) = &mut cluster.etcds
            && node != 1
        {
            etcds.kill(node)?;
        }
    }
    let began = Instant::now();
    cluster.start_node(1)?;
    let took = began.elapsed();
    println!("without a quorum a node is ready after {took:?}");

    let node = &cluster.nodes[1];
    let mut client = node.client("alice", PASSWORD)?;
    ensure!(tokens(&mut client, "INBOX")? == [1, 2, 3], "not what was there");
    let answer = client.append("INBOX", &[], None, &message(60))?;
    ensure!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "APPEND: {}", answer.tagged);
    let answer = client.command("STORE 1 +FLAGS (\\Flagged)")?;
    ensure!(answer.tagged.starts_with("NO [UNAVAILABLE]"), "STORE: {}", answer.tagged);
    let answer = deliver(node, "alice", 70)?;
    ensure!(answer.starts_with("451"), "LMTP: {answer}");
    Ok((cluster, took))
}

/// Everything that was away comes back, and the node that served without it goes on with the others.
fn goes_on_with_the_others(mut cluster: Cluster) -> Result<()> {
    for member in [0, 2] {
        cluster.start_etcd(member)?;
    }
    // Those of managed members are not ready one without the other.
    let (hosts, nodes) = (&cluster.hosts, &mut cluster.nodes);
    thread::scope(|scope| {
        let others = nodes.iter_mut().filter(|node| !node.runs());
        let starts: Vec<_> = others.map(|node| scope.spawn(move || node.start(hosts).map(drop))).collect();
        starts.into_iter().try_for_each(|start| start.join().expect("a start does not panic"))
    })?;
    for node in 0..3 {
        let token = 4 + node as u64;
        until("changes are taken again on each node", || {
            let answer = deliver(&cluster.nodes[node], "alice", token)?;
            ensure!(answer.starts_with("250"), "{answer}");
            Ok(())
        })?;
    }
    let there = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(there == (1..7).collect::<Vec<_>>(), "there are {there:?}");
    let members = &cluster.status(1)?["nodes"];
    let up = members.as_array().context("no nodes")?.iter().filter(|node| node["up"] == true).count();
    ensure!(up == 3, "not all nodes are up: {members}");
    Ok(())
}

#[test]
fn a_node_that_starts_without_a_quorum_serves_what_it_has() -> Result<()> {
    let (cluster, took) = starts_without_a_quorum(Etcd::Existing, Node::terminate)?;
    ensure!(took < Duration::from_secs(20), "it took {took:?}");
    goes_on_with_the_others(cluster)
}

#[test]
fn so_does_one_that_runs_etcd_and_was_killed() -> Result<()> {
    let end = |node: &mut Node| {
        node.kill()?;
        node.power_off();
        Ok(())
    };
    let (cluster, _) = starts_without_a_quorum(Etcd::Managed, end)?;
    goes_on_with_the_others(cluster)
}

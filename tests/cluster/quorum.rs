//! Without a quorum of etcd: reads go on, changes are put off, and nothing that was refused shows up later.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{ClusterOptions, Etcd, until};
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
    std::thread::sleep(Duration::from_secs(1));
    let there = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(there.iter().all(|token| ![60, 70].contains(token)), "what was refused is there: {there:?}");
    let flagged = cluster.nodes[0].client("alice", PASSWORD)?.command("STATUS INBOX (MESSAGES)")?;
    flagged.ok()?;
    Ok(())
}

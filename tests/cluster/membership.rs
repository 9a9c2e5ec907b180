//! Nodes join, go, come back empty, and are replaced, while clients work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{ClusterOptions, Etcd, until};
use paquebot_tests::history::{Event, Outcome};
use paquebot_tests::message::message;
use paquebot_tests::session::PASSWORD;
use paquebot_tests::stage::Stage;

use crate::support::{PROBE, all_show_the_same, deliver, endpoints, is_whole, logs, start, until_all_take_changes};

#[test]
fn two_sessions_on_two_nodes_see_each_other_at_once() -> Result<()> {
    let cluster = start(ClusterOptions::default(), "alice")?;
    let (mut one, mut two) = (cluster.nodes[0].client("alice", PASSWORD)?, cluster.nodes[1].client("alice", PASSWORD)?);
    one.append("INBOX", &[], None, &message(1))?.ok()?;
    one.command("SELECT INBOX")?.ok()?;
    two.command("SELECT INBOX")?.ok()?;
    let mut slowest = Duration::ZERO;
    for token in 2..12 {
        let tag = two.tag();
        two.send(format!("{tag} IDLE\r\n").as_bytes())?;
        two.wait_for_continuation(&tag)?;
        one.append("INBOX", &[], None, &message(token))?.ok()?;
        let told = std::time::Instant::now();
        loop {
            let response = two.read()?.context("the connection ended in IDLE")?;
            if response.starts_with(&format!("* {token} EXISTS")) {
                break;
            }
        }
        slowest = slowest.max(told.elapsed());
        two.send(b"DONE\r\n")?;
        two.answer(&tag)?.ok()?;
    }
    println!("the slowest of 10 new messages was told in IDLE on another node {slowest:?} after its OK");
    ensure!(slowest < Duration::from_millis(200), "a session in IDLE on another node heard after {slowest:?}");
    two.command("STORE 1 +FLAGS (\\Flagged)")?.ok()?;
    let noop = one.command("NOOP")?.ok()?;
    ensure!(noop.untagged.iter().any(|response| response.contains("\\Flagged")), "NOOP told {:?}", noop.untagged);
    ensure!(deliver(&cluster.nodes[2], "alice", 12)?.starts_with("250"), "no delivery on the third node");
    let there = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(there == (1..13).collect::<Vec<_>>(), "there are {there:?}");
    Ok(())
}

#[test]
fn an_emptied_node_joins_again_and_has_everything() -> Result<()> {
    let mut cluster = start(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() }, "alice")?;
    for token in 1..40 {
        ensure!(deliver(&cluster.nodes[token as usize % 3], "alice", token)?.starts_with("250"), "a delivery");
    }
    cluster.nodes[1].kill()?;
    cluster.nodes[1].wipe()?;
    for token in 40..50 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery with two nodes");
    }
    cluster.join_in_place_of(1, "b")?;
    // It serves at once, whatever is there already, and the rest when it is asked for.
    let there: BTreeSet<u64> = all_show_the_same(&cluster, "alice", "INBOX")?.into_iter().collect();
    ensure!(there == (1..50).collect(), "there are {there:?}");
    until("the emptied node is whole", || is_whole(&cluster, 1))?;
    // Now the others may go: what it shows is its own.
    cluster.nodes[0].kill()?;
    cluster.nodes[2].kill()?;
    let mut client = cluster.nodes[1].client("alice", PASSWORD)?;
    ensure!(crate::support::tokens(&mut client, "INBOX")?.len() == 49, "not all bodies are on the node itself");
    Ok(())
}

#[test]
fn a_machine_that_is_gone_for_good_is_replaced() -> Result<()> {
    let mut cluster = start(ClusterOptions::default(), "alice")?;
    for token in 1..10 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    cluster.nodes[2].kill()?;
    cluster.nodes[2].wipe()?;
    // Another machine takes its place, under another name.
    cluster.nodes[2] = cluster.make_node("d", 2)?;
    cluster.join_in_place_of(2, "c")?;
    until("the new node is whole", || is_whole(&cluster, 2))?;
    ensure!(deliver(&cluster.nodes[2], "alice", 10)?.starts_with("250"), "a delivery on the new node");
    let there = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(there.len() == 10, "there are {there:?}");
    // With the new one any other may die.
    cluster.nodes[0].kill()?;
    until("two of three take changes", || {
        let answer = deliver(&cluster.nodes[1], "alice", 11)?;
        ensure!(answer.starts_with("250"), "{answer}");
        Ok(())
    })
}

#[test]
fn a_rolling_restart_under_load_loses_nothing_and_breaks_no_promise() -> Result<()> {
    let mut cluster = start(ClusterOptions::default(), "alice")?;
    cluster.add_account(PROBE, PASSWORD)?;
    let stage = Stage::new(1, 4, Duration::from_millis(10));
    stage.set_endpoints(endpoints(&cluster, "alice"));
    stage.make_mailboxes()?;
    stage.run(|stage| {
        for node in 0..3 {
            thread::sleep(Duration::from_secs(1));
            let invoked = stage.recorder.now();
            cluster.nodes[node].terminate()?;
            cluster.start_node(node)?;
            until_all_take_changes(&cluster)?;
            stage.recorder.record(usize::MAX, invoked, Outcome::Ok, Event::Fault(format!("restart of {node}")));
        }
        stage.settle_all()
    })?;
    stage.look_at_everything()?;
    stage.verdict().with_context(|| logs(&cluster))
}

#[test]
fn reads_elsewhere_never_stop_when_a_node_dies() -> Result<()> {
    let mut cluster = start(ClusterOptions::default(), "alice")?;
    for token in 1..6 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    let mut reader = cluster.nodes[1].client("alice", PASSWORD)?;
    reader.command("SELECT INBOX")?.ok()?;
    let stop = AtomicBool::new(false);
    let slowest = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::SeqCst) {
                let began = std::time::Instant::now();
                let bodies = reader.command("FETCH 1:* (BODY.PEEK[])")?.ok()?.literals();
                ensure!(bodies.len() == 5, "{} bodies", bodies.len());
                slowest = slowest.max(began.elapsed());
            }
            anyhow::Ok(slowest)
        });
        thread::sleep(Duration::from_millis(500));
        let killed = cluster.nodes[0].kill();
        thread::sleep(Duration::from_secs(3));
        stop.store(true, Ordering::SeqCst);
        killed?;
        reading.join().expect("the reader does not panic")
    })?;
    println!("while a node died the slowest of all reads on another took {slowest:?}");
    ensure!(slowest < Duration::from_secs(1), "a read took {slowest:?}");
    Ok(())
}

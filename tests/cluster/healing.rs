//! What is damaged on one machine is whole on another.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{ClusterOptions, Etcd, Node, until};
use paquebot_tests::session::PASSWORD;

use crate::support::{all_show_the_same, deliver, start, tokens};

/// Flips a byte of each message in the node's packs. Gives how many.
fn damage(node: &Node) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(node.data().join("packs"))? {
        let path = entry?.path();
        let mut bytes = fs::read(&path)?;
        let places: Vec<usize> =
            bytes.windows(9).enumerate().filter(|(_, window)| *window == b"X-Token: ").map(|(at, _)| at).collect();
        for at in &places {
            bytes[*at] ^= 1;
        }
        count += places.len();
        if !places.is_empty() {
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            places.iter().try_for_each(|at| file.write_all_at(&bytes[*at..=*at], *at as u64))?;
        }
    }
    Ok(count)
}

/// Changes a text in whatever is not a pack. Gives how often it was there.
fn falsify(folder: &Path, text: &[u8], by: &[u8]) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("packs") && !path.ends_with("etcd") && !path.ends_with("cluster") {
                count += falsify(&path, text, by)?;
            }
            continue;
        }
        let Ok(bytes) = fs::read(&path) else { continue };
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
        if !places.is_empty() {
            let file = fs::OpenOptions::new().write(true).open(&path)?;
            places.iter().try_for_each(|at| file.write_all_at(by, *at as u64))?;
        }
        count += places.len();
    }
    Ok(count)
}

#[test]
fn a_replica_that_differs_takes_itself_out_and_is_made_anew() -> Result<()> {
    let mut options = ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() };
    options.cluster.push_str("\ncompare_interval = \"2s\"");
    let mut cluster = start(options, "alice")?;
    for token in 1..6 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    let mut client = cluster.nodes[0].client("alice", PASSWORD)?;
    client.command("SELECT INBOX")?.ok()?;
    client.command("STORE 1:* +FLAGS (keyword-as-it-is)")?.ok()?;
    let before = all_show_the_same(&cluster, "alice", "INBOX")?;
    cluster.nodes[1].terminate()?;
    let falsified = falsify(&cluster.nodes[1].data(), b"keyword-as-it-is", b"keyword-as-it-IS")?;
    ensure!(falsified > 0, "the keyword is nowhere in the node's index");
    cluster.start_node(1)?;
    // Something must happen for a comparison to be worth it.
    ensure!(deliver(&cluster.nodes[0], "alice", 6)?.starts_with("250"), "a delivery");
    let log = until("the node says that it differs", || {
        let log = cluster.nodes[1].log();
        ensure!(log.contains("Diverged"), "it said:\n{log}");
        Ok(log)
    })?;
    println!("{}", log.lines().find(|line| line.contains("Diverged")).unwrap_or_default());
    let after = until("all show the same again", || all_show_the_same(&cluster, "alice", "INBOX"))?;
    ensure!(after == [before, vec![6]].concat(), "there are {after:?}");
    Ok(())
}

#[test]
fn a_damaged_body_is_fetched_from_another_node_while_it_is_read() -> Result<()> {
    let mut cluster = start(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() }, "alice")?;
    for token in 1..8 {
        ensure!(deliver(&cluster.nodes[0], "alice", token)?.starts_with("250"), "a delivery");
    }
    all_show_the_same(&cluster, "alice", "INBOX")?;
    cluster.nodes[1].terminate()?;
    let damaged = damage(&cluster.nodes[1])?;
    ensure!(damaged >= 7, "only {damaged} bodies were there to damage");
    cluster.start_node(1)?;
    let there = tokens(&mut cluster.nodes[1].client("alice", PASSWORD)?, "INBOX").context("reading damaged bodies")?;
    ensure!(there == (1..8).collect::<Vec<_>>(), "there are {there:?}");
    // They are its own again: the others may go.
    cluster.nodes[0].kill()?;
    cluster.nodes[2].kill()?;
    let there = tokens(&mut cluster.nodes[1].client("alice", PASSWORD)?, "INBOX")?;
    ensure!(there == (1..8).collect::<Vec<_>>(), "alone there are {there:?}");
    Ok(())
}

//! From one machine to many, and back.

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{Cluster, ClusterOptions};
use paquebot_testkit::{Client, Options, Server};
use paquebot_tests::message::message;
use paquebot_tests::session::PASSWORD;

use crate::support::{all_show_the_same, deliver, seen};

/// UIDVALIDITY and what is there.
fn identity(client: &mut Client, mailbox: &str) -> Result<(u64, Vec<(String, u64)>)> {
    let select = client.command(&format!("SELECT {mailbox}"))?.ok()?;
    let told = |line: &paquebot_testkit::Response| {
        paquebot_tests::wire::number_after(&paquebot_tests::wire::text(line), "[UIDVALIDITY ")
    };
    let validity = select.untagged.iter().find_map(told).context("no UIDVALIDITY")?;
    Ok((validity, seen(client, mailbox)?))
}

#[test]
fn one_machine_becomes_a_cluster_and_mail_keeps_its_uids() -> Result<()> {
    let mut server = Server::start(Options::with_account("alice", PASSWORD))?;
    let mut client = server.client("alice")?;
    client.command("CREATE Work")?.ok()?;
    for token in 1..20 {
        let flags = if token % 3 == 0 { vec!["\\Flagged".to_owned(), "work".to_owned()] } else { Vec::new() };
        client.append(if token % 2 == 0 { "INBOX" } else { "Work" }, &flags, None, &message(token))?.ok()?;
    }
    client.command("SELECT INBOX")?.ok()?;
    client.command("UID STORE 2 +FLAGS (\\Deleted)")?.ok()?;
    client.command("UID EXPUNGE 2")?.ok()?;
    let before = (identity(&mut client, "INBOX")?, identity(&mut client, "Work")?);
    drop(client);
    server.terminate()?;

    let mut cluster = Cluster::make(ClusterOptions::default())?;
    let from = server.data();
    let from = from.to_str().context("a path in UTF-8")?;
    cluster.run(0, &["cluster", "init", "--from-data", from])?.success()?;
    cluster.start_node(0)?;
    cluster.join(1)?;
    cluster.join(2)?;
    for node in &cluster.nodes {
        let mut client = node.client("alice", PASSWORD)?;
        let now = (identity(&mut client, "INBOX")?, identity(&mut client, "Work")?);
        ensure!(now == before, "on {} there is {now:?}, there was {before:?}", node.name());
    }
    ensure!(deliver(&cluster.nodes[2], "alice", 20)?.starts_with("250"), "a delivery");
    let inbox = all_show_the_same(&cluster, "alice", "INBOX")?;
    ensure!(inbox.last() == Some(&20), "there are {inbox:?}");

    // And back: a backup of a node is a store of one machine.
    let after = identity(&mut cluster.nodes[1].client("alice", PASSWORD)?, "INBOX")?;
    let backup = server.folder().join("backup");
    let path = backup.to_str().context("a path in UTF-8")?;
    cluster.run(1, &["backup", path])?.success()?;
    std::fs::remove_dir_all(server.data())?;
    std::fs::rename(&backup, server.data())?;
    server.start_again()?;
    let now = identity(&mut server.client("alice")?, "INBOX")?;
    ensure!(now == after, "the backup has {now:?}, the node had {after:?}");
    server.stop()
}

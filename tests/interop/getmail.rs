//! getmail: everything of alice's mailboxes, carried to bob over LMTP.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::{LmtpAddress, Options, process, sha256_hex};

use crate::stage::{LIMIT, PASSWORD, Security, Stage, behind_trace, messages, same_but_rewritten, without_fields};

fn carry(security: Security) -> Result<()> {
    let stage = Stage::empty(Options::with_account("alice", PASSWORD).and_account("bob", PASSWORD))?;
    stage.samples.upload(&mut stage.client()?)?;
    let (retriever, tls) = match security {
        Security::Tls => ("SimpleIMAPSSLRetriever", format!("ca_certs = {}\n", stage.server.authority().display())),
        _ => ("SimpleIMAPRetriever", String::new()),
    };
    let LmtpAddress::Tcp(lmtp) = &stage.server.addresses().lmtp else { anyhow::bail!("LMTP is on a socket") };
    let text = format!(
        "[retriever]\ntype = {retriever}\nserver = localhost\nport = {}\nusername = alice\npassword = {PASSWORD}\nmailboxes = ALL\n{tls}\n\
         [destination]\ntype = MDA_lmtp\nhost = {}\nport = {}\noverride = bob@example.org\n\n\
         [options]\nread_all = true\ndelete = false\nreceived = false\ndelivered_to = false\n",
        stage.port(security),
        lmtp.ip(),
        lmtp.port(),
    );
    stage.write("getmailrc", &text)?;
    let mut getmail = Command::new("getmail");
    getmail
        .arg("--getmaildir")
        .arg(stage.server.folder())
        .args(["--rcfile", "getmailrc"])
        .env("HOME", stage.server.folder());
    let said = process::run(&mut getmail, b"", LIMIT)?.success()?;
    ensure!(said.contains("137 messages") && !said.contains("error"), "{said}");

    let carried = messages(&mut stage.server.client("bob")?, "INBOX")?;
    let first = carried.first().context("nothing was delivered")?;
    ensure!(first.starts_with(b"Return-Path: <"), "the first line is not the return path");
    let carried: Vec<_> = carried.iter().map(|message| without_fields(message, &["X-getmail-"])).collect();
    let hashes = carried.iter().map(|message| sha256_hex(behind_trace(message))).collect();
    same_but_rewritten("bob's INBOX", hashes, stage.samples.messages.iter())?;
    stage.server.stop()
}

#[test]
fn getmail_carries_everything_in_plain_text() -> Result<()> {
    carry(Security::Plain)
}

#[test]
fn getmail_carries_everything_under_tls() -> Result<()> {
    carry(Security::Tls)
}

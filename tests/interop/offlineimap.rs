//! OfflineIMAP: a Maildir kept equal to the server in both directions, with UTF-8 names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::{Client, process, samples, sha256_hex};

use crate::stage::{
    LIMIT, PASSWORD, Security, Stage, hashes, maildir, messages, same_but_rewritten, same_messages, sample_hashes,
    search, with_crlf, without_fields,
};

struct OfflineImap<'a> {
    stage: &'a Stage,
    configuration: PathBuf,
    root: PathBuf,
}

impl<'a> OfflineImap<'a> {
    fn new(stage: &'a Stage, security: Security) -> Result<OfflineImap<'a>> {
        let root = stage.folder("mail")?;
        let tls = match security {
            Security::Tls => format!("ssl = yes\nsslcacertfile = {}", stage.server.authority().display()),
            Security::StartTls => {
                format!("ssl = no\nstarttls = yes\nsslcacertfile = {}", stage.server.authority().display())
            }
            Security::Plain => "ssl = no\nstarttls = no".to_owned(),
        };
        let text = format!(
            "[general]\nmetadata = {state}\naccounts = alice\nui = basic\nfsync = no\n\n\
             [Account alice]\nlocalrepository = near\nremoterepository = far\nutf8foldernames = yes\n\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {root}\nsep = /\n\n\
             [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {port}\nremoteuser = alice\nremotepass = {PASSWORD}\n\
             maxconnections = 1\n{tls}\n",
            state = stage.folder("state")?.display(),
            root = root.display(),
            port = stage.port(security),
        );
        Ok(OfflineImap { stage, configuration: stage.write("offlineimaprc", &text)?, root })
    }

    fn sync(&self) -> Result<String> {
        let mut offlineimap = Command::new("offlineimap");
        offlineimap.args(["-o", "-c"]).arg(&self.configuration).env("HOME", self.stage.server.folder());
        let done = process::run(&mut offlineimap, b"", LIMIT)?;
        let said = format!("{}{}", done.stdout, done.stderr);
        ensure!(done.status.success() && !said.contains("ERROR"), "{done}");
        Ok(said)
    }

    fn hashes(&self, mailbox: &str) -> Result<Vec<String>> {
        let messages = maildir(&self.root.join(mailbox)).with_context(|| mailbox.to_owned())?;
        Ok(messages.iter().map(|(_, data)| hash(data)).collect())
    }

    fn file_of(&self, mailbox: &str, sha256: &str) -> Result<PathBuf> {
        let found = maildir(&self.root.join(mailbox))?.into_iter().find(|(_, data)| hash(data) == sha256);
        Ok(found.with_context(|| format!("{mailbox} has no message {sha256}"))?.0)
    }
}

fn hash(data: &[u8]) -> String {
    sha256_hex(&with_crlf(data))
}

fn two_ways(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let offlineimap = OfflineImap::new(&stage, security)?;
    offlineimap.sync()?;
    for mailbox in &stage.samples.mailboxes {
        same_but_rewritten(&mailbox.name, offlineimap.hashes(&mailbox.name)?, stage.samples.of(&mailbox.name))?;
    }

    // Both sides change.
    let removed = stage.sample("inbox/014.eml")?;
    let flagged = stage.sample("inbox/013.eml")?;
    fs::remove_file(offlineimap.file_of("INBOX", &removed.sha256)?)?;
    let file = offlineimap.file_of("INBOX", &flagged.sha256)?;
    let name = file.file_name().context("a file has a name")?.to_string_lossy().into_owned();
    let base = name.split(":2,").next().unwrap_or_default();
    fs::rename(&file, offlineimap.root.join("INBOX/cur").join(format!("{base}:2,FS")))?;
    let written: Vec<u8> =
        samples::read(Path::new("sent/001.eml"))?.into_iter().filter(|byte| *byte != b'\r').collect();
    fs::write(offlineimap.root.join("日本語/new/1780000000.local.test"), &written)?;

    let mut client = stage.client()?;
    client.append("Trash", &[], None, &samples::read(Path::new("inbox/001.eml"))?)?.ok()?;
    client.command("SELECT Sent")?.ok()?;
    client.command("STORE 1 +FLAGS (\\Deleted)")?.ok()?;
    client.command("EXPUNGE")?.ok()?;
    client.command("UNSELECT")?.ok()?;

    offlineimap.sync()?;
    let mut inbox = sample_hashes(&stage.samples, "INBOX");
    inbox.retain(|hash| *hash != removed.sha256);
    same_messages("INBOX on the server", hashes(&mut client, "INBOX")?, inbox)?;
    ensure!(search(&mut client, "INBOX", "FLAGGED SEEN SUBJECT \"Karte\"")?.len() == 1, "the flags did not arrive");
    ensure!(uploaded(&mut client, &written)?, "the message written here did not arrive");
    same_messages("Trash here", offlineimap.hashes("Trash")?, hashes(&mut client, "Trash")?)?;
    same_messages("Sent here", offlineimap.hashes("Sent")?, hashes(&mut client, "Sent")?)?;

    // Now there is nothing to do.
    let said = offlineimap.sync()?;
    ensure!(!said.contains("Copy message") && !said.contains("Deleting"), "something was done again:\n{said}");
    drop(client);
    stage.server.stop()
}

/// Whether the last message of 日本語 is this one, but for the field that OfflineIMAP adds to know it again where a server has no UIDPLUS.
fn uploaded(client: &mut Client, written: &[u8]) -> Result<bool> {
    let last = messages(client, "日本語")?.pop().context("日本語 is empty")?;
    Ok(without_fields(&last, &["X-OfflineIMAP: "]) == with_crlf(written))
}

#[test]
fn offlineimap_goes_both_ways_in_plain_text() -> Result<()> {
    two_ways(Security::Plain)
}

#[test]
fn offlineimap_goes_both_ways_under_tls() -> Result<()> {
    two_ways(Security::Tls)
}

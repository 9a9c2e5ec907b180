//! mbsync (isync): a Maildir kept equal to the server in both directions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::samples::SampleMessage;
use paquebot_testkit::{Client, modified_utf7, process, samples, sha256_hex};

use crate::stage::{
    LIMIT, PASSWORD, Security, Stage, maildir, messages, same_messages, sample_hashes, search, with_crlf,
    without_fields,
};

struct Mbsync<'a> {
    stage: &'a Stage,
    configuration: PathBuf,
    /// Below it a Maildir for each mailbox.
    root: PathBuf,
}

impl<'a> Mbsync<'a> {
    fn new(stage: &'a Stage, security: Security) -> Result<Mbsync<'a>> {
        let root = stage.folder("mail")?;
        let tls = match security {
            Security::Plain => "SSLType None\nAuthMechs LOGIN".to_owned(),
            Security::StartTls => format!("SSLType STARTTLS\nCertificateFile {}", stage.server.authority().display()),
            Security::Tls => format!("SSLType IMAPS\nCertificateFile {}", stage.server.authority().display()),
        };
        let text = format!(
            "IMAPAccount server\nHost localhost\nPort {}\nUser alice\nPass {PASSWORD}\n{tls}\n\n\
             IMAPStore far\nAccount server\n\n\
             MaildirStore near\nPath {root}/\nInbox {root}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nCopyArrivalDate yes\nSyncState *\n",
            stage.port(security),
            root = root.display()
        );
        Ok(Mbsync { stage, configuration: stage.write("mbsyncrc", &text)?, root })
    }

    /// Synchronizes; gives what mbsync says that it did.
    fn sync(&self) -> Result<String> {
        let mut mbsync = Command::new("mbsync");
        mbsync
            .arg("--config")
            .arg(&self.configuration)
            .args(["--verbose", "all"])
            .env("HOME", self.stage.server.folder());
        let done = process::run(&mut mbsync, b"", LIMIT)?;
        ensure!(done.status.success(), "{done}");
        Ok(format!("{}{}", done.stdout, done.stderr))
    }

    /// The folder of a mailbox: mbsync leaves names as the protocol has them.
    fn folder(&self, mailbox: &str) -> PathBuf {
        self.root.join(modified_utf7(mailbox))
    }

    fn near_hashes(&self, mailbox: &str) -> Result<Vec<String>> {
        let messages = maildir(&self.folder(mailbox)).with_context(|| mailbox.to_owned())?;
        Ok(messages.iter().map(|(_, data)| hash(data)).collect())
    }

    /// The file that holds this sample.
    fn file_of(&self, mailbox: &str, sha256: &str) -> Result<PathBuf> {
        let found = maildir(&self.folder(mailbox))?.into_iter().find(|(_, data)| hash(data) == sha256);
        Ok(found.with_context(|| format!("{mailbox} has no message {sha256}"))?.0)
    }
}

fn two_ways(security: Security) -> Result<()> {
    let stage = Stage::with_samples()?;
    let mbsync = Mbsync::new(&stage, security)?;

    // Everything comes down, with its flags, but what is marked as deleted: that is expunged.
    mbsync.sync()?;
    let kept = |message: &&SampleMessage| !message.flags.contains(&"\\Deleted".to_owned());
    for mailbox in &stage.samples.mailboxes {
        let expected = stage.samples.of(&mailbox.name).filter(kept).map(|message| message.sha256.clone());
        same_messages(&mailbox.name, mbsync.near_hashes(&mailbox.name)?, expected)?;
    }
    for message in stage.samples.messages.iter().filter(kept) {
        let file = mbsync.file_of(&message.mailbox, &message.sha256)?;
        ensure!(
            letters(&file) == expected_letters(&message.flags),
            "{}: stored as {}",
            message.file.display(),
            file.display()
        );
    }

    // Both sides change: a new message, a flag, a removal, a new mailbox on each.
    let read = stage.sample("inbox/013.eml")?;
    let removed = stage.sample("inbox/014.eml")?;
    let read_file = mbsync.file_of("INBOX", &read.sha256)?;
    rename_with_letters(&read_file, "FS")?;
    rename_with_letters(&mbsync.file_of("INBOX", &removed.sha256)?, "T")?;
    let written = samples::read(Path::new("sent/003.eml"))?;
    fs::write(mbsync.folder("INBOX").join("new/1780000000.local.test"), without_cr(&written))?;
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(mbsync.folder("Écrits/2026").join(part))?;
    }
    fs::write(
        mbsync.folder("Écrits/2026").join("new/1780000001.local.test"),
        without_cr(&samples::read(Path::new("nihongo/001.eml"))?),
    )?;

    let mut client = stage.client()?;
    client.append("Trash", &["\\Flagged".to_owned()], None, &samples::read(Path::new("inbox/001.eml"))?)?.ok()?;
    client.command("CREATE Server")?.ok()?;
    client.append("Server", &[], None, &samples::read(Path::new("inbox/002.eml"))?)?.ok()?;
    client.command("SELECT Sent")?.ok()?;
    client.command("STORE 1 +FLAGS (\\Answered)")?.ok()?;
    client.command("STORE 2 +FLAGS (\\Deleted)")?.ok()?;
    client.command("EXPUNGE")?.ok()?;
    client.command("UNSELECT")?.ok()?;

    mbsync.sync()?;
    let mut inbox = sample_hashes(&stage.samples, "INBOX");
    inbox.retain(|hash| *hash != removed.sha256);
    inbox.push(sha256_hex(&written));
    same_messages("INBOX on the server", far_hashes(&mut client, "INBOX")?, inbox.clone())?;
    same_messages("INBOX here", mbsync.near_hashes("INBOX")?, inbox)?;
    ensure!(
        search(&mut client, "INBOX", &format!("FLAGGED SEEN SUBJECT \"Karte\" SMALLER {}", read.data.len() + 1))?.len()
            == 1,
        "the flags did not arrive"
    );
    same_messages(
        "a mailbox made here",
        far_hashes(&mut client, "Écrits/2026")?,
        [stage.sample("nihongo/001.eml")?.sha256.clone()],
    )?;
    same_messages(
        "a mailbox made there",
        mbsync.near_hashes("Server")?,
        [stage.sample("inbox/002.eml")?.sha256.clone()],
    )?;
    same_messages("Trash here", mbsync.near_hashes("Trash")?, far_hashes(&mut client, "Trash")?)?;
    same_messages("Sent here", mbsync.near_hashes("Sent")?, far_hashes(&mut client, "Sent")?)?;
    let answered = mbsync.file_of("Sent", &stage.sample("sent/001.eml")?.sha256)?;
    ensure!(letters(&answered).contains(&'R'), "the answered message is {}", answered.display());

    // Now there is nothing to do, on either side.
    let (before, unchanged) = (snapshot(&mbsync.root)?, server_state(&stage)?);
    mbsync.sync()?;
    ensure!(snapshot(&mbsync.root)? == before, "files changed when there was nothing to do");
    ensure!(server_state(&stage)? == unchanged, "the server's mail changed when there was nothing to do");
    drop(client);
    stage.server.stop()
}

/// The hash of a message without the field by which mbsync finds it again, and with CRLF.
fn hash(data: &[u8]) -> String {
    sha256_hex(&without_fields(&with_crlf(data), &["X-TUID: "]))
}

fn far_hashes(client: &mut Client, mailbox: &str) -> Result<Vec<String>> {
    Ok(messages(client, mailbox)?.iter().map(|message| hash(message)).collect())
}

/// The letters of a Maildir file's flags, in order.
fn letters(file: &Path) -> BTreeSet<char> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split_once(":2,").map(|(_, letters)| letters.chars().collect()).unwrap_or_default()
}

/// What Maildir can say of these flags.
fn expected_letters(flags: &[String]) -> BTreeSet<char> {
    let letter = |flag: &String| match flag.as_str() {
        "\\Seen" => Some('S'),
        "\\Answered" => Some('R'),
        "\\Flagged" => Some('F'),
        "\\Draft" => Some('D'),
        "$Forwarded" => Some('P'),
        _ => None,
    };
    flags.iter().filter_map(letter).collect()
}

fn rename_with_letters(file: &Path, letters: &str) -> Result<()> {
    let name = file.file_name().context("a file has a name")?.to_string_lossy().into_owned();
    let base = name.split(":2,").next().unwrap_or_default();
    let cur = file.parent().and_then(Path::parent).context("a file in a Maildir")?.join("cur");
    Ok(fs::rename(file, cur.join(format!("{base}:2,{letters}")))?)
}

fn without_cr(data: &[u8]) -> Vec<u8> {
    data.iter().copied().filter(|byte| *byte != b'\r').collect()
}

/// All message files, by name: mbsync's own state files may be written again.
fn snapshot(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.parent().is_some_and(|parent| parent.ends_with("cur") || parent.ends_with("new")) {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// What STATUS tells of every mailbox: counts, UIDNEXT and, as the most exact, the highest modseq.
fn server_state(stage: &Stage) -> Result<Vec<String>> {
    let mut client = stage.client()?;
    let mut lines = Vec::new();
    for mailbox in &stage.samples.mailboxes {
        let answer = client
            .command(&format!("STATUS \"{}\" (MESSAGES UIDNEXT UNSEEN HIGHESTMODSEQ)", modified_utf7(&mailbox.name)))?
            .ok()?;
        lines.extend(answer.untagged.iter().map(ToString::to_string));
    }
    Ok(lines)
}

#[test]
fn mbsync_goes_both_ways_in_plain_text() -> Result<()> {
    two_ways(Security::Plain)
}

#[test]
fn mbsync_goes_both_ways_after_starttls() -> Result<()> {
    two_ways(Security::StartTls)
}

#[test]
fn mbsync_goes_both_ways_under_tls() -> Result<()> {
    two_ways(Security::Tls)
}

//! What every test here begins with: a server, the samples in it, and how a client is told of both.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::samples::{self, SampleMessage, Samples, checkout};
use paquebot_testkit::{Client, Options, Server, modified_utf7, process, sha256_hex};

/// Far more than any of these programs takes, on a small machine that runs several at once.
pub const LIMIT: Duration = Duration::from_secs(240);
pub const PASSWORD: &str = "secret";

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Plain,
    StartTls,
    Tls,
}

impl Security {
    pub fn name(self) -> &'static str {
        match self {
            Security::Plain => "plain",
            Security::StartTls => "starttls",
            Security::Tls => "tls",
        }
    }
}

pub struct Stage {
    pub server: Server,
    pub samples: Samples,
}

impl Stage {
    /// A server where alice has all the sample mail.
    pub fn with_samples() -> Result<Stage> {
        let stage = Stage::empty(Options::with_account("alice", PASSWORD))?;
        stage.samples.upload(&mut stage.server.client("alice")?)?;
        Ok(stage)
    }

    pub fn empty(options: Options) -> Result<Stage> {
        Ok(Stage { server: Server::start(options)?, samples: Samples::load()? })
    }

    /// The port for a way to connect. Under TLS the server's name is `localhost`.
    pub fn port(&self, security: Security) -> u16 {
        match security {
            Security::Plain | Security::StartTls => self.server.addresses().imap.port(),
            Security::Tls => self.server.addresses().imaps.port(),
        }
    }

    /// A new folder that goes with the server.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.server.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Runs a script of this folder, told by its environment where the server and the samples are.
    pub fn script(&self, interpreter: &Path, script: &str, security: Security) -> Result<String> {
        let mut command = Command::new(interpreter);
        command.arg(checkout().join("tests/interop").join(script));
        command.env("SECURITY", security.name());
        command.env("PORT", self.port(security).to_string());
        command.env("ACCOUNT", "alice").env("PASSWORD", PASSWORD);
        command.env("AUTHORITY", self.server.authority());
        command.env("SAMPLES", samples::folder());
        command.env("NODE_PATH", checkout().join(".xtask/node/node_modules"));
        process::run(&mut command, b"", LIMIT)?.success()
    }

    /// Writes a file of the stage and runs nothing.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.server.folder().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub fn client(&self) -> Result<Client> {
        self.server.client("alice")
    }

    /// Where the sample lies.
    pub fn samples_path(&self, sample: &SampleMessage) -> PathBuf {
        samples::folder().join(&sample.file)
    }

    pub fn sample(&self, file: &str) -> Result<&SampleMessage> {
        let path = Path::new("mail").join(file);
        self.samples.messages.iter().find(|message| message.file == path).with_context(|| format!("no sample {file}"))
    }
}

/// The hashes of all messages of a mailbox, in order of their UIDs.
pub fn hashes(client: &mut Client, mailbox: &str) -> Result<Vec<String>> {
    Ok(messages(client, mailbox)?.iter().map(|message| sha256_hex(message)).collect())
}

/// All messages of a mailbox, in order of their UIDs.
pub fn messages(client: &mut Client, mailbox: &str) -> Result<Vec<Vec<u8>>> {
    client.command(&format!("EXAMINE \"{}\"", modified_utf7(mailbox)))?.ok()?;
    let fetched = client.command("UID FETCH 1:* (BODY.PEEK[])")?.ok()?.literals();
    client.command("UNSELECT")?.ok()?;
    Ok(fetched)
}

/// The numbers of the messages of a mailbox that a search finds.
pub fn search(client: &mut Client, mailbox: &str, what: &str) -> Result<Vec<u32>> {
    client.command(&format!("EXAMINE \"{}\"", modified_utf7(mailbox)))?.ok()?;
    let answer = client.command(&format!("SEARCH {what}"))?.ok()?;
    client.command("UNSELECT")?.ok()?;
    let line =
        answer.untagged.iter().find(|response| response.starts_with("* SEARCH")).context("no SEARCH in the answer")?;
    let numbers = String::from_utf8_lossy(line.bytes()).into_owned();
    numbers.split(' ').skip(2).map(|number| number.parse().with_context(|| numbers.clone())).collect()
}

/// A text as a client that stores LF has it, with the CRLF that it came with.
pub fn with_crlf(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 40);
    for (at, byte) in data.iter().enumerate() {
        if *byte == b'\n' && at.checked_sub(1).and_then(|before| data.get(before)) != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    out
}

/// The files of a Maildir folder (`cur` and `new`), with their names.
pub fn maildir(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for part in ["cur", "new"] {
        let part = folder.join(part);
        let entries = std::fs::read_dir(&part).with_context(|| format!("no Maildir: {}", part.display()))?;
        for entry in entries {
            let path = entry?.path();
            found.push((path.clone(), std::fs::read(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// The hashes of all files of a folder, each a message stored with LF.
pub fn file_hashes(folder: &Path) -> Result<Vec<String>> {
    file_hashes_without(folder, &[])
}

/// As [`file_hashes`], without the header fields that begin so: those that a client adds.
pub fn file_hashes_without(folder: &Path, fields: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        found.push(sha256_hex(&without_fields(&with_crlf(&std::fs::read(entry?.path())?), fields)));
    }
    Ok(found)
}

/// A delivered sample without the fields that deliveries put before it. The samples' own Received fields name hosts that no test has.
pub fn behind_trace(message: &[u8]) -> &[u8] {
    let is_samples = |field: &[u8]| {
        [&b"Received: from mx."[..], b"Received: from [198.51.100."].iter().any(|own| field.starts_with(own))
    };
    let is_trace = |field: &[u8]| {
        [&b"Return-Path:"[..], b"Delivered-To:", b"Received:"].iter().any(|trace| field.starts_with(trace))
    };
    let mut rest = message;
    while is_trace(rest) && !is_samples(rest) {
        // A field ends with the first line end that no space or tab follows.
        let end = rest
            .windows(2)
            .position(|pair| pair[0] == b'\n' && !matches!(pair[1], b' ' | b'\t'))
            .map_or(rest.len(), |at| at + 1);
        rest = &rest[end..];
    }
    rest
}

/// A message without the header fields, each of one line, that begin so.
pub fn without_fields(message: &[u8], fields: &[&str]) -> Vec<u8> {
    let header_end = message.windows(4).position(|window| window == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let (header, body) = message.split_at(header_end);
    let is_kept = |line: &&[u8]| !fields.iter().any(|field| line.starts_with(field.as_bytes()));
    let mut out: Vec<u8> = header.split_inclusive(|byte| *byte == b'\n').filter(is_kept).flatten().copied().collect();
    out.extend_from_slice(body);
    out
}

/// An error that tells which hashes are on one side only, unless both sides have the same, in whatever order.
pub fn same_messages(
    what: &str,
    got: impl IntoIterator<Item = String>,
    expected: impl IntoIterator<Item = String>,
) -> Result<()> {
    let (mut got, mut expected): (Vec<_>, Vec<_>) = (got.into_iter().collect(), expected.into_iter().collect());
    got.sort();
    expected.sort();
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|hash| !those.contains(hash)).cloned().collect::<Vec<_>>()
    };
    ensure!(
        got == expected,
        "{what}: {} messages for {}; missing {:?}, unexpected {:?}",
        got.len(),
        expected.len(),
        only(&expected, &got),
        only(&got, &expected)
    );
    Ok(())
}

/// The samples that Python's email package changes when it takes them apart and writes them again, as getmail and OfflineIMAP do: it folds long
/// parameters anew, closes what is not closed, and puts `>` before a line that begins with `From `.
const REWRITTEN: &[&str] = &[
    "archive-2025/010.eml",
    "drafts/003.eml",
    "inbox/009.eml",
    "inbox/024.eml",
    "junk/005.eml",
    "projects-paquebot/011.eml",
    "reisen-fotos/001.eml",
];

/// As [`same_messages`], for a client that writes some of the samples anew: those are counted only.
pub fn same_but_rewritten<'a>(
    what: &str,
    got: Vec<String>,
    samples: impl Iterator<Item = &'a SampleMessage>,
) -> Result<()> {
    let samples: Vec<_> = samples.collect();
    ensure!(got.len() == samples.len(), "{what}: {} messages for {}", got.len(), samples.len());
    let is_rewritten = |message: &SampleMessage| REWRITTEN.iter().any(|file| message.file.ends_with(file));
    let missing: Vec<_> = samples
        .iter()
        .filter(|message| !is_rewritten(message) && !got.contains(&message.sha256))
        .map(|message| &message.file)
        .collect();
    ensure!(missing.is_empty(), "{what}: not as they were: {missing:?}");
    Ok(())
}

/// The hashes of the samples in one mailbox.
pub fn sample_hashes(samples: &Samples, mailbox: &str) -> Vec<String> {
    samples.of(mailbox).map(|message| message.sha256.clone()).collect()
}

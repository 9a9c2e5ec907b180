//! The sample mail of `samples/`, as its manifest describes it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{Client, modified_utf7, sha256_hex};

/// The sample mailboxes and messages, in the manifest's order.
#[derive(Debug, Deserialize)]
pub struct Samples {
    pub mailboxes: Vec<SampleMailbox>,
    pub messages: Vec<SampleMessage>,
}

#[derive(Debug, Deserialize)]
pub struct SampleMailbox {
    pub name: String,
    /// The special use, as `\Sent`.
    pub special_use: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct SampleMessage {
    /// The path below `samples/`.
    pub file: PathBuf,
    pub mailbox: String,
    pub flags: Vec<String>,
    /// As APPEND takes it: `02-Mar-2026 09:14:07 +0100`.
    pub internal_date: String,
    pub sha256: String,
    /// The message itself; its hash has been checked.
    #[serde(skip)]
    pub data: Vec<u8>,
}

impl Samples {
    /// Reads all of them. An error when a message is not the one that the manifest names.
    pub fn load() -> Result<Samples> {
        let folder = folder();
        let manifest = folder.join("manifest.json");
        let text = std::fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let mut samples: Samples =
            serde_json::from_str(&text).with_context(|| format!("{}: not as expected", manifest.display()))?;
        for message in &mut samples.messages {
            message.data = read(&message.file)?;
            ensure!(
                sha256_hex(&message.data) == message.sha256,
                "{}: not the message of the manifest",
                message.file.display()
            );
        }
        Ok(samples)
    }

    /// The messages of one mailbox, in order.
    pub fn of<'a>(&'a self, mailbox: &'a str) -> impl Iterator<Item = &'a SampleMessage> {
        self.messages.iter().filter(move |message| message.mailbox == mailbox)
    }

    /// Makes the mailboxes that are not there yet, subscribes to all, and appends every message.
    pub fn upload(&self, client: &mut Client) -> Result<()> {
        for mailbox in &self.mailboxes {
            let name = modified_utf7(&mailbox.name);
            if mailbox.name != "INBOX" {
                let made = client.command(&format!("CREATE \"{name}\""))?;
                ensure!(
                    made.is_ok() || made.tagged.starts_with("NO [ALREADYEXISTS]"),
                    "CREATE {name}: {}",
                    made.tagged
                );
            }
            client.command(&format!("SUBSCRIBE \"{name}\""))?.ok()?;
        }
        for message in &self.messages {
            let name = modified_utf7(&message.mailbox);
            client
                .append(&name, &message.flags, Some(&message.internal_date), &message.data)?
                .ok()
                .with_context(|| message.file.display().to_string())?;
        }
        Ok(())
    }
}

/// One message by its path below `samples/`, or below `samples/mail/`.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    let path = folder().join(if file.starts_with("mail") { file.to_path_buf() } else { Path::new("mail").join(file) });
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The folder `samples/` of the checkout.
pub fn folder() -> PathBuf {
    checkout().join("samples")
}

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit is a folder of the checkout").to_path_buf()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Samples;

    #[test]
    fn the_samples_are_those_of_the_manifest() {
        let samples = Samples::load().unwrap();
        assert!(samples.messages.len() >= 120);
        assert_eq!(samples.mailboxes.iter().filter(|mailbox| mailbox.special_use.is_some()).count(), 5);
        assert!(samples.of("日本語").count() >= 8);
    }
}

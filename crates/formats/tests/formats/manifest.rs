//! What the real server answered for a fixture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub mailboxes: BTreeMap<String, Mailbox>,
    /// The same store as another user sees it.
    pub as_other_user: Option<OtherUser>,
    /// Answers to LIST and LSUB.
    #[serde(default)]
    pub list: Vec<String>,
    #[serde(default)]
    pub lsub: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct OtherUser {
    pub user: String,
    pub mailbox: String,
    #[serde(flatten)]
    pub shown: Mailbox,
}

#[derive(Debug, Deserialize)]
pub struct Mailbox {
    /// `None`: not stored.
    pub uidvalidity: Option<u32>,
    pub uidnext: Option<u32>,
    #[serde(default)]
    pub highestmodseq: Option<u64>,
    #[serde(default)]
    pub flags_list: Vec<String>,
    pub messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub uid: u32,
    pub flags: Vec<String>,
    pub keywords: Vec<String>,
    pub internaldate: String,
    pub rfc822_size: u64,
    #[serde(default)]
    pub body_octets: Option<u64>,
    pub sha256: String,
    #[serde(default)]
    pub modseq: Option<String>,
}

/// The fixtures' directory.
pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub fn read(name: &str) -> Manifest {
    let text = std::fs::read(directory(name).join("manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

//! What the real server answered for a fixture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub mailboxes: BTreeMap<String, Mailbox>,
}

#[derive(Debug, Deserialize)]
pub struct Mailbox {
    /// `None`: not stored.
    pub uidvalidity: Option<u32>,
    pub uidnext: Option<u32>,
    pub messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub uid: u32,
    pub flags: Vec<String>,
    pub keywords: Vec<String>,
    pub internaldate: String,
    pub rfc822_size: u64,
    pub sha256: String,
}

/// The fixtures' directory.
pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub fn read(name: &str) -> Manifest {
    let text = std::fs::read(directory(name).join("manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

//! What can be asked, and what comes back. Both are lines of JSON on the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A command for whoever has the data directory open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// `credentials` are hashes as the crate `auth` writes them: a password never crosses the socket.
    UserAdd {
        name: String,
        credentials: String,
    },
    UserList,
    UserPasswd {
        name: String,
        credentials: String,
    },
    UserRemove {
        name: String,
    },
    Check,
    Backup {
        directory: PathBuf,
    },
    /// What of a user's can come back.
    Recoverable {
        user: String,
    },
    /// Brings back what was expunged at or after `since_ms`, of one mailbox or of all, and deleted mailboxes.
    Undelete {
        user: String,
        mailbox: Option<String>,
        since_ms: u64,
    },
    Status,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Done,
    Users { users: Vec<User> },
    Checked(Checked),
    BackedUp { packs: u64, bytes: u64 },
    Recoverable { mailboxes: Vec<Recoverable> },
    Undeleted { messages: u64, mailboxes: u64 },
    Status { version: String, store: String, users: u64, failure: Option<String> },
}

/// How far a long command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// Somebody who can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    /// Whether the password is kept in the store; otherwise in a passwd-file.
    pub has_password: bool,
    pub messages: u64,
    pub bytes: u64,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub packs: u64,
    pub records: u64,
    pub bodies: u64,
    pub bytes: u64,
    pub problems: Vec<String>,
}

/// Mail that can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recoverable {
    pub mailbox: String,
    /// The mailbox itself has been deleted, at this time.
    pub deleted_ms: Option<u64>,
    /// Expunged messages; of a deleted mailbox those that were in it.
    pub messages: u64,
    /// When the first and the last of them went.
    pub first_ms: Option<u64>,
    pub last_ms: Option<u64>,
}

//! What can be asked, and what comes back. Both are lines of JSON on the control socket.

use std::path::PathBuf;

use paquebot_types::{BlobHash, Flags, InternalDate, Keyword, MailboxName, ModSeq, SpecialUse, Uid, UidValidity};
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
    /// Several users at once; what becomes of each is in the answer, in the same order.
    UserImport {
        users: Vec<Imported>,
        /// Whether the password of a user that there is already is replaced.
        replace: bool,
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
    /// What of a user's can come back that went at `since_ms` or after.
    Recoverable {
        user: String,
        mailbox: Option<String>,
        since_ms: u64,
    },
    /// Brings back what was expunged at or after `since_ms`, of one mailbox or of all, and deleted mailboxes.
    Undelete {
        user: String,
        mailbox: Option<String>,
        since_ms: u64,
    },
    Status,
    /// All mailboxes of a user's, and what the user is subscribed to.
    Mailboxes {
        user: String,
    },
    /// The messages of a mailbox, one after the other: [`crate::Connection::messages`] reads them.
    Messages(Messages),
    /// For a node of a cluster.
    Cluster(ClusterRequest),
}

/// Whose messages are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    pub user: String,
    pub mailbox: MailboxName,
    /// Octets are sent of messages above this UID alone: who has the others only wants to know how they are now. 0: of all.
    pub octets_after: u32,
}

/// A message on its way out, but for its octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub uid: Uid,
    pub flags: Flags,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<Keyword>,
    pub internal_date: InternalDate,
    pub modseq: ModSeq,
    pub size: u32,
    /// What the octets have been proved by.
    pub hash: BlobHash,
}

/// A mailbox, but for its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxState {
    pub name: MailboxName,
    pub uid_validity: UidValidity,
    pub uid_next: Option<Uid>,
    pub highest_modseq: ModSeq,
    pub messages: u32,
    pub octets: u64,
    pub keywords: Vec<Keyword>,
    pub special_use: Vec<SpecialUse>,
}

/// A command for a node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cluster", rename_all = "kebab-case")]
pub enum ClusterRequest {
    Status,
    /// Makes a token with which a machine joins, good for so long.
    Token {
        seconds: u64,
    },
    /// Has this node hand over what it hosts, and then be none any more.
    Leave,
    /// Takes a node whose machine is gone for good out of the cluster.
    Remove {
        node: String,
    },
    /// Moves a shard to these nodes.
    MoveShard {
        shard: u16,
        nodes: Vec<String>,
    },
    /// Moves an account to another shard.
    MoveAccount {
        user: String,
        shard: u16,
    },
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    Done,
    Users {
        users: Vec<User>,
    },
    Imported {
        fates: Vec<Fate>,
    },
    Checked(Checked),
    /// `wanted` bodies are not in the copy: this node was still to get them from another.
    BackedUp {
        packs: u64,
        bytes: u64,
        wanted: u64,
    },
    Recoverable {
        mailboxes: Vec<Recoverable>,
    },
    Undeleted {
        messages: u64,
        mailboxes: u64,
    },
    Status(Status),
    Mailboxes {
        mailboxes: Vec<MailboxState>,
        subscribed: Vec<MailboxName>,
    },
    ClusterStatus(Box<ClusterStatus>),
    Token {
        token: String,
    },
}

/// A user with the hash of a password that was made elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub name: String,
    pub credentials: String,
}

/// What became of a user that was to be imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Added,
    Replaced,
    /// There is such a user, who was left as he is.
    Exists,
    Failed(String),
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The store's own number.
    pub store: String,
    pub users: u64,
    /// Why no changes are taken; `None` while they are.
    pub failure: Option<String>,
    /// `None`: no server runs.
    pub running: Option<Running>,
}

/// What is known of a server that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub process: u32,
    pub uptime_seconds: u64,
    /// As the start-up lines said: `imap 127.0.0.1:1143`.
    pub listening: Vec<String>,
    pub imap_sessions: u32,
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
    /// Bodies that are still to come from another node.
    pub wanted: u64,
    /// Packs that are in S3 and not here: what is in them was not proved.
    pub elsewhere: u64,
    pub problems: Vec<String>,
}

/// Mail that can come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recoverable {
    pub mailbox: String,
    /// The mailbox itself has been deleted, at this time.
    pub deleted_ms: Option<u64>,
    /// Messages that were in it when it was deleted.
    pub held: u32,
    /// Messages that were expunged from it.
    pub expunged: u64,
    /// When the first and the last of them went.
    pub first_ms: Option<u64>,
    pub last_ms: Option<u64>,
}

/// How a cluster is, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub cluster: String,
    /// The node that was asked.
    pub node: String,
    pub nodes: Vec<ClusterNode>,
    pub etcd: Vec<EtcdMember>,
    /// Why changes are refused for etcd's sake; `None` while they are not.
    pub refusal: Option<String>,
    pub shards: Vec<ClusterShard>,
    /// Octets that this node's store takes.
    pub store_bytes: u64,
    /// Bodies that this node has yet to fetch, and those that it has fetched since it was started.
    pub bodies_wanted: u64,
    pub bodies_fetched: u64,
    /// Where packs go too.
    #[serde(default)]
    pub s3: Option<S3Status>,
}

/// How it is with this node's packs in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Status {
    pub packs: u64,
    pub bytes: u64,
    /// What of them is on this machine too.
    pub cached_bytes: u64,
    /// Packs that are still to be sent.
    pub waiting: u64,
    /// Why none is sent now.
    pub failure: Option<String>,
}

/// A node, as another sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    pub name: String,
    pub address: String,
    pub up: bool,
    pub leaving: bool,
    pub software: String,
    /// Shards that it hosts, and those that it is copying.
    pub shards: u32,
    pub joining: u32,
    /// Records that the asked node has applied and that are not on the disk of this one yet, as far as it has said.
    pub behind: u64,
    /// When it said so, in seconds before now.
    pub silent_seconds: Option<u64>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    pub endpoint: String,
    /// Why it does not answer; `None` if it does.
    pub failure: Option<String>,
    pub leads: bool,
    pub version: String,
    pub file_bytes: u64,
    pub used_bytes: u64,
    pub quota_bytes: u64,
}

/// A shard, as one of its hosts sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterShard {
    pub shard: u16,
    /// The nodes that host it.
    pub hosts: Vec<String>,
    /// The nodes that are copying it.
    pub joining: Vec<String>,
    /// Here: the last record applied, the last in the log, and the hash chain's first octets.
    pub applied: Option<u64>,
    pub lag: Option<u64>,
    pub chain: Option<String>,
    /// Why this node does not follow it.
    pub failure: Option<String>,
}

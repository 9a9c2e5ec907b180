//! The rows that are read less often than pages: a version byte, then a postcard structure.

use paquebot_types::{
    AccountId, BlobHash, BlobId, Flags, Keyword, MailboxId, MailboxName, ModSeq, ShardId, SpecialUse, ThreadId, Uid,
    UidSet, UidValidity,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bytes::{Reader, put_varint};
use crate::key;
use crate::load::{LoadDigest, LoadedTo};
use crate::page::Message;

/// A row's structure, its version first.
pub trait Row: Serialize + DeserializeOwned {
    const VERSION: u8;

    fn encode(&self) -> Vec<u8> {
        // Serialising plain structures into a growing vector cannot fail.
        postcard::to_extend(self, vec![Self::VERSION]).expect("rows hold nothing that postcard cannot write")
    }

    /// `None` if the row is damaged or of a newer version.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != Self::VERSION {
            return None;
        }
        postcard::take_from_bytes(rest).ok().filter(|(_, rest)| rest.is_empty()).map(|(row, _)| row)
    }
}

/// Somebody who can log in. In the system shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    pub name: String,
    pub account: AccountId,
    /// Where the account's mailboxes are.
    pub shard: ShardId,
    /// The hashed password and keys, as the crate `auth` writes them. `None`: the password is kept elsewhere (a passwd-file).
    pub credentials: Option<String>,
    /// A removed login keeps its account's number, so that adding it again brings the mail back.
    pub removed: bool,
    pub created_ms: u64,
}

impl Row for Login {
    const VERSION: u8 = 1;
}

/// An account's own counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub created_ms: u64,
    pub last_mailbox: u32,
    pub last_blob: u64,
    /// The largest UIDVALIDITY given out: no value is used twice in an account, whatever the clock does.
    pub last_uid_validity: u32,
    /// How many mailboxes there are.
    pub mailboxes: u32,
}

impl Row for Account {
    const VERSION: u8 = 1;
}

/// A mailbox, without its messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    pub id: MailboxId,
    pub name: MailboxName,
    pub uid_validity: UidValidity,
    /// The next message's UID at least; `None` when there are no more (RFC 9051, 2.3.1.1).
    pub uid_next: Option<Uid>,
    pub highest_modseq: ModSeq,
    /// EXISTS.
    pub messages: u32,
    pub unseen: u32,
    /// How many bear `\Deleted`.
    pub deleted: u32,
    /// The sum of all sizes, in octets.
    pub size: u64,
    /// Messages from this UID on are `\Recent` to the next session that is told of them (RFC 3501, 2.3.2).
    pub recent_from: u32,
    pub special_use: Vec<SpecialUse>,
    /// The keywords in use, by bit.
    pub keywords: Vec<Keyword>,
    pub created_ms: u64,
    /// Deleted mailboxes are kept, nameless, until they are purged.
    pub deleted_ms: Option<u64>,
}

impl Row for Mailbox {
    const VERSION: u8 = 1;
}

impl Mailbox {
    pub(crate) fn next_modseq(&self) -> ModSeq {
        self.highest_modseq.next()
    }

    /// MAILBOXID (RFC 8474, 4): survives RENAME, never used again in the account.
    pub fn object_id(&self) -> String {
        format!("F{:08x}{:08x}", self.uid_validity.get(), self.id.get())
    }

    /// Counts a message in.
    pub fn add(&mut self, message: &Message) {
        self.messages = self.messages.saturating_add(1);
        self.size = self.size.saturating_add(message.size.into());
        self.count_flags(message.flags, 1);
    }

    /// Counts a message out that was counted in.
    pub fn subtract(&mut self, message: &Message) {
        debug_assert!(self.messages > 0 && self.size >= message.size.into());
        self.messages = self.messages.saturating_sub(1);
        self.size = self.size.saturating_sub(message.size.into());
        self.count_flags(message.flags, -1);
    }

    pub(crate) fn count_flags(&mut self, flags: Flags, step: i32) {
        if !flags.contains(Flags::SEEN) {
            self.unseen = self.unseen.saturating_add_signed(step);
        }
        if flags.contains(Flags::DELETED) {
            self.deleted = self.deleted.saturating_add_signed(step);
        }
    }
}

/// What was expunged by one op: what QRESYNC tells (RFC 7162, 3.2.10), and what `paquebot undelete` brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    pub time_ms: u64,
    pub uids: UidSet,
    /// The messages as pages ([`crate::Page::encode`]), until they are purged. Empty for what was moved: it lives elsewhere.
    pub messages: Vec<Vec<u8>>,
}

impl Row for Tombstone {
    const VERSION: u8 = 1;
}

/// A delivery that was made: what a retry of it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub time_ms: u64,
    pub uid_validity: UidValidity,
    pub uid: Uid,
    pub modseq: ModSeq,
}

impl Row for Delivery {
    const VERSION: u8 = 1;
}

/// An account's last move to or from this shard. It stays, so that what comes late of an older move is known as that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountMove {
    /// The moves of an account are numbered from 1.
    pub number: u64,
    pub stage: MoveStage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveStage {
    /// The account is in this shard, and takes changes. `from`: the shard that it came from, where bodies can be that have not come yet.
    Here { from: Option<ShardId> },
    /// The account is in this shard and takes no changes: its rows are being loaded into another.
    Frozen { to: ShardId, since_ms: u64, from: Option<ShardId> },
    /// The account's rows are coming.
    Loading { from: ShardId, to: LoadedTo, digest: LoadDigest },
    /// The account is in another shard. What is left of its rows here is being removed.
    Gone { to: ShardId },
    /// The account was to come, and will not.
    Forsaken,
}

impl Row for AccountMove {
    const VERSION: u8 = 1;
}

impl AccountMove {
    /// Whether the account takes changes in this shard.
    pub fn takes_changes(&self) -> bool {
        matches!(self.stage, MoveStage::Here { .. })
    }

    /// Whether all rows of the account are in this shard, to be read.
    pub fn is_whole(&self) -> bool {
        matches!(self.stage, MoveStage::Here { .. } | MoveStage::Frozen { .. })
    }

    /// The shard under which bodies of the account may lie that this shard's do not have yet.
    pub fn bodies_from(&self) -> Option<ShardId> {
        match self.stage {
            MoveStage::Here { from } | MoveStage::Frozen { from, .. } => from,
            MoveStage::Loading { from, .. } => Some(from),
            MoveStage::Gone { .. } | MoveStage::Forsaken => None,
        }
    }
}

/// A body's row: what never changes about it. Its place on this machine's disk is not here, since it differs between machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    pub hash: BlobHash,
    pub size: u32,
    pub thread: Option<ThreadId>,
    /// What the crate `message` computed at delivery.
    pub summary: &'a [u8],
}

impl<'a> Blob<'a> {
    const VERSION: u8 = 1;

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(56 + self.summary.len());
        out.push(Self::VERSION);
        out.extend_from_slice(&self.hash.0);
        put_varint(&mut out, self.size.into());
        out.push(self.thread.is_some().into());
        if let Some(thread) = self.thread {
            out.extend_from_slice(&thread.0);
        }
        out.extend_from_slice(self.summary);
        out
    }

    /// The body that a row of a shard names, if it is a body's row.
    pub fn named_by(key: &[u8], value: &[u8]) -> Option<(AccountId, BlobId, BlobHash)> {
        match key::parse_account_row(key)? {
            (account, key::AccountRow::Blob(blob)) => Some((account, blob, Blob::decode(value)?.hash)),
            _ => None,
        }
    }

    /// Reads a row in place; `None` if it is damaged or of a newer version.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != Self::VERSION {
            return None;
        }
        let hash = BlobHash(*reader.array()?);
        let size = u32::try_from(reader.varint()?).ok()?;
        let thread = match reader.byte()? {
            0 => None,
            1 => Some(ThreadId(*reader.array()?)),
            _ => return None,
        };
        Some(Self { hash, size, thread, summary: reader.rest() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_goes_there_and_back() {
        for thread in [None, Some(ThreadId([3; 16]))] {
            let blob = Blob { hash: BlobHash([7; 32]), size: 300, thread, summary: b"summary" };
            let bytes = blob.encode();
            assert_eq!(Blob::decode(&bytes), Some(blob));
            assert_eq!(Blob::decode(&bytes[..35]), None);
        }
    }

    #[test]
    fn a_newer_row_is_not_guessed_at() {
        let row = Tombstone { time_ms: 1, uids: UidSet::all(), messages: vec![] };
        let mut bytes = row.encode();
        assert_eq!(Tombstone::decode(&bytes), Some(row));
        bytes[0] += 1;
        assert_eq!(Tombstone::decode(&bytes), None);
    }
}

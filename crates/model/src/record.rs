//! Records: what the log carries.

use paquebot_types::{
    AccountId, BlobHash, BlobId, Flags, InternalDate, Keyword, MailboxId, MailboxName, ModSeq, Sequence, ShardId,
    SpecialUse, ThreadId, UidSet,
};
use serde::{Deserialize, Serialize};

use crate::load::{LoadDigest, LoadedRow, LoadedTo};

/// The newest version of the encoding that this build reads and writes. Every older one is read. A version differs from the one before by the ops
/// that it has more; a record is written as the oldest version that has its ops, so that older nodes read whatever they can.
pub const RECORD_VERSION: u8 = 2;

/// A record's unique id: random, chosen by the node that proposes it. A retry has the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RecordId(pub [u8; 16]);

/// A batch of ops, applied one after the other and all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: RecordId,
    /// What the proposing node had applied: a record that comes later than the window of known ids after it is refused.
    pub after: Sequence,
    /// The proposing node's wall clock, in milliseconds since 1970. The model has no other clock.
    pub time_ms: u64,
    pub node: String,
    pub ops: Vec<Op>,
}

/// The bytes are no record that this build can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has format version {0}, and this build reads up to {RECORD_VERSION}: upgrade this node")]
    NewerVersion(u8),
    #[error("the record is damaged")]
    Damaged,
}

/// The record needs a version that somebody who must read it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the change needs records of format version {needed}, and a node of the cluster reads up to {max}: upgrade that node"
)]
pub struct NeedsVersion {
    pub needed: u8,
    pub max: u8,
}

impl Record {
    /// The oldest version that has all of the record's ops.
    pub fn version(&self) -> u8 {
        self.ops.iter().map(Op::version).max().unwrap_or(1)
    }

    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![self.version()]).expect("records hold nothing that postcard cannot write")
    }

    /// The same, if a reader of versions up to `max` can read it.
    pub fn encode_for(&self, max: u8) -> Result<Vec<u8>, NeedsVersion> {
        match self.version() {
            needed if needed > max => Err(NeedsVersion { needed, max }),
            _ => Ok(self.encode()),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (version, rest) = match bytes.split_first() {
            Some((version @ 1..=RECORD_VERSION, rest)) => (*version, rest),
            Some((version, _)) if *version > RECORD_VERSION => return Err(RecordError::NewerVersion(*version)),
            _ => return Err(RecordError::Damaged),
        };
        match postcard::take_from_bytes::<Self>(rest) {
            // What an older build would read as damaged is damaged here too.
            Ok((record, [])) if record.version() <= version => Ok(record),
            _ => Err(RecordError::Damaged),
        }
    }
}

/// What a client asks to be changed. New ops are added at the end: their order is their encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// System shard: makes a login, or gives the one there is.
    AddLogin {
        name: String,
        shard: ShardId,
        credentials: Option<String>,
    },
    /// System shard: new credentials for a login.
    SetCredentials {
        name: String,
        credentials: Option<String>,
    },
    /// System shard: nobody can log in by this name any more; the mail stays.
    RemoveLogin {
        name: String,
    },
    /// Makes an account with INBOX and these mailboxes, subscribed; nothing if it is there.
    AddAccount {
        account: AccountId,
        name: String,
        mailboxes: Vec<(MailboxName, Option<SpecialUse>)>,
    },
    /// Forgets an account with all its mail, at once and for ever.
    RemoveAccount {
        account: AccountId,
    },
    Create {
        account: AccountId,
        name: MailboxName,
        special_use: Vec<SpecialUse>,
    },
    Delete {
        account: AccountId,
        name: MailboxName,
    },
    Rename {
        account: AccountId,
        from: MailboxName,
        to: MailboxName,
    },
    Subscribe {
        account: AccountId,
        name: MailboxName,
    },
    Unsubscribe {
        account: AccountId,
        name: MailboxName,
    },
    /// All of the messages or none.
    Append {
        account: AccountId,
        mailbox: MailboxId,
        messages: Vec<NewMessage>,
    },
    Store {
        account: AccountId,
        mailbox: MailboxId,
        uids: UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    },
    /// Expunges those of `uids` that bear `\Deleted`.
    Expunge {
        account: AccountId,
        mailbox: MailboxId,
        uids: UidSet,
    },
    Copy {
        account: AccountId,
        from: MailboxId,
        uids: UidSet,
        to: MailboxId,
    },
    Move {
        account: AccountId,
        from: MailboxId,
        uids: UidSet,
        to: MailboxId,
    },
    /// Messages below this UID have been `\Recent` to some session.
    ClaimRecent {
        account: AccountId,
        mailbox: MailboxId,
        below: u32,
    },
    /// Brings expunged messages of a mailbox back, under new UIDs.
    Undelete {
        account: AccountId,
        mailbox: MailboxId,
        since_ms: u64,
    },
    /// Brings a deleted mailbox back, under the name given.
    UndeleteMailbox {
        account: AccountId,
        mailbox: MailboxId,
        name: MailboxName,
    },
    /// Ends the time in which what was expunged or deleted before `before_ms` can come back.
    Purge {
        account: AccountId,
        before_ms: u64,
    },
    /// Forgets bodies that no message names any more. The proposer has looked: a body that nothing names can never be named again.
    Collect {
        account: AccountId,
        blobs: Vec<BlobId>,
    },
    // From here on: version 2.
    /// Changes nothing but the chain: a place in the log at which replicas compare what they have.
    Mark,
    /// Appends a message unless one was delivered with this key within [`crate::DELIVERY_WINDOW_MS`].
    Deliver {
        account: AccountId,
        mailbox: MailboxId,
        message: NewMessage,
        once: DeliveryKey,
    },
    /// Source shard of a move: the account takes no changes any more. The moves of an account are numbered from 1, wherever it is.
    Freeze {
        account: AccountId,
        number: u64,
        to: ShardId,
    },
    /// Source shard: the move was given up, and the target will not take the account any more ([`Op::Forsake`]).
    Thaw {
        account: AccountId,
        number: u64,
    },
    /// Target shard: the next rows of the account, in their order, those of the first op after no row.
    Load {
        account: AccountId,
        number: u64,
        from: ShardId,
        after: LoadedTo,
        rows: Vec<LoadedRow>,
        /// Whether the last row's value ends here; else the next op's first row goes on with it.
        whole: bool,
    },
    /// Target shard: that were all rows, of this digest ([`LoadDigest`]). From here on the account takes changes.
    Arrive {
        account: AccountId,
        number: u64,
        digest: LoadDigest,
    },
    /// Target shard: the account is not to come any more, unless it has arrived.
    Forsake {
        account: AccountId,
        number: u64,
    },
    /// System shard: the account of this login is in another shard from now on, if it is in `from`.
    SetShard {
        name: String,
        account: AccountId,
        from: ShardId,
        to: ShardId,
    },
    /// Source shard, after [`Op::SetShard`]: removes some of the rows of an account that has gone.
    Depart {
        account: AccountId,
        number: u64,
    },
}

impl Op {
    /// The first version of the encoding that has this op.
    pub fn version(&self) -> u8 {
        match self {
            Self::Mark
            | Self::Deliver { .. }
            | Self::Freeze { .. }
            | Self::Thaw { .. }
            | Self::Load { .. }
            | Self::Arrive { .. }
            | Self::Forsake { .. }
            | Self::SetShard { .. }
            | Self::Depart { .. } => 2,
            _ => 1,
        }
    }

    /// The op as readers of versions up to `max` can read it: where no delivery can be remembered, one is an append.
    pub fn for_version(self, max: u8) -> Result<Self, NeedsVersion> {
        match (self.version(), self) {
            (needed, op) if needed <= max => Ok(op),
            (_, Self::Deliver { account, mailbox, message, .. }) if max >= 1 => {
                Ok(Self::Append { account, mailbox, messages: vec![message] })
            }
            (needed, _) => Err(NeedsVersion { needed, max }),
        }
    }

    /// Octets that it takes in an encoded record.
    pub fn encoded_bytes(&self) -> usize {
        let size = postcard::ser_flavors::Size::default();
        postcard::serialize_with_flavor(self, size).expect("ops hold nothing that postcard cannot write")
    }

    /// The messages that the op brings, whose bodies are new to the shard.
    pub fn messages(&self) -> &[NewMessage] {
        match self {
            Self::Append { messages, .. } => messages,
            Self::Deliver { message, .. } => std::slice::from_ref(message),
            _ => &[],
        }
    }

    /// The account that the op changes as its owner does; `None` for ops of the system shard and of moves.
    pub(crate) fn account(&self) -> Option<AccountId> {
        match self {
            Self::AddAccount { account, .. }
            | Self::RemoveAccount { account }
            | Self::Create { account, .. }
            | Self::Delete { account, .. }
            | Self::Rename { account, .. }
            | Self::Subscribe { account, .. }
            | Self::Unsubscribe { account, .. }
            | Self::Append { account, .. }
            | Self::Store { account, .. }
            | Self::Expunge { account, .. }
            | Self::Copy { account, .. }
            | Self::Move { account, .. }
            | Self::ClaimRecent { account, .. }
            | Self::Undelete { account, .. }
            | Self::UndeleteMailbox { account, .. }
            | Self::Purge { account, .. }
            | Self::Collect { account, .. }
            | Self::Deliver { account, .. } => Some(*account),
            Self::AddLogin { .. }
            | Self::SetCredentials { .. }
            | Self::RemoveLogin { .. }
            | Self::Mark
            | Self::Freeze { .. }
            | Self::Thaw { .. }
            | Self::Load { .. }
            | Self::Arrive { .. }
            | Self::Forsake { .. }
            | Self::SetShard { .. }
            | Self::Depart { .. } => None,
        }
    }
}

/// Tells one delivery from another: equal keys are one delivery, tried again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct DeliveryKey(pub [u8; 16]);

/// A message to be appended. Its body is durable before the record is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMessage {
    pub body: BlobHash,
    pub size: u32,
    pub thread: Option<ThreadId>,
    #[serde(with = "byte_string")]
    pub summary: Vec<u8>,
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    pub internal_date: InternalDate,
}

/// `+FLAGS`, `-FLAGS` or `FLAGS` (RFC 9051, 6.4.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagChange {
    pub action: FlagAction,
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
}

impl FlagChange {
    /// What a message with these flags and keywords has after the change; `named` are the bits of the change's own keywords.
    pub fn applied(&self, flags: Flags, keywords: u128, named: u128) -> (Flags, u128) {
        match self.action {
            FlagAction::Add => (flags.union(self.flags), keywords | named),
            FlagAction::Remove => (flags.difference(self.flags), keywords & !named),
            FlagAction::Replace => (self.flags, named),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlagAction {
    Add,
    Remove,
    Replace,
}

/// A vector of bytes as one string: serde's own way visits each byte.
pub(crate) mod byte_string {
    use serde::{Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

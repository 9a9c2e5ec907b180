//! A shard in memory, checked after each record.

use paquebot_model::{
    Applied, Chain, FlagAction, FlagChange, MemoryRows, NewMessage, Op, Outcome, Record, RecordId, Refusal, Row,
    RowChange, Rows, apply, check_accounts, key,
};
use paquebot_types::{
    AccountId, BlobHash, Flags, InternalDate, Keyword, MailboxId, MailboxName, Sequence, SpecialUse, Uid, UidRange,
    UidSet,
};

use crate::reference;
use crate::view::view;

/// The account that the table tests use.
pub const ANNA: AccountId = AccountId::MIN;

/// Rows with the chain and the sequence that they stand at.
#[derive(Default)]
pub struct Shard {
    pub rows: MemoryRows,
    pub chain: Chain,
    pub sequence: Sequence,
    pub time_ms: u64,
}

impl Shard {
    /// One account with INBOX and the mailboxes named.
    pub fn with(mailboxes: &[&str]) -> Self {
        let mut shard = Self { time_ms: 1_700_000_000_000, ..Self::default() };
        let mailboxes = mailboxes.iter().map(|text| (name(text), None)).collect();
        assert_eq!(shard.op(Op::AddAccount { account: ANNA, name: "anna".into(), mailboxes }), Outcome::Done);
        shard
    }

    /// Applies a record and checks what must hold after each.
    pub fn apply(&mut self, record: &Record) -> Applied {
        let sequence = self.sequence.next();
        let applied = apply(&self.rows, self.chain, sequence, record).unwrap();
        assert!(applied.changes.windows(2).all(|two| two[0].key < two[1].key), "{:?}", applied.changes);
        self.rows.change(&applied.changes);
        (self.sequence, self.chain) = (sequence, applied.chain);
        assert_eq!(check_accounts(&self.rows).unwrap(), []);
        applied
    }

    /// A record of this shard's time and next sequence.
    pub fn record(&self, ops: Vec<Op>) -> Record {
        let sequence = self.sequence.next();
        let id = RecordId(u128::from(sequence.0).to_be_bytes());
        Record { id, after: self.sequence, time_ms: self.time_ms, node: "a".into(), ops }
    }

    pub fn ops(&mut self, ops: Vec<Op>) -> Applied {
        self.apply(&self.record(ops))
    }

    /// Applies one op in a record of its own. A refused one must change no row but those of the window.
    pub fn op(&mut self, op: Op) -> Outcome {
        let applied = self.ops(vec![op]);
        let [outcome] = applied.outcomes.try_into().unwrap();
        if matches!(outcome, Outcome::Refused(_)) {
            let changes: Vec<&RowChange> = applied.changes.iter().filter(|change| !is_window(&change.key)).collect();
            assert!(changes.is_empty(), "{outcome:?} changed {changes:?}");
            assert!(applied.blobs_added.is_empty() && applied.blobs_removed.is_empty());
        }
        outcome
    }

    pub fn refused(&mut self, op: Op) -> Refusal {
        match self.op(op.clone()) {
            Outcome::Refused(refusal) => refusal,
            outcome => panic!("{op:?} gave {outcome:?}"),
        }
    }

    pub fn account(&self) -> reference::Account {
        view(&self.rows).accounts.remove(&ANNA).unwrap()
    }

    pub fn id(&self, text: &str) -> MailboxId {
        self.account().named(&name(text)).unwrap_or_else(|| panic!("{text} is not there"))
    }

    pub fn mailbox(&self, text: &str) -> reference::Mailbox {
        let id = self.id(text);
        self.account().mailboxes.remove(&id).unwrap()
    }

    /// The names of all mailboxes, ascending.
    pub fn names(&self) -> Vec<String> {
        let account = self.account();
        let live = account.mailboxes.values().filter(|mailbox| mailbox.deleted_ms.is_none());
        let mut names: Vec<String> = live.map(|mailbox| mailbox.name.to_string()).collect();
        names.sort();
        names
    }

    /// Rewrites a mailbox's row, for states that no test has the time to reach.
    pub fn force_mailbox(&mut self, text: &str, change: impl FnOnce(&mut paquebot_model::Mailbox)) {
        let key = key::mailbox(ANNA, self.id(text));
        let mut row = paquebot_model::Mailbox::decode(&self.rows.get(&key).unwrap().unwrap()).unwrap();
        change(&mut row);
        self.rows.change(&[RowChange { key, value: Some(row.encode()) }]);
    }

    pub fn create(&mut self, text: &str) -> Outcome {
        self.op(create(text))
    }

    pub fn delete(&mut self, text: &str) -> Outcome {
        self.op(Op::Delete { account: ANNA, name: name(text) })
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Outcome {
        self.op(Op::Rename { account: ANNA, from: name(from), to: name(to) })
    }

    /// Appends messages without flags; gives their UIDs.
    pub fn append(&mut self, text: &str, count: u32) -> String {
        let messages = (0..count).map(|n| message(n, Flags::NONE, &[])).collect();
        match self.op(Op::Append { account: ANNA, mailbox: self.id(text), messages }) {
            Outcome::Appended { uids, .. } => uids.to_string(),
            outcome => panic!("{outcome:?}"),
        }
    }

    pub fn store(&mut self, text: &str, uids: UidSet, action: FlagAction, flags: Flags, words: &[&str]) -> Outcome {
        let change = FlagChange { action, flags, keywords: keywords(words) };
        self.op(Op::Store { account: ANNA, mailbox: self.id(text), uids, change, unchanged_since: None })
    }

    /// Marks messages deleted and expunges them.
    pub fn expunge(&mut self, text: &str, uids: UidSet) -> Outcome {
        self.store(text, uids.clone(), FlagAction::Add, Flags::DELETED, &[]);
        self.op(Op::Expunge { account: ANNA, mailbox: self.id(text), uids })
    }

    pub fn copy(&mut self, from: &str, uids: UidSet, to: &str) -> Outcome {
        self.op(Op::Copy { account: ANNA, from: self.id(from), uids, to: self.id(to) })
    }

    pub fn r#move(&mut self, from: &str, uids: UidSet, to: &str) -> Outcome {
        self.op(Op::Move { account: ANNA, from: self.id(from), uids, to: self.id(to) })
    }
}

/// Whether a row belongs to the window of known ids.
pub fn is_window(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'R' | b'r'))
}

pub fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub fn create(text: &str) -> Op {
    Op::Create { account: ANNA, name: name(text), special_use: vec![] }
}

pub fn create_for(text: &str, special_use: &[SpecialUse]) -> Op {
    Op::Create { account: ANNA, name: name(text), special_use: special_use.to_vec() }
}

pub fn keywords(words: &[&str]) -> Vec<Keyword> {
    words.iter().map(|word| Keyword::new(word).unwrap()).collect()
}

pub fn message(n: u32, flags: Flags, words: &[&str]) -> NewMessage {
    NewMessage {
        body: BlobHash([n as u8; 32]),
        size: 1000 + n,
        thread: None,
        summary: b"summary".to_vec(),
        flags,
        keywords: keywords(words),
        internal_date: InternalDate::new(1_600_000_000 + i64::from(n), 120),
    }
}

/// UIDs from `first` to `last`.
pub fn uids(first: u32, last: u32) -> UidSet {
    UidSet::from_ranges(vec![UidRange::new(Uid::new(first).unwrap(), Uid::new(last).unwrap())])
}

//! Random ops: mostly such as a client would send, some that must be refused.

use paquebot_model::{DeliveryKey, FlagAction, FlagChange, NewMessage, Op};
use paquebot_types::{
    AccountId, BlobHash, BlobId, Flags, InternalDate, Keyword, MailboxId, MailboxName, ModSeq, ShardId, SpecialUse,
    ThreadId, Uid, UidRange, UidSet,
};

use crate::reference::{Mailbox, Shard};

const NAMES: [&str; 11] = ["INBOX", "a", "a/b", "a/b/c", "a/a", "b", "b/a", "INBOX/x", "c", "Work/2024/März", "a/b/b"];

/// A small generator of numbers (SplitMix64): the same seed, the same ops.
pub struct Generator {
    state: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// The next op, with the shard as it is before it.
    pub fn op(&mut self, shard: &Shard, time_ms: u64) -> Op {
        let account = AccountId::new(1 + self.below(3) as u32).unwrap();
        if !shard.accounts.contains_key(&account) && self.one_in(2) {
            return self.add_account(account);
        }
        if shard.moves.get(&account).is_some_and(|(_, to)| to.is_some()) && self.one_in(3) {
            return self.thaw(shard, account);
        }
        match self.below(115) {
            100..108 => {
                let mailbox = self.mailbox(shard, account);
                Op::Deliver { account, mailbox, message: self.message(), once: self.delivery_key() }
            }
            108 => Op::Mark,
            109 => self.freeze(shard, account),
            110 => self.thaw(shard, account),
            111 => {
                let name = self.login();
                let own = shard.logins.get(&name).map(|login| (login.account, login.shard));
                let (account, from) = own.filter(|_| !self.one_in(4)).unwrap_or((account, ShardId(0)));
                Op::SetShard { name, account, from, to: ShardId(self.below(3) as u16) }
            }
            0..24 => {
                let count = match self.below(16) {
                    0 => 0,
                    1 => 1 + self.below(90),
                    _ => 1 + self.below(4),
                };
                let messages = (0..count).map(|_| self.message()).collect();
                Op::Append { account, mailbox: self.mailbox(shard, account), messages }
            }
            24..44 => {
                let mailbox = self.mailbox(shard, account);
                let found = shard.accounts.get(&account).and_then(|found| found.mailboxes.get(&mailbox));
                let top = found.map_or(3, |mailbox| mailbox.modseq);
                let unchanged_since = self.one_in(3).then(|| ModSeq(self.below(top + 2)));
                let uids = self.uids(found);
                Op::Store { account, mailbox, uids, change: self.change(), unchanged_since }
            }
            44..54 => {
                let mailbox = self.mailbox(shard, account);
                let uids = self.uids_of(shard, account, mailbox);
                Op::Expunge { account, mailbox, uids }
            }
            54..62 => {
                let from = self.mailbox(shard, account);
                let to = if self.one_in(4) { from } else { self.mailbox(shard, account) };
                Op::Copy { account, from, uids: self.uids_of(shard, account, from), to }
            }
            62..70 => {
                let from = self.mailbox(shard, account);
                let to = if self.one_in(4) { from } else { self.mailbox(shard, account) };
                Op::Move { account, from, uids: self.uids_of(shard, account, from), to }
            }
            70..75 => Op::Create { account, name: self.name(), special_use: self.special_use() },
            75..78 => Op::Delete { account, name: self.name() },
            78 => Op::Rename { account, from: self.name(), to: self.longest_name() },
            79..83 => Op::Rename { account, from: self.name(), to: self.name() },
            83 => Op::Subscribe { account, name: self.name() },
            84 => Op::Unsubscribe { account, name: self.name() },
            85..88 => {
                let below = self.below(200) as u32;
                Op::ClaimRecent { account, mailbox: self.mailbox(shard, account), below }
            }
            88..90 => {
                let since_ms = time_ms.saturating_sub(self.below(60_000));
                Op::Undelete { account, mailbox: self.mailbox(shard, account), since_ms }
            }
            90..92 | 112..115 => {
                Op::UndeleteMailbox { account, mailbox: self.deleted_mailbox(shard, account), name: self.name() }
            }
            92..94 => Op::Purge { account, before_ms: time_ms.saturating_sub(self.below(60_000)) },
            94..96 => Op::Collect { account, blobs: unnamed_blobs(shard, account) },
            96 if self.one_in(4) => Op::RemoveAccount { account },
            96 => self.add_account(account),
            97 => Op::AddLogin {
                name: self.login(),
                shard: ShardId(self.below(3) as u16),
                credentials: self.one_in(2).then(|| format!("hash-{}", self.below(9))),
            },
            98 => Op::SetCredentials { name: self.login(), credentials: self.one_in(2).then(|| "new".into()) },
            _ => Op::RemoveLogin { name: self.login() },
        }
    }

    fn add_account(&mut self, account: AccountId) -> Op {
        let mailboxes = (0..self.below(3)).map(|_| (self.name(), self.special_use().pop())).collect();
        Op::AddAccount { account, name: format!("account-{account}"), mailboxes }
    }

    /// Few enough of them that some come again, within the window or after it.
    fn delivery_key(&mut self) -> DeliveryKey {
        DeliveryKey([self.below(24) as u8; 16])
    }

    fn freeze(&mut self, shard: &Shard, account: AccountId) -> Op {
        let last = shard.moves.get(&account).map_or(0, |(last, _)| *last);
        Op::Freeze { account, number: last + self.below(3), to: ShardId(self.below(2) as u16) }
    }

    fn thaw(&mut self, shard: &Shard, account: AccountId) -> Op {
        let last = shard.moves.get(&account).map_or(0, |(last, _)| *last);
        Op::Thaw { account, number: if self.one_in(4) { self.below(3) } else { last } }
    }

    fn login(&mut self) -> String {
        format!("login-{}", self.below(4))
    }

    fn name(&mut self) -> MailboxName {
        if self.one_in(20) {
            return self.longest_name();
        }
        MailboxName::new(self.pick::<&str>(&NAMES)).unwrap()
    }

    /// What lies below a mailbox of this name has no room for a longer one. There are several, so that one is free.
    fn longest_name(&mut self) -> MailboxName {
        let part = self.pick(&["v", "w", "x", "y"]).repeat(14);
        MailboxName::new(&vec![part; 64].join("/")).unwrap()
    }

    fn special_use(&mut self) -> Vec<SpecialUse> {
        if self.one_in(3) { vec![*self.pick(&[SpecialUse::Sent, SpecialUse::Trash])] } else { vec![] }
    }

    fn mailbox(&mut self, shard: &Shard, account: AccountId) -> MailboxId {
        let known: Vec<MailboxId> =
            shard.accounts.get(&account).map_or(vec![], |account| account.mailboxes.keys().copied().collect());
        if known.is_empty() || self.one_in(30) {
            return MailboxId::new(1 + self.below(60) as u32).unwrap();
        }
        *self.pick(&known)
    }

    fn deleted_mailbox(&mut self, shard: &Shard, account: AccountId) -> MailboxId {
        let mailboxes = shard.accounts.get(&account).map(|account| &account.mailboxes);
        let deleted = mailboxes.into_iter().flatten().filter(|(_, mailbox)| mailbox.deleted_ms.is_some());
        let deleted: Vec<MailboxId> = deleted.map(|(id, _)| *id).collect();
        if deleted.is_empty() { self.mailbox(shard, account) } else { *self.pick(&deleted) }
    }

    fn uids_of(&mut self, shard: &Shard, account: AccountId, mailbox: MailboxId) -> UidSet {
        self.uids(shard.accounts.get(&account).and_then(|account| account.mailboxes.get(&mailbox)))
    }

    fn uids(&mut self, mailbox: Option<&Mailbox>) -> UidSet {
        let end = u64::from(mailbox.map_or(5, |mailbox| mailbox.uid_next)) + 2;
        if self.one_in(10) {
            return UidSet::all();
        }
        let ranges = (0..self.below(4)).map(|_| {
            let mut uid = || Uid::new(1 + self.below(end) as u32).unwrap();
            let (a, b) = (uid(), uid());
            if self.one_in(2) { UidRange::new(a, a) } else { UidRange::new(a, b) }
        });
        UidSet::from_ranges(ranges.collect())
    }

    fn flags(&mut self) -> Flags {
        let flags = Flags::from_bits(self.below(32) as u8);
        // Enough of them are deleted to be expunged.
        if self.one_in(3) { flags.union(Flags::DELETED) } else { flags }
    }

    fn keywords(&mut self) -> Vec<Keyword> {
        let count = if self.one_in(12) { 60 } else { self.below(3) };
        let words = (0..count).map(|_| match self.below(3) {
            0 => format!("word{}", self.below(200)),
            1 => "$Forwarded".into(),
            _ => "$FORWARDED".into(),
        });
        words.map(|word| Keyword::new(&word).unwrap()).collect()
    }

    fn change(&mut self) -> FlagChange {
        let action = *self.pick(&[FlagAction::Add, FlagAction::Remove, FlagAction::Replace]);
        FlagChange { action, flags: self.flags(), keywords: self.keywords() }
    }

    fn message(&mut self) -> NewMessage {
        NewMessage {
            body: BlobHash([self.below(256) as u8; 32]),
            size: self.below(100_000) as u32,
            thread: self.one_in(2).then_some(ThreadId([7; 16])),
            summary: vec![b's'; self.below(9) as usize],
            flags: self.flags(),
            keywords: self.keywords(),
            internal_date: InternalDate::new(
                self.below(2_000_000_000) as i64 - 100_000,
                self.below(2880) as i16 - 1440,
            ),
        }
    }
}

/// What a proposer of `Collect` finds: bodies that no message names, expunged ones that can come back included.
fn unnamed_blobs(shard: &Shard, account: AccountId) -> Vec<BlobId> {
    let Some(account) = shard.accounts.get(&account) else {
        return vec![BlobId::MIN];
    };
    let named = |blob: &BlobId| {
        account.mailboxes.values().any(|mailbox| {
            let expunged = mailbox.expunged.values().flat_map(|expunged| &expunged.messages);
            mailbox.messages.iter().chain(expunged).any(|message| message.blob == *blob)
        })
    };
    account.blobs.keys().filter(|blob| !named(blob)).copied().collect()
}

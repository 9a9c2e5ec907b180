//! The model once more, as plainly as it can be said: maps and vectors, no rows, no pages, no drafts.

use std::collections::{BTreeMap, BTreeSet};

use paquebot_model::{
    DELIVERY_WINDOW_MS, DeliveryKey, FlagAction, FlagChange, KEYWORDS_MAX, NewMessage, Op, Outcome, Refusal,
};
use paquebot_types::{
    AccountId, BlobHash, BlobId, Flags, InternalDate, Keyword, MailboxId, MailboxName, ModSeq, ShardId, SpecialUse,
    Uid, UidSet, UidValidity,
};

/// Tombstones that purging keeps apart.
const TOMBSTONES_APART: usize = 256;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shard {
    pub accounts: BTreeMap<AccountId, Account>,
    pub logins: BTreeMap<String, Login>,
    pub last_account: u32,
    /// What accounts that were removed had given out.
    pub given_out: BTreeMap<AccountId, Numbers>,
    /// The last move of an account that is here, and where to it is frozen.
    pub moves: BTreeMap<AccountId, (u64, Option<ShardId>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    pub account: AccountId,
    pub shard: ShardId,
    pub credentials: Option<String>,
    pub removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Numbers {
    pub mailbox: u32,
    pub blob: u64,
    pub uid_validity: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub name: String,
    pub numbers: Numbers,
    pub mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub subscriptions: BTreeSet<MailboxName>,
    pub blobs: BTreeMap<BlobId, BlobHash>,
    pub deliveries: BTreeMap<DeliveryKey, Delivery>,
}

/// A delivery that is remembered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery {
    pub time_ms: u64,
    pub uid_validity: UidValidity,
    pub uid: u32,
    pub modseq: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Mailbox {
    pub name: MailboxName,
    pub uid_validity: UidValidity,
    pub uid_next: u32,
    pub modseq: u64,
    pub recent_from: u32,
    pub special_use: Vec<SpecialUse>,
    /// As they were first written.
    pub keywords: Vec<String>,
    pub deleted_ms: Option<u64>,
    pub messages: Vec<Message>,
    pub expunged: BTreeMap<u64, Expunged>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub uid: u32,
    pub modseq: u64,
    pub flags: Flags,
    /// In lower case.
    pub keywords: BTreeSet<String>,
    pub internal_date: InternalDate,
    pub save_date: i64,
    pub size: u32,
    pub blob: BlobId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expunged {
    pub time_ms: u64,
    pub uids: UidSet,
    pub messages: Vec<Message>,
}

type Answer = Result<Outcome, Refusal>;

fn lower(keywords: &[Keyword]) -> BTreeSet<String> {
    keywords.iter().map(|keyword| keyword.as_str().to_ascii_lowercase()).collect()
}

fn uid_set<'a>(messages: impl IntoIterator<Item = &'a Message>) -> UidSet {
    messages.into_iter().map(|message| Uid::new(message.uid).unwrap()).collect()
}

impl Shard {
    /// Does an op; a refused one changes nothing.
    pub fn apply(&mut self, op: &Op, time_ms: u64) -> Outcome {
        let mut next = self.clone();
        match next.answer(op, time_ms) {
            Ok(outcome) => {
                *self = next;
                outcome
            }
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn answer(&mut self, op: &Op, time_ms: u64) -> Answer {
        if is_owners(op) && self.moves.get(&account_of(op)).is_some_and(|(_, to)| to.is_some()) {
            return Err(Refusal::AccountMoving);
        }
        match op {
            Op::AddLogin { name, shard, credentials } => return self.add_login(name, *shard, credentials),
            Op::SetCredentials { name, credentials } => {
                let login = self.login(name)?;
                login.credentials = credentials.clone();
                return Ok(Outcome::Login { account: login.account, shard: login.shard });
            }
            Op::RemoveLogin { name } => {
                let login = self.login(name)?;
                (login.removed, login.credentials) = (true, None);
                return Ok(Outcome::Login { account: login.account, shard: login.shard });
            }
            Op::AddAccount { account, name, mailboxes } => return self.add_account(*account, name, mailboxes, time_ms),
            Op::RemoveAccount { account } => {
                if let Some(removed) = self.accounts.remove(account) {
                    self.given_out.insert(*account, removed.numbers);
                }
                return Ok(Outcome::Done);
            }
            Op::Mark => return Ok(Outcome::Done),
            Op::Freeze { account, number, to } => return self.freeze(*account, *number, *to),
            Op::Thaw { account, number } => {
                let last = self.moves.get_mut(account).filter(|(last, _)| last == number);
                last.ok_or(Refusal::OtherMove)?.1 = None;
                return Ok(Outcome::Done);
            }
            Op::SetShard { name, account, from, to } => {
                let login = self.logins.get_mut(name).filter(|login| login.account == *account);
                let login = login.ok_or(Refusal::NoSuchLogin)?;
                if ![*from, *to].contains(&login.shard) {
                    return Err(Refusal::OtherMove);
                }
                login.shard = *to;
                return Ok(Outcome::Moved { account: *account, shard: *to });
            }
            _ => {}
        }
        let found = self.accounts.get_mut(&account_of(op));
        match (found, op) {
            (Some(account), _) => account.answer(op, time_ms),
            (None, Op::Unsubscribe { .. } | Op::Collect { .. }) => Ok(Outcome::Done),
            (None, Op::Create { .. } | Op::Subscribe { .. } | Op::Purge { .. }) => Err(Refusal::NoSuchAccount),
            (None, Op::Delete { name, .. }) if name.is_inbox() => Err(Refusal::InboxStays),
            (None, Op::Rename { from, to, .. }) if !from.is_inbox() && (to == from || to.is_below(from)) => {
                Err(Refusal::BelowItself)
            }
            (None, _) => Err(Refusal::NoSuchMailbox),
        }
    }

    fn add_login(&mut self, name: &str, shard: ShardId, credentials: &Option<String>) -> Answer {
        if let Some(login) = self.logins.get_mut(name) {
            if login.removed {
                (login.removed, login.credentials) = (false, credentials.clone());
            } else if credentials.is_some() {
                return Err(Refusal::LoginExists);
            }
            return Ok(Outcome::Login { account: login.account, shard: login.shard });
        }
        self.last_account += 1;
        let account = AccountId::new(self.last_account).unwrap();
        self.logins.insert(name.into(), Login { account, shard, credentials: credentials.clone(), removed: false });
        Ok(Outcome::Login { account, shard })
    }

    fn login(&mut self, name: &str) -> Result<&mut Login, Refusal> {
        self.logins.get_mut(name).filter(|login| !login.removed).ok_or(Refusal::NoSuchLogin)
    }

    fn freeze(&mut self, account: AccountId, number: u64, to: ShardId) -> Answer {
        let (last, frozen) = self.moves.get(&account).copied().unwrap_or_default();
        match frozen {
            Some(other) if (last, other) == (number, to) => return Ok(Outcome::Done),
            Some(_) => return Err(Refusal::OtherMove),
            None if !self.accounts.contains_key(&account) => return Err(Refusal::NoSuchAccount),
            None if number <= last => return Err(Refusal::OtherMove),
            None => {}
        }
        self.moves.insert(account, (number, Some(to)));
        Ok(Outcome::Done)
    }

    fn add_account(
        &mut self,
        id: AccountId,
        name: &str,
        mailboxes: &[(MailboxName, Option<SpecialUse>)],
        time_ms: u64,
    ) -> Answer {
        if self.accounts.contains_key(&id) {
            return Ok(Outcome::Done);
        }
        let mut account = Account {
            name: name.into(),
            numbers: self.given_out.remove(&id).unwrap_or_default(),
            mailboxes: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            blobs: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        };
        for (name, special_use) in std::iter::once(&(MailboxName::inbox(), None)).chain(mailboxes) {
            // A second one of a name or a use is left out.
            let _ = account.create(name, special_use.as_slice(), time_ms);
            account.subscriptions.insert(name.clone());
        }
        self.accounts.insert(id, account);
        Ok(Outcome::Done)
    }
}

/// Whether the op is a change that an account's owner or a delivery makes.
fn is_owners(op: &Op) -> bool {
    !matches!(
        op,
        Op::AddLogin { .. }
            | Op::SetCredentials { .. }
            | Op::RemoveLogin { .. }
            | Op::SetShard { .. }
            | Op::Mark
            | Op::Freeze { .. }
            | Op::Thaw { .. }
            | Op::Load { .. }
            | Op::Arrive { .. }
            | Op::Forsake { .. }
            | Op::Depart { .. }
    )
}

pub fn account_of(op: &Op) -> AccountId {
    match op {
        Op::AddLogin { .. } | Op::SetCredentials { .. } | Op::RemoveLogin { .. } | Op::Mark => AccountId::MIN,
        Op::AddAccount { account, .. }
        | Op::RemoveAccount { account }
        | Op::Create { account, .. }
        | Op::Delete { account, .. }
        | Op::Rename { account, .. }
        | Op::Subscribe { account, .. }
        | Op::Unsubscribe { account, .. }
        | Op::Append { account, .. }
        | Op::Store { account, .. }
        | Op::Expunge { account, .. }
        | Op::Copy { account, .. }
        | Op::Move { account, .. }
        | Op::ClaimRecent { account, .. }
        | Op::Undelete { account, .. }
        | Op::UndeleteMailbox { account, .. }
        | Op::Purge { account, .. }
        | Op::Collect { account, .. }
        | Op::Deliver { account, .. }
        | Op::Freeze { account, .. }
        | Op::Thaw { account, .. }
        | Op::Load { account, .. }
        | Op::Arrive { account, .. }
        | Op::Forsake { account, .. }
        | Op::SetShard { account, .. }
        | Op::Depart { account, .. } => *account,
    }
}

impl Account {
    fn answer(&mut self, op: &Op, time_ms: u64) -> Answer {
        match op {
            Op::Create { name, special_use, .. } => {
                let id = self.create(name, special_use, time_ms)?;
                Ok(Outcome::Created { mailbox: id, uid_validity: self.mailboxes[&id].uid_validity })
            }
            Op::Delete { name, .. } => {
                if name.is_inbox() {
                    return Err(Refusal::InboxStays);
                }
                let id = self.named(name).ok_or(Refusal::NoSuchMailbox)?;
                let mailbox = self.mailbox(id)?;
                mailbox.deleted_ms = Some(time_ms);
                mailbox.special_use.clear();
                Ok(Outcome::Done)
            }
            Op::Rename { from, to, .. } => self.rename(from, to, time_ms),
            Op::Subscribe { name, .. } => {
                self.subscriptions.insert(name.clone());
                Ok(Outcome::Done)
            }
            Op::Unsubscribe { name, .. } => {
                self.subscriptions.remove(name);
                Ok(Outcome::Done)
            }
            Op::Append { mailbox, messages, .. } => self.append(*mailbox, messages, time_ms),
            Op::Deliver { mailbox, message, once, .. } => self.deliver(*mailbox, message, *once, time_ms),
            Op::Store { mailbox, uids, change, unchanged_since, .. } => {
                self.mailbox(*mailbox)?.store(uids, change, *unchanged_since)
            }
            Op::Expunge { mailbox, uids, .. } => {
                let deleted = |m: &Message| contains(uids, m) && m.flags.contains(Flags::DELETED);
                let (gone, modseq) = self.mailbox(*mailbox)?.expunge(deleted, true, time_ms);
                Ok(Outcome::Expunged { uids: gone, modseq })
            }
            Op::Copy { from, uids, to, .. } => self.copy(*from, uids, *to, time_ms),
            Op::Move { from, uids, to, .. } => {
                let outcome = self.copy(*from, uids, *to, time_ms)?;
                let Outcome::Copied { uid_validity, source, destination, .. } = outcome else { panic!("{outcome:?}") };
                let (_, modseq) = self.mailbox(*from)?.expunge(|m| contains(&source, m), false, time_ms);
                Ok(Outcome::Copied { uid_validity, source, destination, modseq })
            }
            Op::ClaimRecent { mailbox, below, .. } => {
                let mailbox = self.mailbox(*mailbox)?;
                mailbox.recent_from = mailbox.recent_from.max(*below.min(&mailbox.uid_next));
                Ok(Outcome::Done)
            }
            Op::Undelete { mailbox, since_ms, .. } => self.mailbox(*mailbox)?.undelete(*since_ms, time_ms),
            Op::UndeleteMailbox { mailbox, name, .. } => {
                let taken = self.named(name).is_some();
                let mailbox = self.mailboxes.get_mut(mailbox).filter(|m| m.deleted_ms.is_some());
                let mailbox = mailbox.ok_or(Refusal::NoSuchMailbox)?;
                if taken {
                    return Err(Refusal::MailboxExists);
                }
                (mailbox.deleted_ms, mailbox.name) = (None, name.clone());
                Ok(Outcome::Undeleted { messages: mailbox.messages.len() as u64 })
            }
            Op::Purge { before_ms, .. } => {
                self.mailboxes.retain(|_, mailbox| mailbox.deleted_ms.is_none_or(|time| time >= *before_ms));
                self.mailboxes.values_mut().for_each(|mailbox| mailbox.purge(*before_ms));
                Ok(Outcome::Done)
            }
            Op::Collect { blobs, .. } => {
                self.blobs.retain(|blob, _| !blobs.contains(blob));
                Ok(Outcome::Done)
            }
            other => panic!("{other:?} is not an account's"),
        }
    }

    pub fn named(&self, name: &MailboxName) -> Option<MailboxId> {
        let named = |mailbox: &Mailbox| mailbox.deleted_ms.is_none() && mailbox.name == *name;
        self.mailboxes.iter().find(|(_, mailbox)| named(mailbox)).map(|(id, _)| *id)
    }

    fn mailbox(&mut self, id: MailboxId) -> Result<&mut Mailbox, Refusal> {
        self.mailboxes.get_mut(&id).filter(|mailbox| mailbox.deleted_ms.is_none()).ok_or(Refusal::NoSuchMailbox)
    }

    fn create(&mut self, name: &MailboxName, special_use: &[SpecialUse], time_ms: u64) -> Result<MailboxId, Refusal> {
        if self.named(name).is_some() {
            return Err(Refusal::MailboxExists);
        }
        let mut used = self.mailboxes.values().filter(|mailbox| mailbox.deleted_ms.is_none());
        if used.any(|mailbox| mailbox.special_use.iter().any(|have| special_use.contains(have))) {
            return Err(Refusal::SpecialUseTaken);
        }
        self.numbers.mailbox += 1;
        self.numbers.uid_validity = (self.numbers.uid_validity + 1).max((time_ms / 1000) as u32);
        let id = MailboxId::new(self.numbers.mailbox).unwrap();
        let mailbox = Mailbox {
            name: name.clone(),
            uid_validity: UidValidity::new(self.numbers.uid_validity).unwrap(),
            uid_next: 1,
            modseq: 1,
            recent_from: 1,
            special_use: special_use.to_vec(),
            keywords: vec![],
            deleted_ms: None,
            messages: vec![],
            expunged: BTreeMap::new(),
        };
        self.mailboxes.insert(id, mailbox);
        Ok(id)
    }

    fn rename(&mut self, from: &MailboxName, to: &MailboxName, time_ms: u64) -> Answer {
        if self.named(to).is_some() {
            return Err(Refusal::MailboxExists);
        }
        if from.is_inbox() {
            return self.rename_inbox(to, time_ms);
        }
        if from == to || to.is_below(from) {
            return Err(Refusal::BelowItself);
        }
        let moves =
            |mailbox: &Mailbox| mailbox.deleted_ms.is_none() && (mailbox.name == *from || mailbox.name.is_below(from));
        let (moving, staying): (Vec<&Mailbox>, Vec<&Mailbox>) =
            self.mailboxes.values().filter(|mailbox| mailbox.deleted_ms.is_none()).partition(|mailbox| moves(mailbox));
        if moving.is_empty() {
            return Err(Refusal::NoSuchMailbox);
        }
        for mailbox in &moving {
            let new = mailbox.name.moved(from, to).ok_or(Refusal::NameTooLong)?;
            if staying.iter().any(|other| other.name == new) {
                return Err(Refusal::MailboxExists);
            }
        }
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| moves(mailbox)) {
            mailbox.name = mailbox.name.moved(from, to).unwrap();
        }
        Ok(Outcome::Done)
    }

    fn rename_inbox(&mut self, to: &MailboxName, time_ms: u64) -> Answer {
        let inbox_id = self.named(&MailboxName::inbox()).unwrap();
        let target_id = self.create(to, &[], time_ms)?;
        let inbox = self.mailboxes[&inbox_id].clone();
        let modseq = inbox.modseq + 1;
        let here = |message: &Message| Message { modseq, save_date: (time_ms / 1000) as i64, ..message.clone() };
        let target = self.mailboxes.get_mut(&target_id).unwrap();
        target.messages = inbox.messages.iter().map(here).collect();
        (target.keywords, target.modseq) = (inbox.keywords, modseq);
        (target.uid_next, target.recent_from) = (inbox.uid_next, inbox.recent_from);
        self.mailboxes.get_mut(&inbox_id).unwrap().expunge(|_| true, false, time_ms);
        Ok(Outcome::Done)
    }

    fn append(&mut self, id: MailboxId, messages: &[NewMessage], time_ms: u64) -> Answer {
        let mut blob = self.numbers.blob;
        let mailbox = self.mailbox(id)?;
        let mut new_messages = Vec::new();
        for new in messages {
            mailbox.add_keywords(&new.keywords)?;
            blob += 1;
            new_messages.push(Message {
                uid: 0,
                modseq: 0,
                flags: new.flags,
                keywords: lower(&new.keywords),
                internal_date: new.internal_date,
                save_date: 0,
                size: new.size,
                blob: BlobId::new(blob).unwrap(),
            });
        }
        let uids = mailbox.add(new_messages, time_ms)?;
        let (uid_validity, modseq) = (mailbox.uid_validity, ModSeq(mailbox.modseq));
        let first = self.numbers.blob + 1;
        self.blobs.extend((first..).map(|n| BlobId::new(n).unwrap()).zip(messages.iter().map(|new| new.body)));
        self.numbers.blob = blob;
        Ok(Outcome::Appended { uid_validity, uids, modseq })
    }

    fn deliver(&mut self, id: MailboxId, message: &NewMessage, once: DeliveryKey, time_ms: u64) -> Answer {
        let has_run_out = |delivery: &Delivery| time_ms >= delivery.time_ms + DELIVERY_WINDOW_MS;
        let told = |delivery: &Delivery, repeat| Outcome::Delivered {
            uid_validity: delivery.uid_validity,
            uid: Uid::new(delivery.uid).unwrap(),
            modseq: ModSeq(delivery.modseq),
            repeat,
        };
        if let Some(first) = self.deliveries.get(&once).filter(|first| !has_run_out(first)) {
            return Ok(told(first, true));
        }
        self.append(id, std::slice::from_ref(message), time_ms)?;
        let mailbox = &self.mailboxes[&id];
        let (uid_validity, uid, modseq) = (mailbox.uid_validity, mailbox.uid_next - 1, mailbox.modseq);
        let delivery = Delivery { time_ms, uid_validity, uid, modseq };
        self.deliveries.insert(once, delivery);
        let after = (std::ops::Bound::Excluded(once), std::ops::Bound::Unbounded);
        let looked_at: Vec<_> = self.deliveries.range(after).take(4).map(|(key, other)| (*key, *other)).collect();
        for (key, _) in looked_at.iter().filter(|(_, other)| has_run_out(other)) {
            self.deliveries.remove(key);
        }
        Ok(told(&delivery, false))
    }

    fn copy(&mut self, from: MailboxId, uids: &UidSet, to: MailboxId, time_ms: u64) -> Answer {
        let source = self.mailbox(from)?.clone();
        let target = self.mailbox(to)?;
        let copied: Vec<Message> = source.messages.iter().filter(|m| contains(uids, m)).cloned().collect();
        let named = |keyword: &&String| copied.iter().any(|m| m.keywords.contains(&keyword.to_ascii_lowercase()));
        let keywords: Vec<Keyword> =
            source.keywords.iter().filter(named).map(|keyword| Keyword::new(keyword).unwrap()).collect();
        target.add_keywords(&keywords)?;
        let source = uid_set(&copied);
        let destination = target.add(copied, time_ms)?;
        Ok(Outcome::Copied { uid_validity: target.uid_validity, source, destination, modseq: None })
    }
}

pub fn contains(uids: &UidSet, message: &Message) -> bool {
    uids.contains(Uid::new(message.uid).unwrap())
}

impl Mailbox {
    fn add_keywords(&mut self, keywords: &[Keyword]) -> Result<(), Refusal> {
        for keyword in keywords.iter().map(Keyword::as_str) {
            if !self.keywords.iter().any(|have| have.eq_ignore_ascii_case(keyword)) {
                self.keywords.push(keyword.into());
            }
        }
        if self.keywords.len() > KEYWORDS_MAX { Err(Refusal::TooManyKeywords) } else { Ok(()) }
    }

    /// Puts messages at the end, with UIDs, modseq and save date of their own.
    fn add(&mut self, messages: Vec<Message>, time_ms: u64) -> Result<UidSet, Refusal> {
        if u64::from(self.uid_next) + messages.len() as u64 > u64::from(u32::MAX) {
            return Err(Refusal::NoMoreUids);
        }
        if !messages.is_empty() {
            self.modseq += 1;
        }
        let first = self.messages.len();
        for mut message in messages {
            message.uid = self.uid_next;
            message.modseq = self.modseq;
            message.save_date = (time_ms / 1000) as i64;
            self.uid_next += 1;
            self.messages.push(message);
        }
        Ok(uid_set(&self.messages[first..]))
    }

    fn store(&mut self, uids: &UidSet, change: &FlagChange, unchanged_since: Option<ModSeq>) -> Answer {
        let before = self.clone();
        if change.action != FlagAction::Remove {
            self.add_keywords(&change.keywords)?;
        }
        let modseq = self.modseq + 1;
        let (mut modified, mut changed) = (vec![], vec![]);
        for message in self.messages.iter_mut().filter(|message| contains(uids, message)) {
            if unchanged_since.is_some_and(|limit| message.modseq > limit.0) {
                modified.push(message.clone());
                continue;
            }
            let (flags, keywords) = (message.flags, message.keywords.clone());
            let other = lower(&change.keywords);
            let (new_flags, new_keywords) = match change.action {
                FlagAction::Add => (flags.union(change.flags), &keywords | &other),
                FlagAction::Remove => (flags.difference(change.flags), &keywords - &other),
                FlagAction::Replace => (change.flags, other),
            };
            if (new_flags, &new_keywords) != (flags, &keywords) {
                (message.flags, message.keywords, message.modseq) = (new_flags, new_keywords, modseq);
                changed.push(message.clone());
            }
        }
        let (modified, changed) = (uid_set(&modified), uid_set(&changed));
        if changed.is_empty() {
            *self = before;
            return Ok(Outcome::Stored { modified, changed, modseq: None });
        }
        self.modseq = modseq;
        Ok(Outcome::Stored { modified, changed, modseq: Some(ModSeq(modseq)) })
    }

    fn expunge(
        &mut self,
        which: impl Fn(&Message) -> bool,
        recoverable: bool,
        time_ms: u64,
    ) -> (UidSet, Option<ModSeq>) {
        let (gone, stay): (Vec<Message>, Vec<Message>) = self.messages.drain(..).partition(which);
        self.messages = stay;
        let uids = uid_set(&gone);
        if gone.is_empty() {
            return (uids, None);
        }
        self.modseq += 1;
        let messages = if recoverable { gone } else { vec![] };
        self.expunged.insert(self.modseq, Expunged { time_ms, uids: uids.clone(), messages });
        (uids, Some(ModSeq(self.modseq)))
    }

    fn undelete(&mut self, since_ms: u64, time_ms: u64) -> Answer {
        let mut back = Vec::new();
        for expunged in self.expunged.values_mut().filter(|expunged| expunged.time_ms >= since_ms) {
            back.append(&mut expunged.messages);
        }
        back.sort_by_key(|message| message.uid);
        back.iter_mut().for_each(|message| message.flags = message.flags.difference(Flags::DELETED));
        let messages = back.len() as u64;
        self.add(back, time_ms)?;
        Ok(Outcome::Undeleted { messages })
    }

    fn purge(&mut self, before_ms: u64) {
        let old = self.expunged.iter_mut().filter(|(_, expunged)| expunged.time_ms < before_ms);
        let old: Vec<u64> = old.map(|(modseq, expunged)| (*modseq, expunged.messages.clear()).0).collect();
        for two in old.windows(2).take(old.len().saturating_sub(TOMBSTONES_APART)) {
            let merged = self.expunged.remove(&two[0]).unwrap();
            let next = self.expunged.get_mut(&two[1]).unwrap();
            next.uids = next.uids.union(&merged.uids);
        }
    }
}

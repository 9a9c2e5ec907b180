//! An account's mailboxes: what an IMAP session or a delivery asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use paquebot_formats::Access;
use paquebot_log::Body;
use paquebot_model::{FlagChange, Mailbox, NewMessage, Op, Outcome, Refusal, Row, Rows, Scan, Tombstone, key};
use paquebot_replica::Hosting;
use paquebot_types::{AccountId, MailboxId, MailboxName, ModSeq, ShardId, SpecialUse, UidSet};
use tokio::time::timeout;

use crate::error::{ChangeError, ServiceError};
use crate::foreign::{Originals, Removed, User, blocking, is_foreign};
use crate::incoming::Incoming;
use crate::live::Live;
use crate::reader::Reader;
use crate::service::Service;
use crate::snapshot::MailboxKey;

/// One account, as seen by whoever acts for it. A clone is the same account.
#[derive(Clone)]
pub struct Account {
    pub(crate) service: Arc<Service>,
    pub(crate) shard: ShardId,
    pub(crate) id: AccountId,
    pub(crate) name: Arc<str>,
    pub(crate) hosting: Hosting,
    pub(crate) foreign: Option<Arc<User>>,
}

/// A name of the account's, for LIST.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// `None`: there is no mailbox of this name; it has inferiors, or is only subscribed to.
    pub mailbox: Option<MailboxId>,
    pub subscribed: bool,
    pub has_children: bool,
}

impl Account {
    /// The name that its owner logs in by.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What identifies the account on this node.
    pub fn id(&self) -> (ShardId, AccountId) {
        (self.shard, self.id)
    }

    /// Says when this node does not have the account any more: whoever acts for it must enter it anew, here or elsewhere.
    pub fn hosting(&self) -> &Hosting {
        &self.hosting
    }

    /// The account's mailboxes in other servers' files, if it may have any.
    pub(crate) fn foreign(&self) -> Option<&Arc<User>> {
        self.foreign.as_ref()
    }

    /// Whether a mailbox is in another server's files: ops of the log are not for it.
    pub fn is_foreign(&self, mailbox: MailboxId) -> bool {
        is_foreign(mailbox)
    }

    fn foreign_mailbox(&self, mailbox: MailboxId) -> Option<&Arc<User>> {
        self.foreign.as_ref().filter(|_| is_foreign(mailbox))
    }

    fn foreign_name(&self, name: &MailboxName) -> Option<&Arc<User>> {
        self.foreign.as_ref().filter(|user| user.has(name))
    }

    /// An error when this node does not have the account any more.
    pub(crate) fn check_hosted(&self) -> Result<(), ServiceError> {
        if self.hosting.is_over() { Err(ServiceError::NotHosted(self.shard)) } else { Ok(()) }
    }

    /// Waits until this node has everything that any node has acknowledged for this account. At SELECT and at login.
    ///
    /// Without the log this node serves what it has: the first to find that it does not answer waits a second for it, and others
    /// hardly at all until it has answered again.
    ///
    /// Gives whether it has.
    pub async fn reach_last(&self) -> bool {
        let silence = self.service.silence();
        let why = match timeout(silence.patience(self.shard), self.service.replica().reach_last(self.shard)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the log does not answer, or this node is behind it".to_owned()),
        };
        let reached = why.is_none();
        if silence.note(self.shard, reached) {
            match why {
                Some(why) => tracing::warn!(shard = %self.shard, why, "serving from the local store"),
                None => tracing::info!(shard = %self.shard, "serving all that the log has, again"),
            }
        }
        reached
    }

    /// The store as it is now, for the time of a command.
    pub fn reader(&self) -> Result<Reader, ServiceError> {
        Reader::new(self)
    }

    /// The number of the mailbox with this name.
    pub fn mailbox_named(&self, name: &MailboxName) -> Result<Option<MailboxId>, ServiceError> {
        self.reader()?.mailbox_named(name)
    }

    /// A mailbox's counters; `None` if there is none of this name.
    pub fn status(&self, name: &MailboxName) -> Result<Option<Mailbox>, ServiceError> {
        let reader = self.reader()?;
        match reader.mailbox_named(name)? {
            Some(id) => reader.mailbox(id),
            None => Ok(None),
        }
    }

    /// A mailbox in use, shared with every other session that has it open, to be looked at.
    pub fn open(&self, mailbox: MailboxId) -> Result<Option<Arc<Live>>, ServiceError> {
        self.open_for(mailbox, Access::Read)
    }

    /// The same for what is to be done with it: another server's mailbox is opened otherwise when it is to be changed.
    pub fn open_for(&self, mailbox: MailboxId, access: Access) -> Result<Option<Arc<Live>>, ServiceError> {
        if let Some(user) = self.foreign_mailbox(mailbox) {
            self.check_hosted()?;
            return blocking(|| user.open(mailbox, access));
        }
        let at = MailboxKey { shard: self.shard, account: self.id, mailbox };
        let live = self.service.registry().open(self.service.store(), at, &self.hosting)?;
        Ok(live.filter(|live| !live.current().gone))
    }

    /// Every name by name: mailboxes, subscriptions, and the names above them that no mailbox has.
    pub fn list(&self) -> Result<BTreeMap<MailboxName, Listed>, ServiceError> {
        let rows = self.reader()?.rows();
        let mut names: BTreeMap<MailboxName, Listed> = BTreeMap::new();
        let (from, to) = key::names(self.id);
        rows.scan(&from, &to, &mut |key, value| {
            let id = <[u8; 4]>::try_from(value).ok().and_then(|id| MailboxId::new(u32::from_be_bytes(id)));
            if let (Some(name), Some(id)) = (key::parse_name(key), id)
                && self.foreign_name(&name).is_none()
            {
                names.entry(name).or_default().mailbox = Some(id);
            }
            Scan::Continue
        })?;
        let foreign = self.foreign.as_ref().map(|user| blocking(|| user.list())).unwrap_or_default();
        for found in foreign {
            let listed = names.entry(found.name).or_default();
            (listed.mailbox, listed.subscribed) = (found.mailbox, found.subscribed);
        }
        let mut above: Vec<MailboxName> = names.keys().filter_map(MailboxName::parent).collect();
        while let Some(name) = above.pop() {
            let listed = names.entry(name.clone()).or_default();
            if !std::mem::replace(&mut listed.has_children, true) {
                above.extend(name.parent());
            }
        }
        let (from, to) = key::subscriptions(self.id);
        rows.scan(&from, &to, &mut |key, _| {
            if let Some(name) = key::parse_name(key).filter(|name| self.foreign_name(name).is_none()) {
                names.entry(name).or_default().subscribed = true;
            }
            Scan::Continue
        })?;
        Ok(names)
    }

    /// The special uses of the account's mailboxes, by mailbox.
    pub fn special_uses(&self) -> Result<BTreeMap<MailboxId, Vec<SpecialUse>>, ServiceError> {
        let rows = self.reader()?.rows();
        let mut uses = BTreeMap::new();
        let (from, to) = key::mailboxes(self.id);
        rows.scan(&from, &to, &mut |_, value| {
            if let Some(mailbox) = Mailbox::decode(value).filter(|mailbox| !mailbox.special_use.is_empty()) {
                uses.insert(mailbox.id, mailbox.special_use);
            }
            Scan::Continue
        })?;
        let foreign = self.foreign.as_ref().map(|user| blocking(|| user.list())).unwrap_or_default();
        uses.extend(foreign.into_iter().filter_map(|found| Some((found.mailbox?, vec![found.special_use?]))));
        Ok(uses)
    }

    /// The UIDs expunged after `after`: at least those, and possibly some that were expunged before.
    pub fn expunged_since(&self, mailbox: MailboxId, after: ModSeq) -> Result<UidSet, ServiceError> {
        if let Some(user) = self.foreign_mailbox(mailbox) {
            return user.expunged_since(mailbox, after);
        }
        let rows = self.reader()?.rows();
        let (from, to) = key::tombstones_after(self.id, mailbox, after);
        let (mut ranges, mut damaged) = (Vec::new(), None);
        rows.scan(&from, &to, &mut |key, value| match Tombstone::decode(value) {
            Some(tombstone) => {
                ranges.extend_from_slice(tombstone.uids.ranges());
                Scan::Continue
            }
            None => {
                damaged = Some(key.to_vec());
                Scan::Stop
            }
        })?;
        match damaged {
            Some(key) => Err(ServiceError::DamagedRow(key)),
            None => Ok(UidSet::from_ranges(ranges)),
        }
    }

    /// A message to be written to, `size` octets if that is known.
    pub fn incoming(&self, size: Option<u64>) -> Incoming {
        Incoming::new(self.service.clone(), size)
    }

    pub async fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<MailboxId, ChangeError> {
        if let Some(user) = self.foreign_name(name) {
            return blocking(|| user.create(name, special_use));
        }
        let op = Op::Create { account: self.id, name: name.clone(), special_use: special_use.to_vec() };
        match self.change(op, Vec::new()).await? {
            Outcome::Created { mailbox, .. } => Ok(mailbox),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn delete(&self, name: &MailboxName) -> Result<(), ChangeError> {
        if let Some(user) = self.foreign_name(name) {
            return blocking(|| user.delete(name));
        }
        self.change(Op::Delete { account: self.id, name: name.clone() }, Vec::new()).await.map(drop)
    }

    pub async fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<(), ChangeError> {
        if let Some(user) = self.foreign_name(from).or_else(|| self.foreign_name(to)) {
            return blocking(|| user.rename(from, to));
        }
        let op = Op::Rename { account: self.id, from: from.clone(), to: to.clone() };
        self.change(op, Vec::new()).await.map(drop)
    }

    pub async fn subscribe(&self, name: &MailboxName) -> Result<(), ChangeError> {
        if let Some(user) = self.foreign_name(name) {
            return blocking(|| user.subscribe(name, true));
        }
        self.change(Op::Subscribe { account: self.id, name: name.clone() }, Vec::new()).await.map(drop)
    }

    pub async fn unsubscribe(&self, name: &MailboxName) -> Result<(), ChangeError> {
        if let Some(user) = self.foreign_name(name) {
            return blocking(|| user.subscribe(name, false));
        }
        self.change(Op::Unsubscribe { account: self.id, name: name.clone() }, Vec::new()).await.map(drop)
    }

    /// Appends messages, all or none. The outcome is [`Outcome::Appended`].
    pub async fn append(&self, mailbox: MailboxId, messages: Vec<(NewMessage, Body)>) -> Result<Outcome, ChangeError> {
        if let Some(user) = self.foreign_mailbox(mailbox) {
            return blocking(|| user.append(self.service.store(), mailbox, messages));
        }
        let (messages, bodies) = messages.into_iter().unzip();
        self.change(Op::Append { account: self.id, mailbox, messages }, bodies).await
    }

    /// The outcome is [`Outcome::Stored`].
    pub async fn store(
        &self,
        mailbox: MailboxId,
        uids: UidSet,
        change: FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Outcome, ChangeError> {
        if let Some(user) = self.foreign_mailbox(mailbox) {
            return blocking(|| user.store(mailbox, &uids, &change, unchanged_since));
        }
        self.change(Op::Store { account: self.id, mailbox, uids, change, unchanged_since }, Vec::new()).await
    }

    /// The outcome is [`Outcome::Expunged`].
    pub async fn expunge(&self, mailbox: MailboxId, uids: UidSet) -> Result<Outcome, ChangeError> {
        if let Some(user) = self.foreign_mailbox(mailbox) {
            return blocking(|| user.expunge(mailbox, &uids, Removed::Deleted));
        }
        self.change(Op::Expunge { account: self.id, mailbox, uids }, Vec::new()).await
    }

    /// The outcome is [`Outcome::Copied`].
    pub async fn copy(&self, from: MailboxId, uids: UidSet, to: MailboxId) -> Result<Outcome, ChangeError> {
        if self.foreign_mailbox(from).or_else(|| self.foreign_mailbox(to)).is_some() {
            return self.copy_across(from, &uids, to, Originals::Stay).await;
        }
        self.change(Op::Copy { account: self.id, from, uids, to }, Vec::new()).await
    }

    /// The outcome is [`Outcome::Copied`].
    pub async fn r#move(&self, from: MailboxId, uids: UidSet, to: MailboxId) -> Result<Outcome, ChangeError> {
        if self.foreign_mailbox(from).or_else(|| self.foreign_mailbox(to)).is_some() {
            return self.copy_across(from, &uids, to, Originals::Go).await;
        }
        self.change(Op::Move { account: self.id, from, uids, to }, Vec::new()).await
    }

    /// Writes down that messages below a UID were `\Recent` to some session. A driver has done so itself.
    pub async fn claim_recent(&self, mailbox: MailboxId, below: u32) -> Result<(), ChangeError> {
        if is_foreign(mailbox) {
            return Ok(());
        }
        self.change(Op::ClaimRecent { account: self.id, mailbox, below }, Vec::new()).await.map(drop)
    }

    /// Proposes an op of this account's and waits for its outcome; a refusal is an error here.
    pub async fn change(&self, op: Op, bodies: Vec<Body>) -> Result<Outcome, ChangeError> {
        self.check_hosted()?;
        self.service.change(self.shard, op, bodies).await
    }
}

/// The model answered with an outcome of another op: the two sides are not of one build.
fn unexpected(outcome: &Outcome) -> ChangeError {
    tracing::error!(?outcome, "an op came to something that it cannot come to");
    ChangeError::Refused(Refusal::NoSuchMailbox)
}

//! One account's foreign mailboxes: their names, and those that are in use.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use paquebot_formats::{Access, Driver, FormatError, Found, Root, Sessions, recognise};
use paquebot_model::{Row as _, Rows as _, Scan, Tombstone, key};
use paquebot_types::{AccountId, MailboxId, MailboxName, ModSeq, ShardId, SpecialUse, UidSet, UidValidity};
use parking_lot::Mutex;

use super::index::{IndexRows, SideIndex, modseq_now};
use super::namespace::Namespace;
use super::{Common, FOREIGN_MAILBOX, watch};
use crate::error::{ChangeError, ServiceError};
use crate::live::Live;
use crate::snapshot::MailboxKey;

/// How long a list of names serves again: for the commands of one moment, which ask for it several times.
const LIST_AGE: Duration = Duration::from_millis(20);

/// An account's foreign mailboxes.
pub(crate) struct User {
    common: Arc<Common>,
    shard: ShardId,
    account: AccountId,
    places: Vec<Place>,
    names: Mutex<Names>,
}

/// A namespace for one user.
struct Place {
    namespace: Namespace,
    /// `None`: the user's name cannot be part of a path.
    root: Option<Root>,
    driver: OnceLock<&'static dyn Driver>,
    listed: Mutex<Option<(Instant, Arc<Vec<Found>>)>>,
}

/// Which number stands for which name, since the start.
type Names = HashMap<MailboxId, (MailboxName, Slot)>;

/// A mailbox that may be open. Locked while it is being opened.
type Slot = Arc<Mutex<Weak<Live>>>;

/// A name that a driver has.
#[derive(Debug, Clone)]
pub(crate) struct ForeignName {
    pub name: MailboxName,
    /// `None`: there is no mailbox of this name.
    pub mailbox: Option<MailboxId>,
    pub subscribed: bool,
    pub special_use: Option<SpecialUse>,
}

impl Place {
    fn new(namespace: &Namespace, user: &str) -> Self {
        let root = namespace.root_of(user);
        if root.is_none() {
            tracing::warn!(user, ?namespace, "the user's name cannot be part of a path: there is nothing there");
        }
        let driver = namespace.driver.map_or_else(OnceLock::new, OnceLock::from);
        Self { namespace: namespace.clone(), root, driver, listed: Mutex::new(None) }
    }

    /// Who serves it, and where; `None` where there is nothing that anybody could.
    fn served(&self) -> Result<Option<(&'static dyn Driver, &Root)>, FormatError> {
        let Some(root) = &self.root else { return Ok(None) };
        if let Some(driver) = self.driver.get() {
            return Ok(Some((*driver, root)));
        }
        Ok(recognise(root)?.map(|driver| (*self.driver.get_or_init(|| driver), root)))
    }

    fn list(&self) -> Result<Arc<Vec<Found>>, FormatError> {
        self.listed_lately().map_or_else(|| self.list_anew(), Ok)
    }

    fn listed_lately(&self) -> Option<Arc<Vec<Found>>> {
        let listed = self.listed.lock();
        listed.as_ref().filter(|(at, _)| at.elapsed() < LIST_AGE).map(|(_, found)| Arc::clone(found))
    }

    fn list_anew(&self) -> Result<Arc<Vec<Found>>, FormatError> {
        let found = match self.served()? {
            Some((driver, root)) => Arc::new(driver.list(root)?),
            None => Arc::default(),
        };
        *self.listed.lock() = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }
}

impl User {
    pub(super) fn new(
        common: Arc<Common>,
        shard: ShardId,
        account: AccountId,
        name: &str,
        namespaces: &[Namespace],
    ) -> Self {
        let places = namespaces.iter().map(|namespace| Place::new(namespace, name)).collect();
        Self { common, shard, account, places, names: Mutex::default() }
    }

    pub(super) fn index(&self) -> &SideIndex {
        &self.common.index
    }

    /// The rows that the side index has of the account's mailboxes.
    pub(super) fn rows(&self) -> Result<IndexRows, ServiceError> {
        self.index().rows(self.shard)
    }

    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    /// Whether a name is, or would be, a driver's.
    pub fn has(&self, name: &MailboxName) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &MailboxName) -> Option<(&Place, MailboxName)> {
        self.places.iter().find_map(|place| Some((place, place.namespace.inner(name)?)))
    }

    /// Who serves a name, and what he calls it; a refusal where nobody does.
    fn served(&self, name: &MailboxName) -> Result<(&Place, &'static dyn Driver, &Root, MailboxName), ServiceError> {
        let none = || FormatError::NoMailbox(name.clone());
        let (place, inner) = self.place(name).ok_or_else(none)?;
        let (driver, root) = place.served()?.ok_or_else(|| {
            FormatError::CannotHold("there is nothing there that tells the format: the configuration must".into())
        })?;
        Ok((place, driver, root, inner))
    }

    /// The number of a name: the same for as long as the mailbox has it, as far as numbers go.
    fn number(&self, name: &MailboxName) -> MailboxId {
        let hash = blake3::hash(name.as_str().as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let mut number = u32::from_be_bytes([a, b, c, d]) | FOREIGN_MAILBOX;
        let mut names = self.names.lock();
        loop {
            // The bit is set, so it is not 0.
            let id = MailboxId::new(number).unwrap_or(MailboxId::MAX);
            let (known, _) = names.entry(id).or_insert_with(|| (name.clone(), Slot::default()));
            if known == name {
                return id;
            }
            number = number.wrapping_add(1) | FOREIGN_MAILBOX;
        }
    }

    fn named(&self, mailbox: MailboxId) -> Option<(MailboxName, Slot)> {
        self.names.lock().get(&mailbox).cloned()
    }

    /// The number of the mailbox with this name; `None` if there is none.
    pub fn mailbox_named(&self, name: &MailboxName) -> Result<Option<MailboxId>, ServiceError> {
        let Some((place, inner)) = self.place(name) else { return Ok(None) };
        let has = |names: Arc<Vec<Found>>| names.iter().any(|found| found.selectable && found.name == inner);
        let exists = place.listed_lately().is_some_and(has) || has(place.list_anew()?);
        Ok(exists.then(|| self.number(name)))
    }

    /// Every name that a driver has. A namespace that cannot be listed is left out, and told in the log.
    pub fn list(&self) -> Vec<ForeignName> {
        let mut names = Vec::new();
        for place in &self.places {
            let found = match place.list() {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(namespace = ?place.namespace, error = &error as &dyn std::error::Error, "cannot be listed");
                    continue;
                }
            };
            for found in found.iter() {
                let Some(name) = place.namespace.outer(&found.name) else { continue };
                if self.place(&name).is_none_or(|(of, _)| !std::ptr::eq(of, place)) {
                    // Hidden by a longer prefix.
                    continue;
                }
                let mailbox = found.selectable.then(|| self.number(&name));
                let (subscribed, special_use) = (found.subscribed, found.special_use);
                names.push(ForeignName { name, mailbox, subscribed, special_use });
            }
        }
        names
    }

    /// A mailbox that somebody has open.
    pub(super) fn in_use(&self, mailbox: MailboxId) -> Option<Arc<Live>> {
        let (_, slot) = self.named(mailbox)?;
        let live = slot.lock().upgrade();
        live.filter(|live| !live.current().gone)
    }

    /// A mailbox as it is in use, without another look at it, or opened.
    pub(super) fn in_use_or_open(
        self: &Arc<Self>,
        mailbox: MailboxId,
        access: Access,
    ) -> Result<Option<Arc<Live>>, ServiceError> {
        match self.in_use(mailbox) {
            Some(live) => Ok(Some(live)),
            None => self.open(mailbox, access),
        }
    }

    /// A mailbox in use, opened if it is not; `None` if there is none.
    pub fn open(self: &Arc<Self>, mailbox: MailboxId, access: Access) -> Result<Option<Arc<Live>>, ServiceError> {
        let Some((name, slot)) = self.named(mailbox) else { return Ok(None) };
        let mut current = slot.lock();
        if let Some(live) = current.upgrade().filter(|live| !live.current().gone)
            && let Some(foreign) = live.foreign()
        {
            match foreign.ready(&live, access).map(drop) {
                Ok(()) => return Ok(Some(live)),
                Err(ServiceError::Format(FormatError::NoMailbox(_))) => self.common.let_go(&live),
                Err(error) => return Err(error),
            }
        }
        let (_, driver, root, inner) = self.served(&name)?;
        let at = MailboxKey { shard: self.shard, account: self.account, mailbox };
        let opened = Live::open_foreign(self.clone(), at, &name, (driver, root.clone(), inner), access);
        let live = match opened {
            Ok(live) => live,
            Err(ServiceError::Format(FormatError::NoMailbox(_))) => return Ok(None),
            Err(error) => return Err(error),
        };
        *current = Arc::downgrade(&live);
        drop(current);
        // What only one session may have open is given back when that leaves.
        if driver.abilities().sessions == Sessions::Many {
            self.common.keep(&live);
        }
        watch::follow(&self.common.watcher, &live);
        Ok(Some(live))
    }

    /// The UIDs expunged after `after`: at least those.
    pub fn expunged_since(&self, mailbox: MailboxId, after: ModSeq) -> Result<UidSet, ServiceError> {
        let (from, to) = key::tombstones_after(self.account, mailbox, after);
        let mut ranges = Vec::new();
        self.rows()?.scan(&from, &to, &mut |_, value| {
            ranges.extend(Tombstone::decode(value).iter().flat_map(|tombstone| tombstone.uids.ranges().to_vec()));
            Scan::Continue
        })?;
        Ok(UidSet::from_ranges(ranges))
    }

    /// No format keeps special uses that a client gives.
    pub fn create(&self, name: &MailboxName, special_use: &[SpecialUse]) -> Result<MailboxId, ChangeError> {
        if !special_use.is_empty() {
            return Err(cannot("special uses are not kept in this mailbox's format").into());
        }
        let (place, driver, root, inner) = self.served(name)?;
        let seconds = u32::try_from(modseq_now().0 / 1_000_000).unwrap_or(u32::MAX);
        driver.create(root, &inner, UidValidity::new(seconds).unwrap_or(UidValidity::MIN)).map_err(refused)?;
        *place.listed.lock() = None;
        Ok(self.number(name))
    }

    pub fn delete(&self, name: &MailboxName) -> Result<(), ChangeError> {
        let (place, driver, root, inner) = self.served(name)?;
        if inner.is_inbox() {
            return Err(paquebot_model::Refusal::InboxStays.into());
        }
        self.end(name);
        driver.delete(root, &inner).map_err(refused)?;
        *place.listed.lock() = None;
        Ok(())
    }

    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<(), ChangeError> {
        let (place, driver, root, old) = self.served(from)?;
        let new =
            self.place(to).filter(|(other, _)| std::ptr::eq(place, *other)).map(|(_, new)| new).ok_or_else(|| {
                cannot("a mailbox cannot be renamed into another namespace; its messages can be moved")
            })?;
        let below: Vec<MailboxName> = self.names.lock().values().map(|(name, _)| name.clone()).collect();
        let moved = below.iter().filter(|name| *name == from || (name.is_below(from) && !old.is_inbox()));
        moved.for_each(|name| self.end(name));
        driver.rename(root, &old, &new).map_err(refused)?;
        *place.listed.lock() = None;
        Ok(())
    }

    pub fn subscribe(&self, name: &MailboxName, subscribed: bool) -> Result<(), ChangeError> {
        let (place, driver, root, inner) = self.served(name)?;
        driver.subscribe(root, &inner, subscribed).map_err(refused)?;
        *place.listed.lock() = None;
        Ok(())
    }

    /// Closes a mailbox that is about to lose its name, and tells its sessions. The format's own locks would have us wait for ourselves.
    fn end(&self, name: &MailboxName) {
        if let Some(live) = self.in_use(self.number(name))
            && let Some(foreign) = live.foreign()
        {
            self.common.let_go(&live);
            foreign.end(&live);
        }
    }
}

fn cannot(why: &str) -> ServiceError {
    FormatError::CannotHold(why.into()).into()
}

/// Why a driver did not do what was asked, as the model would say it where the model knows it too.
pub(super) fn refused(error: FormatError) -> ChangeError {
    match error {
        FormatError::NoMailbox(_) => paquebot_model::Refusal::NoSuchMailbox.into(),
        FormatError::Exists(_) => paquebot_model::Refusal::MailboxExists.into(),
        error => ServiceError::Format(error).into(),
    }
}

//! One foreign mailbox in use: the driver's handle, and what sessions see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use paquebot_formats::{self as formats, Access, Changes, Driver, Expunged, FormatError, OpenMailbox, Root, Sessions};
use paquebot_model::{Mailbox, Message, Page, Row, RowChange, Tombstone, key, page_number, page_ranges};
use paquebot_types::{Keyword, MailboxName, ModSeq, Uid, UidSet};
use parking_lot::{Mutex, MutexGuard};

use super::index::modseq_now;
use super::user::User;
use super::{blob_of, summary};
use crate::error::ServiceError;
use crate::live::Live;
use crate::snapshot::{MailboxKey, Snapshot};
use crate::tree::PageTree;

/// What a [`Live`] has beside its snapshots when a driver serves it.
pub(crate) struct ForeignMailbox {
    pub user: Arc<User>,
    pub driver: &'static dyn Driver,
    pub root: Root,
    /// As the driver knows it.
    pub inner: MailboxName,
    handle: Mutex<Handle>,
    /// Counts the sessions that took the mailbox over from one another, where the format has one.
    holder: AtomicU64,
}

impl std::fmt::Debug for ForeignMailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {:?}", self.inner, self.root)
    }
}

/// The driver's handle, and how it was opened.
pub(super) struct Handle {
    /// `None`: it was closed, since the mailbox is deleted or renamed.
    mailbox: Option<Box<dyn OpenMailbox>>,
    access: Access,
}

impl Handle {
    pub fn mailbox(&mut self) -> Result<&mut dyn OpenMailbox, ServiceError> {
        match &mut self.mailbox {
            Some(mailbox) => Ok(&mut **mailbox),
            None => Err(ServiceError::NoBody),
        }
    }
}

/// What to compare where it is not known what has changed.
pub(super) fn anything() -> Changes {
    Changes { all: true, ..Changes::default() }
}

impl From<FormatError> for ServiceError {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

impl Live {
    /// Opens a driver's mailbox.
    pub(super) fn open_foreign(
        user: Arc<User>,
        at: MailboxKey,
        name: &MailboxName,
        (driver, root, inner): (&'static dyn Driver, Root, MailboxName),
        access: Access,
    ) -> Result<Arc<Self>, ServiceError> {
        let mut mailbox = driver.open(&root, &inner, access)?;
        // What was found is told as found before: no session knows anything yet.
        mailbox.refresh(Expunged::Leave)?;
        let begin = mailbox.state().highest_modseq.filter(|_| keeps_modseq(driver));
        let known = known(&user, at, name, mailbox.state(), begin)?;
        let recent = mailbox.messages().iter().find(|message| message.recent).map(|message| message.uid);
        let recent_from = recent.or(mailbox.state().uid_next).map_or(u32::MAX, Uid::get);
        let handle = Handle { mailbox: Some(mailbox), access };
        let foreign =
            ForeignMailbox { user, driver, root, inner, handle: Mutex::new(handle), holder: AtomicU64::new(0) };
        let live = Arc::new(Self::new(at, known, recent_from, Some(foreign)));
        if let Some(foreign) = live.foreign() {
            let mut handle = foreign.handle.lock();
            foreign.publish(&live, &mut handle, &anything())?;
        }
        Ok(live)
    }
}

/// What the side index knows of a mailbox, as a version to start from: of the mailbox that this is, or an empty one. `own` is the highest of the format's own
/// mod-sequences, where those are told.
fn known(
    user: &User,
    at: MailboxKey,
    name: &MailboxName,
    state: &formats::State,
    own: Option<ModSeq>,
) -> Result<Snapshot, ServiceError> {
    let index = user.index();
    let known = index.rows(at.shard)?.mailbox(at.account, at.mailbox)?;
    if let Some((mailbox, pages)) = known {
        if mailbox.name == *name && mailbox.uid_validity == state.uid_validity {
            let pages = pages.into_iter().map(|(number, page)| (number, Arc::new(page)));
            // What was told before the index was last closed may be lost from it.
            let lost = if own.is_some() { ModSeq::ZERO } else { index.opened() };
            let highest_modseq = mailbox.highest_modseq.max(lost);
            return Ok(Snapshot::new(Mailbox { highest_modseq, ..mailbox }, PageTree::from_pages(pages)));
        }
        index.change(at.shard, &index.forgotten(at)?)?;
    }
    let mailbox = Mailbox {
        id: at.mailbox,
        name: name.clone(),
        uid_validity: state.uid_validity,
        uid_next: state.uid_next,
        highest_modseq: own.unwrap_or_else(modseq_now),
        messages: 0,
        unseen: 0,
        deleted: 0,
        size: 0,
        recent_from: 1,
        special_use: Vec::new(),
        keywords: Vec::new(),
        created_ms: 0,
        deleted_ms: None,
    };
    Ok(Snapshot::new(mailbox, PageTree::default()))
}

impl ForeignMailbox {
    /// The handle. Whoever waits for it may wait as long as another program holds a lock.
    pub(super) fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock()
    }

    /// Whether a session that opens the mailbox for writing takes it over from the one before.
    pub fn has_one_session(&self) -> bool {
        self.driver.abilities().sessions == Sessions::One
    }

    /// Whether the format's own mod-sequences are told. Where we change mailboxes too, and others that know nothing of mod-sequences, they are ours.
    fn keeps_modseq(&self) -> bool {
        keeps_modseq(self.driver)
    }

    /// The mod-sequence of what changes now, at least.
    fn highest(&self, state: &formats::State) -> ModSeq {
        state.highest_modseq.filter(|_| self.keeps_modseq()).unwrap_or_else(modseq_now)
    }

    /// Looks what others have done, and tells it.
    pub fn look(&self, live: &Live) -> Result<(), ServiceError> {
        let mut handle = self.handle();
        self.look_with(live, &mut handle)
    }

    pub(super) fn look_with(&self, live: &Live, handle: &mut Handle) -> Result<(), ServiceError> {
        let Some(mailbox) = &mut handle.mailbox else { return Err(self.no_mailbox()) };
        if mailbox.asked_to_give_up() {
            mailbox.give_up()?;
            let path = &self.root.directory;
            tracing::info!(path = %path.display(), mailbox = %self.inner, "another program takes the mailbox over");
        }
        let refreshed = mailbox.refresh(Expunged::Leave);
        // A file that is open can still be read when it has no name any more; but nobody else will ever see what we write to it.
        if is_lost(&**mailbox) {
            tracing::info!(mailbox = %self.inner, "the mailbox is not there any more");
            live.replace(|snapshot| snapshot.gone = true);
            return Err(self.no_mailbox());
        }
        let changes = refreshed?;
        self.publish(live, handle, &changes)
    }

    fn no_mailbox(&self) -> ServiceError {
        FormatError::NoMailbox(self.inner.clone()).into()
    }

    /// Closes the driver's handle, and tells sessions that the mailbox is not there any more under its name.
    pub(super) fn end(&self, live: &Live) {
        self.handle().mailbox = None;
        live.replace(|snapshot| snapshot.gone = true);
    }

    /// Has the mailbox open for this, taking it over where it was lost to another program. Gives the handle, up to date.
    pub(super) fn ready(&self, live: &Live, access: Access) -> Result<MutexGuard<'_, Handle>, ServiceError> {
        let mut handle = self.handle();
        let Some(mailbox) = &handle.mailbox else { return Err(self.no_mailbox()) };
        let lost = handle.access == Access::Read || mailbox.state().read_only.is_some();
        if access == Access::Write && lost && self.driver.abilities().writes {
            // Closed first: a format with locks would have us wait for ourselves.
            handle.mailbox = None;
            let opened = self.driver.open(&self.root, &self.inner, access);
            let mut mailbox = opened.inspect_err(|_| live.replace(|snapshot| snapshot.gone = true))?;
            mailbox.refresh(Expunged::Leave)?;
            (handle.mailbox, handle.access) = (Some(mailbox), access);
            self.publish(live, &mut handle, &anything())?;
        } else {
            self.look_with(live, &mut handle)?;
        }
        if live.current().gone {
            return Err(self.no_mailbox());
        }
        Ok(handle)
    }

    /// The same for a change: an error where there is none to be made.
    pub(super) fn ready_to_change(&self, live: &Live) -> Result<MutexGuard<'_, Handle>, ServiceError> {
        let mut handle = self.ready(live, Access::Write)?;
        match handle.mailbox()?.state().read_only.clone() {
            Some(why) => Err(FormatError::ReadOnly(why).into()),
            None => Ok(handle),
        }
    }

    /// Makes the caller the one session that changes the mailbox; gives what it is known by. 0 where many may.
    pub fn take_over(&self, live: &Live) -> u64 {
        if !self.has_one_session() {
            return 0;
        }
        let holder = self.holder.fetch_add(1, Ordering::Relaxed) + 1;
        live.replace(|snapshot| snapshot.holder = holder);
        holder
    }

    /// Tells sessions how the mailbox is now, where it may have changed, and notes it in the side index.
    pub(super) fn publish(&self, live: &Live, handle: &mut Handle, changes: &Changes) -> Result<(), ServiceError> {
        let old = live.current();
        let access = handle.access;
        let mailbox = handle.mailbox()?;
        let state = mailbox.state();
        if state.uid_validity != old.mailbox.uid_validity {
            // There is no response that says so: who has it open must open it anew.
            live.replace(|snapshot| snapshot.gone = true);
            return Ok(());
        }
        let read_only = match access {
            Access::Read => None,
            Access::Write => state.read_only.as_deref(),
        };
        let is_access_same = old.read_only.as_deref() == read_only;
        let read_only = read_only.map(Arc::from);
        let mut next = Next::new(self, live.at, &old, handle)?;
        if changes.all {
            let mut numbers: Vec<u32> = old.messages.pages().filter_map(|page| number_of(page)).collect();
            numbers.extend(handle.mailbox()?.messages().iter().map(|message| page_number(message.uid)));
            numbers.sort_unstable();
            numbers.dedup();
            numbers.into_iter().try_for_each(|number| next.compare(&old, handle, number))?;
        } else {
            let touched = changes.expunged.union(&changes.flags).union(&changes.arrived);
            for (first, last) in page_ranges(&touched) {
                (first..=last).try_for_each(|number| next.compare(&old, handle, number))?;
            }
        }
        if next.is_same(&old) && is_access_same {
            return Ok(());
        }
        let (snapshot, rows) = next.finish(&old, read_only);
        self.user.index().change(live.at.shard, &rows)?;
        live.replace(|current| {
            let holder = current.holder;
            *current = Snapshot { holder, ..snapshot };
        });
        Ok(())
    }
}

fn keeps_modseq(driver: &dyn Driver) -> bool {
    driver.abilities().keeps_modseq && !driver.abilities().writes
}

/// Whether nothing is left of the mailbox's files.
fn is_lost(mailbox: &dyn OpenMailbox) -> bool {
    let watched = mailbox.watched();
    !watched.is_empty() && watched.iter().all(|path| !path.exists())
}

fn number_of(page: &Page) -> Option<u32> {
    page.messages.first().map(|message| page_number(message.uid))
}

/// The next version of a mailbox in the making.
struct Next<'a> {
    foreign: &'a ForeignMailbox,
    at: MailboxKey,
    mailbox: Mailbox,
    /// The place of each of the driver's keywords among ours.
    keywords: Vec<u8>,
    /// Of what changes now.
    modseq: ModSeq,
    pages: Vec<(u32, Arc<Page>)>,
    expunged: UidSet,
    rows: Vec<RowChange>,
}

impl<'a> Next<'a> {
    fn new(
        foreign: &'a ForeignMailbox,
        at: MailboxKey,
        old: &Snapshot,
        handle: &mut Handle,
    ) -> Result<Self, ServiceError> {
        let state = handle.mailbox()?.state();
        let mut mailbox = Mailbox::clone(&old.mailbox);
        mailbox.uid_next = state.uid_next;
        let modseq = foreign.highest(state).max(old.mailbox.highest_modseq.next());
        let keywords = state.keywords.iter().map(|keyword| place(&mut mailbox.keywords, keyword)).collect();
        let (pages, rows) = (Vec::new(), Vec::new());
        Ok(Self { foreign, at, mailbox, keywords, modseq, pages, expunged: UidSet::new(), rows })
    }

    /// Takes what is different in a page.
    fn compare(&mut self, old: &Snapshot, handle: &mut Handle, number: u32) -> Result<(), ServiceError> {
        let first = number.saturating_mul(paquebot_model::PAGE_MESSAGES as u32);
        let messages = handle.mailbox()?.messages();
        let from = messages.partition_point(|message| message.uid.get() < first);
        let rest = messages.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|message| page_number(message.uid) == number).count();
        // Copied, since a body may have to be read to know its size.
        let found: Vec<formats::Message> = rest.get(..count).unwrap_or_default().to_vec();
        let empty = Page::default();
        let before = old.messages.page(number).map_or(&empty, |page| page);
        let mut page = Page { messages: Vec::with_capacity(found.len()) };
        for message in &found {
            let was = before.get(message.uid);
            page.messages.push(self.message(handle, message, was)?);
        }
        if page == *before {
            return Ok(());
        }
        for gone in before.messages.iter().filter(|message| page.get(message.uid).is_none()) {
            self.expunged.insert(gone.uid);
            let key = key::blob(self.at.account, gone.blob);
            self.rows.push(RowChange { key, value: None });
        }
        before.messages.iter().for_each(|message| self.mailbox.subtract(message));
        page.messages.iter().for_each(|message| self.mailbox.add(message));
        let value = (!page.messages.is_empty()).then(|| page.encode());
        self.rows.push(RowChange { key: key::page(self.at.account, self.at.mailbox, number), value });
        self.pages.push((number, Arc::new(page)));
        Ok(())
    }

    /// A driver's message as sessions see it.
    fn message(
        &mut self,
        handle: &mut Handle,
        found: &formats::Message,
        was: Option<&Message>,
    ) -> Result<Message, ServiceError> {
        let blob = blob_of(self.at.mailbox, found.uid);
        let size = match (found.size, was) {
            (Some(size), _) => u32::try_from(size).unwrap_or(u32::MAX),
            (None, Some(was)) => was.size,
            (None, None) => {
                let (size, row) = summary::read(handle.mailbox()?, found.uid, self.at.account, blob)?;
                self.rows.push(row);
                size
            }
        };
        let saved = was.map_or(found.internal_date.unix_seconds(), |was| was.save_date);
        let mut message = Message::new(found.uid, blob, size, found.internal_date, saved);
        message.flags = found.flags;
        message.set_keywords(ours(found.keywords, &self.keywords));
        let is_same = was.is_some_and(|was| (was.flags, was.keywords()) == (message.flags, message.keywords()));
        message.modseq = match (found.modseq.filter(|_| self.foreign.keeps_modseq()), was) {
            (Some(modseq), _) => modseq,
            (None, Some(was)) if is_same => was.modseq,
            _ => self.modseq,
        };
        Ok(message)
    }

    fn is_same(&self, old: &Snapshot) -> bool {
        self.pages.is_empty() && self.mailbox == *old.mailbox
    }

    fn finish(mut self, old: &Snapshot, read_only: Option<Arc<str>>) -> (Snapshot, Vec<RowChange>) {
        if !self.pages.is_empty() {
            self.mailbox.highest_modseq = self.modseq;
        }
        if !self.expunged.is_empty() {
            let time_ms = modseq_now().0 / 1000;
            let tombstone = Tombstone { time_ms, uids: self.expunged, messages: Vec::new() };
            let key = key::tombstone(self.at.account, self.at.mailbox, self.modseq);
            self.rows.push(RowChange { key, value: Some(tombstone.encode()) });
        }
        let key = key::mailbox(self.at.account, self.at.mailbox);
        self.rows.push(RowChange { key, value: Some(self.mailbox.encode()) });
        let messages = old.messages.with_pages(&self.pages);
        let foreign = self.foreign;
        tracing::trace!(?foreign, pages = self.pages.len(), "a foreign mailbox has changed");
        let mut snapshot = Snapshot::new(self.mailbox, messages);
        snapshot.read_only = read_only;
        (snapshot, self.rows)
    }
}

/// The place of a keyword among ours, where it is put if it is not there; past the last if there is no room.
fn place(ours: &mut Vec<Keyword>, keyword: &Keyword) -> u8 {
    let at = ours.iter().position(|have| have == keyword).unwrap_or(ours.len());
    if at == ours.len() && at < paquebot_model::KEYWORDS_MAX {
        ours.push(keyword.clone());
    }
    u8::try_from(at).unwrap_or(u8::MAX)
}

/// The driver's bits as ours.
fn ours(mut bits: u128, places: &[u8]) -> u128 {
    let mut ours = 0;
    while bits != 0 {
        let at = bits.trailing_zeros();
        bits &= bits - 1;
        let place = places.get(at as usize).copied().map_or(u32::MAX, u32::from);
        ours |= 1_u128.checked_shl(place).unwrap_or(0);
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_keep_the_places_that_sessions_know() {
        let keyword = |text: &str| Keyword::new(text).unwrap();
        let mut have = vec![keyword("a"), keyword("b")];
        let theirs = [keyword("b"), keyword("c"), keyword("a")];
        let places: Vec<u8> = theirs.iter().map(|keyword| place(&mut have, keyword)).collect();
        assert_eq!(have, [keyword("a"), keyword("b"), keyword("c")]);
        assert_eq!(ours(0b011, &places), 0b110);
        assert_eq!(ours(0b1000, &places), 0, "a bit without a name");
    }
}

//! The rows as the ops of a record have changed them so far: read through, decoded once, written at the end.

use std::collections::{BTreeMap, BTreeSet};

use paquebot_types::{AccountId, BlobHash, BlobId, MailboxId, MailboxName, ShardId, UidSet};

use crate::key::{self, KeyRange};
use crate::page::{Message, Page, page_number, page_ranges};
use crate::row::{Account, Mailbox, Row};
use crate::rows::{RowChange, Rows, RowsError, Scan};

/// Why a record could not be applied. Nothing of it was: the node must not go on.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Rows(#[from] RowsError),
    #[error("the index row {} is damaged or of a newer version; `paquebot check` tells more", .0.escape_ascii())]
    DamagedRow(Vec<u8>),
}

/// A row as it lies in the index.
type KeyAndValue = (Vec<u8>, Vec<u8>);

/// A cached row; `None` where there is no row.
struct Cached<T> {
    value: Option<T>,
    changed: bool,
}

/// A record's view of the rows and the changes that it makes.
pub struct Draft<'a> {
    rows: &'a dyn Rows,
    pub time_ms: u64,
    accounts: BTreeMap<AccountId, Cached<Account>>,
    mailboxes: BTreeMap<(AccountId, MailboxId), Cached<Mailbox>>,
    pages: BTreeMap<(AccountId, MailboxId, u32), Cached<Page>>,
    plain: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    pub blobs_added: Vec<(AccountId, BlobId, BlobHash)>,
    pub blobs_removed: Vec<(AccountId, BlobId)>,
    pub loaded: BTreeSet<(AccountId, ShardId)>,
}

impl<'a> Draft<'a> {
    pub fn new(rows: &'a dyn Rows, time_ms: u64) -> Self {
        Self {
            rows,
            time_ms,
            accounts: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
            pages: BTreeMap::new(),
            plain: BTreeMap::new(),
            blobs_added: Vec::new(),
            blobs_removed: Vec::new(),
            loaded: BTreeSet::new(),
        }
    }

    /// The record's time in whole seconds.
    pub fn time_seconds(&self) -> i64 {
        i64::try_from(self.time_ms / 1000).unwrap_or(i64::MAX)
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ApplyError> {
        match self.plain.get(key) {
            Some(value) => Ok(value.clone()),
            None => Ok(self.rows.get(key)?),
        }
    }

    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.plain.insert(key, Some(value));
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.plain.insert(key, None);
    }

    /// The rows of a range that are neither accounts, mailboxes nor pages, as changed so far.
    pub fn scan(&self, (from, to): &KeyRange) -> Result<Vec<KeyAndValue>, ApplyError> {
        let mut found = BTreeMap::new();
        self.rows.scan(from, to, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            Scan::Continue
        })?;
        for (key, value) in self.plain.range::<Vec<u8>, _>(from..to) {
            match value {
                Some(value) => found.insert(key.clone(), value.clone()),
                None => found.remove(key),
            };
        }
        Ok(found.into_iter().collect())
    }

    /// As [`Self::scan`], the first `limit` rows only.
    pub fn scan_some(&self, (from, to): &KeyRange, limit: usize) -> Result<Vec<KeyAndValue>, ApplyError> {
        let mut found = BTreeMap::new();
        self.rows.scan(from, to, &mut |key, value| {
            if !self.plain.contains_key(key) {
                found.insert(key.to_vec(), value.to_vec());
            }
            if found.len() < limit { Scan::Continue } else { Scan::Stop }
        })?;
        for (key, value) in self.plain.range::<Vec<u8>, _>(from..to) {
            found.extend(value.as_ref().map(|value| (key.clone(), value.clone())));
        }
        Ok(found.into_iter().take(limit).collect())
    }

    /// Writes what ops of this record have changed of an account among the rows, so that its rows can be changed as such.
    pub fn settle(&mut self, id: AccountId) {
        if let Some(cached) = self.accounts.remove(&id).filter(|cached| cached.changed) {
            self.plain.insert(key::account(id), cached.value.map(|account| account.encode()));
        }
        for ((account, mailbox), cached) in self.mailboxes.extract_if(.., |(account, _), _| *account == id) {
            if cached.changed {
                self.plain.insert(key::mailbox(account, mailbox), cached.value.map(|mailbox| mailbox.encode()));
            }
        }
        for ((account, mailbox, page), cached) in self.pages.extract_if(.., |(account, _, _), _| *account == id) {
            if cached.changed {
                self.plain.insert(key::page(account, mailbox, page), encode_page(cached.value));
            }
        }
    }

    pub fn row<T: Row>(&self, key: Vec<u8>) -> Result<Option<T>, ApplyError> {
        match self.get(&key)? {
            Some(bytes) => T::decode(&bytes).map(Some).ok_or(ApplyError::DamagedRow(key)),
            None => Ok(None),
        }
    }

    pub fn account(&mut self, account: AccountId) -> Result<Option<&Account>, ApplyError> {
        Ok(self.load_account(account)?.value.as_ref())
    }

    /// The account, to be changed: it is written at the end even if it was not.
    pub fn account_mut(&mut self, account: AccountId) -> Result<Option<&mut Account>, ApplyError> {
        let cached = self.load_account(account)?;
        cached.changed |= cached.value.is_some();
        Ok(cached.value.as_mut())
    }

    fn load_account(&mut self, account: AccountId) -> Result<&mut Cached<Account>, ApplyError> {
        if !self.accounts.contains_key(&account) {
            let value = self.row(key::account(account))?;
            self.accounts.insert(account, Cached { value, changed: false });
        }
        Ok(self.accounts.get_mut(&account).expect("just inserted"))
    }

    pub fn put_account(&mut self, id: AccountId, account: Account) {
        self.accounts.insert(id, Cached { value: Some(account), changed: true });
    }

    fn load_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&mut Cached<Mailbox>, ApplyError> {
        if !self.mailboxes.contains_key(&(account, mailbox)) {
            let value = self.row(key::mailbox(account, mailbox))?;
            self.mailboxes.insert((account, mailbox), Cached { value, changed: false });
        }
        Ok(self.mailboxes.get_mut(&(account, mailbox)).expect("just inserted"))
    }

    /// A mailbox that has not been deleted.
    pub fn mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<Option<Mailbox>, ApplyError> {
        let cached = self.load_mailbox(account, mailbox)?;
        Ok(cached.value.as_ref().filter(|found| found.deleted_ms.is_none()).cloned())
    }

    /// A mailbox, also one that has been deleted and can still come back.
    pub fn mailbox_or_deleted(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
    ) -> Result<Option<Mailbox>, ApplyError> {
        Ok(self.load_mailbox(account, mailbox)?.value.clone())
    }

    /// The numbers of all mailboxes, those that have been deleted and those that this record made included, ascending.
    pub fn mailbox_ids(&self, account: AccountId) -> Result<Vec<MailboxId>, ApplyError> {
        let mut ids = BTreeSet::new();
        for (key, _) in self.scan(&key::mailboxes(account))? {
            let Some((_, key::AccountRow::Mailbox(id))) = key::parse_account_row(&key) else {
                return Err(ApplyError::DamagedRow(key));
            };
            ids.insert(id);
        }
        for ((_, id), cached) in self.mailboxes.range((account, MailboxId::MIN)..=(account, MailboxId::MAX)) {
            match cached.value {
                Some(_) => ids.insert(*id),
                None => ids.remove(id),
            };
        }
        Ok(ids.into_iter().collect())
    }

    pub fn put_mailbox(&mut self, account: AccountId, mailbox: Mailbox) {
        self.mailboxes.insert((account, mailbox.id), Cached { value: Some(mailbox), changed: true });
    }

    pub fn remove_mailbox(&mut self, account: AccountId, mailbox: MailboxId) {
        self.mailboxes.insert((account, mailbox), Cached { value: None, changed: true });
    }

    /// The number of the mailbox with this name.
    pub fn mailbox_named(&self, account: AccountId, name: &MailboxName) -> Result<Option<MailboxId>, ApplyError> {
        let key = key::name(account, name);
        match self.get(&key)? {
            Some(bytes) => parse_mailbox_id(&bytes).map(Some).ok_or(ApplyError::DamagedRow(key)),
            None => Ok(None),
        }
    }

    pub fn put_name(&mut self, account: AccountId, name: &MailboxName, mailbox: MailboxId) {
        self.put(key::name(account, name), mailbox.get().to_be_bytes().to_vec());
    }

    /// A page's messages, to be read.
    pub fn page(&mut self, account: AccountId, mailbox: MailboxId, number: u32) -> Result<&Page, ApplyError> {
        let cached = self.load_page(account, mailbox, number)?;
        Ok(cached.value.get_or_insert_default())
    }

    /// A page's messages, to be changed: it is written at the end, or deleted if no message is left in it.
    pub fn page_mut(&mut self, account: AccountId, mailbox: MailboxId, number: u32) -> Result<&mut Page, ApplyError> {
        let cached = self.load_page(account, mailbox, number)?;
        cached.changed = true;
        Ok(cached.value.get_or_insert_default())
    }

    fn load_page(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        number: u32,
    ) -> Result<&mut Cached<Page>, ApplyError> {
        let at = (account, mailbox, number);
        if !self.pages.contains_key(&at) {
            let key = key::page(account, mailbox, number);
            let value = match self.get(&key)? {
                Some(bytes) => Some(Page::decode(&bytes).ok_or(ApplyError::DamagedRow(key))?),
                None => None,
            };
            self.pages.insert(at, Cached { value, changed: false });
        }
        Ok(self.pages.get_mut(&at).expect("just inserted"))
    }

    /// The numbers of the pages that hold messages and that the set touches, ascending.
    pub fn pages_of(&mut self, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> Result<Vec<u32>, ApplyError> {
        let mut numbers = Vec::new();
        for (first, last) in page_ranges(uids) {
            let (from, to) = key::pages(account, mailbox, first, last);
            let (pages, mut damaged) = (&mut self.pages, None);
            self.rows.scan(&from, &to, &mut |key, value| {
                let Some((_, key::AccountRow::Page(_, number))) = key::parse_account_row(key) else {
                    damaged = Some(key.to_vec());
                    return Scan::Stop;
                };
                if let std::collections::btree_map::Entry::Vacant(entry) = pages.entry((account, mailbox, number)) {
                    let Some(page) = Page::decode(value) else {
                        damaged = Some(key.to_vec());
                        return Scan::Stop;
                    };
                    entry.insert(Cached { value: Some(page), changed: false });
                }
                Scan::Continue
            })?;
            if let Some(key) = damaged {
                return Err(ApplyError::DamagedRow(key));
            }
            let range = (account, mailbox, first)..=(account, mailbox, last);
            let filled =
                self.pages.range(range).filter(|(_, page)| page.value.as_ref().is_some_and(|p| !p.messages.is_empty()));
            numbers.extend(filled.map(|(at, _)| at.2));
        }
        Ok(numbers)
    }

    /// Puts a message at the end of its page.
    pub fn push_message(&mut self, account: AccountId, mailbox: MailboxId, message: Message) -> Result<(), ApplyError> {
        let page = self.page_mut(account, mailbox, page_number(message.uid))?;
        debug_assert!(page.messages.last().is_none_or(|last| last.uid < message.uid));
        page.messages.push(message);
        Ok(())
    }

    /// Notes that a body's row was put. One that was removed before in this record is the same body: a number never comes to mean another.
    pub fn added_blob(&mut self, account: AccountId, blob: BlobId, hash: BlobHash) {
        match self.blobs_removed.iter().position(|removed| *removed == (account, blob)) {
            Some(at) => drop(self.blobs_removed.swap_remove(at)),
            None => self.blobs_added.push((account, blob, hash)),
        }
    }

    /// Deletes a body's row, if there is one. A body that came and went within the record was neither added nor removed.
    pub fn remove_blob(&mut self, account: AccountId, blob: BlobId) -> Result<(), ApplyError> {
        let key = key::blob(account, blob);
        if self.get(&key)?.is_none() {
            return Ok(());
        }
        self.delete(key);
        match self.blobs_added.iter().position(|(of, added, _)| (*of, *added) == (account, blob)) {
            Some(at) => drop(self.blobs_added.remove(at)),
            None => self.blobs_removed.push((account, blob)),
        }
        Ok(())
    }

    /// Deletes every row of an account, those that this record made included.
    pub fn forget_account(&mut self, account: AccountId) -> Result<(), ApplyError> {
        for (key, _) in self.scan(&key::account_rows(account))? {
            match key::parse_account_row(&key) {
                Some((_, key::AccountRow::Blob(blob))) => self.remove_blob(account, blob)?,
                _ => self.delete(key),
            }
        }
        self.accounts.insert(account, Cached { value: None, changed: true });
        for (_, cached) in self.mailboxes.iter_mut().filter(|((of, _), _)| *of == account) {
            *cached = Cached { value: None, changed: true };
        }
        for (_, cached) in self.pages.iter_mut().filter(|((of, _, _), _)| *of == account) {
            *cached = Cached { value: None, changed: true };
        }
        Ok(())
    }

    /// The changes, by ascending key.
    pub fn into_changes(self) -> Vec<RowChange> {
        let mut changes = self.plain;
        for (account, cached) in self.accounts.into_iter().filter(|(_, cached)| cached.changed) {
            changes.insert(key::account(account), cached.value.map(|account| account.encode()));
        }
        for ((account, mailbox), cached) in self.mailboxes.into_iter().filter(|(_, cached)| cached.changed) {
            changes.insert(key::mailbox(account, mailbox), cached.value.map(|mailbox| mailbox.encode()));
        }
        for ((account, mailbox, page), cached) in self.pages.into_iter().filter(|(_, cached)| cached.changed) {
            changes.insert(key::page(account, mailbox, page), encode_page(cached.value));
        }
        changes.into_iter().map(|(key, value)| RowChange { key, value }).collect()
    }
}

/// A page's row; a page without messages has none.
fn encode_page(page: Option<Page>) -> Option<Vec<u8>> {
    page.filter(|page| !page.messages.is_empty()).map(|page| page.encode())
}

/// Reads the value of a name's row.
pub fn parse_mailbox_id(bytes: &[u8]) -> Option<MailboxId> {
    MailboxId::new(u32::from_be_bytes(bytes.try_into().ok()?))
}

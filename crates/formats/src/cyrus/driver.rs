//! The format's row in the table.

use std::collections::BTreeMap;

use paquebot_types::{KEYWORD_BYTES_MAX, MailboxName, SpecialUse, UidValidity};

use super::account::Account;
use super::annotation;
use super::config::Store;
use super::header;
use super::mailboxes::{Entry, Mailboxes};
use super::open::Mailbox;
use super::read_only;
use crate::driver::{Abilities, Access, Children, Driver, Found, Root, Sessions};
use crate::error::FormatError;
use crate::mailbox::{Annotation, OpenMailbox};

/// The driver of Cyrus's stores, which only reads. [`Root::directory`] and [`Root::user`] are explained at the module.
#[derive(Debug)]
pub struct Cyrus;

static ABILITIES: Abilities = Abilities {
    sessions: Sessions::Many,
    children: Children::Any,
    writes: false,
    keywords_max: header::KEYWORDS,
    keyword_bytes_max: KEYWORD_BYTES_MAX,
    keeps_zone: false,
    keeps_nul: false,
    keeps_octets: true,
    keeps_modseq: true,
};

impl Driver for Cyrus {
    fn name(&self) -> &'static str {
        "cyrus"
    }

    fn abilities(&self) -> &'static Abilities {
        &ABILITIES
    }

    fn recognises(&self, root: &Root) -> Result<bool, FormatError> {
        match Store::at(root) {
            Ok(store) if !store.exists() => Ok(false),
            Ok(store) if store.mailboxes().exists() => Ok(true),
            // Without its list it still may be one, of which only the mailboxes were brought here.
            Ok(store) => Ok(matches!(Mailboxes::open(&store)?, Mailboxes::Found(entries) if !entries.is_empty())),
            // Some other file.
            Err(FormatError::CannotHold(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self, root: &Root) -> Result<Vec<Found>, FormatError> {
        let account = Account::open(root)?;
        let uses = annotation::open(account.store.annotations())?;
        let mut names: BTreeMap<MailboxName, Found> = BTreeMap::new();
        account.mailboxes.each(&mut |entry: Entry| {
            if !account.may(&entry, 'l') {
                return;
            }
            match account.store.names.shown(&entry.internal, &account.inbox) {
                Some(name) => {
                    let special_use = uses.as_ref().and_then(|uses| {
                        let path = account.store.annotations();
                        let read =
                            |subject: &str| annotation::read_from(uses, path, subject, account.reader(&entry.internal));
                        special_use(&read(&entry.unique_id)).or_else(|| {
                            // Before 3.0 notes went by name.
                            let by_name = matches!(account.mailboxes, Mailboxes::Old(_));
                            by_name.then(|| special_use(&read(&entry.internal.whole()))).flatten()
                        })
                    });
                    let selectable = !entry.intermediate;
                    names.insert(name.clone(), Found { name, selectable, subscribed: false, special_use });
                }
                None if entry.internal.domain == account.inbox.domain => {
                    tracing::warn!(
                        name = entry.internal.whole(),
                        "a mailbox of a Cyrus store has no name that IMAP could say"
                    );
                }
                None => {}
            }
        });
        let level = |name: MailboxName| Found { name, selectable: false, subscribed: false, special_use: None };
        for name in account.subscriptions()? {
            names.entry(name.clone()).or_insert_with(|| level(name)).subscribed = true;
        }
        let above: Vec<MailboxName> =
            names.keys().flat_map(|name| std::iter::successors(name.parent(), MailboxName::parent)).collect();
        for name in above {
            names.entry(name.clone()).or_insert_with(|| level(name));
        }
        Ok(names.into_values().collect())
    }

    fn open(&self, root: &Root, name: &MailboxName, access: Access) -> Result<Box<dyn OpenMailbox>, FormatError> {
        Ok(Box::new(Mailbox::open(Account::open(root)?, name, access)?))
    }

    fn create(&self, _root: &Root, _name: &MailboxName, _validity: UidValidity) -> Result<(), FormatError> {
        Err(read_only())
    }

    fn delete(&self, _root: &Root, _name: &MailboxName) -> Result<(), FormatError> {
        Err(read_only())
    }

    fn rename(&self, _root: &Root, _from: &MailboxName, _to: &MailboxName) -> Result<(), FormatError> {
        Err(read_only())
    }

    fn subscribe(&self, _root: &Root, _name: &MailboxName, _subscribed: bool) -> Result<(), FormatError> {
        Err(read_only())
    }

    fn annotations(&self, root: &Root, name: &MailboxName) -> Result<Vec<Annotation>, FormatError> {
        let account = Account::open(root)?;
        let (entry, _) = account.find(name)?;
        let path = account.store.annotations();
        let Some(database) = annotation::open(path)? else { return Ok(Vec::new()) };
        let reader = account.reader(&entry.internal);
        let mut found = annotation::read_from(&database, path, &entry.unique_id, reader);
        // Before 3.0 they went by the mailbox's name.
        found.extend(annotation::read_from(&database, path, &entry.internal.whole(), reader));
        found.sort_by(|a, b| (&a.entry, !a.shared).cmp(&(&b.entry, !b.shared)));
        Ok(found)
    }
}

fn special_use(notes: &[Annotation]) -> Option<SpecialUse> {
    let note = notes.iter().find(|note| note.entry == "/specialuse")?;
    std::str::from_utf8(&note.value).ok()?.split_whitespace().find_map(SpecialUse::parse)
}

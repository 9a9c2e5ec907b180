//! A user of a store: where this user's mailboxes and own files are.

use std::ops::ControlFlow;
use std::path::PathBuf;

use paquebot_types::MailboxName;

use super::annotation;
use super::config::{Place, Store};
use super::database::Database;
use super::mailboxes::{Entry, Mailboxes};
use super::name::Internal;
use super::report;
use crate::driver::Root;
use crate::error::FormatError;

/// Users are named in an answer, at most.
const USERS_NAMED: usize = 5;

#[derive(Debug)]
pub struct Account {
    pub store: Store,
    pub user: String,
    pub inbox: Internal,
    /// The unique id of INBOX, where the list has it.
    pub inbox_id: Option<String>,
    pub mailboxes: Mailboxes,
}

/// The users that have an INBOX in a store, sorted. [`Root::user`] takes each of these names.
pub fn users(root: &Root) -> Result<Vec<String>, FormatError> {
    let store = Store::at(root)?;
    Ok(users_of(&Mailboxes::open(&store)?))
}

fn users_of(mailboxes: &Mailboxes) -> Vec<String> {
    let mut users = Vec::new();
    mailboxes.each(&mut |entry| {
        if entry.internal.name.split('.').count() == 2 {
            users.extend(entry.internal.user());
        }
    });
    users.sort();
    users.dedup();
    users
}

impl Account {
    pub fn open(root: &Root) -> Result<Self, FormatError> {
        let store = Store::at(root)?;
        if !store.exists() {
            let text = format!(
                "{} is no Cyrus store: give a directory with conf and spool in it, or an imapd.conf",
                root.directory.display()
            );
            return Err(FormatError::CannotHold(text));
        }
        let mailboxes = Mailboxes::open(&store)?;
        let mut user = match &root.user {
            Some(user) => user.clone(),
            None => only_user(&mailboxes)?,
        };
        let refused = || FormatError::CannotHold(format!("{user} cannot be a user of a Cyrus store"));
        let mut inbox = Internal::inbox(&user).ok_or_else(refused)?;
        let mut entry = mailboxes.get(&inbox);
        let lower = user.to_lowercase();
        // Cyrus has users in lower case, unless it was told not to.
        if let (None, Some(other)) = (&entry, Internal::inbox(&lower).filter(|_| lower != user)) {
            entry = mailboxes.get(&other);
            (user, inbox) = if entry.is_some() { (lower, other) } else { (user, inbox) };
        }
        let inbox_id = entry.map(|entry| entry.unique_id).filter(|id| !id.is_empty());
        Ok(Self { store, user, inbox, inbox_id, mailboxes })
    }

    pub fn owns(&self, internal: &Internal) -> bool {
        internal.below(&self.inbox).is_some()
    }

    /// Whether the user may see that there is the mailbox (`l`), or read it (`r`). Who owns a mailbox always may.
    pub fn may(&self, entry: &Entry, right: char) -> bool {
        self.owns(&entry.internal) || entry.acl.allows(&self.user, right)
    }

    /// The mailbox of a name, if the user may read it, and where it lies.
    pub fn find(&self, name: &MailboxName) -> Result<(Entry, Place), FormatError> {
        let absent = || FormatError::NoMailbox(name.clone());
        let internal = self.store.names.meant(name, &self.inbox).ok_or_else(absent)?;
        let entry = self.mailboxes.get(&internal).ok_or_else(absent)?;
        if entry.intermediate || !self.may(&entry, 'r') {
            return Err(absent());
        }
        let place = |by_name| self.store.place(&internal, &entry.partition, &entry.unique_id, by_name);
        // The other one, if a server is just changing from one to the other.
        let moved = || place(!entry.by_name).filter(|place| place.index.exists());
        let place =
            place(entry.by_name).map(|place| if place.index.exists() { place } else { moved().unwrap_or(place) });
        let Some(place) = place else {
            let text =
                format!("{name} lies in the partition {:?}, which the configuration does not have", entry.partition);
            return Err(FormatError::CannotHold(text));
        };
        Ok((entry, place))
    }

    pub fn seen_file(&self) -> PathBuf {
        self.store.user_file(&self.inbox, self.inbox_id.as_deref(), "seen")
    }

    /// Where what everybody has seen together is, in old versions.
    pub fn anyones_seen_file(&self) -> Option<PathBuf> {
        let anyone = Internal { domain: self.inbox.domain.clone(), ..Internal::inbox("anyone")? };
        Some(self.store.user_file(&anyone, None, "seen"))
    }

    pub fn reader(&self, internal: &Internal) -> annotation::Reader<'_> {
        annotation::Reader { user: &self.user, is_owner: self.owns(internal) }
    }

    /// The mailboxes that the user is subscribed to.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>, FormatError> {
        let path = self.store.user_file(&self.inbox, self.inbox_id.as_deref(), "sub");
        let database = match Database::open(&path) {
            Err(FormatError::Damaged { offset, .. }) => {
                report::damage(&path, offset, "subscriptions cannot be read");
                return Ok(Vec::new());
            }
            opened => opened?,
        };
        let Some(database) = database else { return Ok(Vec::new()) };
        let mut names = Vec::new();
        database.scan(b"", &mut |key, _| {
            let key = std::str::from_utf8(key).unwrap_or_default();
            let internal = match key.strip_prefix('N').filter(|key| *key == "INBOX" || key.contains(['\x1f', '\x1d'])) {
                Some(new) => self.subscribed(new),
                None => Internal::parse(key),
            };
            names.extend(internal.and_then(|internal| self.store.names.shown(&internal, &self.inbox)));
            ControlFlow::Continue(())
        });
        Ok(names)
    }

    /// 3.6 has a user's own mailboxes as `INBOX` and what is below it.
    fn subscribed(&self, key: &str) -> Option<Internal> {
        match key.strip_prefix("INBOX") {
            Some("") => Some(self.inbox.clone()),
            Some(rest) if rest.starts_with('\x1f') => Internal::from_database(&format!(
                "{}{rest}",
                Internal { domain: None, ..self.inbox.clone() }.to_database()
            ))
            .map(|internal| Internal { domain: self.inbox.domain.clone(), ..internal }),
            _ => Internal::from_database(key),
        }
    }
}

fn only_user(mailboxes: &Mailboxes) -> Result<String, FormatError> {
    let mut users = users_of(mailboxes);
    match users.len() {
        1 => Ok(users.swap_remove(0)),
        0 => Err(FormatError::CannotHold("the store has no user with an INBOX".into())),
        count => {
            let named = users.iter().take(USERS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(FormatError::CannotHold(format!(
                "the store has {count} users ({named}, ...): say whose mailboxes are meant"
            )))
        }
    }
}

//! Flags and keywords, and expunging.

use std::os::unix::ffi::OsStrExt as _;

use paquebot_types::{Flags, Keyword, Uid, UidSet};

use super::layout::{self, LETTERS, NAME_BYTES_MAX};
use super::look::rename_new;
use super::open::{ATTEMPTS, Known, Mailbox};
use super::scan::Spot;
use super::uids::Unique;
use super::watch::Place;
use super::{failed, files, is_absent, keywords, read_if_there};
use crate::error::FormatError;
use crate::mailbox::{Changes, Expunged};

impl Mailbox {
    pub(super) fn change_flags(&mut self, wanted: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        self.must_write()?;
        let changes = self.look(Expunged::Stay)?;
        self.put_off(changes);
        self.know(wanted.iter().flat_map(|(.., keywords)| keywords))?;
        let mut plan = Vec::with_capacity(wanted.len());
        for (uid, flags, keywords) in wanted {
            let Some(index) = self.index_of(*uid).filter(|index| !self.entries[*index].gone) else { continue };
            self.check(index, *flags, keywords)?;
            plan.push((*uid, *flags, keywords));
        }
        let (mut changed, mut sets, mut quota) = (Vec::new(), Vec::new(), (0, 0));
        for (uid, flags, keywords) in plan {
            let bits = self.bits(keywords);
            let Some((index, before)) = self.rename_flags(uid, flags, keywords)? else { continue };
            let bytes = i64::try_from(self.entries[index].disk_bytes).unwrap_or(0);
            match (before.contains(Flags::DELETED), flags.contains(Flags::DELETED)) {
                (false, true) => quota = (quota.0 - bytes, quota.1 - 1),
                (true, false) => quota = (quota.0 + bytes, quota.1 + 1),
                _ => {}
            }
            let unique = Unique::clone(&self.entries[index].unique);
            if let Known::Courier(courier) = &mut self.known
                && courier.sets.get(&unique).copied().unwrap_or(0) != bits
            {
                courier.sets.insert(Unique::clone(&unique), bits);
                sets.push((unique, keywords.clone()));
            }
            let message = &mut self.messages[index];
            if (message.flags, message.keywords) != (flags, bits) {
                (message.flags, message.keywords) = (flags, bits);
                changed.push(uid);
            }
        }
        if let Known::Courier(courier) = &self.known {
            courier.files.write(&sets)?;
        }
        if !changed.is_empty() {
            files::sync(&self.cur)?;
        }
        self.count(quota.0, quota.1);
        changed.sort_unstable();
        self.put_off(Changes { flags: changed.into_iter().collect(), ..Changes::default() });
        Ok(std::mem::take(&mut self.pending))
    }

    /// Gives a message's file the name that says these flags. Gives the message's place and the flags it had, or `None` if it is gone.
    fn rename_flags(
        &mut self,
        uid: Uid,
        flags: Flags,
        keywords: &[Keyword],
    ) -> Result<Option<(usize, Flags)>, FormatError> {
        for _ in 0..ATTEMPTS {
            let Some(index) = self.index_of(uid).filter(|index| !self.entries[*index].gone) else { return Ok(None) };
            let before = layout::flags(&self.entries[index].spot.info);
            let info = self.info(index, flags, keywords);
            let entry = &self.entries[index];
            let to = Spot { place: Place::Cur, info: info.into() };
            if to == entry.spot || (before == flags && letters_of(&entry.spot.info) == letters_of(&to.info)) {
                return Ok(Some((index, before)));
            }
            let (old, new) = (self.path(index), self.path_of(&entry.unique, &to));
            match rename_new(&old, &new) {
                Ok(()) => {
                    self.entries[index].spot = to;
                    return Ok(Some((index, before)));
                }
                // Somebody else has renamed it, or there is another of the new name.
                Err(error) if is_absent(&error) || error.kind() == std::io::ErrorKind::AlreadyExists => {
                    self.look_again()?;
                }
                Err(source) => return Err(failed("rename", &old, source)),
            }
        }
        Err(FormatError::InUse { path: self.cur.clone(), by: "the message is renamed all the time".into() })
    }

    /// The info with these flags and keywords.
    fn info(&self, index: usize, flags: Flags, keywords: &[Keyword]) -> Vec<u8> {
        let (set, known) = self.letters(keywords);
        layout::with(&self.entries[index].spot.info, flags, set, known)
    }

    /// The letters of these keywords, and all letters that stand for something.
    pub(super) fn letters(&self, keywords: &[Keyword]) -> (u32, u32) {
        let Known::Dovecot(lettered) = &self.known else { return (0, 0) };
        let letters = lettered.letters.iter().enumerate().filter_map(|(at, letter)| Some((at, letter.as_ref()?)));
        letters.fold((0, 0), |(set, known), (at, letter)| {
            let has = keywords.contains(letter);
            (set | u32::from(has) << at, known | 1 << at)
        })
    }

    pub(super) fn bits(&self, keywords: &[Keyword]) -> u128 {
        let at = |keyword| self.state.keywords.iter().position(|known| known == keyword);
        keywords.iter().filter_map(at).fold(0, |bits, at| bits | 1 << at)
    }

    /// Whether a message can be given these flags and keywords.
    fn check(&self, index: usize, flags: Flags, keywords: &[Keyword]) -> Result<(), FormatError> {
        let entry = &self.entries[index];
        if entry.unique.len() + self.info(index, flags, keywords).len() > NAME_BYTES_MAX {
            return Err(FormatError::CannotHold(format!(
                "the name of UID {} would be too long with these flags: nothing is changed",
                self.messages[index].uid
            )));
        }
        if let Known::Dovecot(lettered) = &self.known {
            let further = lettered.further.get(&self.messages[index].uid).copied().unwrap_or(0);
            let lettered = lettered.bits.iter().flatten().fold(0u128, |bits, bit| bits | 1 << bit);
            if self.bits(keywords) & !lettered != further {
                return Err(FormatError::CannotHold(format!(
                    "a maildir has room for {LETTERS} keywords: what others there are stand in Dovecot's index alone, and only Dovecot changes them"
                )));
            }
        }
        Ok(())
    }

    /// Makes new keywords known to the mailbox.
    pub(super) fn know<'k>(&mut self, wanted: impl Iterator<Item = &'k Keyword>) -> Result<(), FormatError> {
        let mut unknown: Vec<Keyword> = Vec::new();
        for keyword in wanted {
            let is_known = match &self.known {
                Known::Dovecot(lettered) => lettered.letters.iter().flatten().any(|known| known == keyword),
                Known::Courier(_) => false,
            };
            if !is_known && !unknown.contains(keyword) {
                unknown.push(keyword.clone());
            }
        }
        match &self.known {
            Known::Courier(_) => {
                for keyword in &unknown {
                    Self::bit(&mut self.state.keywords, keyword).ok_or_else(too_many)?;
                }
                Ok(())
            }
            Known::Dovecot(_) if unknown.is_empty() => Ok(()),
            Known::Dovecot(lettered) => {
                let lettered = &lettered.bits;
                let is_further = |keyword: &Keyword| {
                    let at = self.state.keywords.iter().position(|known| known == keyword);
                    at.is_some_and(|at| !lettered.iter().flatten().any(|bit| *bit as usize == at))
                };
                // Those that only Dovecot's index has are checked message by message.
                let full = self.letters(&[]).1.count_ones() as usize == LETTERS;
                unknown.retain(|keyword| !(full && is_further(keyword)));
                if unknown.is_empty() { Ok(()) } else { self.add_letters(&unknown) }
            }
        }
    }

    fn add_letters(&mut self, wanted: &[Keyword]) -> Result<(), FormatError> {
        let path = self.directory.join("dovecot-keywords");
        let _lock = self.uids.lock()?;
        self.read_letters()?;
        let Known::Dovecot(lettered) = &self.known else { return Ok(()) };
        let is_known = |keyword: &&Keyword| !lettered.letters.iter().flatten().any(|known| known == *keyword);
        let new: Vec<Keyword> = wanted.iter().filter(is_known).cloned().collect();
        let text = keywords::with(&read_if_there(&path)?.unwrap_or_default(), &new).ok_or_else(too_many)?;
        self.files.replace(&path, &self.directory.join("dovecot-keywords.tmp"), &text)?;
        self.read_letters()?;
        Ok(())
    }

    pub(super) fn expunge_messages(&mut self, uids: &UidSet) -> Result<Changes, FormatError> {
        self.must_write()?;
        let changes = self.look(Expunged::Stay)?;
        self.put_off(changes);
        let within = self.messages.iter().map(|message| message.uid).filter(|uid| uids.contains(*uid));
        let wanted: Vec<Uid> = within.collect();
        let mut quota = (0, 0);
        let mut in_new = false;
        for uid in wanted {
            if let Some(index) = self.remove(uid)? {
                let entry = &mut self.entries[index];
                entry.gone = true;
                self.ghosts = true;
                if !self.messages[index].flags.contains(Flags::DELETED) {
                    quota = (quota.0 - i64::try_from(entry.disk_bytes).unwrap_or(0), quota.1 - 1);
                }
                in_new |= entry.spot.place == Place::New;
            }
        }
        files::sync(&self.cur)?;
        if in_new {
            files::sync(&self.new)?;
        }
        self.count(quota.0, quota.1);
        let mut changes = std::mem::take(&mut self.pending);
        self.drop_gone(&mut changes);
        Ok(changes)
    }

    /// Removes a message's file; gives the message's place, or `None` if others were first.
    fn remove(&mut self, uid: Uid) -> Result<Option<usize>, FormatError> {
        for _ in 0..ATTEMPTS {
            let Some(index) = self.index_of(uid).filter(|index| !self.entries[*index].gone) else { return Ok(None) };
            let path = self.path(index);
            match std::fs::remove_file(&path) {
                Ok(()) => return Ok(Some(index)),
                Err(error) if is_absent(&error) => self.look_again()?,
                Err(source) => return Err(failed("remove", &path, source)),
            }
        }
        Err(FormatError::InUse { path: self.cur.clone(), by: "the message is renamed all the time".into() })
    }

    /// Enters a change in the quota. A failure is told and no more: the messages are what they are, and whoever adds up finds out.
    pub(super) fn count(&self, bytes: i64, messages: i64) {
        if let Some(quota) = &self.quota
            && let Err(error) = quota.change(bytes, messages)
        {
            tracing::error!(%error, "the quota is not kept");
        }
    }
}

fn letters_of(info: &[u8]) -> u32 {
    layout::keyword_letters(info)
}

fn too_many() -> FormatError {
    FormatError::CannotHold(format!("a maildir has room for {LETTERS} keywords, and all are taken"))
}

/// A message's whole name.
pub(super) fn name(unique: &[u8], info: &[u8]) -> std::ffi::OsString {
    std::ffi::OsStr::from_bytes(&[unique, info].concat()).to_owned()
}

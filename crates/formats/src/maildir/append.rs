//! Appending: each message is written to `tmp`, flushed, and then renamed into `cur`; its UID is written down before anybody is told.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use paquebot_types::{Flags, InternalDate, Uid};

use super::body::ToDisk;
use super::layout::{self, NAME_BYTES_MAX};
use super::look::rename_new;
use super::open::{Entry, Known, Mailbox};
use super::scan::Spot;
use super::uids::Unique;
use super::watch::Place;
use super::{change, failed, files, unique};
use crate::error::FormatError;
use crate::mailbox::{Arriving, Body, Expunged, Message};

const PIECE: usize = 64 * 1024;

/// A message in `tmp`.
struct Written {
    temporary: PathBuf,
    unique: Unique,
    info: Box<[u8]>,
    disk_bytes: u64,
    shown_bytes: u64,
}

impl Mailbox {
    pub(super) fn append_messages(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        self.must_write()?;
        self.know(messages.iter().flat_map(|message| &message.keywords))?;
        let mut written = Vec::with_capacity(messages.len());
        let done = self.write_all(messages, &mut written).and_then(|()| self.deliver(messages, &written));
        if done.is_err() {
            written.iter().for_each(|written| _ = std::fs::remove_file(&written.temporary));
        }
        done
    }

    fn write_all(&self, messages: &mut [Arriving<'_>], written: &mut Vec<Written>) -> Result<(), FormatError> {
        let mut open = Vec::with_capacity(messages.len());
        for message in messages {
            if !matches!(self.known, Known::Courier(_)) {
                self.can_hold(message)?;
            }
            let (file, made) = self.write(message)?;
            open.push(file);
            written.push(made);
            if open.len() >= 256 {
                flush(&mut open, written)?;
            }
        }
        // After all are written: the disk then has all of it to do at once.
        flush(&mut open, written)
    }

    /// Whether each keyword has its letter.
    fn can_hold(&self, message: &Arriving<'_>) -> Result<(), FormatError> {
        let (set, _) = self.letters(&message.keywords);
        let mut distinct = message.keywords.clone();
        distinct.dedup();
        match self.bits(&distinct).count_ones() == set.count_ones() {
            true => Ok(()),
            false => Err(FormatError::CannotHold(
                "some of these keywords stand in Dovecot's index alone, and only Dovecot gives them".into(),
            )),
        }
    }

    fn write(&self, message: &mut Arriving<'_>) -> Result<(File, Written), FormatError> {
        let name = unique::name();
        let temporary = self.directory.join("tmp").join(&name);
        let result = self.write_file(message, &temporary);
        let (file, sizes) = result.map_err(|source| {
            let _ = std::fs::remove_file(&temporary);
            failed("write", &temporary, source)
        })?;
        let unique: Unique = format!("{name},S={},W={}", sizes.0, sizes.1).into_bytes().into();
        let (letters, known) = self.letters(&message.keywords);
        let info: Box<[u8]> = layout::with(b"", message.flags, letters, known).into();
        if unique.len() + info.len() > NAME_BYTES_MAX {
            let _ = std::fs::remove_file(&temporary);
            return Err(FormatError::CannotHold("the name of the message's file would be too long".into()));
        }
        Ok((file, Written { temporary, unique, info, disk_bytes: sizes.0, shown_bytes: sizes.1 }))
    }

    fn write_file(&self, message: &mut Arriving<'_>, temporary: &std::path::Path) -> io::Result<(File, (u64, u64))> {
        let mut file = self.files.create_new(temporary)?;
        let mut convert = ToDisk::default();
        let (mut piece, mut out, mut at) = (vec![0; PIECE], Vec::with_capacity(PIECE), 0);
        let body: &mut dyn Body = message.body;
        while at < body.len() {
            let count = body.read_at(at, &mut piece)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out.clear();
            convert.push(&piece[..count], &mut out);
            file.write_all(&out)?;
            at += count as u64;
        }
        out.clear();
        convert.end(&mut out);
        file.write_all(&out)?;
        file.set_modified(time(message.internal_date))?;
        Ok((file, (convert.disk_bytes, convert.shown_bytes)))
    }

    /// Gives the messages in `tmp` their UIDs and their names, all of them or none.
    fn deliver(&mut self, messages: &[Arriving<'_>], written: &[Written]) -> Result<Vec<Uid>, FormatError> {
        let lock = self.uids.lock()?;
        // What others have listed before comes before.
        let changes = self.look_with(Expunged::Stay, Some(&lock))?;
        let anew = changes.all;
        self.put_off(changes);
        if anew {
            let by = "its UIDs have just begun anew".into();
            return Err(FormatError::InUse { path: self.directory.clone(), by });
        }
        let sets = messages.iter().zip(written).filter(|(message, _)| !message.keywords.is_empty());
        let sets: Vec<_> =
            sets.map(|(message, made)| (Unique::clone(&made.unique), message.keywords.clone())).collect();
        if let Known::Courier(courier) = &self.known {
            courier.files.write(&sets)?;
        }
        let (mut uids, mut new) = (Vec::with_capacity(written.len()), Vec::with_capacity(written.len()));
        for (made, message) in written.iter().zip(messages) {
            let uid = self.uids.give(&made.unique, message.uid);
            let uid = uid.ok_or_else(|| FormatError::CannotHold("the mailbox has used up its UIDs".into()));
            uids.push(uid.inspect_err(|_| self.forget(written))?);
            new.extend(uids.last().map(|uid| (*uid, Unique::clone(&made.unique))));
        }
        let named = self.name_all(written);
        let saved = named.and_then(|()| self.save(&lock, &new, &uids.iter().copied().collect::<HashSet<_>>()));
        if let Err(error) = saved {
            written.iter().for_each(|made| _ = std::fs::remove_file(self.final_path(made)));
            self.forget(written);
            return Err(error);
        }
        drop(lock);
        self.enter_appended(messages, written, &uids);
        Ok(uids)
    }

    fn name_all(&self, written: &[Written]) -> Result<(), FormatError> {
        for made in written {
            let path = self.final_path(made);
            rename_new(&made.temporary, &path).map_err(|source| failed("make", &path, source))?;
        }
        files::sync(&self.cur)
    }

    fn final_path(&self, made: &Written) -> PathBuf {
        self.cur.join(change::name(&made.unique, &made.info))
    }

    fn forget(&mut self, written: &[Written]) {
        written.iter().for_each(|made| self.uids.forget(&made.unique));
    }

    fn enter_appended(&mut self, messages: &[Arriving<'_>], written: &[Written], uids: &[Uid]) {
        let (mut bytes, mut count) = (0, 0);
        for ((message, made), uid) in messages.iter().zip(written).zip(uids) {
            let keywords = self.bits(&message.keywords);
            if let Known::Courier(courier) = &mut self.known
                && keywords != 0
            {
                courier.sets.insert(Unique::clone(&made.unique), keywords);
            }
            self.messages.push(Message {
                uid: *uid,
                flags: message.flags,
                keywords,
                recent: true,
                internal_date: InternalDate::utc(message.internal_date.unix_seconds()),
                size: Some(made.shown_bytes),
                modseq: None,
            });
            let spot = Spot { place: Place::Cur, info: made.info.clone() };
            let entry = Entry { unique: Unique::clone(&made.unique), spot, disk_bytes: made.disk_bytes, gone: false };
            self.entries.push(entry);
            if !message.flags.contains(Flags::DELETED) {
                (bytes, count) = (bytes + i64::try_from(made.disk_bytes).unwrap_or(0), count + 1);
            }
        }
        self.count(bytes, count);
        self.state.uid_next = u32::try_from(self.uids.next()).ok().and_then(Uid::new);
    }
}

fn flush(open: &mut Vec<File>, written: &[Written]) -> Result<(), FormatError> {
    let from = written.len() - open.len();
    for (file, made) in open.drain(..).zip(&written[from..]) {
        file.sync_all().map_err(|source| failed("flush", &made.temporary, source))?;
    }
    Ok(())
}

fn time(date: InternalDate) -> SystemTime {
    let seconds = date.unix_seconds();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

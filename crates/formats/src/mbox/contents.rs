//! What a file holds, as far as it was read.

use std::fs::File;
use std::io;

use paquebot_types::{InternalDate, Uid};

use super::layout::{Base, Shape, Status};
use super::numbering::{Believe, Numbering};
use super::place::Place;
use super::scan::{Next, Scan, Scanned};
use super::separator;
use crate::mailbox::Message;

/// A message in the file.
#[derive(Debug, Clone)]
pub struct Entry {
    pub uid: Uid,
    pub place: Place,
    pub status: Status,
    /// Its UID does not stand in the file, or a line end is missing that the next message needs: it is to be written anew.
    pub unsettled: bool,
    /// The last line of it has a line end.
    pub ended: bool,
    /// There is no line that says when it came.
    pub undated: bool,
}

#[derive(Debug, Default)]
pub struct Contents {
    pub numbering: Numbering,
    /// The message that only holds the mailbox's state.
    pub pseudo: Option<Place>,
    /// The mailbox's state as it stands in the file.
    pub base: Option<Base>,
    pub entries: Vec<Entry>,
    /// Of each entry: what is shown of it.
    pub messages: Vec<Message>,
    /// Up to here the file was read.
    pub end: u64,
    /// Where and why reading stopped before the file's end, or ended in the middle of a message.
    pub problem: Option<(u64, &'static str)>,
}

impl Contents {
    /// Reads a file of this size. Messages that do not say when they came are of `undated`.
    pub fn read(shape: Shape, file: &File, size: u64, undated: InternalDate) -> io::Result<Self> {
        let mut contents = Self::default();
        if let Some(at) = contents.go_on(shape, file, size, undated, Believe::All)? {
            contents.problem = Some((at, "no message begins here"));
        }
        Ok(contents)
    }

    /// Reads what has come behind the end. Gives where what has come is no message.
    pub fn go_on(
        &mut self,
        shape: Shape,
        file: &File,
        size: u64,
        undated: InternalDate,
        believe: Believe,
    ) -> io::Result<Option<u64>> {
        let mut scan = Scan::new(shape, file, self.end, size, separator::local_zone_minutes());
        loop {
            match scan.next()? {
                Next::Message(scanned) if self.problem.is_none() => self.take(*scanned, undated, believe),
                Next::Message(_) => break,
                Next::End => break,
                Next::Other(at) => return Ok(Some(at)),
            }
        }
        self.end = size;
        Ok(None)
    }

    fn take(&mut self, scanned: Scanned, undated: InternalDate, believe: Believe) {
        let Scanned { place, internal_date, state, closed, ended } = scanned;
        let told = self.numbering.take(&state, believe);
        if told.base.is_some() {
            self.base = told.base;
        }
        if !closed {
            self.problem = Some((place.start, "the message that begins here has no end"));
        }
        if told.pseudo {
            self.pseudo = Some(place);
            return;
        }
        let Some(uid) = told.uid else {
            self.problem = Some((place.start, "its UIDs are used up"));
            return;
        };
        self.messages.push(Message {
            uid,
            flags: told.status.flags,
            keywords: told.status.keywords.into(),
            recent: !told.status.old,
            internal_date: internal_date.unwrap_or(undated),
            size: Some(place.size),
            modseq: None,
        });
        self.entries.push(Entry {
            uid,
            status: told.status,
            unsettled: !told.has_uid || !ended || place.blank == 0,
            ended,
            undated: internal_date.is_none(),
            place,
        });
    }

    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        self.entries.binary_search_by_key(&uid, |entry| entry.uid).ok()
    }

    /// Whether what was read still is there: its first and last message, and some between.
    pub fn is_in(&self, file: &File) -> io::Result<bool> {
        let places = self.pseudo.iter().chain(self.entries.first().map(|entry| &entry.place));
        let between = self.entries.iter().rev().step_by((self.entries.len() / SAMPLES).max(1));
        for place in places.chain(between.map(|entry| &entry.place)) {
            if !place.is_in(file)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Messages that are looked at when a file has grown.
const SAMPLES: usize = 16;

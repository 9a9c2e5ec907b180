//! Responses of one line about the server, the mailbox and its size.

use paquebot_types::{Flags, Keyword, SeqNum, UidSet};

use super::ResponseWriter;
use super::text::{write_flags, write_number, write_string, write_words};
use crate::SequenceSet;

impl ResponseWriter<'_> {
    /// CAPABILITY; IMAP4rev1 is to come first among the names, as clients expect it.
    pub fn capability<'w>(&mut self, names: impl IntoIterator<Item = &'w str>) {
        self.out.extend_from_slice(b"* CAPABILITY ");
        write_words(self.out, names);
        self.end_line();
    }

    /// ENABLED: what this ENABLE has turned on, possibly nothing.
    pub fn enabled<'w>(&mut self, names: impl IntoIterator<Item = &'w str>) {
        self.out.extend_from_slice(b"* ENABLED");
        for name in names {
            self.out.push(b' ');
            self.out.extend_from_slice(name.as_bytes());
        }
        self.end_line();
    }

    /// ID; NIL if there is nothing to tell.
    pub fn id(&mut self, fields: &[(&str, Option<&str>)]) {
        self.out.extend_from_slice(b"* ID ");
        if fields.is_empty() {
            self.out.extend_from_slice(b"NIL");
        } else {
            for (index, (name, value)) in fields.iter().enumerate() {
                self.out.push(if index == 0 { b'(' } else { b' ' });
                write_string(self.out, name.as_bytes(), self.mode.utf8);
                self.out.push(b' ');
                super::write_nstring(self.out, value.map(str::as_bytes), self.mode.utf8);
            }
            self.out.push(b')');
        }
        self.end_line();
    }

    /// FLAGS: those that messages of the mailbox can have. `\Recent` is rev1's.
    pub fn flags(&mut self, flags: Flags, keywords: &[Keyword]) {
        self.out.extend_from_slice(b"* FLAGS (");
        write_flags(self.out, flags, keywords, &[]);
        self.out.push(b')');
        self.end_line();
    }

    pub fn exists(&mut self, messages: u32) {
        self.counted(messages, b" EXISTS\r\n");
    }

    /// RECENT; nothing in rev2, which has no such response (RFC 9051, E).
    pub fn recent(&mut self, messages: u32) {
        if !self.mode.rev2 {
            self.counted(messages, b" RECENT\r\n");
        }
    }

    pub fn expunge(&mut self, seq_num: SeqNum) {
        self.counted(seq_num.get(), b" EXPUNGE\r\n");
    }

    fn counted(&mut self, number: u32, rest: &[u8]) {
        self.out.extend_from_slice(b"* ");
        write_number(self.out, number.into());
        self.out.extend_from_slice(rest);
    }

    /// VANISHED (RFC 7162, 3.2.10): messages that have just gone. Nothing for the empty set.
    pub fn vanished(&mut self, uids: &UidSet) {
        self.vanished_with(b"* VANISHED ", uids);
    }

    /// VANISHED (EARLIER): messages that had gone before. Nothing for the empty set.
    pub fn vanished_earlier(&mut self, uids: &UidSet) {
        self.vanished_with(b"* VANISHED (EARLIER) ", uids);
    }

    fn vanished_with(&mut self, start: &[u8], uids: &UidSet) {
        if uids.is_empty() {
            return;
        }
        self.out.extend_from_slice(start);
        write_uid_set(self.out, uids);
        self.end_line();
    }
}

pub(super) fn write_uid_set(out: &mut Vec<u8>, uids: &UidSet) {
    write_ranges(out, uids.ranges().iter().map(|range| (range.first.get(), range.last.get())));
}

/// Writes a set as it was resolved; one with `*` in it is never an answer.
pub(super) fn write_sequence_set(out: &mut Vec<u8>, set: &SequenceSet) {
    debug_assert!(set.open_from().is_none());
    write_ranges(out, set.ranges().iter().map(|range| (range.first, range.last)));
}

fn write_ranges(out: &mut Vec<u8>, ranges: impl Iterator<Item = (u32, u32)>) {
    for (index, (first, last)) in ranges.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_number(out, first.into());
        if last != first {
            out.push(b':');
            write_number(out, last.into());
        }
    }
}

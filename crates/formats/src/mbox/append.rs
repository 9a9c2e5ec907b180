//! Adding messages at a file's end.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;

use paquebot_types::{InternalDate, Uid};

use super::change::{News, Plan, sender};
use super::incoming::Incoming;
use super::layout::{Block, DELIMITER, Shape, Status};
use super::numbering::Believe;
use super::open::{Mailbox, Told};
use super::separator;
use crate::error::FormatError;
use crate::lock::FileGuard;
use crate::mailbox::{Arriving, Changes};
use crate::rewrite;

/// What is read at once.
const COPY: usize = 256 << 10;

impl Mailbox {
    pub(super) fn append_messages(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        // A message that is only delivered was told to no session yet.
        let (guard, _) = self.begin(Told::NotYet)?;
        self.know(messages.iter().flat_map(|message| &message.keywords))?;
        // Keywords first: a message that names one that the mailbox does not know would lose it.
        if self.contents.base.as_ref().is_some_and(|base| base.keywords != self.contents.numbering.keywords) {
            self.write_out(&guard, Plan::default())?;
        }
        let uids = self.new_uids(messages)?;
        let old_end = self.contents.end;
        let done = self.append_at_end(&guard, messages, &uids);
        if done.is_err() {
            self.version = None;
            guard.file.set_len(old_end).map_err(|source| self.failed("cut what was appended off", source))?;
            self.finish_interrupted(&guard)?;
        }
        done.map(|()| uids)
    }

    fn new_uids(&self, messages: &[Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        let mut last = self.contents.numbering.uid_last;
        let mut uids = Vec::with_capacity(messages.len());
        for message in messages {
            let next = match message.uid {
                Some(wanted) if wanted.get() > last => Some(wanted),
                _ => last.checked_add(1).and_then(Uid::new),
            };
            let Some(next) = next.filter(|uid| uid.get() < u32::MAX) else {
                return Err(FormatError::CannotHold("the mailbox has used up its UIDs".into()));
            };
            last = next.get();
            uids.push(next);
        }
        Ok(uids)
    }

    fn append_at_end(
        &mut self,
        guard: &FileGuard,
        messages: &mut [Arriving<'_>],
        uids: &[Uid],
    ) -> Result<(), FormatError> {
        rewrite::append(&guard.file, &self.path, |out| self.write_messages(out, messages, uids))?;
        let size = guard.file.metadata().map_err(|source| self.failed("look at", source))?;
        let undated = InternalDate::utc(size.mtime());
        let before = self.contents.entries.len();
        let read = self.contents.go_on(self.shape, &guard.file, size.len(), undated, Believe::All);
        let other = read.map_err(|source| self.failed("read", source))?;
        let found = self.contents.entries[before..].iter().map(|entry| entry.uid);
        if other.is_some() || self.contents.problem.is_some() || !found.eq(uids.iter().copied()) {
            let source = io::Error::other("what was appended does not read as it was written");
            return Err(self.failed("append to", source));
        }
        self.arrived(before, &mut Changes::default());
        self.tell_state();
        // A crash before leaves a last UID that the messages tell better.
        self.write_out(guard, Plan::default())?;
        // Has been done with that, unless there was nothing to write.
        guard.file.sync_data().map_err(|source| self.failed("flush", source))?;
        self.set_times(&guard.file, News::Mail)?;
        self.note(&guard.file)
    }

    fn write_messages(&self, out: &mut dyn Write, messages: &mut [Arriving<'_>], uids: &[Uid]) -> io::Result<()> {
        let sender = sender();
        let mut buffer = vec![0; COPY];
        for (message, uid) in messages.iter_mut().zip(uids) {
            let status = Status { flags: message.flags, old: false, keywords: self.keyword_bits(&message.keywords) };
            let keywords = &self.contents.numbering.keywords;
            let state = Block { base: None, status, uid: uid.get(), keywords }.write();
            if self.shape == Shape::Mmdf {
                out.write_all(DELIMITER)?;
            }
            out.write_all(separator::write(&sender, message.internal_date).as_bytes())?;
            let mut incoming = Incoming::new(self.shape, &state, &mut *out);
            let (size, mut done) = (message.body.len(), 0);
            while done < size {
                let count = message.body.read_at(done, &mut buffer)?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                incoming.take(&buffer[..count])?;
                done += count as u64;
            }
            incoming.finish()?;
            if self.shape == Shape::Mmdf {
                out.write_all(DELIMITER)?;
            }
        }
        Ok(())
    }
}

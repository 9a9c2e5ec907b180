//! Changing a mix mailbox. The order of what reaches the disk: data, meta, index, status.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use paquebot_types::{Flags, Keyword, Uid, UidSet};

use super::layout::{DATA_BYTES, Entry, KEYWORD_BYTES, KEYWORDS, OLD, RECORD, Status};
use super::open::{Locked, Mix, Place, data_name, data_number};
use crate::date;
use crate::error::{FormatError, failed};
use crate::lock::{Flock, Kind};
use crate::mailbox::{Arriving, Changes, Expunged};
use crate::rewrite;

/// Octets that are copied at once.
const COPY: usize = 256 << 10;

impl Mix {
    /// Finishes what a crash has interrupted.
    pub(super) fn recover(&self, locked: &Locked) -> Result<(), FormatError> {
        if self.writes() {
            rewrite::recover(&locked.index, &self.path(".mixindex"))?;
            rewrite::recover(&locked.status, &self.path(".mixstatus"))?;
        }
        Ok(())
    }

    pub(super) fn change_flags(&mut self, changes: &[(Uid, Flags, Vec<Keyword>)]) -> Result<Changes, FormatError> {
        self.must_write()?;
        let locked = self.lock((Kind::Exclusive, Kind::Exclusive))?;
        let mut done = self.look_locked(&locked, Expunged::Stay)?;
        self.must_write()?;
        self.know(changes.iter().flat_map(|(_, _, keywords)| keywords))?;
        let (sequence, mut changed) = (self.next_sequence(), Vec::new());
        for (uid, flags, keywords) in changes {
            let Ok(index) = self.messages.binary_search_by_key(uid, |message| message.uid) else { continue };
            let bits = self.keyword_bits(keywords);
            let status = &mut self.places[index].status;
            let after = Status { flags: status.with(*flags, bits).flags | OLD, keywords: bits, ..*status };
            if after == *status {
                continue;
            }
            *status = Status { modseq: sequence, ..after };
            let message = &mut self.messages[index];
            (message.flags, message.keywords) = (*flags, bits.into());
            message.modseq = Some(paquebot_types::ModSeq(sequence.into()));
            done.flags.insert(*uid);
            changed.push(index);
        }
        if !changed.is_empty() {
            self.write_status(&locked.status, sequence, &changed)?;
        }
        Ok(done)
    }

    pub(super) fn append_messages(&mut self, messages: &mut [Arriving<'_>]) -> Result<Vec<Uid>, FormatError> {
        self.must_write()?;
        let locked = self.lock((Kind::Exclusive, Kind::Exclusive))?;
        self.look_locked(&locked, Expunged::Stay)?;
        self.must_write()?;
        let mut places = self.plan(messages)?;
        self.know(messages.iter().flat_map(|message| &message.keywords))?;
        let sequence = self.next_sequence();
        let bytes = places.iter().map(|place| RECORD as u64 + u64::from(place.entry.size)).sum();
        let (data, number) = self.data_file(bytes, sequence)?;
        let name = data_name(number);
        let old_size = data.metadata().map_err(|source| self.failed("look at", &name, source))?.len();
        let written = self.write_data(&data, number, old_size, messages, &mut places, sequence);
        if let Err(error) = written {
            let undone = data.set_len(old_size).and_then(|()| data.sync_data());
            undone.map_err(|source| self.failed("cut what was appended off", &name, source))?;
            return Err(error);
        }
        self.meta.data = number;
        self.meta.uid_last = places.last().map_or(self.meta.uid_last, |place| place.entry.uid);
        self.meta.sequence = sequence.saturating_add(1);
        self.write_meta()?;
        let lines: String = places.iter().map(|place| place.entry.write()).collect();
        self.index_end = self.add_lines(&locked.index, ".mixindex", self.index_end, sequence, &lines)?;
        self.index_bytes = self.index_end;
        self.index_sequence = sequence;
        let lines: String = places.iter().map(|place| place.status.write()).collect();
        let mut line = self.status_end.max(FIRST_LINE);
        for place in &mut places {
            place.line = Some(line);
            line += place.status.write().len() as u64;
        }
        self.status_end = self.add_lines(&locked.status, ".mixstatus", self.status_end, sequence, &lines)?;
        self.status_bytes = self.status_end;
        self.status_sequence = sequence;
        let uids: Vec<Uid> = places.iter().filter_map(|place| Uid::new(place.entry.uid)).collect();
        for (place, uid) in places.into_iter().zip(&uids) {
            self.messages.push(crate::mailbox::Message {
                uid: *uid,
                flags: place.status.system_flags(),
                keywords: place.status.keywords.into(),
                recent: true,
                internal_date: place.entry.internal_date,
                size: Some(place.entry.size.into()),
                modseq: Some(paquebot_types::ModSeq(sequence.into())),
            });
            self.places.push(place);
        }
        self.state.uid_next = self.meta.uid_last.checked_add(1).and_then(Uid::new);
        Ok(uids)
    }

    /// Where the messages will be, but for their places in the data file.
    fn plan(&self, messages: &[Arriving<'_>]) -> Result<Vec<Place>, FormatError> {
        let mut places = Vec::with_capacity(messages.len());
        let mut last = self.meta.uid_last;
        for message in messages {
            last = match message.uid {
                Some(wanted) if wanted.get() > last => wanted.get(),
                _ => last.checked_add(1).ok_or_else(|| cannot("the mailbox has used up its UIDs"))?,
            };
            let size = u32::try_from(message.body.len()).map_err(|_| cannot("a message has at most 4 GiB"))?;
            let entry = Entry {
                uid: last,
                internal_date: date::for_c_client(message.internal_date),
                size,
                data: 0,
                position: 0,
                line: RECORD as u32,
                header: size,
            };
            let status = Status { uid: last, keywords: 0, flags: 0, modseq: 0 };
            places.push(Place { entry, status, line: None, gone: false });
        }
        Ok(places)
    }

    /// The file that an append of so many octets goes to.
    fn data_file(&self, bytes: u64, sequence: u32) -> Result<(File, u32), FormatError> {
        let current = self.path(&data_name(self.meta.data));
        if let Ok(file) = OpenOptions::new().read(true).write(true).open(&current) {
            let size = file.metadata().map_err(|source| failed("look at", &current, source))?.len();
            let entries = self.places.iter().filter(|place| place.entry.data == self.meta.data);
            let told = entries.map(|place| place.entry.end()).max().unwrap_or(0);
            if (size == 0 || size + bytes <= DATA_BYTES) && size >= told {
                return Ok((file, self.meta.data));
            }
        }
        self.new_data_file(sequence.max(self.meta.data.saturating_add(1)))
    }

    fn new_data_file(&self, mut number: u32) -> Result<(File, u32), FormatError> {
        loop {
            let path = self.path(&data_name(number));
            let mut options = OpenOptions::new();
            match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    self.give_to_owner(&file)?;
                    crate::names::sync_directory(&path)?;
                    return Ok((file, number));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    number = number.checked_add(1).ok_or_else(|| cannot("the numbers of data files are used up"))?;
                }
                Err(source) => return Err(failed("make", &path, source)),
            }
        }
    }

    /// A new file belongs to whom the mailbox belongs.
    fn give_to_owner(&self, file: &File) -> Result<(), FormatError> {
        use std::os::unix::fs::{MetadataExt as _, fchown};
        let of = self.meta_file.metadata().map_err(|source| self.failed("look at", ".mixmeta", source))?;
        let own = file.metadata().map_err(|source| self.failed("look at", ".mix", source))?;
        if (own.uid(), own.gid()) != (of.uid(), of.gid()) {
            let given = fchown(file, Some(of.uid()), Some(of.gid()));
            given.map_err(|source| self.failed("give to its owner", ".mix", source))?;
        }
        let _ = file.set_permissions(of.permissions());
        Ok(())
    }

    fn write_data(
        &self,
        data: &File,
        number: u32,
        mut at: u64,
        messages: &mut [Arriving<'_>],
        places: &mut [Place],
        sequence: u32,
    ) -> Result<(), FormatError> {
        let name = data_name(number);
        let mut buffer = vec![0; COPY];
        for (message, place) in messages.iter_mut().zip(places) {
            let failed = |source| self.failed("write", &name, source);
            place.entry.data = number;
            place.entry.position = u32::try_from(at).map_err(|_| cannot("a data file has at most 4 GiB"))?;
            let flags = place.status.with(message.flags, self.keyword_bits(&message.keywords));
            place.status = Status { modseq: sequence, ..flags };
            data.write_all_at(place.entry.record().as_bytes(), at).map_err(failed)?;
            at += RECORD as u64;
            let (size, mut done, mut header) = (u64::from(place.entry.size), 0, HeaderEnd::default());
            while done < size {
                let count = message.body.read_at(done, &mut buffer).map_err(failed)?;
                if count == 0 {
                    return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                }
                header.look(&buffer[..count]);
                data.write_all_at(&buffer[..count], at).map_err(failed)?;
                (at, done) = (at + count as u64, done + count as u64);
            }
            place.entry.header = header.bytes(place.entry.size);
        }
        data.sync_data().map_err(|source| self.failed("flush", &name, source))
    }

    pub(super) fn expunge_messages(&mut self, uids: &UidSet) -> Result<Changes, FormatError> {
        self.must_write()?;
        let locked = self.lock((Kind::Exclusive, Kind::Exclusive))?;
        let mut done = self.look_locked(&locked, Expunged::Stay)?;
        self.must_write()?;
        let mut any = false;
        for place in &mut self.places {
            if Uid::new(place.entry.uid).is_some_and(|uid| uids.contains(uid)) && !place.gone {
                (place.gone, self.ghosts, any) = (true, true, true);
            }
        }
        self.drop_gone(&mut done);
        if any {
            let sequence = self.next_sequence();
            // So that c-client's next append, which counts on from here, gives the index another sequence: its other sessions see nothing else.
            self.meta.sequence = sequence;
            self.write_meta()?;
            self.write_index(&locked.index, sequence)?;
            self.write_whole_status(&locked.status, sequence)?;
        }
        self.reclaim_locked(&locked)?;
        Ok(done)
    }

    /// Gives back the space of expunged messages, if nobody else has the mailbox open.
    pub(super) fn reclaim(&mut self) -> Result<(), FormatError> {
        if !self.holes || !self.writes() {
            return Ok(());
        }
        let locked = self.lock((Kind::Exclusive, Kind::Exclusive))?;
        self.look_locked(&locked, Expunged::Stay)?;
        self.reclaim_locked(&locked)
    }

    fn reclaim_locked(&mut self, locked: &Locked) -> Result<(), FormatError> {
        if !self.holes || self.ghosts || !self.writes() {
            return Ok(());
        }
        // The attempt takes the shared lock away, whatever comes of it; nobody gets the exclusive one while the index is locked.
        let alone = Flock::attempt(&self.meta_file, Kind::Exclusive);
        let alone = alone.map_err(|source| self.failed("lock", ".mixmeta", source))?;
        let burped = if alone { self.burp(locked) } else { Ok(()) };
        Flock::take(&self.meta_file, Kind::Shared, &self.path(".mixmeta"))?;
        burped
    }

    /// Copies what lives of data files with holes to new ones, has the index name those, and only then removes the old: a crash at any point leaves all
    /// messages where the index says.
    fn burp(&mut self, locked: &Locked) -> Result<(), FormatError> {
        let mut files: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for name in self.data_files()? {
            files.insert(name, Vec::new());
        }
        for (index, place) in self.places.iter().enumerate() {
            files.entry(place.entry.data).or_default().push(index);
        }
        let mut old = BTreeSet::new();
        let mut moved = false;
        for (number, indexes) in files {
            let name = data_name(number);
            let Ok(file) = File::open(self.path(&name)) else { continue };
            let size = file.metadata().map_err(|source| self.failed("look at", &name, source))?.len();
            let live = indexes
                .iter()
                .map(|index| self.places[*index].entry)
                .map(|entry| entry.end() - u64::from(entry.position));
            let live: u64 = live.sum();
            if indexes.is_empty() && number != self.meta.data {
                old.insert(number);
            } else if live < size && self.all_whole(&file, &indexes, size) {
                let (to, new) = self.new_data_file(self.next_sequence().max(number.saturating_add(1)))?;
                self.copy_live(&file, &to, new, &indexes)?;
                if number == self.meta.data {
                    self.meta.data = new;
                }
                old.insert(number);
                moved = true;
            }
        }
        self.holes = false;
        if moved {
            let sequence = self.next_sequence();
            self.meta.sequence = sequence;
            self.write_meta()?;
            self.write_index(&locked.index, sequence)?;
        }
        for number in old {
            let path = self.path(&data_name(number));
            std::fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
        }
        Ok(())
    }

    fn data_files(&self) -> Result<Vec<u32>, FormatError> {
        let failed = |source| failed("list", &self.directory, source);
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            numbers.extend(name.to_str().and_then(data_number));
        }
        Ok(numbers)
    }

    /// Whether each of these messages is where the index has it: a damaged file is left alone.
    fn all_whole(&self, file: &File, indexes: &[usize], size: u64) -> bool {
        let mut last = 0;
        indexes.iter().all(|index| {
            let entry = self.places[*index].entry;
            let mut line = vec![0; entry.line.min(1024) as usize];
            let there = u64::from(entry.position) >= last && entry.end() <= size;
            last = entry.end();
            there
                && file.read_exact_at(&mut line, entry.position.into()).is_ok()
                && entry.is_record(line.trim_ascii_end())
        })
    }

    fn copy_live(&mut self, from: &File, to: &File, number: u32, indexes: &[usize]) -> Result<(), FormatError> {
        let name = data_name(number);
        let (mut at, mut buffer) = (0u64, vec![0; COPY]);
        for index in indexes {
            let entry = &mut self.places[*index].entry;
            let (mut done, end) = (u64::from(entry.position), entry.end());
            entry.data = number;
            entry.position = u32::try_from(at).map_err(|_| cannot("a data file has at most 4 GiB"))?;
            while done < end {
                let count = usize::try_from(end - done).map_or(COPY, |left| left.min(COPY));
                let copied = from.read_exact_at(&mut buffer[..count], done);
                let copied = copied.and_then(|()| to.write_all_at(&buffer[..count], at));
                copied.map_err(|source| self.failed("copy messages to", &name, source))?;
                (done, at) = (done + count as u64, at + count as u64);
            }
        }
        to.sync_data().map_err(|source| self.failed("flush", &name, source))
    }

    fn write_index(&mut self, file: &File, sequence: u32) -> Result<(), FormatError> {
        let places = &self.places;
        self.index_end = rewrite::rewrite(file, &self.path(".mixindex"), 0, |out| {
            write!(out, "S{sequence:08x}\r\n")?;
            places.iter().try_for_each(|place| out.write_all(place.entry.write().as_bytes()))
        })?;
        self.index_bytes = self.index_end;
        self.index_sequence = sequence;
        Ok(())
    }

    /// Writes the status of the messages at these places, or of all where some have none yet.
    pub(super) fn write_status(&mut self, file: &File, sequence: u32, changed: &[usize]) -> Result<(), FormatError> {
        let at: Option<Vec<(u64, String)>> =
            changed.iter().map(|index| Some((self.places[*index].line?, self.places[*index].status.write()))).collect();
        let Some(lines) = at else { return self.write_whole_status(file, sequence) };
        let write = || {
            file.write_all_at(format!("S{sequence:08x}").as_bytes(), 0)?;
            lines.iter().try_for_each(|(at, line)| file.write_all_at(line.as_bytes(), *at))?;
            file.sync_data()
        };
        write().map_err(|source| self.failed("write", ".mixstatus", source))?;
        self.status_sequence = sequence;
        Ok(())
    }

    fn write_whole_status(&mut self, file: &File, sequence: u32) -> Result<(), FormatError> {
        let mut line = FIRST_LINE;
        for place in &mut self.places {
            place.line = Some(line);
            line += place.status.write().len() as u64;
        }
        let places = &self.places;
        self.status_end = rewrite::rewrite(file, &self.path(".mixstatus"), 0, |out| {
            write!(out, "S{sequence:08x}\r\n")?;
            places.iter().try_for_each(|place| out.write_all(place.status.write().as_bytes()))
        })?;
        self.status_bytes = self.status_end;
        self.status_sequence = sequence;
        Ok(())
    }

    /// Adds lines to the index or the status; gives where they end.
    fn add_lines(&self, file: &File, name: &str, end: u64, sequence: u32, lines: &str) -> Result<u64, FormatError> {
        let end = end.max(FIRST_LINE);
        let new_end = end + lines.len() as u64;
        let write = || {
            // A full disk shows here, before anything is written.
            if file.metadata()?.len() < new_end {
                rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, new_end)?;
            }
            file.write_all_at(lines.as_bytes(), end)?;
            file.write_all_at(format!("S{sequence:08x}\r\n").as_bytes(), 0)?;
            file.set_len(new_end)?;
            file.sync_data()
        };
        write().map_err(|source| self.failed("write", name, source))?;
        Ok(new_end)
    }

    fn write_meta(&self) -> Result<(), FormatError> {
        let text = self.meta.write();
        let write = || {
            self.meta_file.write_all_at(text.as_bytes(), 0)?;
            self.meta_file.set_len(text.len() as u64)?;
            self.meta_file.sync_data()
        };
        write().map_err(|source| self.failed("write", ".mixmeta", source))
    }

    /// Sees to it that the mailbox has these keywords.
    fn know<'k>(&mut self, keywords: impl Iterator<Item = &'k Keyword>) -> Result<(), FormatError> {
        let mut known = self.meta.keywords.clone();
        for keyword in keywords {
            if known.contains(keyword) {
                continue;
            }
            if known.len() == KEYWORDS || keyword.as_str().len() > KEYWORD_BYTES {
                let most = format!("a mix mailbox holds {KEYWORDS} keywords of {KEYWORD_BYTES} octets");
                return Err(cannot(&format!("{most}, and there is no room for {keyword}")));
            }
            known.push(keyword.clone());
        }
        if known.len() > self.meta.keywords.len() {
            self.meta.keywords = known.clone();
            self.meta.sequence = self.next_sequence();
            self.write_meta()?;
            self.state.keywords = known;
        }
        Ok(())
    }

    fn keyword_bits(&self, keywords: &[Keyword]) -> u32 {
        let place = |keyword| self.meta.keywords.iter().position(|known| known == keyword);
        keywords.iter().filter_map(place).fold(0, |bits, place| bits | 1 << place)
    }

    fn must_write(&self) -> Result<(), FormatError> {
        match &self.state.read_only {
            Some(why) => Err(FormatError::ReadOnly(why.clone())),
            None => Ok(()),
        }
    }
}

/// After `S` and 8 digits.
const FIRST_LINE: u64 = 11;

fn cannot(why: &str) -> FormatError {
    FormatError::CannotHold(why.into())
}

/// Looks for the blank line after a header, in pieces.
#[derive(Default)]
struct HeaderEnd {
    seen: u32,
    matched: usize,
    found: Option<u32>,
}

impl HeaderEnd {
    fn look(&mut self, octets: &[u8]) {
        if self.found.is_some() {
            return;
        }
        for octet in octets {
            self.seen += 1;
            self.matched = match (*octet, self.matched) {
                (b'\r', 0 | 2) | (b'\n', 1 | 3) => self.matched + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            if self.matched == 4 {
                self.found = Some(self.seen);
                return;
            }
        }
    }

    /// Octets of the header; of the whole message if there is no blank line.
    fn bytes(&self, size: u32) -> u32 {
        self.found.unwrap_or(size)
    }
}

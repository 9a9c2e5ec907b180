//! Keeping up with what others do: by the kernel's events where there are any, by listing otherwise.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

use paquebot_types::{Keyword, Uid, UidValidity};
use rustix::fs::RenameFlags;

use super::courier::Name;
use super::layout::{self, LETTERS};
use super::lock::DotLock;
use super::open::{Changed, Entry, Known, Mailbox, changed, fresh};
use super::scan::{self, Listing, Spot};
use super::uids::{Unique, Update};
use super::watch::{Event, Place, Watch, What};
use super::{failed, index, is_absent, keywords, read_if_there, validity};
use crate::clock;
use crate::error::FormatError;
use crate::mailbox::{Changes, Expunged, Message};

/// Directories are listed so often, at most, until two listings agree.
const LISTINGS: usize = 6;
/// Seconds in which a directory may change again without another time of change.
const TICK: i64 = 2;

/// What becomes different, gathered.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// Whose files have other names, or had for a while.
    renamed: Vec<Uid>,
    flags: Vec<Uid>,
    arrived: Vec<Uid>,
    all: bool,
}

impl Mailbox {
    /// Looks what others did.
    pub(super) fn look(&mut self, expunged: Expunged) -> Result<Changes, FormatError> {
        self.look_with(expunged, None)
    }

    /// The same, for who holds the list's lock already.
    pub(super) fn look_with(&mut self, expunged: Expunged, held: Option<&DotLock>) -> Result<Changes, FormatError> {
        let mut difference = Difference::default();
        self.gather(&mut difference)?;
        let mut taken = None;
        if held.is_none() && self.writes() && self.wants_list() {
            taken = Some(self.uids.lock()?);
            // What others have listed and moved before is to be known first: new messages come after theirs.
            self.gather(&mut difference)?;
        }
        self.settle(held.or(taken.as_ref()), &mut difference)?;
        drop(taken);
        for uid in std::mem::take(&mut difference.renamed) {
            if let Some(index) = self.index_of(uid) {
                self.mark(index, &mut difference);
            }
        }
        self.look_at_index(&mut difference)?;
        let changes = self.told(difference, expunged);
        self.state.uid_next = u32::try_from(self.uids.next()).ok().and_then(Uid::new);
        Ok(changes)
    }

    /// Takes in what the list, the directories and the keywords say now.
    fn gather(&mut self, difference: &mut Difference) -> Result<(), FormatError> {
        let update = self.uids.update()?;
        if let Some(events) = self.watch.as_mut().and_then(Watch::take) {
            if update == Update::Anew {
                self.compare_with_list(difference);
            }
            self.look_at_keywords(Some(&events), difference)?;
            for event in events {
                self.hear(&event, difference)?;
            }
            return Ok(());
        }
        self.begin_watch();
        self.look_at_keywords(None, difference)?;
        if self.watch.is_some() || self.stamps != Some(scan::stamps(&self.new, &self.cur)?) {
            self.list(difference)
        } else {
            if update == Update::Anew {
                self.compare_with_list(difference);
            }
            Ok(())
        }
    }

    /// Before the directories are listed, so that nothing that happens meanwhile is missed. An old watch is of directories that may have been replaced.
    fn begin_watch(&mut self) {
        self.watch = None;
        let mut directories = vec![(Place::New, &*self.new), (Place::Cur, &*self.cur)];
        if let Known::Courier(courier) = &mut self.known {
            courier.watched = courier.files.directory.is_dir();
            courier.changed = None;
            if courier.watched {
                directories.push((Place::Keywords, &courier.files.directory));
            }
        }
        self.watch = Watch::new(&directories);
    }

    /// The changes that are told now.
    fn told(&mut self, difference: Difference, expunged: Expunged) -> Changes {
        let set = |mut uids: Vec<Uid>| {
            uids.sort_unstable();
            uids.into_iter().collect()
        };
        let mut changes = std::mem::take(&mut self.pending);
        changes.arrived = changes.arrived.union(&set(difference.arrived));
        let flags = difference.flags.into_iter().filter(|uid| !changes.arrived.contains(*uid)).collect();
        changes.flags = changes.flags.union(&set(flags));
        changes.all |= difference.all;
        if expunged == Expunged::Leave {
            self.drop_gone(&mut changes);
        }
        changes
    }

    pub(super) fn drop_gone(&mut self, changes: &mut Changes) {
        if !std::mem::take(&mut self.ghosts) {
            return;
        }
        let both = self.messages.iter().zip(&self.entries);
        let gone = both.filter(|(_, entry)| entry.gone).map(|(message, _)| message.uid).collect();
        changes.expunged = changes.expunged.union(&gone);
        for entry in self.entries.iter().filter(|entry| entry.gone) {
            self.uids.forget(&entry.unique);
        }
        let mut keep = self.entries.iter().map(|entry| !entry.gone);
        self.messages.retain(|_| keep.next().unwrap_or(false));
        self.entries.retain(|entry| !entry.gone);
        for set in [&mut changes.flags, &mut changes.arrived] {
            if set.iter().any(|uid| gone.contains(uid)) {
                *set = set.iter().filter(|uid| !gone.contains(*uid)).collect();
            }
        }
    }

    /// Takes one event in. Our own changes come by too, and change nothing.
    fn hear(&mut self, event: &Event, difference: &mut Difference) -> Result<(), FormatError> {
        if event.place == Place::Keywords {
            return Ok(());
        }
        let Some((unique, info)) = layout::split(&event.name) else { return Ok(()) };
        let spot = Spot { place: event.place, info: info.into() };
        let uid = self.uids.by_name.get(unique).map(|listed| listed.uid);
        let index = uid.and_then(|uid| self.index_of(uid)).filter(|index| *self.entries[*index].unique == *unique);
        match (event.what, index) {
            (What::Came, Some(index)) => {
                let entry = &self.entries[index];
                if !entry.gone && entry.spot != spot && self.path(index).exists() {
                    let unique = Unique::clone(&entry.unique);
                    let kept = self.resolve(&unique, self.entries[index].spot.clone(), spot)?;
                    return self.put(index, kept, difference);
                }
                self.put(index, spot, difference)
            }
            (What::Came, None) => {
                self.waiting.insert(unique.into(), spot);
                Ok(())
            }
            (What::Went, Some(index)) => {
                let entry = &mut self.entries[index];
                if entry.spot == spot {
                    entry.gone = true;
                    self.ghosts = true;
                }
                Ok(())
            }
            (What::Went, None) => {
                if self.waiting.get(unique) == Some(&spot) {
                    self.waiting.remove(unique);
                }
                Ok(())
            }
        }
    }

    /// A message's file is here now.
    fn put(&mut self, index: usize, spot: Spot, difference: &mut Difference) -> Result<(), FormatError> {
        let entry = &mut self.entries[index];
        entry.gone = false;
        if entry.spot == spot {
            return Ok(());
        }
        entry.spot = spot;
        difference.renamed.push(self.messages[index].uid);
        if self.writes() && self.entries[index].spot.place == Place::New {
            let (unique, spot) = (Unique::clone(&self.entries[index].unique), self.entries[index].spot.clone());
            if let Some(moved) = self.move_to_cur(&unique, &spot)? {
                self.entries[index].spot = moved;
            }
        }
        Ok(())
    }

    /// Reads a message's flags and keywords off its file.
    fn mark(&mut self, index: usize, difference: &mut Difference) {
        let (uid, entry) = (self.messages[index].uid, &self.entries[index]);
        let marks = self.marks(uid, &entry.unique, &entry.spot);
        let message = &mut self.messages[index];
        if (message.flags, message.keywords) != marks {
            (message.flags, message.keywords) = marks;
            difference.flags.push(uid);
        }
    }

    /// Lists the directories, and again until what is missing is so for sure.
    fn list(&mut self, difference: &mut Difference) -> Result<(), FormatError> {
        let mut missing_before: Option<HashSet<Unique>> = None;
        for attempt in 1.. {
            let started = clock::seconds();
            let before = scan::stamps(&self.new, &self.cur)?;
            let mut listing = scan::list(&self.new, &self.cur, self.entries.len())?;
            // With a watch, what moved meanwhile is heard of.
            let stable = self.watch.is_some() || before == scan::stamps(&self.new, &self.cur)?;
            let live = self.entries.iter().filter(|entry| !entry.gone);
            let missing: HashSet<Unique> = live
                .filter(|entry| !listing.found.contains_key(&entry.unique))
                .map(|entry| Unique::clone(&entry.unique))
                .collect();
            let confirmed = missing.is_empty() || missing_before.is_some_and(|before| missing.is_subset(&before));
            if !(stable && confirmed) && attempt < LISTINGS {
                missing_before = Some(missing);
                continue;
            }
            if !(stable && confirmed) {
                // They stay until a quieter moment.
                for entry in self.entries.iter().filter(|entry| missing.contains(&entry.unique)) {
                    listing.found.insert(Unique::clone(&entry.unique), entry.spot.clone());
                }
            }
            let started = i64::try_from(started).unwrap_or(i64::MAX);
            let quiet = before.iter().all(|(changed, _)| changed.saturating_add(TICK) < started);
            self.stamps = (stable && confirmed && quiet).then_some(before);
            self.resolve_doubles(&mut listing)?;
            self.rebuild(listing.found, difference);
            return Ok(());
        }
        Ok(())
    }

    fn resolve_doubles(&mut self, listing: &mut Listing) -> Result<(), FormatError> {
        for (unique, other) in std::mem::take(&mut listing.doubles) {
            let Some(one) = listing.found.get(&unique).cloned() else { continue };
            let kept = self.resolve(&unique, one, other)?;
            listing.found.insert(unique, kept);
        }
        listing.found.extend(self.waiting.drain());
        Ok(())
    }

    /// Two files of one unique name: one and the same that was renamed while we looked, a link that was left over, or two messages, of which one gets
    /// another name. Gives the one that keeps it.
    fn resolve(&mut self, unique: &Unique, one: Spot, other: Spot) -> Result<Spot, FormatError> {
        let (path, other_path) = (self.path_of(unique, &one), self.path_of(unique, &other));
        let (Ok(first), second) = (std::fs::metadata(&path), std::fs::metadata(&other_path)) else { return Ok(other) };
        let Ok(second) = second else { return Ok(one) };
        if path == other_path || !self.writes() {
            return Ok(one);
        }
        if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
            // The one in `cur` has the flags.
            let (kept, left) = if one.place == Place::New { (other, path) } else { (one, other_path) };
            std::fs::remove_file(&left).map_err(|source| failed("remove", &left, source))?;
            return Ok(kept);
        }
        tracing::warn!(path = %other_path.display(), "two messages have one name: this one gets another");
        let name = fresh(second.len());
        let target = self.path_of(&name, &other);
        std::fs::rename(&other_path, &target).map_err(|source| failed("rename", &other_path, source))?;
        self.waiting.insert(name, other);
        Ok(one)
    }

    /// Whether the list still says of every message what it said.
    fn compare_with_list(&mut self, difference: &mut Difference) {
        let same_validity = self.uids.header.as_ref().is_some_and(|header| header.validity == self.state.uid_validity);
        let uid = |unique| self.uids.by_name.get(unique).map(|listed| listed.uid);
        let mut live = self.messages.iter().zip(&self.entries).filter(|(_, entry)| !entry.gone);
        if same_validity && live.all(|(message, entry)| uid(&entry.unique) == Some(message.uid)) {
            return;
        }
        let live = self.entries.iter().filter(|entry| !entry.gone);
        let mut found: HashMap<Unique, Spot> =
            live.map(|entry| (Unique::clone(&entry.unique), entry.spot.clone())).collect();
        found.extend(self.waiting.drain());
        self.rebuild(found, difference);
    }

    /// Makes the messages those of these files. What has no UID yet, or was not known, waits.
    fn rebuild(&mut self, mut found: HashMap<Unique, Spot>, difference: &mut Difference) {
        let validity = self.uids.header.as_ref().map(|header| header.validity);
        if validity.is_some_and(|validity| validity != self.state.uid_validity) {
            // Not when it is opened: then nothing was before.
            difference.all = !self.messages.is_empty();
            self.messages.clear();
            self.entries.clear();
            self.state.uid_validity = validity.unwrap_or(UidValidity::MIN);
        }
        for index in 0..self.entries.len() {
            let (uid, unique) = (self.messages[index].uid, Unique::clone(&self.entries[index].unique));
            let has_uid = self.uids.by_name.get(&unique).is_some_and(|listed| listed.uid == uid);
            match found.remove(&unique).filter(|_| has_uid) {
                Some(spot) => {
                    let entry = &mut self.entries[index];
                    entry.gone = false;
                    if entry.spot != spot {
                        entry.spot = spot;
                        self.mark(index, difference);
                    }
                }
                None => {
                    self.entries[index].gone = true;
                    self.ghosts = true;
                }
            }
        }
        self.waiting = found;
    }

    /// Makes messages of the files that wait: they move to `cur`, and get UIDs if the list has none for them, in a session that writes.
    fn settle(&mut self, lock: Option<&DotLock>, difference: &mut Difference) -> Result<(), FormatError> {
        if self.uids.header.is_none() {
            match lock {
                Some(lock) => {
                    let validity = validity::next(&self.top, self.files, self.uids.server)?;
                    self.uids.begin(validity);
                    self.compare_with_list(difference);
                    self.uids.save(lock, &[], &|_| false, 0)?;
                }
                // Of this session only.
                None if self.state.uid_validity == UidValidity::MIN => {
                    self.state.uid_validity = clock::validity();
                }
                None => {}
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let (mut arriving, mut unlisted) = (Vec::new(), Vec::new());
        for (unique, spot) in waiting {
            let recent = spot.place == Place::New;
            let spot = match recent && self.writes() {
                true => match self.move_to_cur(&unique, &spot)? {
                    Some(moved) => moved,
                    // Somebody else moved it: there is an event, or the next listing has it.
                    None => continue,
                },
                false => spot,
            };
            match self.uids.by_name.get(&unique) {
                Some(listed) => arriving.push((listed.uid, unique, spot, recent)),
                None => unlisted.push((unique, spot, recent)),
            }
        }
        unlisted.sort_unstable_by(|(one, ..), (other, ..)| layout::order(one, other));
        let mut new = Vec::with_capacity(unlisted.len());
        for (unique, spot, recent) in unlisted {
            let Some(uid) = self.uids.give(&unique, None) else {
                tracing::error!(path = %self.directory.display(), "the mailbox has used up its UIDs: new messages are not shown");
                break;
            };
            new.push((uid, Unique::clone(&unique)));
            arriving.push((uid, unique, spot, recent));
        }
        if let Some(lock) = lock {
            let arrived: HashSet<Uid> = arriving.iter().map(|(uid, ..)| *uid).collect();
            self.save(lock, &new, &arrived)?;
        }
        self.enter(arriving, difference)
    }

    /// Whether there is something that only the list, under its lock, can say.
    fn wants_list(&self) -> bool {
        self.uids.header.is_none() || self.waiting.keys().any(|unique| !self.uids.by_name.contains_key(unique))
    }

    /// Writes UIDs down. `arrived` are not among the messages yet.
    pub(super) fn save(
        &mut self,
        lock: &DotLock,
        new: &[(Uid, Unique)],
        arrived: &HashSet<Uid>,
    ) -> Result<(), FormatError> {
        if new.is_empty() {
            return Ok(());
        }
        let (messages, entries) = (&self.messages, &self.entries);
        let last = messages.last().map(|message| message.uid);
        let is_live = |uid: Uid| {
            // What others have listed since we looked is not known to us.
            last.is_none_or(|last| uid > last)
                || arrived.contains(&uid)
                || messages.binary_search_by_key(&uid, |message| message.uid).is_ok_and(|at| !entries[at].gone)
        };
        self.uids.save(lock, new, &is_live, messages.len() + arrived.len())
    }

    /// Moves a file of `new` to `cur`; gives where it is then, or `None` if it was not there any more.
    fn move_to_cur(&mut self, unique: &Unique, spot: &Spot) -> Result<Option<Spot>, FormatError> {
        let info = if spot.info.starts_with(b":2,") { spot.info.clone() } else { b":2,"[..].into() };
        let moved = Spot { place: Place::Cur, info };
        let (from, to) = (self.path_of(unique, spot), self.path_of(unique, &moved));
        match rename_new(&from, &to) {
            Ok(()) => Ok(Some(moved)),
            Err(error) if is_absent(&error) => {
                self.stamps = None;
                Ok(None)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.resolve(unique, moved, spot.clone()).map(Some)
            }
            Err(source) => Err(failed("rename", &from, source)),
        }
    }

    /// Puts new messages among the others.
    fn enter(
        &mut self,
        mut arriving: Vec<(Uid, Unique, Spot, bool)>,
        difference: &mut Difference,
    ) -> Result<(), FormatError> {
        let open = |path| File::open(path).map_err(|source| failed("open", path, source));
        let (new, cur) = (open(&self.new)?, open(&self.cur)?);
        arriving.sort_unstable_by_key(|(uid, ..)| *uid);
        let mut unordered = false;
        for (uid, unique, spot, recent) in arriving {
            if let Some(index) = self.index_of(uid) {
                // It was gone, and has come back.
                if self.entries[index].unique == unique {
                    self.put(index, spot, difference)?;
                }
                continue;
            }
            let directory = if spot.place == Place::New { &new } else { &cur };
            let Some((mut message, entry)) = self.stat(directory, uid, unique, spot) else {
                self.stamps = None;
                continue;
            };
            message.recent = recent;
            unordered |= self.messages.last().is_some_and(|last| last.uid > uid);
            difference.arrived.push(uid);
            self.messages.push(message);
            self.entries.push(entry);
        }
        if unordered {
            let (messages, entries) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.entries));
            let mut both: Vec<(Message, Entry)> = messages.into_iter().zip(entries).collect();
            both.sort_by_key(|(message, _)| message.uid);
            (self.messages, self.entries) = both.into_iter().unzip();
        }
        Ok(())
    }

    /// Reads the keywords' files if they have changed, or what events tell of them.
    fn look_at_keywords(&mut self, events: Option<&[Event]>, difference: &mut Difference) -> Result<(), FormatError> {
        let of_all = match &self.known {
            Known::Dovecot(_) => self.read_letters()?,
            Known::Courier(courier) => {
                let watched = self.watch.is_some() && courier.watched;
                let of_keywords = |event: &&Event| event.place == Place::Keywords;
                let all = |events: &[Event]| {
                    events.iter().filter(of_keywords).any(|event| Name::parse(&event.name) == Some(Name::List))
                };
                match events {
                    Some(events) if watched && !all(events) => {
                        for event in events.iter().filter(of_keywords).filter(|event| event.what == What::Came) {
                            self.hear_of_keywords(&event.name, difference)?;
                        }
                        false
                    }
                    events => self.read_courier(events.is_some() && watched)?,
                }
            }
        };
        if of_all {
            self.mark_all(difference);
        }
        Ok(())
    }

    fn mark_all(&mut self, difference: &mut Difference) {
        for index in 0..self.messages.len() {
            self.mark(index, difference);
        }
    }

    /// Reads `dovecot-keywords` if it is another; gives whether it was.
    pub(super) fn read_letters(&mut self) -> Result<bool, FormatError> {
        let path = self.directory.join("dovecot-keywords");
        let now = changed(&path)?;
        let Known::Dovecot(lettered) = &mut self.known else { return Ok(false) };
        if lettered.changed == now {
            return Ok(false);
        }
        let text = read_if_there(&path)?.unwrap_or_default();
        lettered.letters = keywords::parse(&text);
        lettered.changed = now;
        for (letter, bit) in lettered.letters.iter().zip(&mut lettered.bits) {
            *bit = letter.as_ref().and_then(|keyword| Self::bit(&mut self.state.keywords, keyword));
        }
        Ok(true)
    }

    /// Reads Dovecot's index, when all letters are taken: only then keywords can be in it that have none.
    fn look_at_index(&mut self, difference: &mut Difference) -> Result<(), FormatError> {
        let files = ["dovecot.index", "dovecot.index.log"].map(|name| self.directory.join(name));
        let Known::Dovecot(lettered) = &self.known else { return Ok(()) };
        if lettered.letters.iter().flatten().count() < LETTERS {
            return Ok(());
        }
        let now: [Option<Changed>; 2] = [changed(&files[0])?, changed(&files[1])?];
        if lettered.index_changed == now && difference.arrived.is_empty() {
            return Ok(());
        }
        let uids: Vec<Uid> = self.messages.iter().map(|message| message.uid).collect();
        let found = index::keywords(&self.directory, &uids)?;
        let Known::Dovecot(lettered) = &mut self.known else { return Ok(()) };
        let is_lettered = |keyword: &Keyword| lettered.letters.iter().flatten().any(|known| known == keyword);
        let names = found
            .names
            .iter()
            .map(|name| if is_lettered(name) { None } else { Self::bit(&mut self.state.keywords, name) });
        let bits: Vec<Option<u32>> = names.collect();
        let further = |set: u128| {
            let set = bits.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
            set.filter_map(|(_, bit)| *bit).fold(0u128, |bits, bit| bits | 1 << bit)
        };
        let all = uids.iter().zip(found.of).map(|(uid, set)| (*uid, further(set)));
        lettered.further = all.filter(|(_, set)| *set != 0).collect();
        lettered.index_changed = now;
        self.mark_all(difference);
        Ok(())
    }

    /// Reads all of Courier's keywords, unless nothing has changed; gives whether it was read.
    fn read_courier(&mut self, even_unchanged: bool) -> Result<bool, FormatError> {
        let Known::Courier(courier) = &mut self.known else { return Ok(false) };
        let now = changed(&courier.files.directory)?.map(|(seconds, nanos, ..)| (seconds, nanos));
        if !even_unchanged && courier.changed.is_some() && courier.changed == now {
            return Ok(false);
        }
        let found = courier.files.read(None)?;
        courier.changed = now.or(Some((0, 0)));
        courier.sets = HashMap::with_capacity(found.len());
        for (unique, set) in found {
            let bits = set.iter().filter_map(|keyword| Self::bit(&mut self.state.keywords, keyword));
            courier.sets.insert(unique, bits.fold(0, |bits, bit| bits | 1 << bit));
        }
        Ok(true)
    }

    /// A file with one message's keywords has come.
    fn hear_of_keywords(&mut self, name: &[u8], difference: &mut Difference) -> Result<(), FormatError> {
        let (Some(Name::Of(unique, period)), Known::Courier(courier)) = (Name::parse(name), &mut self.known) else {
            return Ok(());
        };
        let Some(set) = courier.files.read_one(unique, period)? else { return Ok(()) };
        let bits = set.iter().filter_map(|keyword| Self::bit(&mut self.state.keywords, keyword));
        courier.sets.insert(unique.into(), bits.fold(0, |bits, bit| bits | 1 << bit));
        let uid = self.uids.by_name.get(unique).map(|listed| listed.uid);
        if let Some(index) = uid.and_then(|uid| self.index_of(uid)) {
            self.mark(index, difference);
        }
        Ok(())
    }

    /// Gathers Courier's keywords, as each session does that opens a mailbox for changes.
    pub(super) fn gather_keywords(&self) -> Result<(), FormatError> {
        let Known::Courier(courier) = &self.known else { return Ok(()) };
        let there: HashSet<&[u8]> = self.entries.iter().map(|entry| &*entry.unique).collect();
        courier.files.read(Some(&|unique| there.contains(unique))).map(|_| ())
    }
}

/// Renames, unless there is a file of the new name.
pub(super) fn rename_new(from: &std::path::Path, to: &std::path::Path) -> std::io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::NOREPLACE) {
        // An old file system.
        Err(Errno::INVAL | Errno::NOSYS) if std::fs::symlink_metadata(to).is_err() => std::fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

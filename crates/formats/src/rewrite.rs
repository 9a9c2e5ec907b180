//! Changing the end of a mailbox's file in place, so that no crash loses any of it.
//!
//! Other programs know the file by its inode, so it cannot be replaced by another. What is to stand in it from some place on is written to a journal beside it
//! first; a crash while it is copied over is finished by whoever opens the mailbox next ([`recover`]).
//!
//! Between a crash and that, other programs may have used the file, which a crash before the first write has left whole. So the journal also holds a hash
//! of every page as it was: only a file that is made of old and new pages and nothing else is finished.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::error::FormatError;

const MAGIC: &[u8; 8] = b"PQBREWR2";
/// The header: magic, device, inode, place, old size, new size, octets at the end that stay, checksum of what follows, checksum of the header.
const HEADER: usize = 8 + 6 * 8 + 8 + 8;
/// Pages reach the disk whole or not at all.
const PAGE: u64 = 4096;
const COPY: usize = 256 << 10;
/// A message of another program that came after an interrupted addition begins like what the addition lacks for less than this.
const NEAR: u64 = 64 << 10;

/// Whether what follows an interrupted addition is another program's: whether a message begins there.
pub type Begins<'b> = &'b dyn Fn(&[u8]) -> bool;

/// What a journal outlasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlasts {
    /// The process: nothing is flushed.
    Process,
    Machine,
}

/// What an interrupted change has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovered {
    /// There was none.
    Nothing,
    /// It had not begun, or its journal was not finished: the file is as it was before.
    Dropped,
    Finished,
}

/// Replaces everything from `from` on by what `write` gives: all of it or nothing. Whoever calls holds the locks that keep others out. Gives the new size.
pub fn rewrite(
    file: &File,
    path: &Path,
    from: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, FormatError> {
    replace(file, path, (from, 0), Outlasts::Machine, write)
}

/// Adds what `write` gives at the end: all of it or nothing, also when this process is killed. Nothing is flushed: the caller does that, and a power cut
/// before leaves what it leaves of any program's mail. Whoever calls holds the locks that keep others out.
pub fn append(
    file: &File,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, FormatError> {
    let size = file.metadata().map_err(|source| failed("look at", path, source))?.len();
    replace(file, path, (size, 0), Outlasts::Process, write)
}

/// Puts octets in the place of as many others: all of them or none. Within one page that needs no journal, and is not flushed: the caller does that once for
/// many. Whoever calls holds the locks that keep others out.
pub fn patch(file: &File, path: &Path, at: u64, octets: &[u8]) -> Result<(), FormatError> {
    let mut old = vec![0; octets.len()];
    file.read_exact_at(&mut old, at).map_err(|source| failed("read", path, source))?;
    let differs = |(old, new): (&u8, &u8)| old != new;
    let Some(first) = old.iter().zip(octets).position(differs) else { return Ok(()) };
    let last = old.iter().zip(octets).rposition(differs).unwrap_or(first);
    let (from, new) = (at + first as u64, &octets[first..=last]);
    let to = from + new.len() as u64;
    if from / PAGE == (to - 1) / PAGE {
        return file.write_all_at(new, from).map_err(|source| failed("write", path, source));
    }
    let size = file.metadata().map_err(|source| failed("look at", path, source))?.len();
    replace(file, path, (from, size - to), Outlasts::Machine, |out| out.write_all(new)).map(drop)
}

/// Whether a change was interrupted, and the file is in no state to be read.
pub fn is_pending(path: &Path) -> bool {
    journal_path(path).exists()
}

/// Replaces what is from a place on, but for some octets at the end; those stay where they are, so where there are any the length stays too.
fn replace(
    file: &File,
    path: &Path,
    range: (u64, u64),
    outlasts: Outlasts,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<u64, FormatError> {
    let journal = journal_path(path);
    let result = make(file, &journal, range, outlasts, write).and_then(|made| {
        apply(file, &made, outlasts)?;
        Ok(made.new_size)
    });
    match result {
        Ok(size) => {
            std::fs::remove_file(&journal).map_err(|source| failed("remove", &journal, source))?;
            Ok(size)
        }
        Err(source) => {
            // With a whole journal the next to open the mailbox finishes it; a part of one is dropped.
            Err(failed("rewrite", path, source))
        }
    }
}

/// Finishes what a crash has interrupted. Whoever calls holds the locks that keep others out.
pub fn recover(file: &File, path: &Path) -> Result<Recovered, FormatError> {
    recover_before(file, path, &|_| false)
}

/// The same for a file to which other programs add messages, which they may have done since.
pub fn recover_before(file: &File, path: &Path, begins: Begins<'_>) -> Result<Recovered, FormatError> {
    let journal = journal_path(path);
    let found = match File::open(&journal) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::Nothing),
        Err(source) => return Err(failed("open", &journal, source)),
    };
    let of = Journal::read(found).map_err(|source| failed("read", &journal, source))?;
    let metadata = file.metadata().map_err(|source| failed("look at", path, source))?;
    let Some(of) = of.filter(|of| (of.device, of.inode) == (metadata.dev(), metadata.ino())) else {
        std::fs::remove_file(&journal).map_err(|source| failed("remove", &journal, source))?;
        return Ok(Recovered::Dropped);
    };
    if of.is_addition() && metadata.len() >= of.from {
        let left = of.left_of_addition(file, metadata.len(), begins);
        let recovered = match left.map_err(|source| failed("read", path, source))? {
            Left::All => Recovered::Finished,
            Left::Nothing => Recovered::Dropped,
            Left::Part(0) => {
                let cut = file.set_len(of.from).and_then(|()| file.sync_all());
                cut.map_err(|source| failed("cut an interrupted addition off", path, source))?;
                Recovered::Dropped
            }
            Left::Part(after) => {
                let rest = (metadata.len() - after, metadata.len());
                // In the place of the journal that was just read: a crash now leaves the part that nobody was told of.
                replace(file, path, (of.from, 0), Outlasts::Machine, |out| copy(file, rest, out))?;
                tracing::warn!(path = %path.display(), "an addition had been interrupted, and more was added since");
                return Ok(Recovered::Dropped);
            }
        };
        std::fs::remove_file(&journal).map_err(|source| failed("remove", &journal, source))?;
        tracing::warn!(path = %path.display(), ?recovered, "an addition to a mailbox had been interrupted");
        return Ok(recovered);
    }
    let state = of.compare(file, metadata.len()).map_err(|source| failed("read", path, source))?;
    let recovered = match state {
        Compared::Old => Recovered::Dropped,
        Compared::Mixed => {
            apply(file, &of, Outlasts::Machine).map_err(|source| failed("finish the rewriting of", path, source))?;
            Recovered::Finished
        }
        Compared::Other(offset) => {
            let what = format!(
                "a change of it was interrupted and the file was changed since, so {} cannot be finished: see to the mailbox, and then remove that file",
                journal.display()
            );
            return Err(FormatError::Damaged { path: path.into(), offset, what });
        }
    };
    std::fs::remove_file(&journal).map_err(|source| failed("remove", &journal, source))?;
    tracing::warn!(path = %path.display(), ?recovered, "a change of a mailbox had been interrupted");
    Ok(recovered)
}

/// `.NAME.paquebot-rewrite` beside the file.
fn journal_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.paquebot-rewrite"))
}

/// A whole journal: new octets at [`HEADER`], then the old pages' hashes.
struct Journal {
    file: File,
    device: u64,
    inode: u64,
    from: u64,
    old_size: u64,
    new_size: u64,
    tail: u64,
}

/// What is left of an interrupted addition.
enum Left {
    All,
    /// None of it, or nobody can tell it from what others have added.
    Nothing,
    /// A part, and so many octets of others after it.
    Part(u64),
}

enum Compared {
    Old,
    Mixed,
    /// At this place the file is neither.
    Other(u64),
}

fn make(
    mailbox: &File,
    path: &Path,
    (from, tail): (u64, u64),
    outlasts: Outlasts,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Journal> {
    let metadata = mailbox.metadata()?;
    // One that is there belongs to no whole change: recovery came before.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = Hashed { out: BufWriter::with_capacity(COPY, &file), hasher: blake3::Hasher::new(), bytes: 0 };
    out.out.seek(SeekFrom::Start(HEADER as u64))?;
    write(&mut out)?;
    let new_size = from + out.bytes + tail;
    if tail > 0 && new_size != metadata.len() {
        return Err(io::Error::other("a change within a file keeps its length"));
    }
    for hash in pages(mailbox, from, metadata.len() - tail) {
        out.write_all(&hash?)?;
    }
    let checksum = short(&out.hasher);
    out.out.flush()?;
    drop(out);
    let numbers = [metadata.dev(), metadata.ino(), from, metadata.len(), new_size, tail];
    let mut header = MAGIC.to_vec();
    header.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    header.extend(checksum);
    header.extend(short(blake3::Hasher::new().update(&header)));
    file.write_all_at(&header, 0)?;
    if outlasts == Outlasts::Machine {
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
    }
    Ok(Journal { file, device: numbers[0], inode: numbers[1], from, old_size: metadata.len(), new_size, tail })
}

/// Copies the new octets over. A full disk fails before the first of them.
fn apply(mailbox: &File, of: &Journal, outlasts: Outlasts) -> io::Result<()> {
    let size = mailbox.metadata()?.len();
    if of.new_size > size {
        // The length stays: other programs would take the zeros for text.
        match rustix::fs::fallocate(mailbox, FallocateFlags::KEEP_SIZE, size, of.new_size - size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            reserved => reserved?,
        }
    }
    let (mut at, mut buffer) = (of.from, vec![0; COPY]);
    while at < of.new_size - of.tail {
        let count = usize::try_from(of.new_size - of.tail - at).map_or(COPY, |left| left.min(COPY));
        of.file.read_exact_at(&mut buffer[..count], HEADER as u64 + (at - of.from))?;
        mailbox.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    if size > of.new_size {
        mailbox.set_len(of.new_size)?;
    }
    match outlasts {
        Outlasts::Machine => mailbox.sync_all(),
        Outlasts::Process => Ok(()),
    }
}

/// Writes a part of a file.
fn copy(file: &File, (mut at, end): (u64, u64), out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; COPY];
    while at < end {
        let here = &mut buffer[..usize::try_from(end - at).map_or(COPY, |left| left.min(COPY))];
        file.read_exact_at(here, at)?;
        out.write_all(here)?;
        at += here.len() as u64;
    }
    Ok(())
}

impl Journal {
    /// `None` for one that was not finished.
    fn read(mut file: File) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let (said, checksum) = (&header[..HEADER - 8], &header[HEADER - 8..]);
        if !said.starts_with(MAGIC) || short(blake3::Hasher::new().update(said)) != checksum {
            return Ok(None);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[8 + 8 * at..16 + 8 * at]);
            u64::from_be_bytes(bytes)
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file)?;
        if short(&hasher) != header[56..64] {
            return Ok(None);
        }
        let (from, old_size, new_size, tail) = (number(2), number(3), number(4), number(5));
        Ok(Some(Self { file, device: number(0), inode: number(1), from, old_size, new_size, tail }))
    }

    /// Whether nothing was to be replaced.
    fn is_addition(&self) -> bool {
        self.old_size == self.from && self.tail == 0
    }

    /// What there is of an addition in a file of this size.
    fn left_of_addition(&self, mailbox: &File, size: u64, begins: Begins<'_>) -> io::Result<Left> {
        let same = self.same(mailbox, size)?;
        if self.from + same == self.new_size {
            return Ok(Left::All);
        }
        if self.from + same == size {
            return Ok(Left::Part(0));
        }
        // Others have added more. Theirs may begin as ours would have gone on.
        let near = same.saturating_sub(NEAR);
        let end = size.min(self.from + same + NEAR);
        let mut octets = vec![0; usize::try_from(end - self.from - near).unwrap_or(0)];
        mailbox.read_exact_at(&mut octets, self.from + near)?;
        let places = (0..=usize::try_from(same - near).unwrap_or(0)).rev();
        let found = places.map(|place| (place, &octets[place..])).find(|(_, octets)| begins(octets));
        Ok(match found {
            Some((place, _)) if near + place as u64 > 0 => Left::Part(size - self.from - near - place as u64),
            _ => Left::Nothing,
        })
    }

    /// How many octets of the new ones are in the file.
    fn same(&self, mailbox: &File, size: u64) -> io::Result<u64> {
        let length = size.min(self.new_size) - self.from;
        let (mut at, mut here, mut new) = (0, vec![0; COPY], vec![0; COPY]);
        while at < length {
            let count = usize::try_from(length - at).map_or(COPY, |left| left.min(COPY));
            let (here, new) = (&mut here[..count], &mut new[..count]);
            mailbox.read_exact_at(here, self.from + at)?;
            self.file.read_exact_at(new, HEADER as u64 + at)?;
            if here != new {
                let differ = here.iter().zip(&*new).position(|(one, other)| one != other);
                return Ok(at + differ.unwrap_or(0) as u64);
            }
            at += count as u64;
        }
        Ok(length)
    }

    fn compare(&self, mailbox: &File, size: u64) -> io::Result<Compared> {
        let between = self.old_size.min(self.new_size)..=self.old_size.max(self.new_size);
        if !between.contains(&size) {
            return Ok(Compared::Other(size));
        }
        let (old_end, new_end) = (self.old_size - self.tail, self.new_size - self.tail);
        let hashes = HEADER as u64 + new_end.saturating_sub(self.from);
        let mut all_old = size == self.old_size;
        let (mut found, mut new) = (vec![0; PAGE as usize], vec![0; PAGE as usize]);
        for (index, (at, end)) in page_ranges(self.from, old_end.max(new_end)).enumerate() {
            let here = read_up_to(mailbox, &mut found, at, end.min(size))?;
            let (file_old_end, old_end) = (old_end, end.min(old_end));
            let is_old = old_end > at && {
                let mut old = [0; 8];
                self.file.read_exact_at(&mut old, hashes + 8 * index as u64)?;
                let page = here.get(..(old_end - at) as usize);
                let page =
                    page.filter(|_| here.len() as u64 <= old_end - at || is_zeros(&here[(old_end - at) as usize..]));
                page.is_some_and(|page| short(blake3::Hasher::new().update(page)) == old)
            };
            all_old &= is_old;
            let new_end = end.min(new_end);
            let is_new = new_end > at && {
                let new = &mut new[..(new_end - at) as usize];
                self.file.read_exact_at(new, HEADER as u64 + (at - self.from))?;
                here.starts_with(new)
            };
            // Space that was reserved for a longer file is zeros.
            let reserved = at >= file_old_end && is_zeros(here);
            // What was cut off already is no page of either.
            if !is_old && !is_new && !reserved && !here.is_empty() {
                return Ok(Compared::Other(at));
            }
        }
        Ok(if all_old { Compared::Old } else { Compared::Mixed })
    }
}

/// The file's pages from one place to another, the first and the last in part.
fn page_ranges(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let end = (at / PAGE + 1).saturating_mul(PAGE).min(to);
        (at < to).then(|| (std::mem::replace(&mut at, end), end))
    })
}

fn pages(file: &File, from: u64, to: u64) -> impl Iterator<Item = io::Result<[u8; 8]>> {
    let mut buffer = vec![0; PAGE as usize];
    page_ranges(from, to).map(move |(at, end)| {
        let page = &mut buffer[..(end - at) as usize];
        file.read_exact_at(page, at)?;
        Ok(short(blake3::Hasher::new().update(page)))
    })
}

fn read_up_to<'b>(file: &File, buffer: &'b mut [u8], at: u64, end: u64) -> io::Result<&'b [u8]> {
    let here = &mut buffer[..end.saturating_sub(at) as usize];
    file.read_exact_at(here, at)?;
    Ok(here)
}

fn is_zeros(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}

fn short(hasher: &blake3::Hasher) -> [u8; 8] {
    let mut hash = [0; 8];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    hash
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> FormatError {
    if source.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) {
        return FormatError::Full(source);
    }
    FormatError::Io { doing, path: path.into(), source }
}

struct Hashed<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let count = self.out.write(octets)?;
        self.hasher.update(&octets[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;

//! Courier's keywords: `courierimapkeywords/`, kept without locks.
//!
//! `:list` has what was gathered: names of keywords, an empty line, then `<unique name>:<index> <index> ...`. A file `<unique name>` with a keyword on each
//! line is newer, and `.<N>.<unique name>` was so in the N-th five minutes since 1970: of these the highest holds. Whoever gathers writes a new `:list`
//! first and takes the other files away only later, so that whoever reads meanwhile finds each message's newest keywords in one of them.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use paquebot_types::Keyword;

use super::files::{self, Files};
use super::layout::number;
use super::uids::Unique;
use super::{failed, is_absent, read_if_there, unique};
use crate::clock;
use crate::error::FormatError;

const LIST: &[u8] = b":list";
/// Seconds in which a name with a number counts.
const PERIOD: u64 = 300;
/// Files of messages that are not there are removed after so many seconds: a message may be on its way.
const PATIENCE: i64 = 15 * 60;
/// Others may be gathering while we read.
const ATTEMPTS: usize = 20;

/// Which message has which keywords, where it has any.
pub type Sets = HashMap<Unique, Vec<Keyword>>;

/// Whether there is a message of this unique name.
pub type IsThere<'a> = &'a dyn Fn(&[u8]) -> bool;

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
pub enum Name<'a> {
    List,
    /// `None`: the newest.
    Of(&'a [u8], Option<u64>),
}

impl<'a> Name<'a> {
    pub fn parse(name: &'a [u8]) -> Option<Self> {
        match name {
            LIST => Some(Self::List),
            [b'.', rest @ ..] => {
                let dot = memchr::memchr(b'.', rest)?;
                let message = Some(&rest[dot + 1..]).filter(|message| !message.is_empty())?;
                Some(Self::Of(message, Some(number(&rest[..dot])?)))
            }
            name => Some(Self::Of(name, None)),
        }
    }
}

/// The directory of a mailbox's keywords.
#[derive(Debug)]
pub struct Courier {
    pub directory: PathBuf,
    tmp: PathBuf,
    files: Files,
}

/// The files of one message.
#[derive(Debug, Default)]
struct Updates {
    newest: bool,
    /// Ascending.
    numbered: Vec<u64>,
}

impl Courier {
    pub fn new(mailbox: &Path, files: Files) -> Self {
        Self { directory: mailbox.join("courierimapkeywords"), tmp: mailbox.join("tmp"), files }
    }

    /// All of it. Gathers it too if `gather` says which messages there are.
    pub fn read(&self, gather: Option<IsThere<'_>>) -> Result<Sets, FormatError> {
        for _ in 0..ATTEMPTS {
            if let Some(sets) = self.attempt(gather)? {
                return Ok(sets);
            }
        }
        Err(FormatError::InUse {
            path: self.directory.clone(),
            by: "its files change faster than they can be read".into(),
        })
    }

    /// `None`: somebody took a file away meanwhile.
    fn attempt(&self, gather: Option<IsThere<'_>>) -> Result<Option<Sets>, FormatError> {
        let mut updates: HashMap<Vec<u8>, Updates> = HashMap::new();
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if is_absent(&error) => return Ok(Some(Sets::new())),
            entries => entries.map_err(|source| failed("list", &self.directory, source))?,
        };
        for entry in entries {
            let name = entry.map_err(|source| failed("list", &self.directory, source))?.file_name().into_vec();
            if let Some(Name::Of(message, period)) = Name::parse(&name) {
                let of = updates.entry(message.to_vec()).or_default();
                match period {
                    None => of.newest = true,
                    Some(period) => of.numbered.push(period),
                }
            }
        }
        let mut sets = parse_list(&read_if_there(&self.path(LIST))?.unwrap_or_default());
        for (message, of) in &mut updates {
            of.numbered.sort_unstable();
            let name = if of.newest { message.clone() } else { numbered(message, of.numbered.last().copied()) };
            let Some(text) = read_if_there(&self.path(&name))? else { return Ok(None) };
            match parse_set(&text) {
                set if set.is_empty() => _ = sets.remove(&message[..]),
                set => _ = sets.insert(message[..].into(), set),
            }
        }
        if let Some(is_there) = gather {
            let stale = sets.keys().any(|message| !is_there(message) && !updates.contains_key(&message[..]));
            if stale || !updates.is_empty() {
                self.gather(&mut sets, &updates, is_there)?;
            }
        }
        Ok(Some(sets))
    }

    /// The keywords that an event on a file of this name tells; `None` if the file tells nothing.
    pub fn read_one(&self, message: &[u8], period: Option<u64>) -> Result<Option<Vec<Keyword>>, FormatError> {
        if let Some(text) = read_if_there(&self.path(message))? {
            return Ok(Some(parse_set(&text)));
        }
        if period.is_none() {
            return Ok(None);
        }
        Ok(read_if_there(&self.path(&numbered(message, period)))?.map(|text| parse_set(&text)))
    }

    /// Gives messages these keywords, durably.
    pub fn write(&self, messages: &[(Unique, Vec<Keyword>)]) -> Result<(), FormatError> {
        if messages.is_empty() {
            return Ok(());
        }
        self.files.make_directory(&self.directory).map_err(|source| failed("make", &self.directory, source))?;
        for (message, keywords) in messages {
            let (temporary, path) = (self.tmp.join(unique::name()), self.path(message));
            let write = || {
                let mut file = self.files.create_new(&temporary)?;
                let lines: String = keywords.iter().map(|keyword| format!("{keyword}\n")).collect();
                file.write_all(lines.as_bytes())?;
                file.sync_all()?;
                std::fs::rename(&temporary, &path)
            };
            write().map_err(|source| {
                let _ = std::fs::remove_file(&temporary);
                failed("write", &path, source)
            })?;
        }
        files::sync(&self.directory)
    }

    fn gather(
        &self,
        sets: &mut Sets,
        updates: &HashMap<Vec<u8>, Updates>,
        is_there: IsThere<'_>,
    ) -> Result<(), FormatError> {
        let now = clock::seconds();
        let period = now / PERIOD;
        sets.retain(|message, _| is_there(message) || updates.contains_key(&message[..]));
        for (message, of) in updates {
            let last = of.numbered.last().copied();
            let lower = of.numbered.len().saturating_sub(1);
            if last.is_some_and(|last| last < period) {
                for below in &of.numbered[..lower] {
                    self.remove(&numbered(message, Some(*below)))?;
                }
            }
            if !is_there(message) {
                for name in
                    of.numbered.iter().map(|n| numbered(message, Some(*n))).chain(of.newest.then(|| message.clone()))
                {
                    self.remove_if_old(&name, i64::try_from(now).unwrap_or(i64::MAX))?;
                }
            }
        }
        let list = write_list(sets);
        self.files.replace(&self.path(LIST), &self.tmp.join(unique::name()), &list)?;
        for (message, of) in updates {
            if of.newest {
                let target = self.path(&numbered(message, Some(period + 1)));
                absent_is_fine(std::fs::rename(self.path(message), &target))
                    .map_err(|source| failed("rename", &target, source))?;
            } else if let Some(last) = of.numbered.last().filter(|last| **last < period) {
                self.remove(&numbered(message, Some(*last)))?;
            }
        }
        Ok(())
    }

    fn remove(&self, name: &[u8]) -> Result<(), FormatError> {
        let path = self.path(name);
        absent_is_fine(std::fs::remove_file(&path)).map_err(|source| failed("remove", &path, source))
    }

    fn remove_if_old(&self, name: &[u8], now: i64) -> Result<(), FormatError> {
        let found = std::fs::metadata(self.path(name));
        if found.is_ok_and(|found| found.ctime() < now - PATIENCE) { self.remove(name) } else { Ok(()) }
    }

    fn path(&self, name: &[u8]) -> PathBuf {
        self.directory.join(std::ffi::OsStr::from_bytes(name))
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if is_absent(&error) => Ok(()),
        done => done,
    }
}

fn numbered(message: &[u8], period: Option<u64>) -> Vec<u8> {
    [format!(".{}.", period.unwrap_or(0)).as_bytes(), message].concat()
}

fn keyword(line: &[u8]) -> Option<Keyword> {
    std::str::from_utf8(line).ok().and_then(|name| Keyword::new(name).ok())
}

fn parse_set(text: &[u8]) -> Vec<Keyword> {
    text.split(|octet| *octet == b'\n').filter_map(keyword).collect()
}

fn parse_list(text: &[u8]) -> Sets {
    let mut lines = text.split(|octet| *octet == b'\n');
    let names: Vec<Option<Keyword>> = lines.by_ref().take_while(|line| !line.is_empty()).map(keyword).collect();
    let mut sets = Sets::new();
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let indexes = line[colon + 1..].split(|octet| *octet == b' ');
        let set = indexes.filter_map(|index| names.get(number::<usize>(index)?)?.clone()).collect();
        sets.insert(line[..colon].into(), set);
    }
    sets
}

fn write_list(sets: &Sets) -> Vec<u8> {
    let mut names: Vec<&Keyword> = Vec::new();
    let mut messages = Vec::new();
    let mut sorted: Vec<_> = sets.iter().collect();
    sorted.sort_unstable_by_key(|(message, _)| *message);
    for (message, set) in sorted {
        messages.extend_from_slice(message);
        for (place, keyword) in set.iter().enumerate() {
            // As it is written: Courier compares with case.
            let index = names.iter().position(|name| name.as_str() == keyword.as_str()).unwrap_or_else(|| {
                names.push(keyword);
                names.len() - 1
            });
            messages.push(if place == 0 { b':' } else { b' ' });
            messages.extend_from_slice(index.to_string().as_bytes());
        }
        messages.push(b'\n');
    }
    let names: String = names.iter().map(|name| format!("{name}\n")).collect();
    [names.as_bytes(), b"\n", &messages].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::driver::Root;

    fn set(names: &[&str]) -> Vec<Keyword> {
        names.iter().map(|name| Keyword::new(name).unwrap()).collect()
    }

    #[test]
    fn names_say_whose_and_how_old() {
        assert_eq!(Name::parse(b":list"), Some(Name::List));
        assert_eq!(Name::parse(b"1.2.host,S=3"), Some(Name::Of(b"1.2.host,S=3", None)));
        assert_eq!(Name::parse(b".5985167.1.2.host"), Some(Name::Of(b"1.2.host", Some(5_985_167))));
        assert_eq!(Name::parse(b".x.1"), None);
        assert_eq!(Name::parse(b".5."), None);
    }

    #[test]
    fn lists_go_there_and_back() {
        let mut sets = Sets::new();
        sets.insert(b"1.a"[..].into(), set(&["Work", "$Junk"]));
        sets.insert(b"2.b"[..].into(), set(&["$Junk"]));
        assert_eq!(write_list(&sets), b"Work\n$Junk\n\n1.a:0 1\n2.b:1\n");
        assert_eq!(parse_list(&write_list(&sets)), sets);
        assert_eq!(parse_list(b"a\n\nx\n1.a:7 0 q\n").get(&b"1.a"[..]), Some(&set(&["a"])));
    }

    #[test]
    fn gathering_keeps_what_is_newest() {
        let mailbox = tempfile::tempdir().unwrap();
        for directory in ["tmp", "courierimapkeywords"] {
            std::fs::create_dir(mailbox.path().join(directory)).unwrap();
        }
        let root = Root { directory: mailbox.path().into(), ..Root::default() };
        let courier = Courier::new(mailbox.path(), Files::of(&root));
        let put = |name: &str, text: &str| std::fs::write(courier.directory.join(name), text).unwrap();
        put(":list", "Old\n\n1.a:0\n2.b:0\n3.c:0\n9.gone:0\n");
        put(".5.1.a", "Lower\n");
        put(".6.1.a", "Higher\n");
        put(".6.2.b", "Numbered\n");
        put("2.b", "");
        let told = |sets: &Sets| {
            let name = |message: &[u8]| sets.get(message).map(|set| set[0].to_string());
            [name(b"1.a"), name(b"2.b"), name(b"3.c")]
        };
        let expected = [Some("Higher".to_owned()), None, Some("Old".to_owned())];
        assert_eq!(told(&courier.read(None).unwrap()), expected);
        assert_eq!(told(&courier.read(Some(&|message| message != b"9.gone")).unwrap()), expected);
        let mut left: Vec<String> = std::fs::read_dir(&courier.directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        // The lower numbers of others count no more, and go when they are old; what was newest has a number now.
        assert!(left.len() == 3 && left[0].ends_with(".2.b"), "{left:?}");
        assert_eq!(left[1..], [".6.2.b", ":list"]);
        assert_eq!(told(&courier.read(None).unwrap()), expected);
        courier.write(&[(b"3.c"[..].into(), set(&["New", "Work"]))]).unwrap();
        assert_eq!(courier.read(None).unwrap()[&b"3.c"[..]], set(&["New", "Work"]));
        assert_eq!(courier.read_one(b"3.c", None).unwrap(), Some(set(&["New", "Work"])));
        assert_eq!(courier.read_one(b"1.a", None).unwrap(), None);
    }
}

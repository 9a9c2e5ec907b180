//! Dovecot's index and its log, read for the one thing that stands nowhere else: keywords beyond the 26 that file names hold.
//!
//! `dovecot.index` is the state as of a place in `dovecot.index.log`; often there is only the log. Neither is ever written: Dovecot makes them anew of
//! the maildir. What is damaged ends what is read.

use std::path::Path;

use paquebot_types::{Keyword, Uid};

use super::read_if_there;
use crate::error::FormatError;

const INDEX_HEADER: usize = 120;
const LOG_HEADER: usize = 40;
const KEYWORD_UPDATE: u32 = 0x400;
const KEYWORD_RESET: u32 = 0x800;
/// What a transaction's type says beside the type.
const TYPE_MASK: u32 = 0x0fff_ffff;
/// Keywords of a mailbox that are taken, at most: what [`crate::Message`] has room for.
const KEYWORDS: usize = 128;

/// Names, and for each of the messages asked for the bits of those that it has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Keywords {
    pub names: Vec<Keyword>,
    pub of: Vec<u128>,
}

/// What the index and the log of a mailbox say of the messages with these UIDs, which ascend.
pub fn keywords(mailbox: &Path, uids: &[Uid]) -> Result<Keywords, FormatError> {
    let mut state = State { uids, found: Keywords { names: Vec::new(), of: vec![0; uids.len()] } };
    let log = read_if_there(&mailbox.join("dovecot.index.log"))?.unwrap_or_default();
    let before = read_if_there(&mailbox.join("dovecot.index.log.2"))?.unwrap_or_default();
    let Some(current) = LogHeader::parse(&log) else { return Ok(state.found) };
    let previous =
        LogHeader::parse(&before).filter(|previous| (previous.id, previous.sequence) == (current.id, current.previous));
    let index = read_if_there(&mailbox.join("dovecot.index"))?.unwrap_or_default();
    let from = Index::parse(&index).filter(|index| index.id == current.id);
    if let Some(index) = &from {
        state.take_index(&index.records());
    }
    match from.map(|index| (index.log_sequence, index.log_tail)) {
        Some((sequence, tail)) if sequence == current.sequence => state.replay(&log, tail),
        at => {
            let tail =
                at.filter(|(sequence, _)| previous.as_ref().is_some_and(|previous| previous.sequence == *sequence));
            if let Some(previous) = &previous {
                state.replay(&before, tail.map_or(previous.bytes, |(_, tail)| tail));
            }
            state.replay(&log, current.bytes);
        }
    }
    Ok(state.found)
}

struct LogHeader {
    bytes: usize,
    id: u32,
    sequence: u32,
    previous: u32,
}

impl LogHeader {
    fn parse(log: &[u8]) -> Option<Self> {
        let bytes = usize::from(u16_at(log, 2)?);
        let known = log.first() == Some(&1) && bytes >= LOG_HEADER && log.len() >= bytes;
        known.then_some(())?;
        Some(Self { bytes, id: u32_at(log, 4)?, sequence: u32_at(log, 8)?, previous: u32_at(log, 12)? })
    }
}

/// What the index says.
struct Index<'a> {
    id: u32,
    log_sequence: u32,
    log_tail: usize,
    names: Vec<Option<Keyword>>,
    /// The place and the size of the keywords in a record, and all records.
    field: std::ops::Range<usize>,
    record_bytes: usize,
    body: &'a [u8],
}

impl<'a> Index<'a> {
    fn parse(index: &'a [u8]) -> Option<Self> {
        let (header_bytes, record_bytes) = (u32_at(index, 4)? as usize, u32_at(index, 8)? as usize);
        let little_endian = index.get(12)? & 1 == 1;
        if index.first() != Some(&7) || !little_endian || record_bytes < 5 || header_bytes < INDEX_HEADER {
            return None;
        }
        let header = index.get(..header_bytes)?;
        let mut found = Self {
            id: u32_at(index, 16)?,
            log_sequence: u32_at(index, 60)?,
            log_tail: u32_at(index, 64)? as usize,
            names: Vec::new(),
            field: 0..0,
            record_bytes,
            body: &index[header_bytes..],
        };
        let mut at = usize::from(u16_at(index, 2)?);
        while let Some(extension) = Extension::parse(header, at) {
            if extension.name == b"keywords" {
                found.names = keyword_names(extension.data);
                found.field = extension.field;
            }
            at = extension.end;
        }
        Some(found)
    }

    /// Each message's keywords.
    fn records(&self) -> Vec<(u32, Vec<&Keyword>)> {
        let records = self.body.chunks_exact(self.record_bytes);
        let read = records.filter_map(|record| {
            let bits = record.get(self.field.clone()).unwrap_or_default();
            let is_set = |n: usize| bits.get(n / 8).is_some_and(|byte| byte >> (n % 8) & 1 == 1);
            let set = self.names.iter().enumerate().filter(|(n, _)| is_set(*n)).filter_map(|(_, name)| name.as_ref());
            Some((u32_at(record, 0)?, set.collect()))
        });
        read.collect()
    }
}

struct Extension<'a> {
    name: &'a [u8],
    data: &'a [u8],
    field: std::ops::Range<usize>,
    end: usize,
}

impl<'a> Extension<'a> {
    fn parse(header: &'a [u8], at: usize) -> Option<Self> {
        let at = at.checked_next_multiple_of(8)?;
        let data_bytes = u32_at(header, at)? as usize;
        let (offset, size) = (usize::from(u16_at(header, at + 8)?), usize::from(u16_at(header, at + 10)?));
        let name_bytes = usize::from(u16_at(header, at + 14)?);
        let name = header.get(at + 16..at + 16 + name_bytes)?;
        let data_at = (at + 16 + name_bytes).next_multiple_of(8);
        let data = header.get(data_at..data_at.checked_add(data_bytes)?)?;
        Some(Self { name, data, field: offset..offset + size, end: data_at + data_bytes })
    }
}

/// Of the extension `keywords`: a count, a place for each name, the names.
fn keyword_names(data: &[u8]) -> Vec<Option<Keyword>> {
    let count = u32_at(data, 0).map_or(0, |count| count as usize).min(data.len() / 8);
    let names = data.get(4 + count * 8..).unwrap_or_default();
    let name = |n: usize| {
        let from = names.get(u32_at(data, 4 + n * 8 + 4)? as usize..)?;
        keyword(from.split(|octet| *octet == 0).next()?)
    };
    (0..count).map(name).collect()
}

struct State<'u> {
    uids: &'u [Uid],
    found: Keywords,
}

impl State<'_> {
    fn take_index(&mut self, records: &[(u32, Vec<&Keyword>)]) {
        for (uid, set) in records {
            for keyword in set {
                self.change(keyword, *uid, *uid, true);
            }
        }
    }

    /// Follows the log from a place on.
    fn replay(&mut self, log: &[u8], mut at: usize) {
        while let Some(header) = log.get(at..at.saturating_add(8)) {
            let Some(size) = size(&header[..4]) else { return };
            let kind = u32_at(header, 4).unwrap_or(0) & TYPE_MASK;
            let Some(data) = log.get(at + 8..at.saturating_add(size)).filter(|_| size >= 8) else { return };
            match kind {
                KEYWORD_UPDATE => _ = self.update(data),
                KEYWORD_RESET => ranges(data).for_each(|(first, last)| {
                    let within = self.within(first, last);
                    self.found.of[within].fill(0);
                }),
                _ => {}
            }
            at += size;
        }
    }

    fn update(&mut self, data: &[u8]) -> Option<()> {
        let add = *data.first()? == 0;
        let name_bytes = usize::from(u16_at(data, 2)?);
        let keyword = keyword(data.get(4..4 + name_bytes)?)?;
        for (first, last) in ranges(data.get((4 + name_bytes).next_multiple_of(4)..)?) {
            self.change(&keyword, first, last, add);
        }
        Some(())
    }

    fn change(&mut self, keyword: &Keyword, first: u32, last: u32, add: bool) {
        let known = self.found.names.iter().position(|name| name == keyword);
        let bit = known.unwrap_or_else(|| {
            self.found.names.push(keyword.clone());
            self.found.names.len() - 1
        });
        if bit >= KEYWORDS {
            self.found.names.truncate(KEYWORDS);
            return;
        }
        let within = self.within(first, last);
        for of in &mut self.found.of[within] {
            *of = if add { *of | 1 << bit } else { *of & !(1 << bit) };
        }
    }

    /// The places of the messages with these UIDs.
    fn within(&self, first: u32, last: u32) -> std::ops::Range<usize> {
        let start = self.uids.partition_point(|uid| uid.get() < first);
        let end = self.uids.partition_point(|uid| uid.get() <= last);
        start..end.max(start)
    }
}

fn ranges(data: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    data.chunks_exact(8).filter_map(|pair| Some((u32_at(pair, 0)?, u32_at(pair, 4)?)))
}

/// Seven bits in each octet, the first the highest, in units of four octets. Without all high bits the transaction is not whole yet.
fn size(octets: &[u8]) -> Option<usize> {
    let whole = octets.len() == 4 && octets.iter().all(|octet| octet & 0x80 != 0);
    whole.then(|| octets.iter().fold(0, |sum, octet| sum << 7 | usize::from(octet & 0x7f)) * 4)
}

fn keyword(name: &[u8]) -> Option<Keyword> {
    std::str::from_utf8(name).ok().and_then(|name| Keyword::new(name).ok())
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(octets.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(octets.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

//! twoskip databases: a skip list whose lowest level has two alternating pointers, of which the later that was committed counts.
//!
//! ```text
//! header = magic(20) version(4) generation(8) records(8) repack-size(8) current-size(8) flags(4) crc(4)
//! record = type(1) level(1) key-length(2) value-length(4) [key-length(8)] [value-length(8)] (level + 1)*next(8) crc(4) crc(4) key value *NUL
//! ```
//!
//! Records begin at multiples of eight octets; the second crc is of key, value and the zeros behind them.

use std::cmp::Ordering;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::{Damage, Each};
use crate::cyrus::octets::{u16_at, u32_at, u64_at};

pub const MAGIC: &[u8] = b"\xa1\x02\x8b\x0dtwoskip file\0\0\0\0";
const HEADER: u64 = 64;
const VERSION: u32 = 1;
const DIRTY: u32 = 1;
/// The first record, which has no key and every level.
const DUMMY: u8 = b'=';
const PUT: u8 = b'+';
const DELETE: u8 = b'-';
const LEVEL_MAX: u8 = 31;
/// A key with its value, at most.
const ENTRY_BYTES_MAX: u64 = 16 << 20;
/// What is read of a record at first.
const PIECE: usize = 1024;

#[derive(Debug)]
pub struct Twoskip {
    file: File,
    /// What lies beyond was never committed.
    end: u64,
    /// Somebody was killed within a transaction: only the lowest level is to be trusted.
    dirty: bool,
}

struct Record {
    kind: u8,
    next: Vec<u64>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Twoskip {
    pub fn open(file: File, length: u64) -> Result<Self, Damage> {
        let mut header = [0; HEADER as usize];
        file.read_exact_at(&mut header, 0).map_err(|_| (0, "the database's header is cut off"))?;
        let number = |at| u32_at(&header, at).unwrap_or(0);
        if number(60) != crc32fast::hash(&header[..60]) {
            return Err((60, "the checksum of the database's header is wrong"));
        }
        if number(20) != VERSION {
            return Err((20, "the database is of an unknown version"));
        }
        let end = u64_at(&header, 48).unwrap_or(0);
        // If the file was cut off, what is left is read.
        Ok(Self { file, end: end.min(length), dirty: number(56) & DIRTY != 0 })
    }

    /// Gives the keys that begin so with their values, in order, until told to stop or damaged.
    pub fn scan(&self, prefix: &[u8], each: Each<'_>) -> Result<(), Damage> {
        let mut next = self.lowest(&self.before(prefix)?);
        let mut last: Option<Vec<u8>> = None;
        // Every record has 24 octets at least: a list with more of them goes in circles.
        for _ in 0..self.end / 24 {
            if next == 0 {
                return Ok(());
            }
            let record = self.record(next)?;
            let after = self.lowest(&record);
            if record.kind == PUT {
                if last.as_ref().is_some_and(|last| *last >= record.key) {
                    return Err((next, "the database's keys are not in order"));
                }
                match record.key.starts_with(prefix) {
                    true if each(&record.key, &record.value).is_break() => return Ok(()),
                    false if *record.key > *prefix => return Ok(()),
                    _ => {}
                }
                last = Some(record.key);
            }
            next = after;
        }
        Err((next, "the database's records go in circles"))
    }

    /// The last record before a key, found from the highest level down.
    fn before(&self, key: &[u8]) -> Result<Record, Damage> {
        let mut record = self.record(HEADER)?;
        if record.kind != DUMMY {
            return Err((HEADER, "the database does not begin with its first record"));
        }
        if self.dirty {
            return Ok(record);
        }
        let mut steps = self.end / 24;
        for level in (2..=usize::from(LEVEL_MAX)).rev() {
            while let Some(&next) = record.next.get(level).filter(|next| **next != 0 && **next < self.end) {
                let Some(left) = steps.checked_sub(1) else {
                    return Err((next, "the database's records go in circles"));
                };
                steps = left;
                let found = self.record(next)?;
                // Whatever else is there: the lowest level knows better.
                if found.kind != PUT || found.next.len() <= level || found.key.as_slice().cmp(key) != Ordering::Less {
                    break;
                }
                record = found;
            }
        }
        Ok(record)
    }

    /// What follows at the lowest level; 0 for nothing.
    fn lowest(&self, record: &Record) -> u64 {
        let pointers = if record.next.len() > 1 { &record.next[..2] } else { &record.next[..] };
        pointers.iter().copied().filter(|next| *next < self.end).max().unwrap_or(0)
    }

    fn record(&self, at: u64) -> Result<Record, Damage> {
        let cut = (at, "a record of the database is cut off");
        if !at.is_multiple_of(8) || at >= self.end {
            return Err((at, "a record of the database lies outside of it"));
        }
        let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        let mut octets = vec![0; left.min(PIECE)];
        self.file.read_exact_at(&mut octets, at).map_err(|_| cut)?;
        let (kind, level) = (*octets.first().ok_or(cut)?, *octets.get(1).ok_or(cut)?);
        if !matches!(kind, DUMMY | PUT | DELETE) || level > LEVEL_MAX {
            return Err((at, "a record of the database is none"));
        }
        let mut head = 8;
        let mut long = |short: u64, mark: u64| -> Result<u64, Damage> {
            if short != mark {
                return Ok(short);
            }
            head += 8;
            u64_at(&octets, head - 8).ok_or(cut)
        };
        let key_length = long(u16_at(&octets, 2).ok_or(cut)?.into(), 0xffff)?;
        let value_length = long(u32_at(&octets, 4).ok_or(cut)?.into(), 0xffff_ffff)?;
        let length = key_length.checked_add(value_length).filter(|length| *length <= ENTRY_BYTES_MAX);
        let length = length.ok_or((at, "a record of the database is longer than any can be"))? as usize;
        let next: Option<Vec<u64>> = (0..=usize::from(level)).map(|place| u64_at(&octets, head + 8 * place)).collect();
        let next = next.ok_or(cut)?;
        let checks = head + 8 * next.len();
        let sum = u32_at(&octets, checks).ok_or(cut)?;
        if Some(sum) != octets.get(..checks).map(crc32fast::hash) {
            return Err((at, "the checksum of a record of the database is wrong"));
        }
        let (start, padded) = (checks + 8, length.next_multiple_of(8));
        if start + padded > octets.len() {
            if start + padded > left {
                return Err(cut);
            }
            let had = octets.len();
            octets.resize(start + padded, 0);
            self.file.read_exact_at(&mut octets[had..], at + had as u64).map_err(|_| cut)?;
        }
        let text = octets.get(start..start + padded).ok_or(cut)?;
        // Only what has a key or a value has a sum of them.
        if padded > 0 && u32_at(&octets, checks + 4) != Some(crc32fast::hash(text)) {
            return Err((at, "the checksum of an entry of the database is wrong"));
        }
        let (key, value) = text.get(..length).ok_or(cut)?.split_at(key_length as usize);
        Ok(Record { kind, next, key: key.to_vec(), value: value.to_vec() })
    }
}

/// A database of these entries, as Cyrus makes it when it packs one: sorted, of one commit.
pub fn write(entries: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<u8> {
    let mut file = vec![0; HEADER as usize];
    // Of each level: where the pointer is that the next record of it fills.
    let mut open = vec![0_usize; usize::from(LEVEL_MAX) + 1];
    let mut heads = Vec::new();
    let mut put = |file: &mut Vec<u8>, kind: u8, level: u8, key: &[u8], value: &[u8]| {
        let at = file.len();
        let pointers = usize::from(level) + 1;
        file.extend([kind, level]);
        match u16::try_from(key.len()).ok().filter(|length| *length != u16::MAX) {
            Some(length) => file.extend(length.to_be_bytes()),
            None => file.extend(u16::MAX.to_be_bytes()),
        }
        let short = u32::try_from(value.len()).ok().filter(|length| *length != u32::MAX);
        file.extend(short.unwrap_or(u32::MAX).to_be_bytes());
        if key.len() >= usize::from(u16::MAX) {
            file.extend((key.len() as u64).to_be_bytes());
        }
        if short.is_none() {
            file.extend((value.len() as u64).to_be_bytes());
        }
        let first = file.len();
        file.resize(first + 8 * pointers, 0);
        // The lowest level has two pointers, of which the first serves.
        for place in (0..pointers).filter(|place| *place != 1 || level == 0) {
            if let Some(slot) = open.get_mut(place) {
                if *slot != 0 {
                    file[*slot..*slot + 8].copy_from_slice(&(at as u64).to_be_bytes());
                }
                *slot = first + 8 * place;
            }
        }
        heads.push((at, first + 8 * pointers));
        let mut text = [key, value].concat();
        text.resize(text.len().next_multiple_of(8), 0);
        let sum = if text.is_empty() { 0 } else { crc32fast::hash(&text) };
        file.extend([0; 4]);
        file.extend(sum.to_be_bytes());
        file.extend(text);
    };
    put(&mut file, DUMMY, LEVEL_MAX, b"", b"");
    for (count, (key, value)) in entries.iter().enumerate() {
        // Every fourth record is one level higher than those between, as chance would have it.
        let level = 1 + ((count + 1).trailing_zeros() / 2).min(u32::from(LEVEL_MAX) - 1) as u8;
        put(&mut file, PUT, level, key, value);
    }
    for (at, checks) in heads {
        let sum = crc32fast::hash(&file[at..checks]);
        file[checks..checks + 4].copy_from_slice(&sum.to_be_bytes());
    }
    let commit = file.len();
    file.extend([b'$', 0, 0, 0, 0, 0, 0, 0]);
    file.extend((HEADER).to_be_bytes());
    let sum = crc32fast::hash(&file[commit..]);
    file.extend(sum.to_be_bytes());
    file.extend([0; 4]);
    let end = file.len() as u64;
    file[..20].copy_from_slice(MAGIC);
    file[20..24].copy_from_slice(&VERSION.to_be_bytes());
    file[24..32].copy_from_slice(&1_u64.to_be_bytes());
    file[32..40].copy_from_slice(&(entries.len() as u64).to_be_bytes());
    file[40..48].copy_from_slice(&end.to_be_bytes());
    file[48..56].copy_from_slice(&end.to_be_bytes());
    let sum = crc32fast::hash(&file[..60]);
    file[60..64].copy_from_slice(&sum.to_be_bytes());
    file
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::ops::ControlFlow;

    use super::*;

    fn open(octets: &[u8]) -> Result<Twoskip, Damage> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(octets).unwrap();
        Twoskip::open(file, octets.len() as u64)
    }

    fn keys(file: &Twoskip, prefix: &[u8]) -> Vec<String> {
        let mut keys = Vec::new();
        let scanned = file.scan(prefix, &mut |key, _| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            ControlFlow::Continue(())
        });
        scanned.unwrap();
        keys
    }

    #[test]
    fn what_was_written_is_found() {
        let entries = (0..300).map(|n| (format!("k{n:03}").into_bytes(), format!("value {n}").into_bytes())).collect();
        let file = open(&write(&entries)).unwrap();
        assert_eq!(keys(&file, b"").len(), 300);
        assert_eq!(keys(&file, b"k12"), (120..130).map(|n| format!("k{n}")).collect::<Vec<_>>());
        assert_eq!(keys(&file, b"k299"), ["k299"]);
        assert!(keys(&file, b"k300").is_empty() && keys(&file, b"a").is_empty());
        let long = [(b"k".to_vec(), vec![b'v'; 5000]), (vec![b'l'; 70_000], Vec::new())].into();
        let file = open(&write(&long)).unwrap();
        file.scan(b"k", &mut |_, value| {
            assert_eq!(value.len(), 5000);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(keys(&file, b"l")[0].len(), 70_000);
        assert!(keys(&open(&write(&Default::default())).unwrap(), b"").is_empty());
    }

    #[test]
    fn damage_ends_the_list() {
        let entries = (0..20).map(|n| (format!("k{n:02}").into_bytes(), vec![b'v'; n])).collect();
        let whole = write(&entries);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x41;
            for octets in [&flipped[..], &whole[..at]] {
                let Ok(file) = open(octets) else { continue };
                let mut last = None;
                let _ = file.scan(b"k", &mut |key, _| {
                    assert!(last.replace(key.to_vec()).is_none_or(|last| *last < *key));
                    ControlFlow::Continue(())
                });
            }
        }
    }
}

//! cyrus.index: a header with what is known of the mailbox, and a record of fixed size for each message, by ascending UID.
//!
//! Every version has its own sizes and places. Numbers are big-endian. From version 12 on the header and each record end with their CRC32.

use paquebot_types::Flags;

use super::octets::{array, u32_at, u64_at};

/// The longest header of any version.
pub const HEADER_MAX: usize = 192;

/// Bits of a record's flags.
const FLAGS: [(u32, Flags); 5] =
    [(0x1, Flags::ANSWERED), (0x2, Flags::FLAGGED), (0x4, Flags::DELETED), (0x8, Flags::DRAFT), (0x10, Flags::SEEN)];
/// The file is gone.
const UNLINKED: u32 = 0x4000_0000;
const EXPUNGED: u32 = 0x8000_0000;

/// Bits of a mailbox's options.
const SHARED_SEEN: u32 = 1 << 2;

/// Where things are in one version. Places in the header come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub minor: u32,
    pub header: usize,
    pub record: usize,
    last_uid: usize,
    uid_validity: usize,
    options: usize,
    highest_modseq: Option<usize>,
    header_file_crc: Option<usize>,
    recent_uid: Option<usize>,
    modseq: Option<usize>,
    flags: usize,
    /// Internal date and size are of 64 bits, dates in nanoseconds.
    wide: bool,
}

/// From this version on there are checksums, and records know whether the owner has seen the message.
const CHECKED: u32 = 12;

impl Version {
    /// `None`: not a version that is known.
    pub fn of(minor: u32) -> Option<Self> {
        let (header, record) = match minor {
            6 => (76, 60),
            7 => (76, 72),
            8 => (92, 80),
            9 => (96, 80),
            10 => (96, 88),
            12 => (128, 96),
            13 => (128, 104),
            14 | 15 => (160, 104),
            16..=19 => (160, 112),
            20 => (192, 144),
            _ => return None,
        };
        let checked = minor >= CHECKED;
        let modseq = match minor {
            ..8 => None,
            8 | 9 => Some(72),
            _ => Some(80),
        };
        let mut version = Self {
            minor,
            header,
            record,
            last_uid: 28,
            uid_validity: 44,
            options: 60,
            highest_modseq: modseq.map(|_| 68),
            header_file_crc: checked.then_some(96),
            recent_uid: checked.then_some(104),
            modseq,
            flags: 32,
            wide: false,
        };
        if minor >= 19 {
            (version.options, version.highest_modseq) = (64, Some(72));
        }
        if minor >= 20 {
            (version.last_uid, version.uid_validity, version.recent_uid) = (88, 92, Some(184));
            (version.flags, version.wide) = (36, true);
        }
        Some(version)
    }

    fn is_checked(self) -> bool {
        self.minor >= CHECKED
    }

    /// Whether \Seen of the owner, or of all, is in the records.
    pub fn keeps_seen(self) -> bool {
        self.minor >= CHECKED
    }
}

/// Why an index is not read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Of a version that nothing is known of.
    Version(u32),
    Damaged(u64, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub version: Version,
    pub records: u32,
    pub last_uid: u32,
    pub uid_validity: u32,
    /// Everybody has one \Seen.
    pub shared_seen: bool,
    pub highest_modseq: Option<u64>,
    /// Of the whole of cyrus.header.
    pub header_file_crc: Option<u32>,
    /// The last UID that the owner was told of.
    pub recent_uid: Option<u32>,
    /// Whether the checksum is right, where there is one.
    pub is_whole: bool,
}

impl Header {
    /// Reads the header at the start of a file.
    pub fn parse(octets: &[u8]) -> Result<Self, Refused> {
        let cut = Refused::Damaged(octets.len() as u64, "the index ends within its header");
        let number = |at| u32_at(octets, at).ok_or(cut.clone());
        if number(4)? != 0 {
            return Err(Refused::Damaged(4, "the index is of an unknown format"));
        }
        let minor = number(8)?;
        let version = Version::of(minor).ok_or(Refused::Version(minor))?;
        if number(12)? as usize != version.header || number(16)? as usize != version.record {
            return Err(Refused::Damaged(12, "the sizes in the index are not those of its version"));
        }
        let octets = octets.get(..version.header).ok_or(cut.clone())?;
        let number = |at| u32_at(octets, at).ok_or(cut.clone());
        Ok(Self {
            version,
            records: number(20)?,
            last_uid: number(version.last_uid)?,
            uid_validity: number(version.uid_validity)?,
            shared_seen: number(version.options)? & SHARED_SEEN != 0,
            highest_modseq: version.highest_modseq.and_then(|at| u64_at(octets, at)),
            header_file_crc: version.header_file_crc.and_then(|at| u32_at(octets, at)),
            recent_uid: version.recent_uid.and_then(|at| u32_at(octets, at)),
            is_whole: !version.is_checked() || ends_with_its_crc(octets),
        })
    }
}

/// What the index says of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub uid: u32,
    pub flags: Flags,
    /// By the bits of cyrus.header's names.
    pub keywords: u128,
    pub is_expunged: bool,
    pub has_file: bool,
    pub unix_seconds: i64,
    pub size: u64,
    pub modseq: Option<u64>,
    /// The SHA-1 of the message; zeros where it is unknown.
    pub guid: Guid,
}

/// A SHA-1.
pub type Guid = [u8; 20];

impl Record {
    /// `None`: the checksum is wrong, or octets are missing.
    pub fn parse(version: Version, octets: &[u8]) -> Option<Self> {
        let octets = octets.get(..version.record)?;
        if version.is_checked() && !ends_with_its_crc(octets) {
            return None;
        }
        let bits = u32_at(octets, version.flags)?;
        let system =
            FLAGS.iter().filter(|(bit, _)| bits & bit != 0).fold(Flags::NONE, |all, (_, flag)| all.union(*flag));
        let words: [u8; 16] = array(octets, version.flags + 4)?;
        let word = |place: usize| u32_at(&words, 4 * place).map(|word| u128::from(word) << (32 * place));
        let keywords = word(0)? | word(1)? | word(2)? | word(3)?;
        let (unix_seconds, size) = match version.wide {
            false => (u32_at(octets, 4)?.into(), u32_at(octets, 12)?.into()),
            true => (u64_at(octets, 8)?.cast_signed() / 1_000_000_000, u64_at(octets, 24)?),
        };
        Some(Self {
            uid: u32_at(octets, 0)?,
            flags: system,
            keywords,
            is_expunged: bits & EXPUNGED != 0,
            has_file: bits & UNLINKED == 0,
            unix_seconds,
            size,
            modseq: version.modseq.and_then(|at| u64_at(octets, at)),
            guid: if version.minor >= 10 { array(octets, 60)? } else { Guid::default() },
        })
    }
}

fn ends_with_its_crc(octets: &[u8]) -> bool {
    octets.len().checked_sub(4).is_some_and(|end| {
        let sum = octets.get(..end).map(crc32fast::hash);
        sum.is_some() && sum == u32_at(octets, end)
    })
}

/// What a new index says of its mailbox.
#[derive(Debug, Clone, Copy)]
pub struct NewHeader {
    pub records: u32,
    pub last_uid: u32,
    pub uid_validity: u32,
    pub recent_uid: u32,
    pub highest_modseq: u64,
    pub octets: u64,
    pub last_append: u32,
    /// Messages that are deleted, answered, flagged, unseen.
    pub counts: [u32; 4],
    pub header_file_crc: u32,
}

/// What a new index says of a message.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord {
    pub uid: u32,
    pub flags: Flags,
    pub keywords: u128,
    pub unix_seconds: u32,
    pub size: u32,
    pub header_size: u32,
    pub modseq: u64,
    pub guid: Guid,
    pub now: u32,
}

/// The header of an index of version 12, 13 or 17.
pub fn write_header(version: Version, header: &NewHeader) -> Vec<u8> {
    let mut octets = vec![0; version.header];
    let mut put = |at: usize, value: u32| octets[at..at + 4].copy_from_slice(&value.to_be_bytes());
    put(8, version.minor);
    put(12, version.header as u32);
    put(16, version.record as u32);
    put(20, header.records);
    put(24, header.last_append);
    put(version.last_uid, header.last_uid);
    put(32, (header.octets >> 32) as u32);
    put(36, header.octets as u32);
    put(version.uid_validity, header.uid_validity);
    put(48, header.counts[0]);
    put(52, header.counts[1]);
    put(56, header.counts[2]);
    // Each message has a UIDL of its own UID and the mailbox's UIDVALIDITY, as every mailbox has had since 2.0.
    put(version.options, 1);
    put(68, (header.highest_modseq >> 32) as u32);
    put(72, header.highest_modseq as u32);
    put(80, 1);
    put(84, header.records);
    put(96, header.header_file_crc);
    put(104, header.recent_uid);
    put(108, header.last_append);
    if version.minor >= 14 {
        put(124, header.counts[3]);
    }
    if version.minor >= 16 {
        put(132, 1);
    }
    seal(&mut octets);
    octets
}

/// A record of an index of version 12, 13 or 17, of a message that nobody has parsed yet.
pub fn write_record(version: Version, record: &NewRecord) -> Vec<u8> {
    let mut octets = vec![0; version.record];
    let mut put = |at: usize, value: u32| octets[at..at + 4].copy_from_slice(&value.to_be_bytes());
    let bits = FLAGS.iter().filter(|(_, flag)| record.flags.contains(*flag)).fold(0, |all, (bit, _)| all | bit);
    put(0, record.uid);
    put(4, record.unix_seconds);
    // The date of the Date header, which reconstruct reads anew.
    put(8, record.unix_seconds - record.unix_seconds % 86_400);
    put(12, record.size);
    put(16, record.header_size);
    put(20, record.unix_seconds);
    put(28, record.now);
    put(version.flags, bits);
    for place in 0..4 {
        put(version.flags + 4 + 4 * place, (record.keywords >> (32 * place)) as u32);
    }
    if version.minor >= 15 {
        put(52, record.now);
    }
    put(80, (record.modseq >> 32) as u32);
    put(84, record.modseq as u32);
    if version.minor >= 16 {
        put(100, 1);
    }
    octets[60..80].copy_from_slice(&record.guid);
    seal(&mut octets);
    octets
}

fn seal(octets: &mut [u8]) {
    let end = octets.len() - 4;
    let sum = crc32fast::hash(&octets[..end]);
    octets[end..].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for minor in [12, 13, 17] {
            let version = Version::of(minor).unwrap();
            let header = NewHeader {
                records: 2,
                last_uid: 9,
                uid_validity: 77,
                recent_uid: 8,
                highest_modseq: 1 << 40,
                octets: 5,
                last_append: 1,
                counts: [0, 0, 1, 2],
                header_file_crc: 3,
            };
            let octets = write_header(version, &header);
            let read = Header::parse(&octets).unwrap();
            assert!(read.is_whole && !read.shared_seen);
            assert_eq!((read.records, read.last_uid, read.uid_validity), (2, 9, 77));
            assert_eq!((read.highest_modseq, read.recent_uid, read.header_file_crc), (Some(1 << 40), Some(8), Some(3)));
            let record = NewRecord {
                uid: 9,
                flags: Flags::SEEN.union(Flags::DRAFT),
                keywords: 1 << 127 | 1 << 64 | 1,
                unix_seconds: 1_173_118_530,
                size: 390,
                header_size: 175,
                modseq: 1 << 33,
                guid: [7; 20],
                now: 5,
            };
            let octets = write_record(version, &record);
            let read = Record::parse(version, &octets).unwrap();
            assert_eq!((read.uid, read.flags, read.keywords), (9, record.flags, record.keywords));
            assert_eq!((read.size, read.unix_seconds, read.modseq), (390, 1_173_118_530, Some(1 << 33)));
            assert_eq!(read.guid, [7; 20]);
            assert!(read.has_file && !read.is_expunged);
            for at in 0..octets.len() {
                let mut flipped = octets.clone();
                flipped[at] ^= 1;
                assert_eq!(Record::parse(version, &flipped), None);
            }
        }
    }

    /// A header of a version that no fixture has, by the places of the specification.
    fn index(minor: u32, header: usize, record: usize, fields: &[(usize, u32)]) -> Vec<u8> {
        let mut octets = vec![0; header];
        let sizes = [(8, minor), (12, header as u32), (16, record as u32)];
        for (at, value) in sizes.iter().chain(fields) {
            octets[*at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        if minor >= 12 {
            seal(&mut octets);
        }
        octets
    }

    #[test]
    fn later_versions_have_other_places() {
        let octets = index(19, 160, 112, &[(20, 1), (28, 9), (44, 77), (64, 4), (76, 5), (104, 3)]);
        let read = Header::parse(&octets).unwrap();
        assert!(read.is_whole && read.shared_seen);
        assert_eq!((read.last_uid, read.uid_validity, read.highest_modseq, read.recent_uid), (9, 77, Some(5), Some(3)));
        let octets = index(20, 192, 144, &[(20, 1), (88, 9), (92, 77), (64, 4), (76, 5), (184, 3)]);
        let read = Header::parse(&octets).unwrap();
        assert!(read.is_whole && read.shared_seen);
        assert_eq!((read.last_uid, read.uid_validity, read.highest_modseq, read.recent_uid), (9, 77, Some(5), Some(3)));

        let nanoseconds = 1_173_118_530_u64 * 1_000_000_000 + 7;
        let fields =
            [(8, (nanoseconds >> 32) as u32), (12, nanoseconds as u32), (28, 390), (36, 0x12), (52, 1), (84, 5)];
        let mut octets = index(7, 144, 0, &[]);
        octets.fill(0);
        for (at, value) in fields {
            octets[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
        }
        seal(&mut octets);
        let read = Record::parse(Version::of(20).unwrap(), &octets).unwrap();
        assert_eq!((read.unix_seconds, read.size, read.keywords), (1_173_118_530, 390, 1 << 96));
        assert_eq!((read.flags, read.modseq), (Flags::SEEN.union(Flags::FLAGGED), Some(5)));
    }

    #[test]
    fn versions_without_fixtures_are_known_and_others_refused_by_number() {
        for (minor, header, record) in [(7, 76, 72), (10, 96, 88), (14, 160, 104), (18, 160, 112)] {
            let read = Header::parse(&index(minor, header, record, &[(28, 9), (44, 77)])).unwrap();
            assert_eq!((read.last_uid, read.uid_validity, read.is_whole), (9, 77, true));
        }
        for minor in [0, 5, 11, 21, 99] {
            assert_eq!(Header::parse(&index(minor, 160, 112, &[])), Err(Refused::Version(minor)));
        }
        let other = Header::parse(&index(17, 160, 120, &[]));
        assert!(matches!(other, Err(Refused::Damaged(12, _))), "{other:?}");
    }
}

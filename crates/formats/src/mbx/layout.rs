//! The octets of an mbx file.
//!
//! ```text
//! file    = header *(record text)
//! header  = "*mbx*" CRLF uidvalidity uidlast CRLF 30(keyword CRLF) *NUL updater CRLF     ; 2048 octets, numbers of 8 hex digits
//! record  = internal-date "," size ";" keywords flags "-" uid CRLF                       ; keywords, uid of 8 hex digits, flags of 4
//! ```

use paquebot_types::{Flags, InternalDate, Keyword, UidValidity};

use crate::date;

pub const HEADER: usize = 2048;
/// Where the number of the process is that changed flags last.
pub const UPDATER: u64 = 2038;
/// Where the last UID is.
pub const UID_LAST: u64 = 15;
/// A record's line, at most, with its CR LF.
pub const RECORD: usize = 64;
/// Keywords that the header has room for.
pub const KEYWORDS: usize = 30;
pub const KEYWORD_BYTES: usize = 50;
/// From the text back to `kkkkkkkkffff-uuuuuuuu`, which is patched in place; and its length.
pub const STATUS: u64 = 23;
pub const STATUS_BYTES: usize = 21;

const MAGIC: &[u8] = b"*mbx*\r\n";

/// Bits of a record's flags.
const SEEN: u16 = 0x1;
const DELETED: u16 = 0x2;
const FLAGGED: u16 = 0x4;
const ANSWERED: u16 = 0x8;
const DRAFT: u16 = 0x20;
/// Some session was told of the message.
pub const OLD: u16 = 0x10;
/// Expunged while others had the mailbox open: the space is not reclaimed yet.
pub const EXPUNGED: u16 = 0x8000;

const FLAGS: [(u16, Flags); 5] = [
    (SEEN, Flags::SEEN),
    (DELETED, Flags::DELETED),
    (FLAGGED, Flags::FLAGGED),
    (ANSWERED, Flags::ANSWERED),
    (DRAFT, Flags::DRAFT),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub validity: UidValidity,
    pub uid_last: u32,
    pub keywords: Vec<Keyword>,
    /// The process that changed flags last; 0 in a fresh file.
    pub updater: u32,
}

/// What a record says of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub internal_date: InternalDate,
    pub size: u64,
    pub status: Status,
    /// Octets of the line.
    pub line: usize,
}

/// The part of a record that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub keywords: u32,
    pub flags: u16,
    /// 0: not given out yet.
    pub uid: u32,
}

/// Whether octets begin as an mbx file does.
pub fn is_header(start: &[u8]) -> bool {
    start.len() >= 25
        && start.starts_with(MAGIC)
        && start[7..23].iter().all(u8::is_ascii_hexdigit)
        && &start[23..25] == b"\r\n"
}

impl Header {
    /// What is wrong is said, with its place.
    pub fn parse(octets: &[u8; HEADER]) -> Result<Self, (u64, &'static str)> {
        if !is_header(octets) {
            return Err((0, "the file does not begin as an mbx file does"));
        }
        let validity = hex(&octets[7..15]).and_then(UidValidity::new).ok_or((7, "UIDVALIDITY is 0"))?;
        let uid_last = hex(&octets[15..23]).ok_or((UID_LAST, "the last UID is no hexadecimal number"))?;
        let mut keywords = Vec::new();
        let mut rest = &octets[25..UPDATER as usize];
        while keywords.len() < KEYWORDS {
            let Some(end) = rest.iter().position(|octet| *octet == b'\r' || *octet == 0) else { break };
            let line = &rest[..end];
            if line.is_empty() {
                break;
            }
            let keyword = std::str::from_utf8(line).ok().and_then(|line| Keyword::new(line).ok());
            let at = UPDATER - rest.len() as u64;
            keywords.push(keyword.ok_or((at, "a keyword is no atom"))?);
            rest = rest.get(end + 2..).unwrap_or_default();
        }
        let updater = hex(&octets[UPDATER as usize..UPDATER as usize + 8]).unwrap_or(0);
        Ok(Self { validity, uid_last, keywords, updater })
    }

    pub fn write(&self) -> [u8; HEADER] {
        let mut text = format!("*mbx*\r\n{:08x}{:08x}\r\n", self.validity.get(), self.uid_last);
        for place in 0..KEYWORDS {
            text.push_str(self.keywords.get(place).map_or("", Keyword::as_str));
            text.push_str("\r\n");
        }
        let mut octets = [0; HEADER];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        if self.updater != 0 {
            octets[UPDATER as usize..].copy_from_slice(format!("{:08x}\r\n", self.updater).as_bytes());
        }
        octets
    }
}

impl Record {
    /// Reads the record at the start of octets, of which there are [`RECORD`] unless the file ends before.
    pub fn parse(octets: &[u8]) -> Result<Self, &'static str> {
        let octets = &octets[..octets.len().min(RECORD)];
        let end = octets.windows(2).position(|pair| pair == b"\r\n").ok_or("a record's line has no end")?;
        let line = &octets[..end];
        let comma = line.iter().position(|octet| *octet == b',').ok_or("a record has no comma")?;
        let rest = &line[comma + 1..];
        let semicolon = rest.iter().position(|octet| *octet == b';').ok_or("a record has no semicolon")?;
        let internal_date = date::parse_imap(&line[..comma]).ok_or("a record's date is none")?;
        let size = std::str::from_utf8(&rest[..semicolon]).ok().filter(|size| size.bytes().all(|b| b.is_ascii_digit()));
        let size = size.and_then(|size| size.parse().ok()).ok_or("a record's size is no number")?;
        let status = Status::parse(&rest[semicolon + 1..]).ok_or("a record's flags are not as they must be")?;
        Ok(Self { internal_date, size, status, line: end + 2 })
    }

    pub fn write(&self) -> String {
        format!("{},{};{}\r\n", date::write_imap(self.internal_date), self.size, self.status.write())
    }
}

impl Status {
    pub fn parse(octets: &[u8]) -> Option<Self> {
        if octets.len() != STATUS_BYTES || octets[12] != b'-' {
            return None;
        }
        let flags = u16::try_from(hex(&octets[8..12])?).ok()?;
        Some(Self { keywords: hex(&octets[..8])?, flags, uid: hex(&octets[13..])? })
    }

    /// [`STATUS_BYTES`] octets.
    pub fn write(self) -> String {
        format!("{:08x}{:04x}-{:08x}", self.keywords, self.flags, self.uid)
    }

    pub fn system_flags(self) -> Flags {
        let set = FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0);
        set.fold(Flags::NONE, |flags, (_, flag)| flags.union(*flag))
    }

    pub fn is_expunged(self) -> bool {
        self.flags & EXPUNGED != 0
    }

    pub fn is_recent(self) -> bool {
        self.flags & OLD == 0 || self.uid == 0
    }

    /// With other system flags and keywords; what else there is stays.
    pub fn with(self, flags: Flags, keywords: u32) -> Self {
        let set = FLAGS.iter().filter(|(_, flag)| flags.contains(*flag));
        let bits = set.fold(self.flags & (OLD | EXPUNGED), |bits, (bit, _)| bits | bit);
        Self { keywords, flags: bits, uid: self.uid }
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_go_there_and_back() {
        let line = " 5-Mar-2007 10:15:30 -0800,198;000000010011-00000001\r\n";
        let record = Record::parse(format!("{line}From: Ada").as_bytes()).unwrap();
        assert_eq!((record.size, record.line, record.status.uid), (198, line.len(), 1));
        assert_eq!((record.status.keywords, record.status.system_flags()), (1, Flags::SEEN));
        assert!(!record.status.is_recent() && !record.status.is_expunged());
        assert_eq!(record.write(), line);
        let changed = record.status.with(Flags::DELETED.union(Flags::DRAFT), 6);
        assert_eq!(changed.write(), "000000060032-00000001");
    }

    #[test]
    fn damaged_records_are_told() {
        for line in [
            " 5-Mar-2007 10:15:30 -0800,198;000000010011-00000001",
            " 5-Mar-2007 10:15:30 -0800 198;000000010011-00000001\r\n",
            " 5-Mar-2007 10:15:30 -0800,-98;000000010011-00000001\r\n",
            " 5-Mar-2007 10:15:30 -0800,198;00000001001100000001-\r\n",
            " 5-Mar-2007 10:15:30 -0800,198;00000001+011-00000001\r\n",
            "99-Mar-2007 10:15:30 -0800,198;000000010011-00000001\r\n",
            "\r\n",
            "",
        ] {
            assert!(Record::parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn headers_go_there_and_back() {
        let keywords = ["$Forwarded", "Work"].map(|keyword| Keyword::new(keyword).unwrap()).to_vec();
        let header =
            Header { validity: UidValidity::new(0x6b05_e955).unwrap(), uid_last: 8, keywords, updater: 0x5be3 };
        assert_eq!(Header::parse(&header.write()).unwrap(), header);
        let fresh = Header { keywords: Vec::new(), updater: 0, ..header };
        assert_eq!(Header::parse(&fresh.write()).unwrap(), fresh);
        let mut octets = fresh.write();
        octets[8] = b'x';
        assert!(Header::parse(&octets).is_err());
    }
}

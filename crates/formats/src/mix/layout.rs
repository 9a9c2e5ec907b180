//! The lines of mix's files. Each ends in CR LF; numbers are hexadecimal, of 8 digits unless said otherwise.
//!
//! ```text
//! meta   = "S" sequence CRLF *(("V" uidvalidity / "L" uidlast / "N" data-file / "K" keyword *(SP keyword)) CRLF)
//! index  = "S" sequence CRLF *(":" uid ":" date ":" size ":" data-file ":" position ":" line ":" header ":" CRLF)
//! status = "S" sequence CRLF *(":" uid ":" keywords ":" 4flags ":" modseq ":" CRLF)
//! data   = *(":msg:" uid ":" date ":" size ":" CRLF octets)
//! date   = yyyymmddhhmmss ("+" / "-") hhmm
//! ```

use paquebot_types::{Flags, InternalDate, Keyword, UidValidity};

use crate::date;

pub const KEYWORDS: usize = 30;
pub const KEYWORD_BYTES: usize = 50;
/// The line of a record in a data file.
pub const RECORD: usize = 45;
/// An append goes to another data file rather than let one grow past this.
pub const DATA_BYTES: u64 = 1 << 20;
/// What a meta file may have.
pub const META_BYTES_MAX: u64 = (1 << 20) - 1;

/// The status bit of a message that some session was told of.
pub const OLD: u16 = 0x10;

const FLAGS: [(u16, Flags); 5] =
    [(0x1, Flags::SEEN), (0x2, Flags::DELETED), (0x4, Flags::FLAGGED), (0x8, Flags::ANSWERED), (0x20, Flags::DRAFT)];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub sequence: u32,
    pub validity: UidValidity,
    pub uid_last: u32,
    /// The data file that an append goes to.
    pub data: u32,
    pub keywords: Vec<Keyword>,
}

/// What never changes of a message, but for where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub uid: u32,
    pub internal_date: InternalDate,
    pub size: u32,
    pub data: u32,
    /// Of the record's line in the data file.
    pub position: u32,
    pub line: u32,
    pub header: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    pub uid: u32,
    pub keywords: u32,
    pub flags: u16,
    pub modseq: u32,
}

impl Meta {
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|octet| *octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let sequence = sequence(lines.next()?)?;
        let (mut validity, mut uid_last, mut data, mut keywords) = (None, 0, 0, Vec::new());
        for line in lines {
            match line.split_first() {
                Some((b'V', number)) => validity = UidValidity::new(hex(number, 8)?),
                Some((b'L', number)) => uid_last = hex(number, 8)?,
                Some((b'N', number)) => data = hex(number, 8)?,
                Some((b'K', names)) => {
                    let names = std::str::from_utf8(names).ok()?.split(' ').filter(|name| !name.is_empty());
                    keywords = names.take(KEYWORDS).map(|name| Keyword::new(name).ok()).collect::<Option<_>>()?;
                }
                _ => {}
            }
        }
        Some(Self { sequence, validity: validity?, uid_last, data, keywords })
    }

    pub fn write(&self) -> String {
        let Self { sequence, validity, uid_last, data, keywords } = self;
        let mut text = format!("S{sequence:08x}\r\nV{:08x}\r\nL{uid_last:08x}\r\nN{data:08x}\r\n", validity.get());
        if !keywords.is_empty() {
            let names: Vec<&str> = keywords.iter().map(Keyword::as_str).collect();
            text += &format!("K{}\r\n", names.join(" "));
        }
        text
    }
}

impl Entry {
    /// Reads a line without its end. Fields that later versions may add are passed over.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = fields(line)?;
        let uid = hex(fields.next()?, 8)?;
        let internal_date = parse_date(fields.next()?)?;
        let mut number = || hex(fields.next()?, 8);
        let (size, data, position, line, header) = (number()?, number()?, number()?, number()?, number()?);
        (uid != 0).then_some(Self { uid, internal_date, size, data, position, line, header })
    }

    pub fn write(&self) -> String {
        let Self { uid, internal_date, size, data, position, line, header } = self;
        let date = write_date(*internal_date);
        format!(":{uid:08x}:{date}:{size:08x}:{data:08x}:{position:08x}:{line:08x}:{header:08x}:\r\n")
    }

    /// Where the message's octets begin in the data file.
    pub fn text(&self) -> u64 {
        u64::from(self.position) + u64::from(self.line)
    }

    pub fn end(&self) -> u64 {
        self.text() + u64::from(self.size)
    }

    /// The line before the message in the data file.
    pub fn record(&self) -> String {
        format!(":msg:{:08x}:{}:{:08x}:\r\n", self.uid, write_date(self.internal_date), self.size)
    }

    /// Whether a record's line is this message's.
    pub fn is_record(&self, line: &[u8]) -> bool {
        let Some(mut fields) = line.strip_prefix(b":msg").and_then(fields) else { return false };
        let uid = fields.next().and_then(|uid| hex(uid, 8));
        fields.next();
        let size = fields.next().and_then(|size| hex(size, 8));
        (uid, size) == (Some(self.uid), Some(self.size))
    }
}

impl Status {
    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = fields(line)?;
        let (uid, keywords) = (hex(fields.next()?, 8)?, hex(fields.next()?, 8)?);
        let flags = u16::try_from(hex(fields.next()?, 4)?).ok()?;
        let modseq = hex(fields.next()?, 8)?;
        (uid != 0).then_some(Self { uid, keywords, flags, modseq })
    }

    /// 35 octets, for every message.
    pub fn write(&self) -> String {
        format!(":{:08x}:{:08x}:{:04x}:{:08x}:\r\n", self.uid, self.keywords, self.flags, self.modseq)
    }

    pub fn system_flags(&self) -> Flags {
        let set = FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0);
        set.fold(Flags::NONE, |flags, (_, flag)| flags.union(*flag))
    }

    /// With other flags and keywords; the rest stays.
    pub fn with(self, flags: Flags, keywords: u32) -> Self {
        let set = FLAGS.iter().filter(|(_, flag)| flags.contains(*flag));
        Self { keywords, flags: set.fold(self.flags & OLD, |bits, (bit, _)| bits | bit), ..self }
    }
}

/// `S` and a sequence.
pub fn sequence(line: &[u8]) -> Option<u32> {
    hex(line.strip_prefix(b"S")?, 8)
}

/// The sequence after `last`: it never goes back, and follows the clock.
pub fn next_sequence(last: u32, now: u64) -> u32 {
    u32::try_from(now).unwrap_or(u32::MAX).max(last.saturating_add(1))
}

fn fields(line: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    Some(line.strip_prefix(b":")?.split(|octet| *octet == b':'))
}

fn parse_date(text: &[u8]) -> Option<InternalDate> {
    if text.len() != 19 {
        return None;
    }
    let part = |range: std::ops::Range<usize>| date::number(&text[range]).and_then(|part| u8::try_from(part).ok());
    let year = i32::try_from(date::number(&text[..4])?).ok()?;
    date::moment(
        (year, part(4..6)?, part(6..8)?),
        (part(8..10)?, part(10..12)?, part(12..14)?),
        date::zone(&text[14..])?,
    )
}

fn write_date(date: InternalDate) -> String {
    let date::Parts { day, time, zone, .. } = date::parts(date);
    let month = day.1;
    format!("{:04}{month:02}{:02}{:02}{:02}{:02}{zone}", day.0, day.2, time.0, time.1, time.2)
}

fn hex(digits: &[u8], count: usize) -> Option<u32> {
    let all = digits.len() == count && digits.iter().all(u8::is_ascii_hexdigit);
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|_| all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_go_there_and_back() {
        let line = ":00000003:19991231235959+0000:0000011c:6b05e955:00000221:0000002d:00000105:\r\n";
        let entry = Entry::parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!((entry.write().as_str(), entry.text(), entry.end()), (line, 0x24e, 0x24e + 0x11c));
        assert_eq!(entry.record().len(), RECORD);
        assert!(entry.is_record(entry.record().trim_end().as_bytes()));
        let line = ":00000002:00000006:0019:6b05e959:\r\n";
        let status = Status::parse(line.trim_end().as_bytes()).unwrap();
        assert_eq!((status.write().as_str(), line.len()), (line, 35));
        assert_eq!(status.system_flags(), Flags::SEEN.union(Flags::ANSWERED));
        assert_eq!(status.with(Flags::DRAFT, 1).flags, 0x30);
        let text = "S6b05e992\r\nV6b05e955\r\nL0000001a\r\nN6b05e955\r\nK$Forwarded $Label1 Work\r\n";
        assert_eq!(Meta::parse(text.as_bytes()).unwrap().write(), text);
        // At creation c-client leaves the last line's end out.
        assert_eq!(Meta::parse(text.trim_end().as_bytes()).unwrap().write(), text);
    }

    #[test]
    fn damaged_lines_are_none() {
        for line in [
            "",
            ":",
            ":00000000:19991231235959+0000:0000011c:6b05e955:00000221:0000002d:00000105:",
            ":00000003:19991331235959+0000:0000011c:6b05e955:00000221:0000002d:00000105:",
            ":00000003:19991231235959+0000:0000011c:6b05e955:00000221:0000002d",
            ":00000003:19991231235959+0000:0000011c:6b05e955:00000221:0000002d:000105:",
            ":0000+003:19991231235959+0000:0000011c:6b05e955:00000221:0000002d:00000105:",
        ] {
            assert_eq!(Entry::parse(line.as_bytes()), None, "{line}");
        }
        for line in
            ["", ":00000002:00000006:00019:6b05e959:", ":00000002:00000006:0019", "00000002:00000006:0019:6b05e959:"]
        {
            assert_eq!(Status::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Meta::parse(b"S6b05e992\r\nV00000000\r\n"), None);
    }

    #[test]
    fn sequences_follow_the_clock_and_never_go_back() {
        assert_eq!((next_sequence(5, 100), next_sequence(100, 100), next_sequence(200, 100)), (100, 101, 201));
        assert_eq!(next_sequence(u32::MAX, u64::MAX), u32::MAX);
    }
}

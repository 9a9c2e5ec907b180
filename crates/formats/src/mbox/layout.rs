//! The header lines in which the state of a mailbox and of its messages stands.

use std::fmt::Write as _;

use paquebot_types::{Flags, Keyword, UidValidity};

/// Keywords of a mailbox.
pub const KEYWORDS: usize = 30;
pub const KEYWORD_BYTES: usize = 50;
/// What stands before and after a message of MMDF.
pub const DELIMITER: &[u8] = b"\x01\x01\x01\x01\n";
/// The state lines of a message up to the end of its keywords have this width, so that most changes of flags change no length.
const WIDTH: usize = 50;
/// With the mailbox's own line before them.
const WIDTH_WITH_BASE: usize = 80;

/// What stands between messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A line that begins with `From ` before each.
    Mbox,
    /// A [`DELIMITER`] before and after each.
    Mmdf,
}

/// The names of state lines, as they count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Status,
    XStatus,
    XKeywords,
    XUid,
    XImapBase,
    XImap,
}

const NAMES: [(&str, Name); 6] = [
    ("Status", Name::Status),
    ("X-Status", Name::XStatus),
    ("X-Keywords", Name::XKeywords),
    ("X-UID", Name::XUid),
    ("X-IMAPbase", Name::XImapBase),
    ("X-IMAP", Name::XImap),
];

/// What a header line, without its line end, is to the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'l> {
    State(Name, &'l [u8]),
    /// It has a state line's name, in another spelling: no message shows it, and it says nothing.
    Discarded,
    Shown,
}

impl<'l> Line<'l> {
    pub fn parse(line: &'l [u8]) -> Self {
        let colon = line.iter().position(|octet| *octet == b':');
        let name = line[..colon.unwrap_or(line.len())].trim_ascii_end();
        let Some((exact, of)) = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)) else {
            return Self::Shown;
        };
        match colon {
            Some(colon) if line[..colon] == *exact.as_bytes() => Self::State(*of, &line[colon + 1..]),
            _ => Self::Discarded,
        }
    }
}

/// What an `X-IMAP` or `X-IMAPbase` line says of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub validity: UidValidity,
    pub uid_last: u32,
    pub keywords: Vec<Keyword>,
}

impl Base {
    /// `None` if it says nothing that counts.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut words = words(value);
        let validity = UidValidity::new(number(words.next()?)?)?;
        let uid_last = number(words.next()?)?;
        let mut keywords = Vec::new();
        for word in words {
            let keyword = std::str::from_utf8(word).ok().and_then(|word| Keyword::new(word).ok());
            match keyword.filter(|keyword| keyword.as_str().len() <= KEYWORD_BYTES && !keywords.contains(keyword)) {
                Some(keyword) if keywords.len() < KEYWORDS => keywords.push(keyword),
                _ => {}
            }
        }
        Some(Self { validity, uid_last, keywords })
    }

    fn names(&self) -> String {
        self.keywords.iter().fold(String::new(), |names, keyword| names + " " + keyword.as_str())
    }
}

/// The state of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    pub flags: Flags,
    /// A session was told of it: it is not `\Recent`.
    pub old: bool,
    /// Bit n: the mailbox's keyword n.
    pub keywords: u32,
}

impl Status {
    /// Takes the letters of a `Status` or `X-Status` line: either may have any.
    pub fn take_letters(&mut self, letters: &[u8]) {
        for letter in letters {
            let flag = match letter {
                b'R' => Flags::SEEN,
                b'D' => Flags::DELETED,
                b'F' => Flags::FLAGGED,
                b'A' => Flags::ANSWERED,
                b'T' => Flags::DRAFT,
                b'O' => {
                    self.old = true;
                    continue;
                }
                _ => continue,
            };
            self.flags = self.flags.union(flag);
        }
    }

    pub fn take_keywords(&mut self, value: &[u8], known: &[Keyword]) {
        for word in words(value) {
            let place = known.iter().position(|keyword| keyword.as_str().as_bytes().eq_ignore_ascii_case(word));
            self.keywords |= place.map_or(0, |place| 1 << place);
        }
    }
}

/// The state lines of one message, in c-client's order.
pub struct Block<'b> {
    /// In the first message of a mailbox without a pseudo-message.
    pub base: Option<&'b Base>,
    pub status: Status,
    pub uid: u32,
    pub keywords: &'b [Keyword],
}

impl Block<'_> {
    /// In the width that c-client gives them.
    pub fn write(&self) -> String {
        let (start, end) = self.parts();
        let width = if self.base.is_some() { WIDTH_WITH_BASE } else { WIDTH };
        format!("{start:width$}\n{end}")
    }

    /// In exactly so many octets; `None` if they are too few.
    pub fn fit(&self, octets: usize) -> Option<String> {
        let (start, end) = self.parts();
        let width = octets.checked_sub(end.len() + 1).filter(|width| start.len() <= *width)?;
        Some(format!("{start:width$}\n{end}"))
    }

    /// What is padded, and what follows. All of it is ASCII.
    fn parts(&self) -> (String, String) {
        let mut start = String::new();
        if let Some(base) = self.base {
            // Writing to a string cannot fail.
            let _ = writeln!(start, "X-IMAPbase: {} {}{}", base.validity, base.uid_last, base.names());
        }
        let Status { flags, old, keywords } = self.status;
        let letter = |on: bool, letter: &'static str| if on { letter } else { "" };
        let has = |flag: Flags, of: &'static str| letter(flags.contains(flag), of);
        let _ = write!(
            start,
            "Status: {}{}\nX-Status: {}{}{}{}\nX-Keywords:",
            has(Flags::SEEN, "R"),
            letter(old, "O"),
            has(Flags::DELETED, "D"),
            has(Flags::FLAGGED, "F"),
            has(Flags::ANSWERED, "A"),
            has(Flags::DRAFT, "T"),
        );
        for (bit, keyword) in self.keywords.iter().enumerate() {
            if keywords >> bit & 1 == 1 {
                start.push(' ');
                start.push_str(keyword.as_str());
            }
        }
        (start, format!("X-UID: {}\n", self.uid))
    }
}

/// The state lines of the pseudo-message, in at least so many octets: blanks at their end say nothing.
pub fn pseudo_block(base: &Base, octets: usize) -> String {
    let lines = format!("X-IMAP: {:010} {:010}{}\nStatus: RO", base.validity, base.uid_last, base.names());
    let width = octets.saturating_sub(1);
    format!("{lines:width$}\n")
}

/// Room for more keywords, once they do not fit any more: the whole mailbox moves for them.
pub const ROOM: usize = 256;

/// The message that holds the mailbox's state and is not shown: its header without the state lines, and its text.
pub fn pseudo(now: paquebot_types::InternalDate, host: &str) -> (String, &'static str) {
    let crate::date::Parts { day, time, zone, month } = crate::date::parts(now);
    let (hour, minute, second) = time;
    let header = format!(
        "{}Date: {:02} {month} {:04} {hour:02}:{minute:02}:{second:02} {zone}\nFrom: Mail System Internal Data <MAILER-DAEMON@{host}>\n\
         Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nMessage-ID: <{}@{host}>\n",
        without_zone(&super::separator::write("MAILER-DAEMON", now)),
        day.2,
        day.0,
        now.unix_seconds(),
    );
    (header, PSEUDO_TEXT)
}

const PSEUDO_TEXT: &str = "This text is part of the internal format of your mail folder, and is not\n\
a real message.  It is created automatically by the mail system software.\n\
If deleted, important folder data will be lost, and it will be re-created\n\
with the data reset to initial values.\n";

/// c-client writes this one line as delivery agents do.
fn without_zone(line: &str) -> String {
    line.rsplit_once(' ').map_or_else(|| line.to_owned(), |(line, _)| format!("{line}\n"))
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| matches!(octet, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty())
}

/// A number of 32 bits, whatever follows its digits.
pub fn number(word: &[u8]) -> Option<u32> {
    let digits = word.iter().take_while(|octet| octet.is_ascii_digit());
    let mut any = false;
    let value = digits.into_iter().try_fold(0_u32, |sum, digit| {
        any = true;
        sum.checked_mul(10)?.checked_add(u32::from(digit - b'0'))
    });
    value.filter(|_| any)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keywords(names: &[&str]) -> Vec<Keyword> {
        names.iter().map(|name| Keyword::new(name).unwrap()).collect()
    }

    #[test]
    fn only_the_exact_spelling_counts_and_every_other_is_discarded() {
        assert_eq!(Line::parse(b"Status: RO"), Line::State(Name::Status, b" RO"));
        assert_eq!(Line::parse(b"X-IMAPbase:1 2"), Line::State(Name::XImapBase, b"1 2"));
        for line in ["STATUS: R", "x-uid: 4", "Status : R", "X-UID"] {
            assert_eq!(Line::parse(line.as_bytes()), Line::Discarded, "{line}");
        }
        for line in ["Statuses: R", "Subject: x", "", " Status: R"] {
            assert_eq!(Line::parse(line.as_bytes()), Line::Shown, "{line}");
        }
    }

    #[test]
    fn a_base_needs_both_numbers() {
        let base = Base::parse(b" 1795549523 0000000027 $Forwarded Work  ").unwrap();
        let wanted = (1_795_549_523, 27, keywords(&["$Forwarded", "Work"]));
        assert_eq!((base.validity.get(), base.uid_last, base.keywords), wanted);
        for bad in ["", " 1", " 0 5", " x 5", " 4294967296 5"] {
            assert_eq!(Base::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn blocks_are_those_of_c_client() {
        let names = keywords(&["$Label1", "Work"]);
        let mut status = Status::default();
        status.take_letters(b" RO");
        status.take_letters(b" TF");
        let block = Block { base: None, status, uid: 1, keywords: &names };
        let blanks = " ".repeat(15);
        assert_eq!(block.write(), format!("Status: RO\nX-Status: FT\nX-Keywords:{blanks}\nX-UID: 1\n"));
        status.take_keywords(b" work $LABEL1 other", &names);
        let block = Block { base: None, status, uid: 1, keywords: &names };
        assert_eq!(block.write(), "Status: RO\nX-Status: FT\nX-Keywords: $Label1 Work  \nX-UID: 1\n");
        let size = block.write().len();
        assert_eq!(block.fit(size - 2).map(|fit| fit.len()), Some(size - 2));
        assert_eq!(block.fit(size - 3), None);
    }

    #[test]
    fn the_pseudo_message_is_that_of_c_client() {
        let base = Base { validity: UidValidity::new(7).unwrap(), uid_last: 3, keywords: keywords(&["Work"]) };
        assert_eq!(pseudo_block(&base, 0), "X-IMAP: 0000000007 0000000003 Work\nStatus: RO\n");
        assert_eq!(pseudo_block(&base, 60).len(), 60);
        let (header, _) = pseudo(paquebot_types::InternalDate::utc(1_173_118_530), "host");
        assert!(header.starts_with("From MAILER-DAEMON Mon Mar  5 18:15:30 2007\nDate: 05 Mar 2007 18:15:30 +0000\n"));
    }
}

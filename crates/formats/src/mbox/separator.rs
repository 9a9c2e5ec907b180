//! The line that begins a message: `From `, whoever, and a date at the end.
//!
//! ```text
//! www mmm dd hh:mm[:ss] yyyy
//! www mmm dd hh:mm[:ss] zzz yyyy
//! www mmm dd hh:mm[:ss] +zzzz yyyy
//! www mmm dd hh:mm[:ss] yyyy zzz
//! www mmm dd hh:mm[:ss] yyyy +zzzz
//! ```
//!
//! Read from its end, exactly as strictly as c-client does: only the places of blanks and colons count. What it takes as a separator ends a message,
//! so a line more or less is a message more or less.

use paquebot_types::InternalDate;

use crate::date;

const START: &[u8] = b"From ";
/// A line shorter than this has no place for a date.
const LINE_MIN: usize = 27;
/// One shorter than this has none for ` remote from` either.
const REMOTE_MIN: usize = 41;
const REMOTE: &[u8] = b" remote from";

/// Dates without a zone are in the machine's own.
pub fn local_zone_minutes() -> i16 {
    let seconds = chrono::Local::now().offset().local_minus_utc();
    i16::try_from(seconds / 60).unwrap_or(0)
}

/// A line that begins a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator {
    /// The epoch, as c-client has it, if there is no such day.
    pub internal_date: InternalDate,
}

impl Separator {
    /// Reads a line, with its LF. `None`: it is a line of text.
    pub fn parse(line: &[u8], local_zone_minutes: i16) -> Option<Self> {
        let line = line.strip_suffix(b"\n").filter(|line| line.starts_with(START))?;
        let line = without_remote(line.strip_suffix(b"\r").unwrap_or(line));
        if line.len() < LINE_MIN {
            return None;
        }
        let back = |distance: usize| line.len().checked_sub(distance).and_then(|at| line.get(at)).copied();
        let is = |distance: usize, octet: u8| back(distance) == Some(octet);
        let is_sign = |distance: usize| is(distance, b'+') || is(distance, b'-');
        // Distances from the end: of the blank after the time, and of the one before the zone.
        let (time_end, zone) = if is(5, b' ') {
            if is(8, b':') {
                (5, None)
            } else if is(9, b' ') {
                (9, Some((9, 5)))
            } else if is(11, b' ') && is_sign(10) {
                (11, Some((11, 5)))
            } else {
                return None;
            }
        } else if is(4, b' ') {
            (9, Some((4, 0)))
        } else if is(6, b' ') && is_sign(5) {
            (11, Some((6, 0)))
        } else {
            return None;
        };
        if !is(time_end, b' ') || !is(time_end + 3, b':') {
            return None;
        }
        let time_start = time_end + if is(time_end + 6, b':') { 9 } else { 6 };
        if ![0, 3, 7, 11].iter().all(|before| is(time_start + before, b' ')) {
            return None;
        }
        let part = |from: usize, to: usize| &line[line.len() - from..line.len() - to];
        let year = match zone {
            Some((_, 0)) => part(time_end - 1, time_end - 5),
            _ => part(4, 0),
        };
        let zone = match zone {
            Some((from, to)) => zone_minutes(part(from - 1, to)).unwrap_or(local_zone_minutes),
            None => local_zone_minutes,
        };
        let text = Text { day: part(time_start + 2, time_start), month: part(time_start + 6, time_start + 3), year };
        let moment = text.moment(part(time_start - 1, time_end), zone);
        Some(Self { internal_date: moment.unwrap_or(InternalDate::utc(0)) })
    }
}

/// The line that begins a message from `sender`.
pub fn write(sender: &str, date: InternalDate) -> String {
    let date::Parts { day, time, zone, month } = date::parts(date);
    let week_day = WEEK_DAYS[usize::try_from((date_day(date) + 4).rem_euclid(7)).unwrap_or(0)];
    let (hour, minute, second) = time;
    format!("From {sender} {week_day} {month} {:2} {hour:02}:{minute:02}:{second:02} {:04} {zone}\n", day.2, day.0)
}

/// 1970-01-01 was a Thursday.
const WEEK_DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

fn date_day(date: InternalDate) -> i64 {
    date.local_day()
}

struct Text<'l> {
    day: &'l [u8],
    month: &'l [u8],
    year: &'l [u8],
}

impl Text<'_> {
    /// `time` is `hh:mm` or `hh:mm:ss`.
    fn moment(&self, time: &[u8], zone_minutes: i16) -> Option<InternalDate> {
        let octet = |digits: &[u8]| date::number(digits).and_then(|number| u8::try_from(number).ok());
        let day = (i32::try_from(date::number(self.year)?).ok()?, date::month(self.month)?, octet(self.day)?);
        let second = time.get(6..8).map_or(Some(0), octet)?;
        date::moment(day, (octet(time.get(..2)?)?, octet(time.get(3..5)?)?, second), zone_minutes)
    }
}

/// The line without what UUCP put behind the date.
fn without_remote(line: &[u8]) -> &[u8] {
    if line.len() < REMOTE_MIN {
        return line;
    }
    let word = line.iter().rposition(|octet| *octet == b' ').unwrap_or(line.len());
    line[..word].strip_suffix(REMOTE).unwrap_or(line)
}

/// Minutes east of UTC. `None` for a zone that nobody knows, which counts as the local one.
fn zone_minutes(zone: &[u8]) -> Option<i16> {
    if let Some(minutes) = date::zone(zone) {
        return Some(minutes);
    }
    let hours: i16 = match zone.trim_ascii().to_ascii_uppercase().as_slice() {
        b"UT" | b"UTC" | b"GMT" | b"Z" => 0,
        b"MET" => 1,
        b"EET" => 2,
        b"JST" => 9,
        b"ADT" => -3,
        b"AST" | b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" | b"YDT" => -8,
        b"YST" | b"HDT" => -9,
        b"HST" | b"BDT" => -10,
        [letter @ b'A'..=b'I'] => i16::from(letter - b'A') + 1,
        [letter @ b'K'..=b'M'] => i16::from(letter - b'K') + 10,
        [letter @ b'N'..=b'Y'] => -i16::from(letter - b'N') - 1,
        _ => return None,
    };
    Some(hours * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(line: &str) -> Option<String> {
        Separator::parse(format!("{line}\n").as_bytes(), -90).map(|found| date::write_imap(found.internal_date))
    }

    #[test]
    fn dates_stand_in_every_form() {
        for (line, wanted) in [
            ("From a@b Wed Dec  2 05:53 1992", " 2-Dec-1992 05:53:00 -0130"),
            ("From a@b Wed Dec 02 05:53:22 1992\r", " 2-Dec-1992 05:53:22 -0130"),
            ("From a b c Wed Dec  2 05:53 PST 1992", " 2-Dec-1992 05:53:00 -0800"),
            ("From a@b Wed Dec  2 05:53:22 +0545 1992", " 2-Dec-1992 05:53:22 +0545"),
            ("From a@b Wed Dec  2 05:53:22 1992 MET", " 2-Dec-1992 05:53:22 +0100"),
            ("From a@b Wed Dec  2 05:53:22 1992 -0700", " 2-Dec-1992 05:53:22 -0700"),
            ("From a@b Wed Dec  2 05:53:22 1992 xyz", " 2-Dec-1992 05:53:22 -0130"),
            ("From a@b Wed Dec  2 05:53:22 1992 remote from xyz", " 2-Dec-1992 05:53:22 -0130"),
            ("From  Wed Dec  2 05:53:22 1992", " 2-Dec-1992 05:53:22 -0130"),
            ("From a@b Mon Foo 99 10:15:30 2007", " 1-Jan-1970 00:00:00 +0000"),
        ] {
            assert_eq!(date(line).as_deref(), Some(wanted), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_text() {
        for line in [
            "From here on",
            "From a@b Wed Dec  2 05:53:22",
            "From a@b Wed Dec 2 05:53:22 1992",
            "From d 99 xxx  5 10:15:30 2007",
            "From: a@b Wed Dec  2 05:53:22 1992",
            ">From a@b Wed Dec  2 05:53:22 1992",
            "From                      1992",
        ] {
            assert_eq!(date(line), None, "{line}");
        }
        assert_eq!(Separator::parse(b"From a@b Wed Dec  2 05:53:22 1992", 0), None, "without LF");
    }

    #[test]
    fn what_is_written_is_read() {
        let date = InternalDate::new(1_173_118_530, -480);
        let line = write("a@b", date);
        assert_eq!(line, "From a@b Mon Mar  5 10:15:30 2007 -0800\n");
        assert_eq!(Separator::parse(line.as_bytes(), 0), Some(Separator { internal_date: date }));
    }
}

//! Dates as mailboxes write them.

use paquebot_types::InternalDate;
use time::{Date, Month, Time};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment of the calendar in a zone; `None` if there is no such day or time. A leap second is the second before it.
pub fn moment(day: (i32, u8, u8), time: (u8, u8, u8), zone_minutes: i16) -> Option<InternalDate> {
    let date = Date::from_calendar_date(day.0, Month::try_from(day.1).ok()?, day.2).ok()?;
    let time = Time::from_hms(time.0, time.1, time.2.min(59)).ok()?;
    let local = date.with_time(time).assume_utc().unix_timestamp();
    Some(InternalDate::new(local - i64::from(zone_minutes) * 60, zone_minutes))
}

/// The number of a month, 1 to 12, by its three letters.
pub fn month(name: &[u8]) -> Option<u8> {
    let at = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    u8::try_from(at + 1).ok()
}

/// The number that these digits are; leading blanks count as zeros.
pub fn number(digits: &[u8]) -> Option<u32> {
    let digits = digits.trim_ascii_start();
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// `+hhmm` or `-hhmm`, in minutes east of UTC.
pub fn zone(text: &[u8]) -> Option<i16> {
    let (sign, digits) = text.split_first()?;
    if digits.len() != 4 {
        return None;
    }
    let (hours, minutes) = (number(&digits[..2])?, number(&digits[2..])?);
    let minutes = i16::try_from(hours * 60 + minutes).ok().filter(|minutes| *minutes < 24 * 60)?;
    match sign {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

/// The parts of a date in its own zone: (year, month, day), (hour, minute, second), zone sign and digits.
pub struct Parts {
    pub day: (i32, u8, u8),
    pub time: (u8, u8, u8),
    pub zone: String,
    pub month: &'static str,
}

pub fn parts(date: InternalDate) -> Parts {
    let local = date.unix_seconds() + i64::from(date.zone_minutes()) * 60;
    // Within the years 0 to 9999 by the type, so there is such a moment.
    let at = time::OffsetDateTime::from_unix_timestamp(local).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let zone = date.zone_minutes().unsigned_abs();
    let sign = if date.zone_minutes() < 0 { '-' } else { '+' };
    Parts {
        day: (at.year(), at.month().into(), at.day()),
        time: (at.hour(), at.minute(), at.second()),
        zone: format!("{sign}{:02}{:02}", zone / 60, zone % 60),
        month: MONTHS[usize::from(u8::from(at.month()) - 1)],
    }
}

/// The nearest date that c-client can show. It keeps years in 7 bits from 1970 on and a zone's hours in 4: it shows others as of another century, and
/// refuses a whole mbx mailbox with one in it. A zone that is too far from UTC becomes UTC, and the moment stays.
pub fn for_c_client(date: InternalDate) -> InternalDate {
    const ZONE: i16 = 16 * 60 - 1;
    /// 1970-01-01 00:00:00 and 2097-12-31 23:59:59, local time.
    const SECONDS: std::ops::RangeInclusive<i64> = 0..=4_039_372_799;
    let zone = if (-ZONE..=ZONE).contains(&date.zone_minutes()) { date.zone_minutes() } else { 0 };
    let zone_seconds = i64::from(zone) * 60;
    let local = (date.unix_seconds() + zone_seconds).clamp(*SECONDS.start(), *SECONDS.end());
    InternalDate::new(local - zone_seconds, zone)
}

/// ` 5-Mar-2007 10:15:30 -0800`: 26 octets, as IMAP and mbx have it. Blanks around it are passed over.
pub fn parse_imap(text: &[u8]) -> Option<InternalDate> {
    let text = text.trim_ascii();
    let text: Vec<u8> = if text.len() == 25 { [b" ", text].concat() } else { text.to_vec() };
    if text.len() != 26 || [text[2], text[6], text[11], text[14], text[17], text[20]] != *b"-- :: " {
        return None;
    }
    let part = |range: std::ops::Range<usize>| number(&text[range]).and_then(|part| u8::try_from(part).ok());
    let day = (i32::try_from(number(&text[7..11])?).ok()?, month(&text[3..6])?, part(0..2)?);
    moment(day, (part(12..14)?, part(15..17)?, part(18..20)?), zone(&text[21..26])?)
}

/// The same, written: the day padded by a blank.
pub fn write_imap(date: InternalDate) -> String {
    let Parts { day, time, zone, month } = parts(date);
    format!("{:2}-{month}-{:04} {:02}:{:02}:{:02} {zone}", day.2, day.0, time.0, time.1, time.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for text in [" 5-Mar-2007 10:15:30 -0800", "31-Dec-1999 23:59:59 +0000", " 1-Jan-1970 00:00:00 +1345"] {
            assert_eq!(parse_imap(text.as_bytes()).map(write_imap).as_deref(), Some(text));
        }
        let date = parse_imap(b" 5-Mar-2007 10:15:30 -0800").map(InternalDate::unix_seconds);
        assert_eq!(date, Some(1_173_118_530));
        assert_eq!(parse_imap(b"5-Mar-2007 10:15:30 -0800").map(InternalDate::unix_seconds), date);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["", "31-Feb-2007 10:15:30 -0800", " 5-Mar-2007 25:15:30 -0800", " 5-Mar-2007 10:15:30 0800 ", "5-Mar-2007"]
        {
            assert_eq!(parse_imap(text.as_bytes()), None, "{text}");
        }
    }
}

//! The date of a message (RFC 5322, 3.3, with the obsolete forms), tolerantly.

use crate::content::Cursor;

/// What a Date field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentDate {
    /// In UTC: what SORT and THREAD compare (RFC 5256, 2.2).
    pub unix_seconds: i64,
    /// The day as written, counted from 1970-01-01: what SENTON and its like compare, "disregarding time and timezone" (RFC 9051, 6.4.4).
    pub day: i32,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Words looked at; a date has at most seven.
const WORDS_MAX: usize = 32;

#[derive(Default)]
struct Found {
    day: Option<u32>,
    month: Option<u32>,
    year: Option<i64>,
    seconds: Option<i64>,
    zone_seconds: Option<i64>,
}

/// Reads a date in whatever order its parts stand: RFC 5322's, asctime's, `17-Jul-1996`, `1996-07-17T02:23:25Z`. `None` without a valid day.
///
/// A time that is missing or wrong is midnight, a zone that is missing or not known UTC (RFC 5256, 2.2).
pub fn parse_date(value: &[u8]) -> Option<SentDate> {
    let mut found = Found::default();
    let mut cursor = Cursor::new(value);
    for _ in 0..WORDS_MAX {
        cursor.skip_comments();
        let rest = cursor.rest();
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b',' | 0);
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        if rest.is_empty() {
            break;
        }
        found.word(rest.get(..length).unwrap_or_default());
        cursor.advance(length.max(1));
    }
    found.finish()
}

impl Found {
    fn word(&mut self, word: &[u8]) {
        let Ok(word) = std::str::from_utf8(word) else { return };
        let Some(&first) = word.as_bytes().first() else { return };
        if matches!(first, b'+' | b'-') && self.seconds.is_some() {
            self.zone_seconds = self.zone_seconds.or_else(|| zone_offset(word));
        } else if let Some((date, time)) = word.split_once('T').filter(|(date, _)| date.contains('-')) {
            self.word_of_date(date);
            let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
            self.seconds = self.seconds.or_else(|| time_of_day(&time[..zone]));
            self.zone_seconds = self.zone_seconds.or_else(|| zone_offset(&time[zone..]));
        } else if word.contains(':') {
            self.seconds = self.seconds.or_else(|| time_of_day(word));
        } else {
            self.word_of_date(word);
        }
    }

    fn word_of_date(&mut self, word: &str) {
        for piece in word.split(['-', '/', '.']).filter(|piece| !piece.is_empty()) {
            if piece.bytes().all(|byte| byte.is_ascii_digit()) {
                self.number(piece);
            } else if let Some(month) = month(piece) {
                self.month = self.month.or(Some(month));
            } else if self.seconds.is_some() {
                self.zone_seconds = self.zone_seconds.or_else(|| zone_name(piece));
            }
        }
    }

    fn number(&mut self, digits: &str) {
        let Ok(number) = digits.parse::<u32>() else { return };
        match digits.len() {
            // 1996-07-17
            1 | 2 if self.year.is_some() && self.month.is_none() => self.month = Some(number),
            1 | 2 if self.day.is_none() => self.day = Some(number),
            // Two digits are of the years 1950 to 2049, three are counted from 1900 (RFC 5322, 4.3).
            2 if self.year.is_none() => self.year = Some(i64::from(number) + if number < 50 { 2000 } else { 1900 }),
            3 if self.year.is_none() => self.year = Some(i64::from(number) + 1900),
            4 if self.year.is_none() => self.year = Some(i64::from(number)),
            _ => {}
        }
    }

    fn finish(self) -> Option<SentDate> {
        let days = days_from_civil(self.year?, self.month?, self.day?)?;
        let seconds = self.seconds.unwrap_or(0);
        let unix_seconds = days * 86_400 + seconds - self.zone_seconds.unwrap_or(0);
        Some(SentDate { unix_seconds, day: i32::try_from(days).ok()? })
    }
}

fn month(word: &str) -> Option<u32> {
    let start = word.get(..3)?;
    let index = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(start))?;
    u32::try_from(index + 1).ok()
}

/// `hh:mm` or `hh:mm:ss`, a fraction left away; a leap second is the second before.
fn time_of_day(word: &str) -> Option<i64> {
    let mut pieces = word.split(':').map(|piece| piece.split('.').next()?.parse::<i64>().ok());
    let hours = pieces.next()??;
    let minutes = pieces.next()??;
    let seconds = pieces.next().unwrap_or(Some(0))?.min(59);
    let is_valid = (0..24).contains(&hours) && (0..60).contains(&minutes) && (0..60).contains(&seconds);
    is_valid.then_some(hours * 3600 + minutes * 60 + seconds)
}

/// `+hhmm`, `+hh:mm` or `Z`, in seconds east of UTC.
fn zone_offset(word: &str) -> Option<i64> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number = digits.replace(':', "").parse::<i64>().ok().filter(|number| (0..=9959).contains(number))?;
    Some(sign * (number / 100 * 3600 + number % 100 * 60))
}

/// The obsolete zones; military ones are not to be trusted and count as UTC (RFC 5322, 4.3).
fn zone_name(word: &str) -> Option<i64> {
    const ZONES: [(&str, i64); 11] = [
        ("UT", 0),
        ("GMT", 0),
        ("UTC", 0),
        ("EDT", -4),
        ("EST", -5),
        ("CDT", -5),
        ("CST", -6),
        ("MDT", -6),
        ("MST", -7),
        ("PDT", -7),
        ("PST", -8),
    ];
    ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, hours)| hours * 3600)
}

/// Days from 1970-01-01 in the Gregorian calendar; `None` for a day that is in no calendar.
fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    // Years are counted from March, so that the leap day is the last one.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_forms_are_read() {
        let cases = [
            ("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", 837_595_405, 9694),
            ("17 Jul 1996 02:23:25 PDT", 837_595_405, 9694),
            ("Wed Jul 17 02:23:25 1996", 837_570_205, 9694),
            ("17-Jul-96 02:23:25 +0000", 837_570_205, 9694),
            ("Wed, 17 Jul 1996 02:23", 837_570_180, 9694),
            ("1996-07-17T02:23:25-07:00", 837_595_405, 9694),
            ("1996-07-17T02:23:25Z", 837_570_205, 9694),
            (" (x (y)) 17 July 96 (a) 02:23:25 (b) Z", 837_570_205, 9694),
            ("Thu, 1 Jan 1970 00:00:00 +0000", 0, 0),
            ("31 Dec 1969 23:00:00 -0200", 3600, -1),
            ("29 Feb 2000 24:00:00 +9999", 951_782_400, 11_016),
            ("1 Jan 100 00:00:00", 946_684_800, 10_957),
            ("Sun, 06 Nov 94 08:49:60 gmt", 784_111_799, 9075),
        ];
        for (value, unix_seconds, day) in cases {
            assert_eq!(parse_date(value.as_bytes()), Some(SentDate { unix_seconds, day }), "{value}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            "",
            "yesterday",
            "30 Feb 2000",
            "17 Jul",
            "0 Jan 2000",
            "1 Jan 99999",
            "(",
            "(\\",
            "99999999999 Jan 1",
            "é é",
        ] {
            assert_eq!(parse_date(value.as_bytes()), None, "{value}");
        }
    }
}

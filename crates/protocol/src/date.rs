//! Dates and times of the grammar: `1-Feb-1994` and `" 1-Feb-1994 22:43:04 -0800"` (RFC 9051, 9: `date`, `date-time`).

use paquebot_types::InternalDate;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A calendar day as SEARCH names it, counted from 1970-01-01, with no zone: compare with `InternalDate::local_day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i64);

impl Day {
    /// Reads `d-Mon-yyyy`, the day with one or two digits. `None` if there is no such day.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.splitn(3, |&byte| byte == b'-');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let day = match day.len() {
            1 | 2 => digits(day)?,
            _ => return None,
        };
        let month = 1 + MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
        let year = if year.len() == 4 { digits(year)? } else { return None };
        let month = i64::try_from(month).ok()?;
        let days = days_from_civil(year, month, day);
        (day >= 1 && civil_from_days(days) == (year, month, day)).then_some(Self(days))
    }
}

/// Reads the inside of a `date-time`'s quotes. A day of one digit may stand without its leading space.
pub fn parse_date_time(text: &[u8]) -> Option<InternalDate> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let mut parts = text.split(|&byte| byte == b' ');
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let Day(days) = Day::parse(date)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *time else { return None };
    let (hours, minutes, seconds) = (digits(&[h1, h2])?, digits(&[m1, m2])?, digits(&[s1, s2])?);
    let [sign, z1, z2, z3, z4] = *zone else { return None };
    let (zone_hours, zone_minutes) = (digits(&[z1, z2])?, digits(&[z3, z4])?);
    // Second 60 is a leap second's.
    if hours > 23 || minutes > 59 || seconds > 60 || zone_hours > 23 || zone_minutes > 59 {
        return None;
    }
    let east = match sign {
        b'+' => zone_hours * 60 + zone_minutes,
        b'-' => -(zone_hours * 60 + zone_minutes),
        _ => return None,
    };
    let local = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Some(InternalDate::new(local - east * 60, i16::try_from(east).ok()?))
}

/// Writes a `date-time` with its quotes, always 28 octets.
pub(crate) fn write_date_time(out: &mut Vec<u8>, date: InternalDate) {
    let (year, month, day) = civil_from_days(date.local_day());
    let zone = i64::from(date.zone_minutes());
    let seconds = (date.unix_seconds() + zone * 60).rem_euclid(86_400);
    let month = usize::try_from(month - 1).ok().and_then(|index| MONTHS.get(index)).copied().unwrap_or(MONTHS[0]);
    out.push(b'"');
    out.extend_from_slice(&if day < 10 { [b' ', digit(day)] } else { two_digits(day) });
    out.push(b'-');
    out.extend_from_slice(month);
    out.push(b'-');
    out.extend_from_slice(&two_digits(year / 100));
    out.extend_from_slice(&two_digits(year % 100));
    for (before, number) in [(b' ', seconds / 3600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        out.push(before);
        out.extend_from_slice(&two_digits(number));
    }
    out.extend_from_slice(if zone < 0 { b" -" } else { b" +" });
    out.extend_from_slice(&two_digits(zone.abs() / 60));
    out.extend_from_slice(&two_digits(zone.abs() % 60));
    out.push(b'"');
}

fn two_digits(number: i64) -> [u8; 2] {
    [digit(number / 10 % 10), digit(number % 10)]
}

fn digit(number: i64) -> u8 {
    b'0' + number.rem_euclid(10) as u8
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0i64, |number, byte| match byte {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        let day = |text: &str| Day::parse(text.as_bytes()).map(|day| day.0);
        assert_eq!(day("1-Jan-1970"), Some(0));
        assert_eq!(day("01-feb-1994"), Some(8797));
        assert_eq!(day("29-FEB-2000"), Some(11_016));
        assert_eq!(day("31-Dec-1969"), Some(-1));
        for bad in [
            "29-Feb-2001",
            "31-Apr-2000",
            "0-Jan-2000",
            "1-Foo-2000",
            "1-Jan-00",
            "1-Jan-20000",
            "-1-Jan-2000",
            "1Jan2000",
            "",
            "001-Jan-2000",
        ] {
            assert_eq!(day(bad), None, "{bad}");
        }
    }

    #[test]
    fn date_times_go_there_and_back() {
        for text in [
            " 1-Feb-1994 22:43:04 -0800",
            "17-Jul-1996 02:44:25 -0700",
            "31-Dec-9999 23:59:59 +0000",
            " 1-Jan-0000 00:00:00 +0000",
            "29-Feb-2024 00:00:00 +1345",
            "01-Jan-1970 00:00:00 -2359",
        ] {
            let date = parse_date_time(text.as_bytes()).unwrap();
            let mut out = Vec::new();
            write_date_time(&mut out, date);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}\"", text.replacen("01-", " 1-", 1)));
        }
        assert_eq!(parse_date_time(b" 1-Feb-1994 22:43:04 -0800").unwrap().unix_seconds(), 760_171_384);
        assert_eq!(parse_date_time(b"1-Feb-1994 22:43:04 -0800"), parse_date_time(b" 1-Feb-1994 22:43:04 -0800"));
    }

    #[test]
    fn impossible_times_are_refused() {
        for bad in [
            "1-Feb-1994",
            "1-Feb-1994 24:00:00 +0000",
            "1-Feb-1994 22:60:00 +0000",
            "1-Feb-1994 22:43:61 +0000",
            "1-Feb-1994 22:43:04 0800",
            "1-Feb-1994 22:43:04 +2400",
            "1-Feb-1994 22:43:04 +0060",
            "1-Feb-1994 22:43 +0000",
            "30-Feb-1994 22:43:04 +0000",
            "1-Feb-1994 22:43:04 +0000 ",
            "1-Feb-1994  22:43:04 +0000",
            "  1-Feb-1994 22:43:04 +0000",
            "",
        ] {
            assert_eq!(parse_date_time(bad.as_bytes()), None, "{bad}");
        }
    }
}

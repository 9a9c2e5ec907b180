//! A message's INTERNALDATE.

use serde::{Deserialize, Serialize};

/// A moment with the zone it was given in (RFC 9051, 2.3.3): whole seconds, and the zone in minutes east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InternalDate {
    unix_seconds: i64,
    zone_minutes: i16,
}

impl InternalDate {
    /// 0000-01-01 and 9999-12-31 as IMAP's four-digit years can say them.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

    /// Moments outside the years 0 to 9999, local time, go to the nearest end; a zone beyond 23:59 becomes UTC.
    pub fn new(unix_seconds: i64, zone_minutes: i16) -> Self {
        let zone_minutes = if (-1439..=1439).contains(&zone_minutes) { zone_minutes } else { 0 };
        let zone_seconds = i64::from(zone_minutes) * 60;
        let local = unix_seconds.saturating_add(zone_seconds).clamp(*Self::SECONDS.start(), *Self::SECONDS.end());
        Self { unix_seconds: local - zone_seconds, zone_minutes }
    }

    /// The moment in UTC.
    pub fn utc(unix_seconds: i64) -> Self {
        Self::new(unix_seconds, 0)
    }

    pub fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }

    pub fn zone_minutes(self) -> i16 {
        self.zone_minutes
    }

    /// The day in the date's own zone, counted from 1970-01-01: what SINCE, BEFORE and ON compare (RFC 9051, 6.4.4).
    pub fn local_day(self) -> i64 {
        (self.unix_seconds + i64::from(self.zone_minutes) * 60).div_euclid(86_400)
    }
}

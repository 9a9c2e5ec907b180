//! Times and sizes with their units, as the configuration says them.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::ser::Serializer;

const TIMES: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number and one of the units, a space between them or not.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit of which it is a whole number.
fn show(value: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor));
    let (unit, factor) = whole.or(units.last()).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

/// `"30s"`, `"5m"`, `"7d"`: for serde's `with`.
pub(crate) mod time {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), TIMES))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        struct Time;
        impl Visitor<'_> for Time {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                let time = parse(text, TIMES).map(Duration::from_millis);
                time.ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Time)
    }
}

/// `"64KiB"`, `"128MiB"`, or a number of bytes: for serde's `with`.
pub(crate) mod size {
    use super::*;

    pub fn serialize<T: Copy + TryInto<u64>, S: Serializer>(size: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show((*size).try_into().unwrap_or(u64::MAX), SIZES))
    }

    pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size like \"64KiB\", \"128MiB\" or a number of bytes")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
                u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
                Ok(bytes)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
                parse(text, SIZES).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        let bytes = deserializer.deserialize_any(Size)?;
        T::try_from(bytes).map_err(|_| de::Error::invalid_value(Unexpected::Unsigned(bytes), &Size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_there_and_back() {
        for text in ["500ms", "30s", "5m", "1h", "7d", "90s", "0ms"] {
            assert_eq!(show(parse(text, TIMES).unwrap(), TIMES), text);
        }
        for text in ["0B", "1B", "64KiB", "128MiB", "2GiB", "1025B"] {
            assert_eq!(show(parse(text, SIZES).unwrap(), SIZES), text);
        }
        assert_eq!(parse("64 KiB", SIZES), Some(64 << 10));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "5", "s", "-5s", "5 weeks", "1.5h", "99999999999999999999s", "999999999999999999d", "5s "] {
            assert_eq!(parse(text, TIMES), None, "{text}");
        }
        for text in ["64", "64K", "64kb", "KiB"] {
            assert_eq!(parse(text, SIZES), None, "{text}");
        }
    }
}

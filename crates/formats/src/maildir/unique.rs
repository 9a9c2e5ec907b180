//! Names that no other file has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lock::holder;

/// `<seconds>.M<microseconds>P<process>.<host>`, as Dovecot names messages. No two calls on one machine give the same.
pub fn name() -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let now = u64::try_from(now).unwrap_or(u64::MAX);
    // A process never uses a microsecond twice, whatever the clock does.
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    let micros = last.map_or(now, |last| now.max(last + 1));
    format!("{}.M{}P{}.{}", micros / 1_000_000, micros % 1_000_000, std::process::id(), escaped_host())
}

/// `/` and `:` as maildir writes them in names of files.
fn escaped_host() -> String {
    holder::host().replace('/', "\\057").replace(':', "\\072")
}

/// 32 hexadecimal digits: a mailbox's GUID. Unlike every other by what goes in: this name, never given again.
pub fn guid() -> String {
    let hash = blake3::hash(name().as_bytes());
    hash.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let mut names: Vec<String> = (0..1000).map(|_| name()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1000);
        assert_eq!(guid().len(), 32);
    }
}

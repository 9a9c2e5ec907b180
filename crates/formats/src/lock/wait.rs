//! Waiting for a lock that somebody else has.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::FormatError;

/// Pauses between attempts at a lock that is held for a short time: the first, and the longest.
pub const BRIEF: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Attempts until one gives `Ok(Ok(_))`, an error, or the time is over: then `path` is in use, by whom the last attempt's `Ok(Err(_))` says. The pauses between
/// attempts grow from the first to the longest.
pub fn wait_for<T, B, E>(
    path: &Path,
    pauses: (Duration, Duration),
    until: Instant,
    mut attempt: impl FnMut() -> Result<Result<T, B>, E>,
) -> Result<T, E>
where
    B: FnOnce() -> String,
    E: From<FormatError>,
{
    let (mut pause, longest) = pauses;
    loop {
        match attempt()? {
            Ok(had) => return Ok(had),
            Err(by) if Instant::now() >= until => {
                return Err(FormatError::InUse { path: path.into(), by: by() }.into());
            }
            Err(_) => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(longest);
    }
}

//! Damage is told in the log once, however often it is met.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Places that are remembered, at most: beyond that nothing is told any more.
const PLACES_MAX: usize = 4096;

/// A file, the place in it, and what is wrong there.
type Place = (PathBuf, u64, &'static str);

static TOLD: LazyLock<Mutex<HashSet<Place>>> = LazyLock::new(Mutex::default);

/// Tells of a damage that what is whole is served in spite of.
pub fn damage(path: &Path, offset: u64, what: &'static str) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < PLACES_MAX && told.insert((path.into(), offset, what)) {
        tracing::error!(path = %path.display(), offset, what, "a Cyrus store is damaged: what is whole is served");
    }
}

//! Listing a maildir's messages while others rename and move them.
//!
//! `readdir` may give a file that is renamed meanwhile under its old name, its new one, both or neither. So what one listing misses counts as gone only
//! when a later one misses it too, with the directories unchanged around it.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::layout;
use super::uids::Unique;
use super::watch::Place;
use super::{failed, is_absent};
use crate::error::FormatError;

/// Where a message is, and the rest of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub place: Place,
    pub info: Box<[u8]>,
}

#[derive(Debug, Default)]
pub struct Listing {
    pub found: HashMap<Unique, Spot>,
    /// Further files of a name that `found` has.
    pub doubles: Vec<(Unique, Spot)>,
}

/// When the two directories changed last, to the nanosecond where the file system has it.
pub type Stamps = [(i64, i64); 2];

pub fn stamps(new: &Path, cur: &Path) -> Result<Stamps, FormatError> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).map_err(|source| failed("look at", path, source))?;
        Ok((found.mtime(), found.mtime_nsec()))
    };
    Ok([stamp(new)?, stamp(cur)?])
}

/// Lists both directories, `new` first: what is moved meanwhile is found in `cur`.
pub fn list(new: &Path, cur: &Path, expected: usize) -> Result<Listing, FormatError> {
    let mut listing = Listing { found: HashMap::with_capacity(expected), doubles: Vec::new() };
    for (place, directory) in [(Place::New, new), (Place::Cur, cur)] {
        let entries = std::fs::read_dir(directory).map_err(|source| failed("list", directory, source))?;
        for entry in entries {
            let entry = match entry {
                Err(error) if is_absent(&error) => continue,
                entry => entry.map_err(|source| failed("list", directory, source))?,
            };
            let name = entry.file_name();
            let Some((unique, info)) = layout::split(name.as_bytes()) else { continue };
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let (unique, spot) = (Unique::from(unique), Spot { place, info: info.into() });
            match listing.found.entry(unique) {
                std::collections::hash_map::Entry::Vacant(free) => _ = free.insert(spot),
                std::collections::hash_map::Entry::Occupied(taken) => {
                    listing.doubles.push((Unique::clone(taken.key()), spot));
                }
            }
        }
    }
    Ok(listing)
}

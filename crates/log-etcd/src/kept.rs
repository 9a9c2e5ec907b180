//! The bodies that this machine keeps for records that have not been applied yet.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use paquebot_model::Record;
use paquebot_store::{Location, Pin, Tail};
use paquebot_types::BlobHash;
use parking_lot::Mutex;
use tokio::time::Instant;

/// For so long bodies are pinned whose record does not come. No attempt at a record lasts nearly as long.
pub const KEPT: Duration = Duration::from_secs(3600);

/// Where this machine has the bodies of a record.
pub type Places = Arc<[(BlobHash, Location)]>;

/// Bodies of a record on this machine, and what keeps them there until the record is applied.
#[derive(Debug, Clone)]
pub struct Kept {
    pub places: Places,
    pub pins: Vec<Pin>,
    pub since: Instant,
}

impl Kept {
    pub fn new(places: Vec<(BlobHash, Location)>, pins: Vec<Pin>) -> Self {
        Self { places: places.into(), pins, since: Instant::now() }
    }

    /// The places alone: somebody else has the pins.
    pub fn unpinned(&self) -> Self {
        Self { places: self.places.clone(), pins: Vec::new(), since: self.since }
    }
}

/// Bodies that were written before the process started, for records that may come yet.
pub struct Found {
    bodies: Mutex<HashMap<BlobHash, Vec<(Location, Pin)>>>,
    since: Instant,
}

impl Found {
    pub fn new(tail: Tail) -> Self {
        let mut bodies: HashMap<_, Vec<_>> = HashMap::new();
        for group in tail.groups {
            for (hash, location) in group.bodies {
                bodies.entry(hash).or_default().push((location, group.pin.clone()));
            }
        }
        Self { bodies: Mutex::new(bodies), since: Instant::now() }
    }

    /// The bodies that a record brings and that are here. The place of a body that is here once is given to every record that brings it, the pin
    /// to the first.
    pub fn take(&self, record: &Record) -> Kept {
        let mut bodies = self.bodies.lock();
        let mut kept = Kept::new(Vec::new(), Vec::new());
        if bodies.is_empty() {
            return kept;
        }
        let mut places: Vec<(BlobHash, Location)> = Vec::new();
        for hash in record.ops.iter().flat_map(|op| op.messages()).map(|message| message.body) {
            let Some(copies) = bodies.get_mut(&hash).filter(|_| places.iter().all(|(known, _)| *known != hash)) else {
                continue;
            };
            let copy = match copies.as_mut_slice() {
                [(location, pin)] => Some((*location, std::mem::take(pin))),
                [] => None,
                _ => Some(copies.remove(0)),
            };
            if let Some((location, pin)) = copy {
                places.push((hash, location));
                kept.pins.push(pin);
            }
        }
        kept.places = places.into();
        kept
    }

    /// Gives up what nobody came for.
    pub fn expire(&self) {
        if self.since.elapsed() > KEPT {
            self.bodies.lock().clear();
        }
    }
}

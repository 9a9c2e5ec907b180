//! Groups that the log keeps although none of their records waits: a record elsewhere is about to name their bodies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::index::Mark;
use crate::location::Position;

/// The groups that are pinned.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    /// By number: where the group starts, and how many pins it has.
    groups: Mutex<BTreeMap<u64, (Position, usize)>>,
}

/// Keeps a group: while a pin or a clone of it lives the group's bodies stay where they are, and a start after a crash finds them in
/// [`crate::Tail`]. Dropped once an applied record has given them their locations, or none will.
///
/// The default pins nothing.
#[derive(Clone, Default)]
pub struct Pin(Option<Arc<Held>>);

struct Held {
    pins: Arc<Pins>,
    group: u64,
}

impl Pins {
    /// Pins the group that starts at `start`.
    pub(super) fn pin(self: &Arc<Self>, start: Mark) -> Pin {
        self.groups.lock().entry(start.group).or_insert((start.position, 0)).1 += 1;
        Pin(Some(Arc::new(Held { pins: self.clone(), group: start.group })))
    }

    /// The first group that is pinned.
    pub(super) fn first(&self) -> Option<Mark> {
        self.groups.lock().first_key_value().map(|(group, (position, _))| Mark { position: *position, group: *group })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut groups = self.pins.groups.lock();
        if let Some((_, count)) = groups.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                groups.remove(&self.group);
            }
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").field(&self.0.as_ref().map(|held| held.group)).finish()
    }
}

//! Bodies of evicted packs that somebody reads: in memory, a bounded number of bytes.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::read_only::Readable;
use crate::fs::File;
use crate::location::Location;

/// Past this many bytes what was lent first goes. The last one stays, however large.
const BYTES_MAX: u64 = 64 << 20;

/// Bodies that were lent.
#[derive(Debug, Default)]
pub(crate) struct Lent(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<(Location, Arc<dyn File>)>,
    bytes: u64,
}

impl Lent {
    pub(crate) fn put(&self, location: Location, file: Arc<dyn File>) {
        let mut state = self.0.lock();
        if state.entries.iter().any(|(known, _)| *known == location) {
            return;
        }
        state.bytes += location.len;
        state.entries.push_back((location, file));
        while state.bytes > BYTES_MAX && state.entries.len() > 1 {
            let gone = state.entries.pop_front().map_or(0, |(location, _)| location.len);
            state.bytes -= gone;
        }
    }

    pub(crate) fn get(&self, location: Location) -> Option<Arc<dyn File>> {
        let state = self.0.lock();
        state.entries.iter().find(|(known, _)| *known == location).map(|(_, file)| file.clone())
    }
}

/// A piece of a pack.
#[derive(Debug)]
pub(super) struct Entry {
    pub start: u64,
    pub bytes: Bytes,
}

impl Readable for Entry {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let at = offset.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let found = at.and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let len = found.len().min(buf.len());
        buf[..len].copy_from_slice(&found[..len]);
        Ok(len)
    }
}

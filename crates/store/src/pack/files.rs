//! Open packs, a bounded number of them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::fs::File;
use crate::layout::Layout;
use crate::location::PackId;

/// Packs that are open for reading; past the limit the one that was not used for longest is closed.
#[derive(Debug)]
pub(crate) struct PackFiles {
    layout: Layout,
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<PackId, (Arc<dyn File>, u64)>,
    uses: u64,
    /// When packs that are closed were used last.
    closed: HashMap<PackId, u64>,
}

impl PackFiles {
    pub(crate) fn new(layout: Layout, limit: usize) -> Self {
        Self { layout, limit: limit.max(1), open: Mutex::default() }
    }

    /// The pack's file; `NotFound` if the pack is gone.
    pub(crate) fn open(&self, pack: PackId) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.open.lock().touch(pack) {
            return Ok(file);
        }
        // Not under the lock: opening may wait for the disk. Two threads may open one file; the later handle is kept.
        let file = self.layout.open_pack(pack)?;
        let mut open = self.open.lock();
        open.uses += 1;
        let uses = open.uses;
        open.files.insert(pack, (file.clone(), uses));
        if open.files.len() > self.limit
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(pack, _)| *pack)
        {
            let used = open.files.remove(&oldest).map_or(0, |(_, used)| used);
            open.closed.insert(oldest, used);
        }
        Ok(file)
    }

    /// Closes a pack that is about to be removed. Who has its file goes on reading it.
    pub(crate) fn forget(&self, pack: PackId) {
        let mut open = self.open.lock();
        open.files.remove(&pack);
        open.closed.remove(&pack);
    }

    /// When a pack was used last, counted in uses of all packs; 0 if it was not since the start.
    pub(crate) fn last_read(&self, pack: PackId) -> u64 {
        let open = self.open.lock();
        open.files.get(&pack).map(|(_, used)| *used).or_else(|| open.closed.get(&pack).copied()).unwrap_or(0)
    }
}

impl Open {
    fn touch(&mut self, pack: PackId) -> Option<Arc<dyn File>> {
        self.uses += 1;
        let uses = self.uses;
        let (file, used) = self.files.get_mut(&pack)?;
        *used = uses;
        Some(file.clone())
    }
}

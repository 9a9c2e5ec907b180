//! What can be chosen when a store is opened.

use std::time::Duration;

/// How a store uses memory and disk. The defaults suit a server of any size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Memory for the index: pages that were read, and changed ones until the next checkpoint.
    pub cache_bytes: usize,
    /// A pack is sealed before it grows past this.
    pub pack_bytes: u64,
    /// Space for packs is reserved in steps of this many bytes, so that a full disk is met before anything is written.
    pub reserve_step_bytes: u64,
    /// Space that is kept ahead of the index for the same purpose.
    pub index_headroom_bytes: u64,
    /// A file of this many bytes is given up when the disk is full, so that mail can still be expunged. 0 for none.
    pub ballast_bytes: u64,
    /// The index is made durable once the log has grown by this since it was: what a start after a crash has to read.
    pub checkpoint_bytes: u64,
    /// The index is made durable with the first change after this time.
    pub checkpoint_interval: Duration,
    /// Packs that are open for reading at one time.
    pub open_packs: usize,
    /// The checksum of every page of the index is proved at the start, which reads the whole file. Without it pages are believed.
    pub verify_index: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            pack_bytes: 256 << 20,
            reserve_step_bytes: 16 << 20,
            index_headroom_bytes: 48 << 20,
            ballast_bytes: 32 << 20,
            checkpoint_bytes: 64 << 20,
            checkpoint_interval: Duration::from_secs(30),
            open_packs: 128,
            verify_index: false,
        }
    }
}

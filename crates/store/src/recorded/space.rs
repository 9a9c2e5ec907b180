//! How full the recorded disk is.

use std::collections::BTreeSet;

use super::disk::Inode;

const BLOCK: u64 = 4096;

/// Blocks in use, by file.
#[derive(Debug, Default)]
pub(super) struct Space {
    used: BTreeSet<(Inode, u64)>,
    capacity: Option<u64>,
}

impl Space {
    pub(super) fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes.map(|bytes| bytes / BLOCK);
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.used.len() as u64 * BLOCK
    }

    /// Takes the blocks of a range from its start until the disk is full, and says how many bytes can be written.
    pub(super) fn take(&mut self, inode: Inode, offset: u64, len: u64) -> u64 {
        let end = offset + len;
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            if self.used.contains(&(inode, block)) {
                continue;
            }
            if self.free() == 0 {
                return (block * BLOCK).saturating_sub(offset);
            }
            self.used.insert((inode, block));
        }
        len
    }

    /// Takes all blocks of a range, or none.
    pub(super) fn take_all(&mut self, inode: Inode, offset: u64, len: u64) -> bool {
        let blocks: Vec<_> = (offset / BLOCK..(offset + len).div_ceil(BLOCK))
            .map(|block| (inode, block))
            .filter(|block| !self.used.contains(block))
            .collect();
        if blocks.len() as u64 > self.free() {
            return false;
        }
        self.used.extend(blocks);
        true
    }

    /// Gives back what lies past a file's new end.
    pub(super) fn cut(&mut self, inode: Inode, len: u64) {
        self.used.retain(|(owner, block)| *owner != inode || *block < len.div_ceil(BLOCK));
    }

    fn free(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used.len() as u64))
    }
}

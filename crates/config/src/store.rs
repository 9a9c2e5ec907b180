//! How mail is kept.

use std::num::NonZeroUsize;
use std::time::Duration;

use paquebot_store::{Budget, Options};
use serde::{Deserialize, Serialize};

use crate::value::{size, time};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// How long what was expunged or deleted can be brought back by `paquebot undelete`.
    #[serde(with = "time")]
    pub retention: Duration,
    /// How often what is past that is forgotten and its space given back.
    #[serde(with = "time")]
    pub upkeep_interval: Duration,
    /// A pack is emptied and removed once this share of it is dead.
    pub reclaim_dead_percent: u8,
    /// How much living mail one upkeep moves for that, at most.
    #[serde(with = "size")]
    pub reclaim_copy: u64,
    /// Memory for the index.
    #[serde(with = "size")]
    pub cache: usize,
    /// A pack is sealed before it grows past this.
    #[serde(with = "size")]
    pub pack: u64,
    /// Space for packs is reserved in steps of this.
    #[serde(with = "size")]
    pub reserve_step: u64,
    /// Space that is kept ahead of the index, for the same purpose.
    #[serde(with = "size")]
    pub index_headroom: u64,
    /// A file that is given up when the disk is full, so that mail can still be expunged.
    #[serde(with = "size")]
    pub ballast: u64,
    /// The index is made durable once the log has grown by this.
    #[serde(with = "size")]
    pub checkpoint: u64,
    /// And with the first change after this time.
    #[serde(with = "time")]
    pub checkpoint_interval: Duration,
    /// Packs that are open for reading at one time.
    pub open_packs: NonZeroUsize,
    /// Whether every page of the index is proved at the start, which reads the whole file.
    pub verify_index: bool,
}

impl Default for Store {
    fn default() -> Self {
        let options = Options::default();
        let budget = Budget::default();
        Self {
            retention: Duration::from_secs(7 * 86_400),
            upkeep_interval: Duration::from_secs(3600),
            reclaim_dead_percent: budget.dead_percent,
            reclaim_copy: budget.copy_bytes,
            cache: options.cache_bytes,
            pack: options.pack_bytes,
            reserve_step: options.reserve_step_bytes,
            index_headroom: options.index_headroom_bytes,
            ballast: options.ballast_bytes,
            checkpoint: options.checkpoint_bytes,
            checkpoint_interval: options.checkpoint_interval,
            open_packs: NonZeroUsize::new(options.open_packs).unwrap_or(NonZeroUsize::MIN),
            verify_index: options.verify_index,
        }
    }
}

//! The log on one machine: the store's packs.

//! The local index and packs: append, read, recover, check, backup.

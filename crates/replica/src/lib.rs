//! Follows a shard's log into the store: group commit, hash chain, live views.

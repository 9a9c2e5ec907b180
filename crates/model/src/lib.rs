//! A shard's state machine: apply(rows, record) gives outcomes and row changes; no I/O.

//! Whether mail may lie on a file system: never where several machines share it.
//!
//! A store, ours or another program's, is kept whole by locks, renames and flushes that hold for all who use it. A network file system promises none of
//! them, so what lies there is refused, by the type that the kernel names ([`FileSystem::of`]) and for what the store needs ([`Purpose`]).
//!
//! Knows no store and no format; `paquebot doctor` tries beside it whether the operations work.

mod judge;
mod mount;
mod table;

pub use judge::{GuardError, Purpose, Refusal, Verdict, check, check_with, judge};
pub use mount::{FileSystem, Mount};
pub use table::{FUSE, shared_name};

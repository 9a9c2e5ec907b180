//! Packs: append-only files of groups. A group is what one append wrote: bodies, and the records that name them.

mod append;
mod files;
mod format;
pub(crate) mod log;
mod pin;
mod read;
mod scan;
mod single;
mod unapplied;
mod walk;

pub use append::{AppendError, Appended, GROUP_BYTES_MAX, GroupItem};
pub(crate) use append::{Appender, Keep, Sizes, create_pack};
pub(crate) use files::PackFiles;
pub(crate) use format::{ENTRY_HEADER, PACK_HEADER, Seal};
pub use pin::Pin;
pub use read::{BodyFile, ReadError};
pub(crate) use scan::GroupRead;
pub(crate) use single::Singles;
pub use single::{StageError, StagedBlob, StagedBody};
pub(crate) use unapplied::Unapplied;
pub(crate) use walk::{Walk, Walked};

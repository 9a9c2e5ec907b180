//! The server is killed, starved of disk and failed by its disk, and nothing that it told anybody may turn out untrue.
//!
//! - [`kills`]: clients work on one account while the process gets SIGKILL again and again. Everything that they ask and hear is a
//!   history, which is then read for each promise that the server makes.
//! - [`full_disk`]: no room left. [`io_error`]: the disk says that it could not flush.

mod full_disk;
mod io_error;
mod kills;

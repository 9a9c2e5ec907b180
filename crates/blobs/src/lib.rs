//! How bodies and shards reach other machines.
//!
//! [`Push`] has another node keep a record's bodies before it is appended; [`Healer`] fetches what this machine lacks, in the background and for whoever
//! reads it now; [`take_in`] copies a whole shard from a peer; [`give`] is the other end of all that. Who hosts a shard is asked of [`Holders`]: the crate
//! knows no etcd and no placement.

mod give;
mod heal;
mod holders;
mod push;
mod take_in;

pub use give::{body, damaged, export};
pub use heal::{Healer, Progress};
pub use holders::{Holder, Holders};
pub use push::Push;
pub use take_in::{TakeInError, blob_of, take_in};

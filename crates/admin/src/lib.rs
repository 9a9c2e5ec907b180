//! What operators ask of a server: commands over a socket, metrics and health over HTTP.
//!
//! Only one process may have a data directory open, so a command that comes while the server runs is sent to it over a socket in that
//! directory ([`control`]); otherwise the same [`Request`] is carried out by the process that has it ([`execute`]). The crate knows no protocol
//! of mail and no engine of the log.

pub mod control;
pub mod http;

mod connection;
mod execute;
mod outgoing;
mod recover;
mod request;

pub use connection::{AskError, Connection, Outgoing, Sent};
pub use execute::execute;
pub use http::{Cluster, ClusterCommand};
pub use request::{
    Answer, Checked, ClusterNode, ClusterRequest, ClusterShard, ClusterStatus, EtcdMember, Fate, Head, Imported,
    MailboxState, Messages, Progress, Recoverable, Request, Running, S3Status, Status, User,
};

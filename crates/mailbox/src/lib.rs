//! One API over a native shard's mailboxes and a driver's.
//!
//! A session asks an [`Account`] for its mailboxes, opens one as a [`Live`] that all sessions share, compares the [`Snapshot`] that its client
//! knows with the current one, and proposes changes whose outcomes the model decides. It knows neither the log's engine nor the disk.

mod account;
mod bodies;
mod error;
mod foreign;
mod incoming;
mod live;
mod options;
mod reader;
mod recover;
mod relocate;
mod service;
mod silence;
mod snapshot;
mod tree;
mod upkeep;

pub use account::{Account, Listed};
pub use bodies::{BodySource, FetchError, Fetching};
pub use error::{ChangeError, ServiceError};
pub use foreign::{MessageBody, Namespace};
pub use incoming::{Incoming, Ready};
pub use live::Live;
pub use options::{DefaultMailboxes, ServiceOptions, usual_mailboxes};
pub use paquebot_formats::{Access, FormatError};
pub use paquebot_replica::{HostError, Hosting};
pub use paquebot_store::{BodyFile, Location, ReadError, Wanted};
pub use reader::Reader;
pub use recover::{Expunged, Recoverable};
pub use relocate::{MoveError, forget_moved, give_up_move, move_account};
pub use service::Service;
pub use snapshot::{MailboxKey, Snapshot};
pub use tree::{Diff, PageTree};
pub use upkeep::Upkeep;

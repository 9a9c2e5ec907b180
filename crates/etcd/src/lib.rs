//! An etcd that a node starts and looks after, so that nobody has to run one by hand.
//!
//! The program is the distribution's. [`Managed`] starts it with what a mail cluster wants of it, starts it again when it ends, and ends it with this
//! process; [`members`] adds a member as a learner, promotes it once it has caught up, removes one whose machine is gone, and gives the file's space back.
//! The crate knows neither nodes nor mail.

pub mod members;
mod settings;
mod supervise;

pub use settings::{Addresses, Beginning, Settings, SettingsError};
pub use supervise::{Managed, StartError, State};

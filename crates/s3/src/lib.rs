//! Packs in S3.
//!
//! [`S3`] sends sealed packs to a bucket in the background and proves each there before it counts; what of them exceeds a bound is then removed from
//! this machine's disk, least recently read first, and its bodies are read one by one from the bucket ([`S3::bring`]). Mail never waits for it: while
//! the bucket cannot be reached packs wait, and none is removed.
//!
//! It knows the store, and nothing of mailboxes, peers and clusters.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use paquebot_s3::{Address, Credentials, Options, S3};
//! # fn start(store: Arc<paquebot_store::Store>) -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "s3://mail/packs?endpoint=https://s3.example.org&region=eu-1".parse()?;
//! let s3 = S3::start(store, &address, Credentials::from_env()?, Options { cache_bytes: Some(50 << 30), ..Options::default() })?;
//! println!("{:?}", s3.progress());
//! # Ok(())
//! # }
//! ```

mod address;
mod bucket;
mod credentials;
mod error;
mod far;
mod send;
mod service;

pub use address::{Address, AddressError};
pub use credentials::{Credentials, CredentialsError};
pub use error::S3Error;
pub use service::{Options, Progress, S3};

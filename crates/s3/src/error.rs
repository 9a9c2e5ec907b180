//! What can go wrong with the bucket.

use std::io;

use paquebot_store::{IndexError, OffsiteError, PackId, ReadError};

/// Why something was not sent or read. Nothing is lost: it is tried again, and what is not proved to be in the bucket stays on the disk.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    #[error("cluster.s3: there is no bucket {bucket:?} at {endpoint}")]
    NoBucket { bucket: String, endpoint: String },
    #[error(
        "cluster.s3: {endpoint} refuses bucket {bucket:?} to the key in AWS_ACCESS_KEY_ID: it is wrong, or may not list, read, write and delete there"
    )]
    Refused { bucket: String, endpoint: String },
    #[error("cluster.s3: {endpoint} cannot be reached or does not answer as it should: {why}")]
    Unreachable { endpoint: String, why: String },
    #[error("cluster.s3 cannot be used: {0}")]
    Settings(String),
    #[error("cluster.s3: the object of pack {pack} is not in the bucket")]
    Absent { pack: PackId },
    #[error("cluster.s3: the object of pack {pack} holds other bytes than were sent")]
    OtherBytes { pack: PackId },
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Packs(#[from] OffsiteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a pack cannot be read")]
    Io(#[from] io::Error),
    #[error("the server is stopping")]
    Stopping,
}

//! Evicted packs for who may wait for them.

use std::io;
use std::ops::Range;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_store::{Offsite, PackId, Sent};
use tokio::runtime::Handle;

use crate::bucket::Bucket;

/// A read that takes longer has failed, whatever the client's own bounds are.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Far {
    pub bucket: Bucket,
    pub runtime: Handle,
}

impl Offsite for Far {
    fn read(&self, pack: PackId, sent: &Sent, range: Range<u64>) -> io::Result<Bytes> {
        let (sender, answer) = mpsc::sync_channel(1);
        let (bucket, sent) = (self.bucket.clone(), *sent);
        self.runtime.spawn(async move {
            // Whoever waited may have given up.
            let _ = sender.send(bucket.read(pack, &sent, range).await);
        });
        match answer.recv_timeout(PATIENCE) {
            Ok(read) => read.map_err(io::Error::other),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

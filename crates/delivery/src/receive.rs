//! A message on its way in: the first recipient's message is written while it comes.

use paquebot_mailbox::{Incoming, Ready, ServiceError};

use crate::failure::{Verdict, failed};
use crate::once::{MessageDigest, Once};
use crate::protocol::reply::Reply;
use crate::protocol::return_path::ReturnPathFilter;

/// Octets are handed on in pieces of this size.
const PIECE_BYTES: usize = 128 << 10;
/// A message is written by the session itself up to here; a larger one goes to disk, and a thread that may wait for the disk writes it.
const INLINE_BYTES: u64 = 256 << 10;

/// A message that is being received. Dropped, nothing of it is left.
pub struct Receiving {
    state: Result<Incoming, Verdict>,
    filter: ReturnPathFilter,
    once: Once,
    /// What has been received and is not written yet.
    pending: Vec<u8>,
    octets: u64,
    octets_max: u64,
}

impl Receiving {
    /// Begins with the fields that come before the message. `octets_max` is for what is received.
    pub fn new(incoming: Incoming, fields: Vec<u8>, once: Once, octets_max: u64) -> Self {
        let filter = ReturnPathFilter::default();
        Self { state: Ok(incoming), filter, once, pending: fields, octets: 0, octets_max }
    }

    /// Octets received, those included that were thrown away.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Why the message will not be taken; `None` as long as it may be.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.state.as_ref().err()
    }

    /// More octets are going to come. If they are too many, what there is is given up at once.
    pub fn announce(&mut self, octets: u64) {
        if self.octets.saturating_add(octets) > self.octets_max {
            self.give_up(Verdict::Answer(Reply::TOO_BIG));
        }
    }

    /// Takes the message's next octets; passes over those of one that was given up.
    pub async fn write(&mut self, octets: &[u8]) {
        self.announce(octets.len() as u64);
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if self.state.is_err() {
            return;
        }
        self.once.push(octets);
        self.filter.push(octets, &mut self.pending);
        if self.pending.len() >= PIECE_BYTES {
            self.write_pending().await;
        }
    }

    /// Ends the message. A large one is on disk when this returns. With it comes what tells it from others, if anything does.
    pub async fn finish(mut self) -> Result<(Ready, Option<MessageDigest>), Verdict> {
        if self.state.is_ok() {
            std::mem::take(&mut self.filter).finish(&mut self.pending);
            self.write_pending().await;
        }
        let ready = self.state?.finish().await.map_err(|error| failed(&error))?;
        Ok((ready, self.once.finish()))
    }

    async fn write_pending(&mut self) {
        // The verdict that stands there meanwhile is seen by nobody but a session that is dropped.
        let taken = std::mem::replace(&mut self.state, Err(Verdict::Answer(Reply::UNAVAILABLE)));
        let Ok(mut incoming) = taken else { return };
        let pending = std::mem::take(&mut self.pending);
        let written = if incoming.size() + pending.len() as u64 <= INLINE_BYTES {
            incoming.write(&pending).map(|()| (incoming, pending))
        } else {
            let write = move || incoming.write(&pending).map(|()| (incoming, pending));
            tokio::task::spawn_blocking(write).await.unwrap_or(Err(ServiceError::Stopping))
        };
        match written {
            Ok((incoming, mut written)) => {
                written.clear();
                (self.state, self.pending) = (Ok(incoming), written);
            }
            Err(error) => self.state = Err(failed(&error)),
        }
    }

    fn give_up(&mut self, verdict: Verdict) {
        if self.state.is_ok() {
            self.state = Err(verdict);
        }
        self.pending = Vec::new();
    }
}

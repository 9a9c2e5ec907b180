//! What all connections of a run have counted.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::error::ClientError;
use crate::histogram::Histogram;

/// Shared by all connections: a lock is held for some nanoseconds, never while waiting.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
}

#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub operations: u64,
    /// Of each kind of operation, and of the stages of those that have some.
    pub latencies: BTreeMap<&'static str, Histogram>,
    pub errors: BTreeMap<String, u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

impl Tally {
    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().expect("nothing panics while it counts"))
    }

    /// An operation was done.
    pub fn operation(&self, kind: &'static str, latency: Duration) {
        self.change(|counts| {
            counts.operations += 1;
            counts.latencies.entry(kind).or_default().record(latency);
        });
    }

    /// A part of an operation was done.
    pub fn stage(&self, kind: &'static str, latency: Duration) {
        self.change(|counts| counts.latencies.entry(kind).or_default().record(latency));
    }

    pub fn error(&self, error: &ClientError) {
        self.change(|counts| *counts.errors.entry(error.kind()).or_default() += 1);
    }

    pub fn bytes(&self, sent: u64, received: u64) {
        self.change(|counts| {
            counts.bytes_sent += sent;
            counts.bytes_received += received;
        });
    }

    /// Gives what was counted, and starts anew.
    pub fn take(&self) -> Counts {
        self.change(std::mem::take)
    }
}

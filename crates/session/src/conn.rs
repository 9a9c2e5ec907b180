//! A connection: what has been read and not understood yet, what is to be written.

use std::net::IpAddr;
use std::sync::Arc;

use paquebot_protocol::response::{Mode, ResponseWriter};
use paquebot_protocol::{Event, Framer};
use tokio::time::timeout;

use crate::shared::{Counters, Shared};
use crate::state::{End, Flow};
use crate::stream::Stream;

/// Responses are gathered up to this many octets before they are written.
pub(crate) const OUTPUT_BYTES: usize = 32 << 10;

/// A connection. While it waits for its client it holds neither input nor output.
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    pub(crate) framer: Framer,
    pub(crate) peer: Option<IpAddr>,
    shared: Arc<Shared>,
    input: Vec<u8>,
    /// How much of `input` has been taken.
    taken: usize,
    output: Vec<u8>,
}

impl Conn {
    pub(crate) fn new(stream: Stream, peer: Option<IpAddr>, shared: Arc<Shared>) -> Self {
        let framer = Framer::new(shared.config.limits_before_login);
        Self { stream, framer, peer, shared, input: Vec::new(), taken: 0, output: Vec::new() }
    }

    /// The stream, and what has been read of it and not taken.
    pub(crate) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        (self.stream, self.input.split_off(self.taken.min(self.input.len())))
    }

    /// The next event in what has been read, as `see` sees it; `None` when all of it is taken.
    pub(crate) fn next<T>(&mut self, see: impl FnOnce(Event<'_>) -> T) -> Option<T> {
        let mut rest = self.input.get(self.taken..).unwrap_or_default();
        let seen = self.framer.next(&mut rest).map(see);
        self.taken = self.input.len() - rest.len();
        if self.taken == self.input.len() {
            self.drop_input();
        }
        seen
    }

    /// Whether something has been read that is not taken yet.
    pub(crate) fn has_input(&self) -> bool {
        self.taken < self.input.len()
    }

    /// Forgets what has been read and not taken.
    pub(crate) fn drop_input(&mut self) {
        self.input = Vec::new();
        self.taken = 0;
    }

    /// Compresses what is read and written from now on. What was read already was sent after the command and so is compressed.
    pub(crate) fn compress(&mut self) {
        let received = self.input.split_off(self.taken.min(self.input.len()));
        self.drop_input();
        self.stream.compress(&received);
    }

    /// The opposite of [`Self::compress`]: what was read and inflated already stays.
    pub(crate) fn stop_compressing(&mut self) {
        self.stream.stop_compressing();
    }

    /// Waits for more input. Cancel-safe.
    pub(crate) async fn fill(&mut self) -> Flow {
        let octets = self.stream.read().await.map_err(End::Broken)?;
        if octets.is_empty() {
            return Err(End::Left);
        }
        Counters::add(&self.shared.counters.bytes_read, octets.len());
        if self.has_input() {
            self.input.extend_from_slice(&octets);
        } else {
            self.input = octets;
            self.taken = 0;
        }
        Ok(())
    }

    pub(crate) fn writer(&mut self, mode: Mode) -> ResponseWriter<'_> {
        ResponseWriter::new(&mut self.output, mode)
    }

    /// The octets that are to be written next: for the octets of a literal.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Writes what there is. A client that does not read is waited for as long as the configuration says.
    pub(crate) async fn flush(&mut self) -> Flow {
        let output = std::mem::take(&mut self.output);
        for piece in output.chunks(2 * OUTPUT_BYTES) {
            match timeout(self.shared.config.write_timeout, self.stream.write(piece)).await {
                Ok(written) => written.map_err(End::Broken)?,
                Err(_) => return Err(End::SlowReader),
            }
            Counters::add(&self.shared.counters.bytes_written, piece.len());
        }
        Ok(())
    }

    /// Writes what there is if it is much.
    pub(crate) async fn flush_if_full(&mut self) -> Flow {
        if self.output.len() >= OUTPUT_BYTES { self.flush().await } else { Ok(()) }
    }
}

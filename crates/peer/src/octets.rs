//! The octets of a request or an answer as they come, and as they go.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What is sent. A failure while it is sent cuts it off, so that nobody takes it for whole.
pub(crate) type Outgoing = UnsyncBoxBody<Bytes, SendFailure>;

/// Why not all was sent.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SendFailure(pub String);

/// Pieces are read from the disk and written to it in this size.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

/// Why octets did not come.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("it ended early")]
    Ended,
    #[error("it broke off: {0}")]
    Broken(String),
    #[error("nothing came for {} seconds", .0.as_secs())]
    Silent(Duration),
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
}

/// Octets as they come.
pub(crate) struct Octets {
    body: Incoming,
    rest: Bytes,
    patience: Duration,
}

impl Octets {
    /// A sender that is silent for longer than `patience` is given up.
    pub(crate) fn new(body: Incoming, patience: Duration) -> Self {
        Self { body, rest: Bytes::new(), patience }
    }

    /// The next octets, at most `max`; none at the end.
    pub(crate) async fn some(&mut self, max: usize) -> Result<Bytes, ReceiveError> {
        while self.rest.is_empty() {
            let frame = timeout(self.patience, self.body.frame()).await;
            match frame.map_err(|_| ReceiveError::Silent(self.patience))? {
                None => return Ok(Bytes::new()),
                Some(Err(error)) => return Err(ReceiveError::Broken(chain(&error))),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        Ok(self.rest.split_to(self.rest.len().min(max)))
    }

    /// Exactly so many octets. Memory is taken as they come.
    pub(crate) async fn exactly(&mut self, len: usize) -> Result<Bytes, ReceiveError> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let first = self.some(len).await?;
        if first.len() == len {
            return Ok(first);
        }
        let mut bytes = BytesMut::from(&first[..]);
        while bytes.len() < len {
            let more = self.some(len - bytes.len()).await?;
            if more.is_empty() {
                return Err(ReceiveError::Ended);
            }
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.freeze())
    }

    pub(crate) async fn u32(&mut self) -> Result<u32, ReceiveError> {
        let bytes = self.exactly(4).await?;
        bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).ok_or(ReceiveError::Ended)
    }

    /// All that is left.
    pub(crate) async fn all(&mut self, max: usize) -> Result<Bytes, ReceiveError> {
        let mut bytes = BytesMut::new();
        loop {
            let more = self.some(usize::MAX).await?;
            if more.is_empty() {
                return Ok(bytes.freeze());
            }
            if bytes.len() + more.len() > max {
                return Err(ReceiveError::TooLarge(max));
            }
            bytes.extend_from_slice(&more);
        }
    }

    /// How many octets are announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

/// An error with what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// Octets that are in memory.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Octets that come in pieces through a channel; a closed channel ends them.
pub(crate) fn piecewise(pieces: mpsc::Receiver<Result<Bytes, SendFailure>>) -> Outgoing {
    let frames = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece.map(Frame::data), pieces))
    });
    StreamBody::new(frames).boxed_unsync()
}

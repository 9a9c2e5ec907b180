//! A connection's octets: what has come and what is to go, each within its bounds and its time.

use std::future::Future;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use crate::protocol::reply::Reply;

/// Octets that are read at once while commands come, and while a message does.
const COMMAND_BYTES: usize = 4 << 10;
const DATA_BYTES: usize = 64 << 10;
/// Replies that wait for one another, in octets; more are sent at once.
const OUTPUT_BYTES: usize = 8 << 10;
/// Before a connection is closed, what its client has sent already is read, so that the last reply is not lost with it.
const LINGER_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(1);

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// The client was told why, or asked for it.
    #[error("closed: {0}")]
    Closed(&'static str),
    #[error("the client has gone")]
    Gone,
    #[error("the connection failed")]
    Failed(#[from] std::io::Error),
    #[error("the client took too long to send")]
    TooSlow,
    #[error("the client does not take its replies")]
    NotReading,
    #[error("more was sent than is read and thrown away")]
    TooMuch,
    #[error("it cannot be told whether a message was stored")]
    Unknown,
    #[error("the server is stopping")]
    Stopping,
}

impl End {
    /// Whether it is the server's doing, and something to be looked into.
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Gone | Self::Stopping => false,
            Self::Failed(_) | Self::TooSlow | Self::NotReading | Self::TooMuch | Self::Unknown => true,
        }
    }
}

/// What is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Command,
    Data,
}

/// A connection with its buffers.
pub struct Conn<S> {
    stream: S,
    pub input: BytesMut,
    output: Vec<u8>,
    write_timeout: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    pub fn new(stream: S, write_timeout: Duration) -> Self {
        Self { stream, input: BytesMut::new(), output: Vec::new(), write_timeout }
    }

    /// Says something, together with what is said soon after: replies to pipelined commands go in one packet (RFC 2920, 3.2).
    pub async fn say(&mut self, reply: &Reply) -> Result<(), End> {
        reply.write(&mut self.output);
        if self.output.len() >= OUTPUT_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Sends what was said.
    pub async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let sent = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        timeout(self.write_timeout, sent).await.map_err(|_| End::NotReading)??;
        self.output.clear();
        Ok(())
    }

    /// Reads more, once all is sent that was said. Ends at `deadline`, and when `stop` does.
    pub async fn read(&mut self, expect: Expect, deadline: Instant, stop: impl Future<Output = ()>) -> Result<(), End> {
        self.flush().await?;
        let expected = if expect == Expect::Data { DATA_BYTES } else { COMMAND_BYTES };
        if self.input.is_empty() && self.input.capacity() > expected {
            // A connection that waits between messages holds little.
            self.input = BytesMut::new();
        }
        self.input.reserve(expected);
        let read = tokio::select! {
            // Stopping comes first: a client that always has more to send would never hear of it.
            biased;
            () = stop => return Err(End::Stopping),
            read = timeout_at(deadline, self.stream.read_buf(&mut self.input)) => read.map_err(|_| End::TooSlow)?,
        };
        if read? == 0 { Err(End::Gone) } else { Ok(()) }
    }

    /// Passes over `octets` octets.
    pub async fn skip(&mut self, mut octets: u64, deadline: Instant, pause: Duration) -> Result<(), End> {
        loop {
            let count = self.input.len().min(usize::try_from(octets).unwrap_or(usize::MAX));
            self.input.advance(count);
            octets -= count as u64;
            if octets == 0 {
                return Ok(());
            }
            let deadline = deadline.min(Instant::now() + pause);
            self.read(Expect::Data, deadline, std::future::pending()).await?;
        }
    }

    /// Says the last thing and closes, in such a way that it arrives.
    pub async fn close(mut self, reply: Option<Reply>) {
        if let Some(reply) = reply {
            reply.write(&mut self.output);
        }
        if self.flush().await.is_err() || self.stream.shutdown().await.is_err() {
            return;
        }
        let mut thrown_away = vec![0; COMMAND_BYTES];
        let linger = async {
            let mut left = LINGER_BYTES;
            while let Ok(count @ 1..) = self.stream.read(&mut thrown_away).await {
                left = left.saturating_sub(count);
                if left == 0 {
                    return;
                }
            }
        };
        let _ = timeout(LINGER, linger).await;
    }
}

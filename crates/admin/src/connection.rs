//! A connection to whoever has the data directory open.

use std::io;
use std::path::{Path, PathBuf};

use paquebot_types::Uid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::control::{self, Line};
use crate::request::{Answer, Head, Messages, Progress, Request};

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot talk to the running server over {path}", path = .path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the running server ended before it answered")]
    Ended,
    #[error("the running server is of another version: it does not understand this command")]
    Version,
    #[error("{0}")]
    Refused(String),
}

/// Takes requests, one after the other.
#[derive(Debug)]
pub struct Connection {
    path: PathBuf,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Connection {
    /// To the server that has a data directory open; `None` if there is none.
    pub async fn open(data: &Path) -> Result<Option<Self>, AskError> {
        match control::connect(data) {
            Ok(stream) => Ok(Some(Self::over(stream, &control::path(data)))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(source) => Err(AskError::Socket { path: control::path(data), source }),
        }
    }

    /// Over a stream at whose other end [`control::serve`] is. `path` is what messages call it.
    pub fn over(stream: UnixStream, path: &Path) -> Self {
        let (read, write) = stream.into_split();
        Self { path: path.into(), read: BufReader::with_capacity(64 << 10, read), write }
    }

    /// Has a request carried out.
    pub async fn ask(&mut self, request: &Request, mut progress: impl FnMut(Progress)) -> Result<Answer, AskError> {
        self.send(request).await?;
        loop {
            match self.line().await? {
                Line::Progress(so_far) => progress(so_far),
                Line::Answer(answer) => return Ok(answer),
                Line::Error(text) => return Err(AskError::Refused(text)),
                Line::Message { .. } | Line::Unreadable { .. } => return Err(AskError::Version),
            }
        }
    }

    /// Has a mailbox's messages sent. What comes is to be read to its end before anything else is asked.
    pub async fn messages(&mut self, wanted: Messages) -> Result<Outgoing<'_>, AskError> {
        self.send(&Request::Messages(wanted)).await?;
        Ok(Outgoing { connection: self, left: 0 })
    }

    async fn send(&mut self, request: &Request) -> Result<(), AskError> {
        let text = serde_json::to_string(request).map_err(|error| self.failed(error.into()))?;
        let sent = self.write.write_all(format!("{text}\n").as_bytes()).await;
        sent.map_err(|source| self.failed(source))
    }

    async fn line(&mut self) -> Result<Line, AskError> {
        let mut line = Vec::new();
        let read = self.read.read_until(b'\n', &mut line).await;
        match read.map_err(|source| self.failed(source))? {
            0 => Err(AskError::Ended),
            _ => serde_json::from_slice(&line).map_err(|_| AskError::Version),
        }
    }

    fn failed(&self, source: io::Error) -> AskError {
        match source.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => {
                AskError::Ended
            }
            _ => AskError::Socket { path: self.path.clone(), source },
        }
    }
}

/// Messages as they come, by ascending UID.
#[derive(Debug)]
pub struct Outgoing<'a> {
    connection: &'a mut Connection,
    /// Octets of the last message that were not read yet.
    left: u64,
}

/// What comes of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// A message, of whose octets so many are to be read with [`Outgoing::octets`]: all or none.
    Message { head: Head, octets: u64 },
    /// A message that cannot be read.
    Unreadable { uid: Uid, why: String },
}

impl Outgoing<'_> {
    /// The next message; `None` after the last. Octets that were not read are passed over.
    pub async fn next(&mut self) -> Result<Option<Sent>, AskError> {
        let mut rest = [0; 4096];
        while self.left > 0 {
            self.octets(&mut rest).await?;
        }
        match self.connection.line().await? {
            Line::Message { head, octets } => {
                self.left = octets;
                Ok(Some(Sent::Message { head, octets }))
            }
            Line::Unreadable { uid, why } => Ok(Some(Sent::Unreadable { uid, why })),
            Line::Answer(_) => Ok(None),
            Line::Error(text) => Err(AskError::Refused(text)),
            Line::Progress(_) => Err(AskError::Version),
        }
    }

    /// Reads the next octets of the last message, and gives how many; 0 when there are no more.
    pub async fn octets(&mut self, buffer: &mut [u8]) -> Result<usize, AskError> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.connection.read.read_exact(buffer).await;
        read.map_err(|source| self.connection.failed(source))?;
        self.left -= wanted as u64;
        Ok(wanted)
    }
}

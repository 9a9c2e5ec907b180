//! Connections that are passed on: after a preface and one answer, octets both ways, under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::PREFACE_BYTES_MAX;
use crate::host::Refusal;

/// The answer to a preface: taken, or a refusal and why.
const TAKEN: u8 = 0;
const REFUSED: u8 = 1;

/// Why a connection is not taken takes so many bytes, at most.
const WHY_BYTES_MAX: usize = 1 << 10;

/// For an answer to leave.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection between two nodes, under TLS. Dropped, it is closed.
#[derive(Debug)]
pub struct PeerStream(Box<TlsStream<TcpStream>>);

/// A connection that a peer passes on, to be taken or refused. Dropped, it is refused.
#[derive(Debug)]
pub struct Offer {
    stream: PeerStream,
}

/// Why a connection was not passed on.
#[derive(Debug)]
pub(crate) enum PassError {
    Broken(io::Error),
    TooLarge,
    Refused(Refusal),
}

impl Offer {
    /// Takes the connection.
    pub async fn take(mut self) -> io::Result<PeerStream> {
        timeout(PATIENCE, self.stream.say(&[TAKEN])).await??;
        Ok(self.stream)
    }

    pub(crate) fn new(stream: PeerStream) -> Self {
        Self { stream }
    }

    /// Refuses it; the peer tells `why` to its log, and its client that the account is not available now.
    pub async fn refuse(mut self, why: &str) {
        let mut answer = vec![REFUSED];
        let why: Vec<u8> = why.bytes().take(WHY_BYTES_MAX).collect();
        answer.extend_from_slice(&(why.len() as u16).to_be_bytes());
        answer.extend_from_slice(&why);
        // A peer that went away needs no answer.
        let _ = timeout(PATIENCE, async {
            self.stream.say(&answer).await?;
            self.stream.shutdown().await
        })
        .await;
    }
}

/// Offers a connection; gives it when the peer has taken it.
pub(crate) async fn offer(mut stream: PeerStream, preface: &[u8]) -> Result<PeerStream, PassError> {
    let len =
        u32::try_from(preface.len()).ok().filter(|_| preface.len() <= PREFACE_BYTES_MAX).ok_or(PassError::TooLarge)?;
    let bytes = [&len.to_be_bytes()[..], preface].concat();
    stream.say(&bytes).await.map_err(PassError::Broken)?;
    hear_welcome(&mut stream).await?;
    Ok(stream)
}

/// Tells a peer that it is welcome.
pub(crate) async fn welcome(stream: &mut PeerStream) -> io::Result<()> {
    stream.say(&[TAKEN]).await
}

/// Waits for the other end's welcome.
pub(crate) async fn hear_welcome(stream: &mut PeerStream) -> Result<(), PassError> {
    match stream.read_u8().await.map_err(PassError::Broken)? {
        TAKEN => Ok(()),
        REFUSED => {
            let len = stream.read_u16().await.map_err(PassError::Broken)?;
            let mut why = vec![0; usize::from(len).min(WHY_BYTES_MAX)];
            stream.read_exact(&mut why).await.map_err(PassError::Broken)?;
            Err(PassError::Refused(Refusal::NotHere(String::from_utf8_lossy(&why).into_owned())))
        }
        other => {
            let why = format!("an answer of a kind that this build does not know ({other}): upgrade this node");
            Err(PassError::Refused(Refusal::Failed(why)))
        }
    }
}

/// Reads what a peer says of the connection that it passes on.
pub(crate) async fn read_preface(mut stream: PeerStream) -> io::Result<(Offer, Bytes)> {
    let len = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if len > PREFACE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // It grows as bytes come, so that a length alone takes no memory.
    let mut bytes = Vec::new();
    (&mut stream).take(len as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((Offer { stream }, bytes.into()))
}

impl PeerStream {
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self(Box::new(stream))
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

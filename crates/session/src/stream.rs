//! The octets of a connection: plain, under TLS, compressed.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::pass_on::Pipe;
use crate::stream::deflate::Deflate;

mod deflate;

/// Octets taken from the socket at once.
const READ_BYTES: usize = 16 << 10;

/// The octets of a connection. It holds no buffer while it waits; TLS and compression hold their own.
pub(crate) struct Stream {
    transport: Transport,
    deflate: Option<Box<Deflate>>,
    end_point: Option<Arc<[u8]>>,
}

pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// What another node passes on of its client's connection.
    PassedOn(Box<dyn Pipe>, ClientTls),
    /// Between plain and TLS.
    Gone,
}

/// Whether a client's connection to another node is under TLS.
pub(crate) type ClientTls = bool;

impl Stream {
    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self { transport: Transport::Plain(socket), deflate: None, end_point: None }
    }

    /// `end_point` is what SCRAM binds to: that of the certificate which the handshake was made with.
    pub(crate) fn tls(stream: TlsStream<TcpStream>, end_point: Option<Arc<[u8]>>) -> Self {
        Self { transport: Transport::Tls(Box::new(stream)), deflate: None, end_point }
    }

    /// `tls` is whether the client's connection to the node that passes it on is under TLS.
    pub(crate) fn passed_on(pipe: Box<dyn Pipe>, tls: ClientTls) -> Self {
        Self { transport: Transport::PassedOn(pipe, tls), deflate: None, end_point: None }
    }

    /// Whether another node passes the connection on.
    pub(crate) fn is_passed_on(&self) -> bool {
        matches!(self.transport, Transport::PassedOn(..))
    }

    /// Whether what the client sends and gets is under TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.transport, Transport::Tls(_) | Transport::PassedOn(_, true))
    }

    /// The octets as they come and go, compressed if they are.
    pub(crate) fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// `tls-server-end-point` (RFC 5929, 4), if the connection is under TLS.
    pub(crate) fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// The TLS connection, if there is one.
    pub(crate) fn tls_connection(&self) -> Option<&rustls::ServerConnection> {
        match &self.transport {
            Transport::Tls(stream) => Some(stream.get_ref().1),
            _ => None,
        }
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.deflate.is_some()
    }

    /// What is read and written from now on is compressed (RFC 4978), and so is what was `received` already.
    pub(crate) fn compress(&mut self, received: &[u8]) {
        self.deflate.insert(Box::default()).take(received);
    }

    /// The opposite of [`Self::compress`].
    pub(crate) fn stop_compressing(&mut self) {
        self.deflate = None;
    }

    /// Takes the socket out to put it under TLS; `None` if it is there already.
    pub(crate) fn take_plain(&mut self) -> Option<TcpStream> {
        match std::mem::replace(&mut self.transport, Transport::Gone) {
            Transport::Plain(socket) => Some(socket),
            other => {
                self.transport = other;
                None
            }
        }
    }

    /// Waits for octets and gives those there are; none at the end of the stream.
    ///
    /// Cancel-safe: what was read is either given or still to be read.
    pub(crate) async fn read(&mut self) -> io::Result<Vec<u8>> {
        std::future::poll_fn(|context| self.poll_read(context)).await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        loop {
            if let Some(deflate) = &mut self.deflate
                && let Some(octets) = deflate.inflate_more()?
            {
                return Poll::Ready(Ok(octets));
            }
            // The buffer is on the stack and only for the time of this call, so that a thousand waiting connections need none.
            let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut buffer);
            std::task::ready!(Pin::new(&mut self.transport).poll_read(context, &mut buffer))?;
            let octets = buffer.filled();
            match &mut self.deflate {
                Some(deflate) if !octets.is_empty() => deflate.take(octets),
                _ => return Poll::Ready(Ok(octets.to_vec())),
            }
        }
    }

    /// Reads octets and drops them; gives how many, 0 at the end of the stream.
    pub(crate) async fn read_raw(&mut self) -> io::Result<usize> {
        self.deflate = None;
        self.read().await.map(|octets| octets.len())
    }

    /// Writes all and sees to it that it leaves.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let compressed;
        let octets = match &mut self.deflate {
            Some(deflate) => {
                compressed = deflate.deflate(octets)?;
                &compressed
            }
            None => octets,
        };
        self.transport.write_all(octets).await?;
        self.transport.flush().await
    }

    /// Ends the stream in an orderly way.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.transport.shutdown().await
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::PassedOn(pipe, _) => Pin::new(pipe).poll_read(context, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, octets),
            Self::PassedOn(pipe, _) => Pin::new(pipe).poll_write(context, octets),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::PassedOn(pipe, _) => Pin::new(pipe).poll_flush(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::PassedOn(pipe, _) => Pin::new(pipe).poll_shutdown(context),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

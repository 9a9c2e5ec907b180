//! A connection to the server: bytes out, lines and counted bytes in.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::error::ClientError;

/// The longest line that is taken from a server: the answer to a SEARCH of some millions of messages.
const LINE_BYTES_MAX: usize = 64 << 20;
/// A buffer as it starts, and as it becomes where much is read: an idle connection keeps the first.
const BUFFER_BYTES: usize = 512;
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Bytes both ways: TCP, TLS, a UNIX socket, a pipe in a test.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream with a buffer, and counts of what went through it.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// `buffer[start..end]` was read and not yet taken.
    start: usize,
    end: usize,
    sent: u64,
    received: u64,
}

impl Connection {
    pub fn new(stream: impl Stream + 'static) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { stream: Box::new(stream), buffer, start: 0, end: 0, sent: 0, received: 0 }
    }

    pub async fn tcp(address: &str) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { address: address.into(), source };
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    pub async fn unix(path: &Path) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { address: path.display().to_string(), source };
        Ok(Self::new(UnixStream::connect(path).await.map_err(failed)?))
    }

    /// Goes on in TLS. What the server sent before is not part of it.
    pub async fn encrypt(mut self, address: &str, config: Arc<ClientConfig>) -> Result<Self, ClientError> {
        if self.start != self.end {
            return Err(ClientError::Protocol("bytes before the TLS handshake"));
        }
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| ClientError::Tls(io::Error::other(error)))?;
        let connector = tokio_rustls::TlsConnector::from(config);
        self.stream = Box::new(connector.connect(name, self.stream).await.map_err(ClientError::Tls)?);
        Ok(self)
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    /// Puts the next line at the end of `text`, without its CRLF.
    pub async fn line(&mut self, text: &mut Vec<u8>) -> Result<(), ClientError> {
        loop {
            let read = &self.buffer[self.start..self.end];
            if let Some(at) = memchr::memchr(b'\n', read) {
                text.extend_from_slice(&read[..at]);
                self.start += at + 1;
                if text.last() == Some(&b'\r') {
                    text.pop();
                }
                return Ok(());
            }
            text.extend_from_slice(read);
            self.start = self.end;
            if text.len() > LINE_BYTES_MAX {
                return Err(ClientError::Protocol("a line without end"));
            }
            self.fill().await?;
        }
    }

    /// Takes this many bytes and forgets them.
    pub async fn skip(&mut self, mut bytes: u64) -> Result<(), ClientError> {
        loop {
            let here = bytes.min((self.end - self.start) as u64);
            self.start += here as usize;
            bytes -= here;
            if bytes == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Reads into the buffer, which must be empty.
    async fn fill(&mut self) -> Result<(), ClientError> {
        debug_assert_eq!(self.start, self.end);
        if self.end == self.buffer.len() && self.buffer.len() < BUFFER_BYTES_MAX {
            // The last read filled it: there is more than it holds.
            self.buffer.resize(self.buffer.len() * 8, 0);
        }
        (self.start, self.end) = (0, 0);
        self.end = self.stream.read(&mut self.buffer).await?;
        if self.end == 0 {
            return Err(ClientError::Closed);
        }
        self.received += self.end as u64;
        Ok(())
    }

    /// Bytes sent and received since the last time.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.sent), std::mem::take(&mut self.received))
    }
}

/// TLS that takes any certificate, and makes a whole handshake every time.
pub fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Looks at no certificate: a test's server has made its own. The handshake's signatures are verified, as they cost a client time.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

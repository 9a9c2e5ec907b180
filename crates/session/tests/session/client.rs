//! A client that sends what it is told and shows what comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

pub struct Client {
    pub stream: Box<dyn Octets>,
    read: Vec<u8>,
    tag: u32,
}

/// What came for one command: the untagged lines, literals within them, and the tagged one without its tag.
#[derive(Debug)]
pub struct Answer {
    pub untagged: Vec<String>,
    pub tagged: String,
}

impl Answer {
    pub fn has(&self, line: &str) -> bool {
        self.untagged.iter().any(|untagged| untagged == line)
    }

    pub fn has_any(&self, part: &str) -> bool {
        self.untagged.iter().any(|untagged| untagged.contains(part))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(Box::new(stream))
    }

    pub async fn connect_tls(address: SocketAddr) -> Self {
        Self::over(Box::new(tls(Box::new(TcpStream::connect(address).await.unwrap())).await))
    }

    pub fn over(stream: Box<dyn Octets>) -> Self {
        Self { stream, read: Vec::new(), tag: 0 }
    }

    /// The stream, and what was read of it and not looked at.
    pub fn into_stream(self) -> (Box<dyn Octets>, Vec<u8>) {
        (self.stream, self.read)
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream.write_all(octets.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn fill(&mut self) -> usize {
        let mut buffer = vec![0; 65536];
        let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("something comes in time");
        // A reset is an end as well.
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count
    }

    /// The next line, with its literals; `None` at the end.
    pub async fn try_line(&mut self) -> Option<String> {
        let mut end = 0;
        loop {
            match self.read[end..].windows(2).position(|pair| pair == b"\r\n") {
                Some(at) => {
                    let line = &self.read[..end + at];
                    end += at + 2;
                    let Some(size) = announced(line) else { break };
                    while self.read.len() < end + size {
                        if self.fill().await == 0 {
                            return None;
                        }
                    }
                    end += size;
                }
                None if self.fill().await == 0 => return None,
                None => {}
            }
        }
        let line: Vec<u8> = self.read.drain(..end).collect();
        Some(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
    }

    pub async fn line(&mut self) -> String {
        self.try_line().await.expect("the connection is open")
    }

    /// Sends a command and reads its answer.
    pub async fn command(&mut self, command: &str) -> Answer {
        let tag = self.start(command).await;
        self.answer(&tag).await
    }

    /// Sends a command; gives its tag.
    pub async fn start(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.send(format!("{tag} {command}\r\n")).await;
        tag
    }

    /// Reads the answer of the command with this tag.
    pub async fn answer(&mut self, tag: &str) -> Answer {
        let mut untagged = Vec::new();
        loop {
            let line = self.line().await;
            match line.strip_prefix(&format!("{tag} ")) {
                Some(tagged) => return Answer { untagged, tagged: tagged.into() },
                None => untagged.push(line),
            }
        }
    }

    /// Sends a command that is to succeed.
    pub async fn ok(&mut self, command: &str) -> Answer {
        let answer = self.command(command).await;
        assert!(answer.tagged.starts_with("OK "), "{command}: {answer:?}");
        answer
    }

    /// Sends a command that is to fail so.
    pub async fn fails(&mut self, command: &str, start: &str) -> Answer {
        let answer = self.command(command).await;
        assert!(answer.tagged.starts_with(start), "{command}: {answer:?}");
        answer
    }

    pub async fn append(&mut self, mailbox: &str, message: &str) -> Answer {
        self.ok(&format!("APPEND {mailbox} {{{}+}}\r\n{message}", message.len())).await
    }

    /// Whether the server ends the connection, whatever it says before; gives that.
    pub async fn ends(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.try_line().await {
            lines.push(line);
        }
        lines
    }
}

/// The octets of the literal that a line announces.
fn announced(line: &[u8]) -> Option<usize> {
    let inner = line.strip_suffix(b"}")?;
    let at = inner.iter().rposition(|&byte| byte == b'{')?;
    std::str::from_utf8(&inner[at + 1..]).ok()?.parse().ok()
}

/// Begins TLS with a server whose certificate is taken for good.
pub async fn tls(stream: Box<dyn Octets>) -> tokio_rustls::client::TlsStream<Box<dyn Octets>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustAnyone(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

#[derive(Debug)]
struct TrustAnyone(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

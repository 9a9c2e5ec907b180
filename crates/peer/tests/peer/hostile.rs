//! Requests that no node of ours makes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::node::{Ca, Node, octets};

/// A connection with a good certificate and a protocol of one's own choice.
async fn connect(ca: &Ca, node: &Node, protocol: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let (certificate, key) = ca.sign("evil.paquebot.cluster", 10);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = config.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    config.alpn_protocols = vec![protocol.into()];
    let socket = TcpStream::connect(node.address).await?;
    let name = ServerName::try_from(node.name.certificate_name()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn answer(
    sender: &mut http2::SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    body: &[u8],
) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(format!("https://peer{path}"));
    let request = request.header("range", "bytes=0-5").body(Full::from(body.to_vec())).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_node_sends_is_refused_and_the_node_lives() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let mut stream = connect(&ca, &b, "paquebot-peer/1").await.unwrap();
    assert_eq!(stream.read_u8().await.unwrap(), 0);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |method, path: &str, body: &[u8]| answer(&mut sender, method, path, body).await;

    assert_eq!(ask(Method::GET, "/1/bodies", b"").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(Method::GET, "/1/body/3/5/1", b"").await.0, StatusCode::BAD_REQUEST);
    let (status, text) = ask(Method::POST, "/7/bodies", b"").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(text.contains("version 1 of the calls between nodes, not \"7\""), "{text}");
    let (status, text) = ask(Method::GET, "/1/secrets", b"").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(text.contains("/1/secrets"), "{text}");

    assert_eq!(ask(Method::POST, "/1/bodies", &u32::MAX.to_be_bytes()).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for n in 0..300u64 {
        // Lengths that fit, and then anything.
        let mut push = octets(4 + (n as usize * 7) % 500, n);
        let len = (n as u32 * 3) % 400;
        push[..4].copy_from_slice(&len.to_be_bytes());
        let (status, text) = ask(Method::POST, "/1/bodies", &push).await;
        assert!(status.is_client_error(), "{n}: {status} {text}");
    }
    assert!(b.host.pushed.lock().is_empty());
    assert_eq!(a.to(&b).ask("who", Bytes::new()).await.unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_anything_are_closed_and_the_node_lives() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let patience = Duration::from_secs(20);
    for (n, protocol) in
        ["paquebot-peer/1", "paquebot-session/1", "paquebot-lmtp/1"].into_iter().cycle().take(60).enumerate()
    {
        let mut stream = connect(&ca, &b, protocol).await.unwrap();
        let mut anything = octets(1 + n * 40, n as u64);
        if n % 2 == 0 {
            // A length that is allowed.
            anything[0] = 0;
            anything.iter_mut().take(3).for_each(|byte| *byte = 0);
        }
        let _ = stream.write_all(&anything).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(patience, stream.read_to_end(&mut rest)).await.expect("the node closes");
    }
    for n in 0..30 {
        let mut socket = TcpStream::connect(b.address).await.unwrap();
        let _ = socket.write_all(&octets(1 + n * 50, n as u64)).await;
        let _ = socket.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(patience, socket.read_to_end(&mut rest)).await.expect("the node closes");
    }
    let unknown = connect(&ca, &b, "paquebot-peer/99").await.err().unwrap();
    assert!(unknown.to_string().contains("NoApplicationProtocol"), "{unknown}");
    assert_eq!(a.to(&b).ask("who", Bytes::new()).await.unwrap(), "a");
}

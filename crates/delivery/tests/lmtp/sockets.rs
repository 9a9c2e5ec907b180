//! Real sockets.

use std::sync::Arc;

use paquebot_delivery::{Peer, Shared, serve};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::support::{Client, Server, config};

async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>) {
    client.expect("220").await;
    client.talk(&[("LHLO x", "250"), ("MAIL FROM:<>", "250"), ("RCPT TO:<anna>", "250"), ("DATA", "354")]).await;
    client.talk(&[("x\r\n.", "250 2.0.0 <anna>"), ("QUIT", "221 2.0.0")]).await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_message_comes_by_tcp() {
    let server = Server::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared: Arc<Shared> = server.shared.clone();
    let serving = tokio::spawn(async move {
        let (socket, peer) = listener.accept().await.unwrap();
        serve(socket, Peer::Network(peer), shared).await;
    });
    deliver(Client::new(TcpStream::connect(address).await.unwrap(), Some(serving))).await;
    let messages = server.messages("anna", "INBOX").await;
    assert!(String::from_utf8_lossy(&messages[0]).contains("\r\nReceived: from x ([127.0.0.1])\r\n"));
}

#[tokio::test]
async fn a_message_comes_by_a_unix_socket() {
    let server = Server::start(config()).await;
    let path = server.dir.path().join("lmtp");
    let listener = UnixListener::bind(&path).unwrap();
    let shared: Arc<Shared> = server.shared.clone();
    let serving = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        serve(socket, Peer::Local, shared).await;
    });
    deliver(Client::new(UnixStream::connect(&path).await.unwrap(), Some(serving))).await;
    assert_eq!(server.messages("anna", "INBOX").await.len(), 1);
}

#[tokio::test]
async fn the_last_reply_arrives_though_more_was_sent() {
    let server = Server::start(config()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared: Arc<Shared> = server.shared.clone();
    let serving = tokio::spawn(async move {
        let (socket, peer) = listener.accept().await.unwrap();
        serve(socket, Peer::Network(peer), shared).await;
    });
    let mut client = Client::new(TcpStream::connect(address).await.unwrap(), Some(serving));
    client.send(&vec![b'x'; 200_000]).await;
    client.expect("220").await;
    client.expect("500 5.5.2").await;
    client.expect_end().await;
}

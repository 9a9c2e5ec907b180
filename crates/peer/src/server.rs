//! This node, as the others reach it: one port for all.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use paquebot_store::Store;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;

use crate::host::Host;
use crate::identity::node_of;
use crate::link::{CALL_WINDOW, CONNECTION_WINDOW, FRAME_BYTES, PENDING_BYTES};
use crate::name::NodeName;
use crate::passed_on::{Offer, PeerStream, read_preface, welcome};
use crate::socket;
use crate::tls::{Protocol, Tls, disbelief};

mod bodies;
mod calls;
mod give;
mod join;

/// Connections whose other end is not known yet, at most; others wait to be accepted.
const STRANGERS: usize = 256;
/// For a connection to be known.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Calls at a time on a connection, at most.
const CALLS: u32 = 256;
/// Calls that a peer has given up before they were begun, at most: it is one of us, and a cut-off may end many.
const GIVEN_UP: usize = 4096;
/// A peer that does not answer is gone.
const ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// Octets of bodies and questions in memory, at most, in KiB; others wait to be read.
const MEMORY_KIB: usize = 64 << 10;
/// Reads of bodies at a time.
const READS: usize = 32;
/// Copies of shards at a time; and for a copy to begin.
const COPIES: usize = 2;
/// When the server ends, calls under way are waited for.
const GRACE: Duration = Duration::from_secs(5);

/// The port on which other nodes reach this one.
pub struct PeerServer {
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    tls: Arc<Tls>,
    store: Arc<Store>,
    host: Arc<dyn Host>,
    memory: Arc<Semaphore>,
    reads: Semaphore,
    copies: Arc<Semaphore>,
    /// One copy at a time for each node.
    copying: Mutex<HashMap<NodeName, Arc<Semaphore>>>,
    joins: join::Doorman,
}

impl PeerServer {
    /// Large bodies that come are staged in the store.
    pub fn new(tls: Arc<Tls>, store: Arc<Store>, host: Arc<dyn Host>) -> Self {
        let shared = Shared {
            tls,
            store,
            host,
            memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            reads: Semaphore::new(READS),
            copies: Arc::new(Semaphore::new(COPIES)),
            copying: Mutex::default(),
            joins: join::Doorman::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves until `stop` is done, and then a moment for what is under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let strangers = Arc::new(Semaphore::new(STRANGERS));
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = async {
                let permit = strangers.clone().acquire_owned().await;
                (permit, listener.accept().await)
            };
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                (permit, accepted) = next => match (permit, accepted) {
                    (Ok(permit), Ok((stream, address))) => {
                        let connection = self.shared.clone().connection(stream, address, permit, stopped.clone());
                        connections.spawn(connection);
                    }
                    (_, Err(error)) => {
                        tracing::warn!(%error, "a connection from another node is not accepted");
                        sleep(Duration::from_millis(100)).await;
                    }
                    (Err(_), _) => break,
                },
            }
        }
        drop(listener);
        let _ = stopping.send(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if timeout(GRACE, ended).await.is_err() {
            connections.shutdown().await;
        }
    }
}

/// A connection whose other end is known.
enum Known {
    Node(Protocol, NodeName, PeerStream),
    Joining(PeerStream),
}

impl Shared {
    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        stranger: OwnedSemaphorePermit,
        stopped: watch::Receiver<bool>,
    ) {
        socket::prepare(&stream);
        let known = match timeout(HANDSHAKE, self.greet(stream, address)).await {
            Ok(Some(known)) => known,
            Ok(None) => return,
            Err(_) => return tracing::debug!(%address, "a connection to the peer port says nothing"),
        };
        match known {
            // Whoever joins stays a stranger.
            Known::Joining(stream) => self.join(stream, address).await,
            Known::Node(Protocol::Calls, node, stream) => {
                drop(stranger);
                self.serve_calls(node, stream, stopped).await;
            }
            Known::Node(protocol, node, stream) => self.passed_on(protocol, node, stream, stranger).await,
        }
    }

    /// Finds out who connects and what for.
    async fn greet(&self, stream: TcpStream, address: SocketAddr) -> Option<Known> {
        let tls = self.tls.current();
        let start = match LazyConfigAcceptor::new(Default::default(), stream).await {
            Ok(start) => start,
            Err(error) => {
                tracing::debug!(%address, %error, "a connection to the peer port is no TLS");
                return None;
            }
        };
        let joins =
            start.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == Protocol::Join.name()));
        let config = if joins { tls.joins.clone() } else { tls.server.clone() };
        let stream = match start.into_stream(config).await {
            Ok(stream) => stream,
            Err(error) => {
                match disbelief(&error, &format!("the node at {address}")) {
                    Some(why) => tracing::warn!(%address, "a node is not let in: {why}"),
                    None => tracing::debug!(%address, %error, "a TLS handshake on the peer port failed"),
                }
                return None;
            }
        };
        let session = stream.get_ref().1;
        let protocol = session.alpn_protocol().and_then(Protocol::of_nodes);
        let node = session.peer_certificates().and_then(|chain| chain.first()).and_then(node_of);
        let mut stream = PeerStream::new(stream.into());
        match (joins, protocol, node) {
            (true, ..) => Some(Known::Joining(stream)),
            (false, Some(Protocol::Calls), Some(node)) => {
                welcome(&mut stream).await.ok()?;
                Some(Known::Node(Protocol::Calls, node, stream))
            }
            (false, Some(protocol), Some(node)) => Some(Known::Node(protocol, node, stream)),
            _ => {
                tracing::warn!(%address, "a certificate of this cluster's authority names no node, or nothing is asked for");
                Offer::new(stream).refuse("the certificate names no node, or no protocol was asked for").await;
                None
            }
        }
    }

    async fn serve_calls(self: Arc<Self>, node: NodeName, stream: PeerStream, mut stopped: watch::Receiver<bool>) {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(ALIVE.0)
            .keep_alive_timeout(ALIVE.1)
            .initial_stream_window_size(CALL_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_send_buf_size(PENDING_BYTES)
            .max_concurrent_streams(CALLS)
            .max_header_list_size(16 << 10)
            .max_pending_accept_reset_streams(GIVEN_UP);
        let name = node.clone();
        let service = service_fn(move |request| {
            let (shared, node) = (self.clone(), name.clone());
            async move { Ok::<_, std::convert::Infallible>(shared.answer(&node, request).await) }
        });
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = async { let _ = stopped.wait_for(|stopped| *stopped).await; } => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%node, error = crate::octets::chain(&error), "a connection from a peer broke");
        }
    }

    async fn passed_on(&self, protocol: Protocol, node: NodeName, stream: PeerStream, stranger: OwnedSemaphorePermit) {
        let (offer, preface) = match timeout(HANDSHAKE, read_preface(stream)).await {
            Ok(Ok(read)) => read,
            // Whoever goes away before needs no answer.
            _ => return,
        };
        drop(stranger);
        match protocol {
            Protocol::Lmtp => self.host.lmtp(&node, preface, offer).await,
            _ => self.host.session(&node, preface, offer).await,
        }
    }
}

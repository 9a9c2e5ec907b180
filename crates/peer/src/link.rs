//! One HTTP/2 connection to a peer, made when it is needed and made again when it broke.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::PeerError;
use crate::name::NodeName;
use crate::octets::{Outgoing, chain};
use crate::passed_on::{PassError, PeerStream, hear_welcome};
use crate::socket;
use crate::tls::{Protocol, Tls, cause, disbelief};

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// After a failure to connect the next attempt waits, twice as long each time.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Calls under way on a connection, at most; others wait.
const CALLS: usize = 256;
/// How much a peer may send that is not read yet: of one call, and of all on a connection.
pub(crate) const CALL_WINDOW: u32 = 2 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 8 << 20;
pub(crate) const FRAME_BYTES: u32 = 64 << 10;

/// Where a peer is.
pub(crate) struct Place {
    pub node: NodeName,
    pub address: String,
    pub tls: Arc<Tls>,
    pub runtime: Handle,
}

/// What a connection is for: what must be prompt does not wait behind what is much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Prompt,
    Bulk,
}

pub(crate) struct Link {
    place: Arc<Place>,
    lane: Lane,
    state: Mutex<State>,
    calls: Semaphore,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    failures: u32,
    /// Not to be tried before, and why.
    failed: Option<(Instant, PeerError)>,
}

struct Connection {
    sender: http2::SendRequest<Outgoing>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Lane {
    /// How often a connection is asked whether it is alive, and how long the answer may take.
    fn keep_alive(self) -> (Duration, Duration) {
        match self {
            Self::Prompt => (Duration::from_millis(500), Duration::from_secs(1)),
            // Its answers wait behind what is on its way.
            Self::Bulk => (Duration::from_secs(1), Duration::from_secs(4)),
        }
    }
}

impl Link {
    pub(crate) fn new(place: Arc<Place>, lane: Lane) -> Self {
        Self { place, lane, state: Mutex::default(), calls: Semaphore::new(CALLS) }
    }

    /// Sends a request and gives the head of its answer.
    pub(crate) async fn call(
        &self,
        request: Request<Outgoing>,
        patience: Duration,
    ) -> Result<Response<Incoming>, PeerError> {
        let work = async {
            let _permit = self.calls.acquire().await;
            let mut sender = self.sender().await?;
            sender.send_request(request).await.map_err(|error| self.place.broken(chain(&error)))
        };
        match timeout(patience, work).await {
            Ok(answer) => answer,
            Err(_) => Err(self.place.broken(format!("no answer for {} ms", patience.as_millis()))),
        }
    }

    /// A connection that is there, or a new one. Who comes while one is being made waits for it.
    async fn sender(&self) -> Result<http2::SendRequest<Outgoing>, PeerError> {
        let mut state = self.state.lock().await;
        if let Some(connection) = &state.connection {
            if !connection.sender.is_closed() {
                return Ok(connection.sender.clone());
            }
            state.connection = None;
        }
        if let Some((until, why)) = &state.failed
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        match self.place.here(connect(self.place.clone(), self.lane)).await {
            Ok(connection) => {
                let sender = connection.sender.clone();
                *state = State { connection: Some(connection), failures: 0, failed: None };
                Ok(sender)
            }
            Err(error) => {
                if state.failures == 0 {
                    tracing::warn!(node = %self.place.node, %error, "a peer is not reached");
                }
                let wait = BACKOFF_MIN.saturating_mul(1 << state.failures.min(10)).min(BACKOFF_MAX);
                state.failures = state.failures.saturating_add(1);
                state.failed = Some((Instant::now() + wait, error.clone()));
                Err(error)
            }
        }
    }
}

impl Place {
    pub(crate) fn broken(&self, why: impl Into<String>) -> PeerError {
        PeerError::Broken { node: self.node.clone(), why: why.into() }
    }

    pub(crate) fn damaged(&self, why: impl Into<String>) -> PeerError {
        PeerError::Damaged { node: self.node.clone(), why: why.into() }
    }

    pub(crate) fn unreachable(&self, why: impl Into<String>) -> PeerError {
        PeerError::Unreachable { node: self.node.clone(), address: self.address.clone(), why: why.into() }
    }

    /// Runs on the peers' own runtime: the caller's may have no sockets, or end before the connection.
    pub(crate) async fn here<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, PeerError>> + Send + 'static,
    ) -> Result<T, PeerError> {
        let task = self.runtime.spawn(work);
        task.await.unwrap_or_else(|_| Err(self.unreachable("this node is stopping")))
    }

    /// A connection of some kind, on which both ends believe one another.
    pub(crate) async fn open(&self, protocol: Protocol) -> Result<PeerStream, PeerError> {
        let work = async {
            let socket = TcpStream::connect(&self.address).await.map_err(|error| self.refusal(&error))?;
            socket::prepare(&socket);
            let name = ServerName::try_from(self.node.certificate_name());
            let name = name.map_err(|error| self.unreachable(error.to_string()))?;
            let config = self.tls.current().client(protocol).map_err(|error| self.unreachable(error.to_string()))?;
            let stream =
                TlsConnector::from(config).connect(name, socket).await.map_err(|error| self.refusal(&error))?;
            if stream.get_ref().1.alpn_protocol() != Some(protocol.name()) {
                return Err(self.unreachable("it speaks no peer protocol: correct its peer address"));
            }
            Ok(PeerStream::new(stream.into()))
        };
        match timeout(CONNECT, work).await {
            Ok(opened) => opened,
            Err(_) => Err(self.unreachable(format!("no answer for {} ms", CONNECT.as_millis()))),
        }
    }

    pub(crate) fn refusal(&self, error: &io::Error) -> PeerError {
        match disbelief(error, &format!("node {}", self.node)) {
            Some(why) => PeerError::Certificate { node: self.node.clone(), address: self.address.clone(), why },
            None => match cause(error) {
                Some(error) => self.unreachable(format!("TLS: {error}")),
                None => self.unreachable(error.to_string()),
            },
        }
    }

    /// Of what went wrong before anything was asked.
    pub(crate) fn not_passed(&self, error: PassError) -> PeerError {
        match error {
            PassError::Broken(error) => self.refusal(&error),
            PassError::TooLarge => PeerError::Here("the preface of a connection to be passed on is too large".into()),
            PassError::Refused(refusal) => PeerError::Refused { node: self.node.clone(), refusal },
        }
    }
}

async fn connect(place: Arc<Place>, lane: Lane) -> Result<Connection, PeerError> {
    let mut stream = place.open(Protocol::Calls).await?;
    // The other end may refuse this one's certificate only after this end believes that all is well: it says when it is.
    match timeout(CONNECT, hear_welcome(&mut stream)).await {
        Ok(heard) => heard.map_err(|error| place.not_passed(error))?,
        Err(_) => return Err(place.unreachable(format!("no answer for {} ms", CONNECT.as_millis()))),
    }
    let (interval, patience) = lane.keep_alive();
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(interval)
        .keep_alive_timeout(patience)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(PENDING_BYTES);
    let (sender, connection) =
        http.handshake(TokioIo::new(stream)).await.map_err(|error| place.unreachable(chain(&error)))?;
    let driver = tokio::spawn(async move {
        // Whoever waits for an answer hears of the end.
        let _ = connection.await;
    });
    Ok(Connection { sender, driver: driver.abort_handle() })
}

/// What a call has given to the connection and the connection not to the socket, at most.
pub(crate) const PENDING_BYTES: usize = 512 << 10;

//! A connection from its greeting to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use paquebot_protocol::response::{Code, Mode};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument, field};

use crate::capability;
use crate::conn::Conn;
use crate::pass_on::{PassedOn, carry};
use crate::reading;
use crate::session::Session;
use crate::shared::{Counters, Listener, Shared};
use crate::state::End;
use crate::stream::Stream;

/// How long a client may take to hear that it is cut, and to stop sending.
const FAREWELL: Duration = Duration::from_secs(2);
/// What of a client's octets is read and dropped after BYE.
const FAREWELL_BYTES: usize = 1 << 20;

/// Serves a connection to its end. It ends by itself when [`Shared::stopping`] becomes true.
pub fn serve(socket: TcpStream, listener: Listener, shared: Arc<Shared>) -> impl Future<Output = ()> + Send {
    let client = socket.peer_addr().ok().map(|address| address.ip());
    serve_for(client, socket, listener, shared)
}

/// As [`serve`], for a client whose address is known from elsewhere than the socket: from a load balancer, say.
pub fn serve_for(
    client: Option<IpAddr>,
    socket: TcpStream,
    listener: Listener,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> + Send {
    let number = shared.counters.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let peer = client.map(|address| address.to_canonical());
    let span = tracing::info_span!("session", id = number, peer = peer.map(field::display), user = field::Empty);
    run(socket, listener, shared, peer).instrument(span)
}

async fn run(socket: TcpStream, listener: Listener, shared: Arc<Shared>, peer: Option<IpAddr>) {
    // Responses are gathered here, so waiting for more of them in the kernel only costs time.
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%error, "the connection is gone already");
    }
    let place = match shared.limits.connect(peer) {
        Ok(place) => place,
        Err(refusal) => {
            tracing::info!(%refusal, "refused a connection");
            Counters::count(&shared.counters.cut);
            if listener == Listener::StartTls {
                // A new socket's buffer takes this at once, or the client does without.
                let _ = socket.try_write(b"* BYE [UNAVAILABLE] Too many connections\r\n");
            }
            return;
        }
    };
    let deadline = Instant::now() + shared.config.login_timeout;
    let stream = match listener {
        Listener::StartTls => Stream::plain(socket),
        Listener::ImplicitTls => match Box::pin(accept_tls(&shared, socket, deadline)).await {
            Some(stream) => stream,
            None => return,
        },
    };
    let conn = Conn::new(stream, peer, shared.clone());
    let mut session = Box::new(Session::new(shared, conn, place, deadline));
    greet(&mut session);
    match talk(&mut session).await {
        End::PassedOn(passed_on) => Box::pin(hand_over(session, *passed_on)).await,
        end => Box::pin(say_goodbye(&mut session, end)).await,
    }
}

/// The rest of a connection that another node serves.
async fn hand_over(mut session: Box<Session>, passed_on: PassedOn) {
    let flow = match session.conn.flush().await {
        Ok(()) => Box::pin(carry(session, passed_on)).await,
        Err(end) => Err(end),
    };
    if let Err(end) = flow {
        tracing::debug!(?end, "a passed-on connection broke");
    }
}

/// The handshake; `None`, logged, if there is none in time.
pub(crate) async fn accept_tls(shared: &Shared, socket: TcpStream, deadline: Instant) -> Option<Stream> {
    let identity = shared.tls.as_ref()?.identity();
    let acceptor = TlsAcceptor::from(identity.config);
    match timeout_at(deadline, acceptor.accept(socket)).await {
        Ok(Ok(stream)) => Some(Stream::tls(stream, identity.end_point)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS handshake");
            None
        }
        Err(_) => {
            tracing::debug!("no TLS handshake in time");
            None
        }
    }
}

/// Does what the client asks for until one of both has had enough.
pub(crate) async fn talk(session: &mut Session) -> End {
    loop {
        if let Err(end) = reading::step(session).await {
            return end;
        }
    }
}

fn greet(session: &mut Session) {
    let capabilities = capability::list(session);
    let names: Vec<&str> = capabilities.iter().map(|name| &**name).collect();
    session.writer().untagged_ok(Some(Code::Capability(&names)), "Paquebot is ready");
}

/// Tells the client why the connection ends, where it can be told.
pub(crate) async fn say_goodbye(session: &mut Session, end: End) {
    let bye = match end {
        End::Logout => None,
        // The node that passes the connection on may be stopping, and leaves it to this one to say so: what the client has been sent so
        // far, and how it is compressed, is known only here.
        End::Left if session.conn.stream.is_passed_on() => {
            session.conn.writer(Mode::default()).bye(None, "The connection is being closed");
            None
        }
        End::Left => return tracing::debug!("the client left"),
        End::PassedOn(_) => return,
        End::Broken(error) => return tracing::debug!(%error, "the connection broke"),
        End::SlowReader => {
            Counters::count(&session.shared.counters.cut);
            return tracing::info!("cut: the client does not read");
        }
        End::Bye(text) => {
            tracing::info!(reason = text, "said BYE");
            Some(text)
        }
        End::Unknown(why) => {
            tracing::error!(why, "the outcome of a change is unknown: the connection is cut");
            Some("The outcome of the last command is not known".into())
        }
    };
    if let Some(text) = bye {
        Counters::count(&session.shared.counters.cut);
        session.conn.writer(Mode::default()).bye(None, &text);
    }
    let farewell = async {
        session.conn.flush().await.ok()?;
        session.conn.stream.shutdown().await.ok()
    };
    // Whoever does not listen any more loses nothing.
    if let Ok(Some(())) = timeout(FAREWELL, farewell).await {
        drain(&mut session.conn.stream).await;
    }
}

/// Reads on for a while after the last has been said: closing a socket with unread input resets the connection, and the client may never see
/// what was said.
pub(crate) async fn drain(stream: &mut Stream) {
    let drained = async {
        let mut left = FAREWELL_BYTES;
        while let Ok(octets @ 1..) = stream.read_raw().await {
            left = left.saturating_sub(octets);
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(FAREWELL, drained).await;
}

//! One LMTP session, from the greeting to the last reply.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Buf;
use paquebot_model::DeliveryKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use crate::conn::{Conn, End, Expect};
use crate::deliver::{Delivery, Original};
use crate::failure::{Verdict, chain};
use crate::once::Once;
use crate::protocol::address::Address;
use crate::protocol::data::DotDecoder;
use crate::protocol::line::{LineError, take_line};
use crate::protocol::machine::{Action, Machine, Rules, Transaction};
use crate::protocol::reply::Reply;
use crate::protocol::trace::Trace;
use crate::receive::Receiving;
use crate::recipients::{Home, Recipient};
use crate::shared::{Counters, Peer, Shared};

/// Serves one connection until it ends. Every line that it logs bears the session's id; none bears a message's content.
///
/// When the server stops, a session that receives or stores a message goes on until its answers are sent; any other is told so (421) and ends,
/// with nothing stored of a transaction that has no message yet.
pub async fn serve<S>(stream: S, peer: Peer, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    serve_from(stream, peer, From::Client, shared).await;
}

/// Serves a connection of another node, for the client `peer` of its own. What is for an account that this node does not have is refused here.
pub async fn serve_passed_on<S>(stream: S, peer: Peer, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    serve_from(stream, peer, From::Node, shared).await;
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Node,
}

async fn serve_from<S>(stream: S, peer: Peer, from: From, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let id = shared.next_session_id();
    let span = tracing::info_span!("lmtp", session = %id);
    serve_session(stream, peer, from, shared, id).instrument(span).await;
}

async fn serve_session<S>(stream: S, peer: Peer, from: From, shared: Arc<Shared>, id: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Counters::count(&shared.counters.connections);
    tracing::debug!(%peer, "connected");
    let conn = Conn::new(stream, shared.config.write_timeout);
    let Ok(_place) = shared.places.try_acquire() else {
        tracing::warn!(%peer, "there are too many connections");
        return conn.close(Some(Reply::TOO_MANY_CONNECTIONS)).await;
    };
    let mut session = Session::new(conn, peer, from, &shared, id);
    let Err(end) = session.run().await;
    if end.is_cut() {
        Counters::count(&shared.counters.cut);
        tracing::warn!(%peer, reason = chain(&end), "cut");
    } else {
        tracing::debug!(%peer, reason = chain(&end), "ended");
    }
    // What was being received is dropped before anything is waited for.
    let Session { conn, receiving, .. } = session;
    drop(receiving);
    match end {
        End::Gone | End::Failed(_) | End::NotReading => {}
        End::Closed(_) | End::Unknown => conn.close(None).await,
        End::Stopping => conn.close(Some(Reply::STOPPING)).await,
        End::TooSlow => conn.close(Some(Reply::TIMEOUT)).await,
        End::TooMuch => conn.close(Some(Reply::TOO_BIG)).await,
    }
}

struct Session<'a, S> {
    conn: Conn<S>,
    peer: Peer,
    from: From,
    shared: &'a Shared,
    stopping: watch::Receiver<bool>,
    id: String,
    /// Messages so far.
    messages: u64,
    machine: Machine<Recipient>,
    /// A message that comes by BDAT, between its chunks.
    receiving: Option<Message>,
}

/// A message that is coming.
struct Message {
    trace: Trace,
    /// Octets of the first recipient's fields.
    fields_bytes: u64,
    receiving: Receiving,
}

/// Nothing but an end ends a session.
enum Never {}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(conn: Conn<S>, peer: Peer, from: From, shared: &'a Shared, id: String) -> Self {
        let config = &shared.config;
        let machine = Machine::new(Rules {
            host_name: config.host_name.clone(),
            message_bytes_max: config.message_bytes_max,
            recipients_max: config.recipients_max,
            bad_commands_max: config.bad_commands_max,
            passed_on: from == From::Node,
        });
        let stopping = shared.stopping.clone();
        Self { conn, peer, from, shared, stopping, id, messages: 0, machine, receiving: None }
    }

    async fn run(&mut self) -> Result<Never, End> {
        self.conn.say(&Reply::greeting(&self.shared.config.host_name)).await?;
        loop {
            let line = self.next_line().await?;
            let action = self.machine.line(&line);
            if !self.machine.is_in_chunks() {
                self.receiving = None;
            }
            self.act(action).await?;
        }
    }

    async fn next_line(&mut self) -> Result<bytes::Bytes, End> {
        let deadline = Instant::now() + self.shared.config.command_timeout;
        loop {
            match take_line(&mut self.conn.input) {
                Ok(Some(line)) => return Ok(line),
                Ok(None) => {
                    let stop = stopped(&mut self.stopping);
                    self.conn.read(Expect::Command, deadline, stop).await?;
                }
                Err(error) => {
                    let reply = match error {
                        LineError::TooLong => Reply::LINE_TOO_LONG,
                        LineError::BareLf => Reply::BARE_LF,
                    };
                    self.conn.say(&reply).await?;
                    return Err(End::Closed("what came is no line"));
                }
            }
        }
    }

    async fn act(&mut self, action: Action) -> Result<(), End> {
        match action {
            Action::Reply(reply) => self.conn.say(&reply).await,
            Action::Close(reply) => {
                self.conn.say(&reply).await?;
                Err(End::Closed("by a reply"))
            }
            Action::Recipient { address, once } => self.recipient(address, once).await,
            Action::Data => self.data().await,
            Action::Chunk { octets, last } => self.chunk(octets, last).await,
            Action::Skip { octets, reply } => {
                self.skip(octets).await?;
                self.conn.say(&reply).await
            }
        }
    }

    async fn recipient(&mut self, address: Address, once: Option<[u8; 16]>) -> Result<(), End> {
        let shown = address.to_string();
        let found = Recipient::find(&*self.shared.recipients, &self.shared.config.addresses, address).await;
        let reply = match found {
            // Passed on once more it might come here again.
            Ok(Some(Recipient { home: Home::There(_), .. })) if self.from == From::Node => Reply::NOT_HERE,
            Ok(Some(recipient)) => {
                self.machine.accept(Recipient { once: once.map(DeliveryKey), ..recipient });
                Reply::RECIPIENT_OK
            }
            Ok(None) => {
                tracing::info!(to = shown, "there is no such user");
                Counters::count(&self.shared.counters.unknown_users);
                Reply::UNKNOWN_USER
            }
            Err(error) => {
                tracing::error!(to = shown, error = chain(&error), "a recipient cannot be looked up");
                Reply::LOOKUP_FAILED
            }
        };
        self.conn.say(&reply).await
    }

    /// Takes a message by DATA.
    async fn data(&mut self) -> Result<(), End> {
        let Some(mut message) = self.begin_message() else {
            return self.conn.say(&Reply::NO_RECIPIENTS).await;
        };
        self.conn.say(&Reply::go_ahead()).await?;
        let deadline = self.message_deadline();
        let (mut decoder, mut octets) = (DotDecoder::default(), Vec::new());
        loop {
            octets.clear();
            let decoded = decoder.decode(&self.conn.input, &mut octets);
            self.conn.input.advance(decoded.taken);
            message.receiving.write(&octets).await;
            if decoded.ended {
                break;
            }
            let config = &self.shared.config;
            if message.receiving.octets() > config.message_bytes_max.saturating_add(config.drain_bytes_max) {
                return Err(End::TooMuch);
            }
            self.read_data(deadline).await?;
        }
        drop(octets);
        self.end_message(message).await
    }

    /// Takes a part of a message by BDAT.
    async fn chunk(&mut self, octets: u64, last: bool) -> Result<(), End> {
        let begun = match self.receiving.take() {
            Some(begun) => Some(begun),
            None => self.begin_message(),
        };
        let Some(mut message) = begun else {
            return self.conn.say(&Reply::NO_RECIPIENTS).await;
        };
        let receiving = &mut message.receiving;
        receiving.announce(octets);
        let deadline = self.message_deadline();
        let mut left = octets;
        if receiving.verdict().is_some() {
            self.skip(left).await?;
            left = 0;
        }
        while left > 0 {
            let input = &self.conn.input;
            let count = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            receiving.write(&input[..count]).await;
            self.conn.input.advance(count);
            left -= count as u64;
            if left > 0 {
                self.read_data(deadline).await?;
            }
        }
        match receiving.verdict() {
            _ if last => return self.end_message(message).await,
            Some(Verdict::Answer(reply)) => {
                self.conn.say(reply).await?;
                self.machine.chunk_failed();
            }
            Some(Verdict::Unknown) => return Err(End::Unknown),
            None => {
                self.conn.say(&Reply::new(250, "2.0.0", format!("{octets} octets received"))).await?;
                self.receiving = Some(message);
            }
        }
        Ok(())
    }

    /// Begins the message of the transaction with the first recipient's fields. `None` if there is no recipient, which the machine has seen to.
    fn begin_message(&mut self) -> Option<Message> {
        let transaction = self.machine.transaction()?;
        let first = transaction.recipients.first()?;
        self.messages += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let trace = Trace {
            sender: transaction.sender.clone(),
            client: self.machine.client().to_owned(),
            client_address: self.peer.address(),
            host_name: self.shared.config.host_name.clone(),
            id: format!("{}.{}", self.id, self.messages),
            smtputf8: transaction.smtputf8,
            unix_seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        };
        let fields = trace.fields(&first.address);
        let fields_bytes = fields.len() as u64;
        let size = transaction.size.map(|size| size.saturating_add(fields_bytes));
        let incoming = self.shared.service.incoming(size);
        let receiving =
            Receiving::new(incoming, fields, Once::new(trace.sender.as_ref()), self.shared.config.message_bytes_max);
        Some(Message { trace, fields_bytes, receiving })
    }

    /// Stores a message that has come and answers for each recipient.
    async fn end_message(&mut self, message: Message) -> Result<(), End> {
        let Message { trace, fields_bytes, receiving } = message;
        let Some(Transaction { recipients, .. }) = self.machine.end_message() else { return Ok(()) };
        let octets = receiving.octets();
        let (ready, digest) = match receiving.finish().await {
            Ok(received) => received,
            Err(Verdict::Unknown) => return Err(End::Unknown),
            Err(Verdict::Answer(reply)) => {
                tracing::warn!(id = trace.id, octets, recipients = recipients.len(), code = reply.code(), "not taken");
                self.shared.counters.not_delivered.fetch_add(recipients.len() as u64, Ordering::Relaxed);
                for _ in &recipients {
                    self.conn.say(&reply).await?;
                }
                return Ok(());
            }
        };
        let mut delivery = Delivery::new(
            self.shared,
            &trace,
            Original { ready, fields_bytes, digest, client: self.peer.socket() },
            recipients,
        );
        while let Some(verdicts) = delivery.next_batch().await {
            for verdict in verdicts {
                match verdict {
                    Verdict::Answer(reply) => self.conn.say(&reply).await?,
                    Verdict::Unknown => {
                        self.conn.flush().await?;
                        return Err(End::Unknown);
                    }
                }
            }
            if !delivery.is_over() {
                // The next batch may take a while, and a client should know what is done already.
                self.conn.flush().await?;
            }
        }
        Ok(())
    }

    async fn skip(&mut self, octets: u64) -> Result<(), End> {
        let config = &self.shared.config;
        if octets > config.message_bytes_max.saturating_add(config.drain_bytes_max) {
            return Err(End::TooMuch);
        }
        let deadline = self.message_deadline();
        self.conn.skip(octets, deadline, self.shared.config.data_timeout).await
    }

    async fn read_data(&mut self, deadline: Instant) -> Result<(), End> {
        let deadline = deadline.min(Instant::now() + self.shared.config.data_timeout);
        // A message that is coming is finished, whether the server stops or not.
        self.conn.read(Expect::Data, deadline, std::future::pending()).await
    }

    fn message_deadline(&self) -> Instant {
        Instant::now() + self.shared.config.message_timeout
    }
}

/// Ends when the server stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        // Whoever could have said so is gone: then nobody stops the server.
        std::future::pending::<()>().await;
    }
}

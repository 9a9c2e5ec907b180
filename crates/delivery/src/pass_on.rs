//! Delivery to accounts that other nodes have: an LMTP conversation with one of them, and with another if that one's answer is lost.
//!
//! With each recipient goes the key of the delivery, so what a node did without being heard is not done again by the next.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use paquebot_mailbox::{Ready, ServiceError};
use paquebot_model::DeliveryKey;
use paquebot_types::ShardId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::failure::Verdict;
use crate::protocol::address::Address;
use crate::protocol::command::ONCE;
use crate::protocol::line::take_line;
use crate::protocol::reply::Reply;
use crate::protocol::trace::Trace;
use crate::shared::{Counters, Shared};

/// For a node to answer a command, and to store a message.
const ANSWER: Duration = Duration::from_secs(10);
const STORED: Duration = Duration::from_secs(60);
/// Nodes that are tried for one message.
const ATTEMPTS: usize = 3;
/// A message is sent in pieces of this size.
const PIECE_BYTES: usize = 64 << 10;

/// A connection to another node.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection on its way; `None` when there are no more nodes to be tried.
pub type Reaching<'a> = Pin<Box<dyn Future<Output = io::Result<Option<Box<dyn Stream>>>> + Send + 'a>>;

/// The other nodes, as delivery sees them.
pub trait Elsewhere: Send + Sync {
    /// Reaches one of the nodes that host a shard, another one for each `attempt` from 0, where [`crate::serve_passed_on`] serves the stream as coming
    /// from `client`. An error is that this one cannot be reached.
    fn reach(&self, shard: ShardId, attempt: usize, client: Option<SocketAddr>) -> Reaching<'_>;
}

/// A recipient whose account another node has.
pub struct Away {
    /// The recipient's place among the answers.
    pub index: usize,
    pub address: Address,
    pub key: DeliveryKey,
    /// Whether a node may have stored the message for him, unheard.
    sent: bool,
}

impl Away {
    pub fn new(index: usize, address: Address, key: DeliveryKey) -> Self {
        Self { index, address, key, sent: false }
    }
}

/// A message to be passed on.
pub struct Passing<'a> {
    pub shared: &'a Shared,
    pub trace: &'a Trace,
    pub client: Option<SocketAddr>,
    /// The first recipient's message, and where in it begins what is everybody's.
    pub ready: &'a Arc<Ready>,
    pub from: u64,
}

impl Passing<'_> {
    /// Has the message delivered by nodes that host the shard; gives the answers by the recipients' places.
    pub async fn deliver(&self, shard: ShardId, mut left: Vec<Away>) -> Vec<(usize, Verdict)> {
        let mut answers = Vec::new();
        for attempt in 0..ATTEMPTS {
            let Some(elsewhere) = self.shared.elsewhere() else { break };
            let passed = match timeout(ANSWER, elsewhere.reach(shard, attempt, self.client)).await {
                Ok(Ok(Some(stream))) => self.converse(stream, &mut left, &mut answers).await,
                Ok(Ok(None)) => break,
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            if let Err(error) = passed {
                tracing::warn!(%shard, attempt, %error, id = self.trace.id, "a node does not take a message");
            }
            if left.is_empty() {
                break;
            }
        }
        answers.extend(left.into_iter().map(|away| match away.sent {
            true => (away.index, Verdict::Unknown),
            false => (away.index, Verdict::Answer(Reply::NOT_REACHED)),
        }));
        answers
    }

    /// One conversation. Recipients that were answered are taken from `left`.
    async fn converse(
        &self,
        stream: Box<dyn Stream>,
        left: &mut Vec<Away>,
        answers: &mut Vec<(usize, Verdict)>,
    ) -> io::Result<()> {
        let mut talk = Talk { stream, input: BytesMut::new() };
        talk.expect(ANSWER, '2').await?;
        talk.say(format!("LHLO {}\r\n", self.trace.client)).await?;
        if !talk.expect(ANSWER, '2').await?.iter().any(|line| line.get(4..) == Some(ONCE)) {
            return Err(io::Error::other("it does not take keys of deliveries; is it of an older release?"));
        }
        let size = u64::from(self.ready.size()).saturating_sub(self.from);
        let sender = self.trace.sender.as_ref().map(Address::to_string).unwrap_or_default();
        let utf8 = if self.trace.smtputf8 { " SMTPUTF8" } else { "" };
        talk.say(format!("MAIL FROM:<{sender}> SIZE={size}{utf8}\r\n")).await?;
        talk.expect(ANSWER, '2').await?;
        let mut accepted = Vec::new();
        for (at, away) in left.iter().enumerate() {
            let key: String = away.key.0.iter().map(|octet| format!("{octet:02x}")).collect();
            talk.say(format!("RCPT TO:<{}> {ONCE}={key}\r\n", away.address)).await?;
            // One that it does not know yet, or does not host, is for the next node.
            if talk.reply(ANSWER).await?.first().is_some_and(|line| line.starts_with('2')) {
                accepted.push(at);
            }
        }
        if accepted.is_empty() {
            return Err(io::Error::other("it takes none of the recipients"));
        }
        talk.say(format!("BDAT {size} LAST\r\n")).await?;
        let before: Vec<bool> = left.iter().map(|away| away.sent).collect();
        for at in &accepted {
            if let Some(away) = left.get_mut(*at) {
                away.sent = true;
            }
        }
        self.send_message(&mut talk).await?;
        let mut answered = Vec::new();
        let mut failed = None;
        for at in accepted {
            let lines = match talk.reply(STORED).await {
                Ok(lines) => lines,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            let reply = lines.first().and_then(|line| Reply::passed_on(line));
            let unheard = before.get(at).copied().unwrap_or_default();
            let verdict = match reply {
                Some(reply) if reply.code() / 100 == 2 || !unheard => Verdict::Answer(reply),
                // An earlier node may have stored it.
                _ => Verdict::Unknown,
            };
            answered.push((at, verdict));
        }
        for (at, verdict) in answered.into_iter().rev() {
            if matches!(verdict, Verdict::Answer(_)) {
                Counters::count(&self.shared.counters.passed_on);
            }
            answers.push((left.remove(at).index, verdict));
        }
        if let Some(error) = failed {
            return Err(error);
        }
        talk.say("QUIT\r\n".into()).await.or(Ok(()))
    }

    async fn send_message(&self, talk: &mut Talk) -> io::Result<()> {
        let mut offset = self.from;
        loop {
            let (service, ready) = (self.shared.service.clone(), self.ready.clone());
            let read = move || {
                let mut piece = vec![0; PIECE_BYTES];
                let count = ready.read(&service, offset, &mut piece)?;
                piece.truncate(count);
                Ok::<_, ServiceError>(piece)
            };
            // A small message is in memory.
            let piece = match u64::from(self.ready.size()) <= PIECE_BYTES as u64 {
                true => read(),
                false => tokio::task::spawn_blocking(read).await.unwrap_or(Err(ServiceError::Stopping)),
            };
            let piece = piece.map_err(io::Error::other)?;
            if piece.is_empty() {
                return Ok(());
            }
            offset = offset.saturating_add(piece.len() as u64);
            timeout(self.shared.config.write_timeout, talk.stream.write_all(&piece)).await??;
        }
    }
}

/// The other node's lines.
struct Talk {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

impl Talk {
    async fn say(&mut self, line: String) -> io::Result<()> {
        let said = async {
            self.stream.write_all(line.as_bytes()).await?;
            self.stream.flush().await
        };
        timeout(ANSWER, said).await?
    }

    /// The lines of a reply that begins so; another is an error.
    async fn expect(&mut self, within: Duration, class: char) -> io::Result<Vec<String>> {
        let lines = self.reply(within).await?;
        match lines.first() {
            Some(first) if first.starts_with(class) => Ok(lines),
            first => Err(io::Error::other(first.cloned().unwrap_or_default())),
        }
    }

    /// The lines of a reply, of which there are few.
    async fn reply(&mut self, within: Duration) -> io::Result<Vec<String>> {
        const LINES_MAX: usize = 64;
        let read = async {
            let mut lines = Vec::new();
            while lines.len() < LINES_MAX {
                match take_line(&mut self.input).map_err(io::Error::other)? {
                    Some(line) => {
                        let last = line.get(3) != Some(&b'-');
                        lines.push(String::from_utf8_lossy(&line).into_owned());
                        if last {
                            return Ok(lines);
                        }
                    }
                    None if self.stream.read_buf(&mut self.input).await? == 0 => {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    None => {}
                }
            }
            Err(io::Error::other("a reply has too many lines"))
        };
        timeout(within, read).await?
    }
}

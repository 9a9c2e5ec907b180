//! What a connection does, over and over, until the time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::connection::tls_config;
use crate::corpus::{Corpus, Sizes};
use crate::error::ClientError;
use crate::lmtp::Lmtp;
use crate::options::{Options, Work};
use crate::random::Random;
use crate::tally::Tally;

mod append;
mod deliver;
mod fetch;
pub mod idle;
mod login;
mod mixed;
pub mod script;
mod search;
mod store;

/// How long a connection waits before it is made again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Messages, and bytes, that fill a mailbox by one APPEND.
const BATCH_MESSAGES: u32 = 100;
const BATCH_BYTES: usize = 1 << 20;

/// What all connections of a run share.
pub struct Plan {
    pub options: Options,
    /// Those who take part: no more than there are connections.
    pub users: Vec<String>,
    pub corpus: Corpus,
    pub tally: Tally,
    /// Where the work is done: what adds messages has a mailbox of its own, so that the others find theirs as it was.
    pub mailbox: String,
    tls: Arc<ClientConfig>,
}

impl Plan {
    pub fn new(options: &Options) -> Self {
        let mut users = options.user_names();
        users.truncate(options.connections as usize);
        let sizes = options.size.map_or(Sizes::Natural { max: options.size_max }, Sizes::Fixed);
        let corpus = Corpus::new(options.seed, sizes);
        let mailbox = match options.work {
            Work::Append | Work::Idle | Work::Mixed => format!("{}-{}", options.mailbox, options.work),
            Work::Deliver | Work::Fetch | Work::Store | Work::Search | Work::Login | Work::Script => {
                options.mailbox.clone()
            }
        };
        Self { options: options.clone(), users, corpus, tally: Tally::default(), mailbox, tls: tls_config() }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    /// The place of a connection's user.
    pub fn user_of(&self, connection: u32) -> usize {
        connection as usize % self.users.len()
    }

    fn imap(&self) -> &str {
        self.options.imap.as_deref().unwrap_or_default()
    }

    /// Connects, in TLS if so asked.
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(self.imap(), self.options.tls, &self.tls).await
    }

    /// Connects and logs in.
    pub async fn log_in(&self, user: &str) -> Result<Client, ClientError> {
        let mut client = self.connect().await?;
        client.login(user, self.options.password.as_deref().unwrap_or_default()).await?;
        Ok(client)
    }

    /// Connects, logs in and selects the mailbox.
    pub async fn open(&self, user: &str) -> Result<Client, ClientError> {
        let mut client = self.log_in(user).await?;
        client.select(&self.mailbox).await?;
        Ok(client)
    }

    /// Makes a user's mailbox, and fills it as far as the work needs it. The time limit is for each step.
    pub async fn prepare(&self, user: &str) -> Result<(), ClientError> {
        let limit = self.timeout();
        let opening = async {
            let mut client = self.log_in(user).await?;
            client.create(&self.mailbox).await?;
            client.select(&self.mailbox).await?;
            Ok(client)
        };
        let mut client = in_time(limit, opening).await?;
        let filled = match self.options.work {
            Work::Append | Work::Deliver | Work::Idle => 0,
            Work::Fetch | Work::Store | Work::Search | Work::Mixed | Work::Login | Work::Script => {
                self.options.messages
            }
        };
        let mut next = client.exists;
        while next < filled {
            let batch = self.batch(next, filled, if client.many_at_once { BATCH_MESSAGES } else { 1 });
            next += batch.len() as u32;
            in_time(limit, client.append_all(&self.mailbox, &batch)).await?;
        }
        in_time(limit, client.command("LOGOUT", "LOGOUT")).await
    }
}

impl Plan {
    /// The messages from number `from` on that are appended together: `count` at most, none from `end` on, and not too many bytes.
    fn batch(&self, from: u32, end: u32, count: u32) -> Vec<Vec<u8>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for n in from..end.min(from.saturating_add(count)) {
            let message = self.corpus.message(n.into());
            bytes += message.len();
            batch.push(message);
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        batch
    }
}

/// Lets no step take longer than the limit.
pub async fn in_time<T>(limit: Duration, step: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    timeout(limit, step).await.unwrap_or(Err(ClientError::Timeout))
}

/// What a connection's steps work with, beside the connection.
pub struct Hands {
    pub plan: Arc<Plan>,
    number: u32,
    pub random: Random,
    message: Vec<u8>,
    messages_made: u64,
}

impl Hands {
    pub fn user(&self) -> &str {
        &self.plan.users[self.plan.user_of(self.number)]
    }

    /// Makes `message` one that no other connection sends.
    fn make_message(&mut self) {
        // Number 0 fills mailboxes.
        let n = (u64::from(self.number) + 1) << 32 | self.messages_made;
        self.messages_made += 1;
        self.plan.corpus.write(n, &mut self.message);
    }

    /// Counts an operation that began at `start` and is done.
    pub fn done(&self, kind: &'static str, start: Instant) {
        self.plan.tally.operation(kind, start.elapsed());
    }

    /// A message's number in the mailbox, as far as its size is known: 1 at least.
    pub fn any_message(&mut self, client: &Client) -> u64 {
        1 + self.random.below(client.exists.into())
    }
}

/// One connection at work.
pub struct Worker {
    hands: Hands,
    line: Line,
}

/// How it reaches the server; `None` before the first time and after a failure.
enum Line {
    Imap(Option<Client>),
    Lmtp(Option<Lmtp>),
    /// Each step connects for itself.
    Anew,
}

impl Worker {
    /// A worker whose connection is up.
    pub async fn prepared(plan: Arc<Plan>, number: u32) -> Result<Self, ClientError> {
        let line = match plan.options.work {
            Work::Deliver => Line::Lmtp(None),
            Work::Login => Line::Anew,
            _ => Line::Imap(None),
        };
        let random = Random::stream(plan.options.seed, 1 << 40 | u64::from(number));
        let limit = plan.timeout();
        let hands = Hands { plan, number, random, message: Vec::new(), messages_made: 0 };
        let mut worker = Self { hands, line };
        in_time(limit, worker.connect()).await?;
        Ok(worker)
    }

    /// Works until the time is up; an operation that has begun is finished. The connection is still up then.
    pub async fn run(mut self, until: Instant) -> Self {
        let limit = self.hands.plan.timeout();
        while Instant::now() < until {
            let result = in_time(limit, self.step()).await;
            self.count_bytes();
            let Err(error) = result else { continue };
            self.hands.plan.tally.error(&error);
            if error.is_fatal() {
                self.hang_up();
                sleep(RETRY_AFTER).await;
            }
        }
        self
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        let plan = &self.hands.plan;
        match &mut self.line {
            Line::Imap(client @ None) => *client = Some(plan.open(self.hands.user()).await?),
            Line::Lmtp(lmtp @ None) => *lmtp = Some(deliver::connect(plan).await?),
            Line::Imap(Some(_)) | Line::Lmtp(Some(_)) | Line::Anew => {}
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<(), ClientError> {
        self.connect().await?;
        let hands = &mut self.hands;
        match &mut self.line {
            Line::Imap(Some(client)) => match hands.plan.options.work {
                Work::Append => append::step(hands, client).await,
                Work::Fetch => fetch::step(hands, client).await,
                Work::Store => store::step(hands, client).await,
                Work::Search => search::step(hands, client).await,
                Work::Mixed => mixed::step(hands, client).await,
                Work::Deliver | Work::Idle | Work::Login | Work::Script => Ok(()),
            },
            Line::Lmtp(Some(lmtp)) => deliver::step(hands, lmtp).await,
            Line::Anew => login::step(hands).await,
            Line::Imap(None) | Line::Lmtp(None) => Ok(()),
        }
    }

    fn count_bytes(&mut self) {
        let (sent, received) = match &mut self.line {
            Line::Imap(Some(client)) => client.take_counts(),
            Line::Lmtp(Some(lmtp)) => lmtp.take_counts(),
            _ => return,
        };
        self.hands.plan.tally.bytes(sent, received);
    }

    fn hang_up(&mut self) {
        match &mut self.line {
            Line::Imap(client) => *client = None,
            Line::Lmtp(lmtp) => *lmtp = None,
            Line::Anew => {}
        }
    }
}

//! From a message that has been received to the recipients' mailboxes.
//!
//! Each recipient's message has fields of its own and so is a body of its own. The first one's was written while it came; the others' are made
//! from it, one after the other, and proposed in batches: memory is bounded by a batch, and a message to a few people is one flush of the disk.
//!
//! A client that did not hear of the first time delivers again; the model knows that by the delivery's key ([`crate::once`]), on whichever node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::IntoIter;

use futures_util::future::join_all;
use paquebot_mailbox::{Account, ChangeError, Incoming, Ready, Service, ServiceError};
use paquebot_model::{DeliveryKey, Op, Outcome};
use paquebot_types::{Flags, InternalDate, MailboxId, MailboxName, ShardId};

use crate::failure::{Verdict, failed, refused};
use crate::once::MessageDigest;
use crate::pass_on::{Away, Passing};
use crate::protocol::reply::Reply;
use crate::protocol::trace::Trace;
use crate::recipients::{Home, Recipient};
use crate::shared::{Counters, Shared};

/// Octets of the messages of a batch: it is proposed once it has as many.
const BATCH_BYTES: u64 = 1 << 20;
/// A message of more octets is made by a thread that may wait for the disk.
const INLINE_BYTES: u64 = 64 << 10;
/// A message is made from another in pieces of this size.
const COPY_BYTES: usize = 128 << 10;

/// A message and those of its recipients who don't have it yet.
pub struct Delivery<'a> {
    shared: &'a Shared,
    trace: &'a Trace,
    /// The first recipient's message.
    first: Arc<Ready>,
    fields_bytes: u64,
    digest: Option<MessageDigest>,
    client: Option<SocketAddr>,
    is_first: bool,
    recipients: IntoIter<Recipient>,
}

/// A message as it was received: the first recipient's.
pub struct Original {
    pub ready: Ready,
    /// How many of its octets are the fields that are his alone.
    pub fields_bytes: u64,
    /// What tells it from others, if anything does.
    pub digest: Option<MessageDigest>,
    pub client: Option<SocketAddr>,
}

/// A recipient of a batch, and what is to be appended where.
struct Place {
    recipient: Recipient,
    account: Account,
    mailbox: MailboxId,
    name: MailboxName,
    ready: Arc<Ready>,
}

impl<'a> Delivery<'a> {
    pub fn new(shared: &'a Shared, trace: &'a Trace, original: Original, recipients: Vec<Recipient>) -> Self {
        let Original { ready, fields_bytes, digest, client } = original;
        let (first, recipients) = (Arc::new(ready), recipients.into_iter());
        Self { shared, trace, first, fields_bytes, digest, client, is_first: true, recipients }
    }

    /// Whether all recipients have their answers.
    pub fn is_over(&self) -> bool {
        self.recipients.len() == 0
    }

    /// Stores the message for the next few recipients, durably, and gives the answer for each, in order; `None` after the last.
    pub async fn next_batch(&mut self) -> Option<Vec<Verdict>> {
        let (mut verdicts, mut places, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut away: BTreeMap<ShardId, Vec<Away>> = BTreeMap::new();
        while bytes < BATCH_BYTES {
            let Some(recipient) = self.recipients.next() else { break };
            let account = match &recipient.home {
                Home::Here(account) => account.clone(),
                Home::There(shard) => {
                    self.is_first = false;
                    match self.key_elsewhere(&recipient) {
                        Ok(key) => {
                            away.entry(*shard).or_default().push(Away::new(verdicts.len(), recipient.address, key));
                            verdicts.push(Verdict::Unknown);
                        }
                        Err(verdict) => verdicts.push(verdict),
                    }
                    continue;
                }
            };
            match self.place(recipient, account).await {
                Ok(place) => {
                    bytes += u64::from(place.ready.size());
                    places.push((verdicts.len(), place));
                    // Stands until the outcome is known, and if it never is.
                    verdicts.push(Verdict::Unknown);
                }
                Err(verdict) => verdicts.push(verdict),
            }
        }
        if verdicts.is_empty() {
            return None;
        }
        let mut shards: BTreeMap<ShardId, Vec<(usize, Place)>> = BTreeMap::new();
        let mut foreign = Vec::new();
        for (index, place) in places {
            if place.account.is_foreign(place.mailbox) {
                foreign.push(self.append(index, place));
                continue;
            }
            shards.entry(place.account.id().0).or_default().push((index, place));
        }
        let proposals = shards.into_iter().map(|(shard, places)| self.propose(shard, places));
        let passing = Passing {
            shared: self.shared,
            trace: self.trace,
            client: self.client,
            ready: &self.first,
            from: self.fields_bytes,
        };
        let passed = away.into_iter().map(|(shard, away)| passing.deliver(shard, away));
        let (here, there, files) = tokio::join!(join_all(proposals), join_all(passed), join_all(foreign));
        for (index, verdict) in here.into_iter().chain(there).flatten().chain(files) {
            if let Some(place) = verdicts.get_mut(index) {
                *place = verdict;
            }
        }
        let failed = verdicts.iter().filter(|verdict| !is_delivered(verdict)).count();
        self.shared.counters.not_delivered.fetch_add(failed as u64, Ordering::Relaxed);
        Some(verdicts)
    }

    /// Makes a recipient's message and finds its mailbox.
    async fn place(&mut self, recipient: Recipient, account: Account) -> Result<Place, Verdict> {
        let ready = match std::mem::take(&mut self.is_first) {
            true => self.first.clone(),
            false => Arc::new(self.copy(&recipient).await.map_err(|error| failed(&error))?),
        };
        let Some((mailbox, name)) = recipient.mailbox(&account).map_err(|error| failed(&error))? else {
            tracing::error!(account = account.name(), "the account has no INBOX; `paquebot check` tells more");
            return Err(Verdict::Answer(Reply::UNAVAILABLE));
        };
        Ok(Place { recipient, account, mailbox, name, ready })
    }

    /// The key of a delivery, if a retry of it can be told.
    fn key(&self, recipient: &Recipient) -> Option<DeliveryKey> {
        recipient.once.or_else(|| self.digest.as_ref().map(|digest| digest.key(&recipient.address)))
    }

    /// The same for one that another node makes: our own retry can always be told.
    fn key_elsewhere(&self, recipient: &Recipient) -> Result<DeliveryKey, Verdict> {
        let mut random = [0; 16];
        match self.key(recipient) {
            Some(key) => Ok(key),
            None => match getrandom::fill(&mut random) {
                Ok(()) => Ok(DeliveryKey(random)),
                Err(_) => Err(Verdict::Answer(Reply::UNAVAILABLE)),
            },
        }
    }

    /// Makes another recipient's message from the first one's.
    async fn copy(&self, recipient: &Recipient) -> Result<Ready, ServiceError> {
        let fields = self.trace.fields(&recipient.address);
        let size = u64::from(self.first.size()).saturating_sub(self.fields_bytes).saturating_add(fields.len() as u64);
        let mut incoming = self.shared.service.incoming(Some(size));
        let (service, first, from) = (self.shared.service.clone(), self.first.clone(), self.fields_bytes);
        let copied = if size <= INLINE_BYTES {
            write_copy(&service, &first, from, &fields, &mut incoming).map(|()| incoming)
        } else {
            let write = move || write_copy(&service, &first, from, &fields, &mut incoming).map(|()| incoming);
            tokio::task::spawn_blocking(write).await.unwrap_or(Err(ServiceError::Stopping))
        };
        copied?.finish().await
    }

    /// Appends to a mailbox in another server's files. A retry cannot be told there: its format has no place for the key.
    async fn append(&self, index: usize, place: Place) -> (usize, Verdict) {
        let date = InternalDate::utc(self.trace.unix_seconds);
        let messages = vec![place.ready.message(Flags::NONE, Vec::new(), date)];
        let verdict = match place.account.append(place.mailbox, messages).await {
            Ok(outcome) => self.judge(&place, outcome),
            Err(ChangeError::Failed(error)) => failed(&error),
            Err(ChangeError::Refused(refusal)) => refused(&refusal),
        };
        (index, verdict)
    }

    /// Proposes what is to be appended in one shard; gives the answers by the recipients' places in the batch.
    async fn propose(&self, shard: ShardId, places: Vec<(usize, Place)>) -> Vec<(usize, Verdict)> {
        let date = InternalDate::utc(self.trace.unix_seconds);
        let (mut ops, mut bodies) = (Vec::new(), Vec::new());
        for (_, place) in &places {
            let (message, body) = place.ready.message(Flags::NONE, Vec::new(), date);
            let account = place.account.id().1;
            let mailbox = place.mailbox;
            ops.push(match &self.digest {
                Some(digest) => Op::Deliver { account, mailbox, message, once: digest.key(&place.recipient.address) },
                None => Op::Append { account, mailbox, messages: vec![message] },
            });
            bodies.push(body);
        }
        match self.shared.service.change_all(shard, ops, bodies).await {
            // Were there fewer outcomes than ops, those without one would stay unknown.
            Ok(outcomes) => {
                let judged = places.into_iter().zip(outcomes);
                judged.map(|((index, place), outcome)| (index, self.judge(&place, outcome))).collect()
            }
            Err(error) => {
                let verdict = match &error {
                    ChangeError::Failed(error) => failed(error),
                    ChangeError::Refused(refusal) => refused(refusal),
                };
                places.into_iter().map(|(index, _)| (index, verdict.clone())).collect()
            }
        }
    }

    fn judge(&self, place: &Place, outcome: Outcome) -> Verdict {
        let (uid, repeat) = match outcome {
            Outcome::Appended { uids, .. } => (uids.ranges().first().map_or(0, |range| range.first.get()), false),
            Outcome::Delivered { uid, repeat, .. } => (uid.get(), repeat),
            Outcome::Refused(refusal) => return refused(&refusal),
            other => {
                tracing::error!(?other, "an append came to something that it cannot come to");
                return Verdict::Unknown;
            }
        };
        let Place { recipient: Recipient { address: to, .. }, account, name: mailbox, ready, .. } = place;
        let (account, size) = (account.name(), ready.size());
        if repeat {
            tracing::info!(%to, account, uid, size, id = self.trace.id, "had been delivered before");
            Counters::count(&self.shared.counters.repeated);
        } else {
            tracing::info!(%to, account, %mailbox, uid, size, id = self.trace.id, "delivered");
        }
        Counters::count(&self.shared.counters.delivered);
        self.shared.counters.delivered_bytes.fetch_add(size.into(), Ordering::Relaxed);
        Verdict::Answer(Reply::new(250, "2.0.0", format!("<{to}> {} delivered", self.trace.id)))
    }
}

fn is_delivered(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Answer(reply) if reply.code() == 250)
}

/// Writes `fields` and then the octets of `first` from `from` on.
fn write_copy(
    service: &Service,
    first: &Ready,
    from: u64,
    fields: &[u8],
    incoming: &mut Incoming,
) -> Result<(), ServiceError> {
    incoming.write(fields)?;
    let mut buffer = vec![0; COPY_BYTES.min(first.size() as usize)];
    let mut offset = from;
    loop {
        let count = first.read(service, offset, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        incoming.write(&buffer[..count])?;
        offset += count as u64;
    }
}

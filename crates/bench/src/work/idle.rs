//! Connections in IDLE (RFC 2177): what each costs the server, and how soon it hears of a new message.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use crate::client::Client;
use crate::error::{BenchError, ClientError};
use crate::process::Usage;
use crate::report::Idle;
use crate::run::server_usage;
use crate::work::{Plan, in_time};

/// Connections that are made at once.
const CONNECTING_MAX: usize = 64;
/// Users whose mailboxes get messages: each needs a connection that appends.
const NOTIFIED_USERS_MAX: usize = 16;
/// Until the server's memory is looked at, for what it frees when connections have nothing to do.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two messages: the connections are idle most of the time.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a notification may take before it is missed.
const NOTIFICATION_MAX: Duration = Duration::from_secs(5);

/// What a connection in IDLE heard.
enum Heard {
    Exists { watcher: u32, at: Instant },
    Gone { watcher: u32 },
}

/// Connections in IDLE; dropping this ends them all.
struct Watchers {
    /// Of each user, those that listen.
    of_user: Vec<BTreeSet<u32>>,
    heard: mpsc::UnboundedReceiver<Heard>,
    _tasks: JoinSet<()>,
}

impl Watchers {
    fn count(&self) -> usize {
        self.of_user.iter().map(BTreeSet::len).sum()
    }

    fn gone(&mut self, watcher: u32) {
        for watchers in &mut self.of_user {
            watchers.remove(&watcher);
        }
    }
}

/// Opens the connections, then appends a message now and then until the time is up. Gives the time that the appending took, and the server
/// as it was then.
pub async fn measure(plan: &Arc<Plan>, say: &impl Fn(&str)) -> Result<(Idle, Duration, Option<Usage>), BenchError> {
    let mut appenders = Vec::new();
    for user in plan.users.iter().take(NOTIFIED_USERS_MAX) {
        appenders.push(in_time(plan.timeout(), plan.log_in(user)).await.map_err(BenchError::NothingPrepared)?);
    }
    let before = server_usage(&plan.options)?;
    say(&format!("opening {} connections", plan.options.connections));
    let mut watchers = open(plan).await?;
    sleep(SETTLE).await;
    let after = server_usage(&plan.options)?;
    let connections = u32::try_from(watchers.count()).unwrap_or(u32::MAX);
    say(&format!("{connections} connections in IDLE"));

    let start = Instant::now();
    let (mut notifications, mut missed) = (0, 0);
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(plan.options.seconds) {
        let user = round % appenders.len();
        match notify(plan, &mut watchers, user, &mut appenders[user], round as u64).await {
            Ok((told, silent)) => (notifications, missed) = (notifications + told, missed + silent),
            Err(error) => {
                plan.tally.error(&error);
                // If it cannot be made again, the next round counts it.
                if let Ok(client) = in_time(plan.timeout(), plan.log_in(&plan.users[user])).await {
                    appenders[user] = client;
                }
            }
        }
        round += 1;
        sleep(PAUSE).await;
    }
    let each = |bytes: fn(&Usage) -> u64| {
        let (before, after) = before.as_ref().zip(after.as_ref())?;
        Some((bytes(after) as f64 - bytes(before) as f64) / f64::from(connections.max(1)))
    };
    let idle = Idle {
        connections,
        resident_bytes_per_connection: each(|usage| usage.resident_bytes),
        anonymous_bytes_per_connection: each(|usage| usage.anonymous_bytes),
        proportional_bytes_per_connection: each(|usage| usage.proportional_bytes),
        notifications,
        missed,
    };
    Ok((idle, start.elapsed(), server_usage(&plan.options)?))
}

/// Brings all connections into IDLE. Those that fail are counted; if all do, the first failure is told.
async fn open(plan: &Arc<Plan>) -> Result<Watchers, BenchError> {
    let places = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut opening = JoinSet::new();
    for number in 0..plan.options.connections {
        let (plan, places) = (plan.clone(), places.clone());
        opening.spawn(async move {
            let _place = places.acquire_owned().await;
            let into_idle = async {
                let mut client = plan.open(&plan.users[plan.user_of(number)]).await?;
                client.idle().await?;
                Ok(client)
            };
            (number, in_time(plan.timeout(), into_idle).await)
        });
    }
    let (sender, heard) = mpsc::unbounded_channel();
    let mut of_user = vec![BTreeSet::new(); plan.users.len()];
    let (mut tasks, mut failure) = (JoinSet::new(), None);
    while let Some(opened) = opening.join_next().await {
        match opened {
            Ok((number, Ok(client))) => {
                of_user[plan.user_of(number)].insert(number);
                tasks.spawn(watch(plan.clone(), number, client, sender.clone()));
            }
            Ok((_, Err(error))) => {
                plan.tally.error(&error);
                failure.get_or_insert(error);
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    match failure {
        Some(error) if tasks.is_empty() => Err(BenchError::NothingPrepared(error)),
        _ => Ok(Watchers { of_user, heard, _tasks: tasks }),
    }
}

/// Tells each EXISTS with its moment, until the connection ends.
async fn watch(plan: Arc<Plan>, watcher: u32, mut client: Client, heard: mpsc::UnboundedSender<Heard>) {
    loop {
        let told = client.told_exists().await;
        let at = Instant::now();
        let (sent, received) = client.take_counts();
        plan.tally.bytes(sent, received);
        match told {
            Ok(_) if heard.send(Heard::Exists { watcher, at }).is_ok() => {}
            Ok(_) => return,
            Err(error) => {
                plan.tally.error(&error);
                // Nobody listens any more only when the run is over.
                let _ = heard.send(Heard::Gone { watcher });
                return;
            }
        }
    }
}

/// Appends one message and waits until everybody has heard of it. Gives how many did and how many did not.
async fn notify(
    plan: &Plan,
    watchers: &mut Watchers,
    user: usize,
    appender: &mut Client,
    round: u64,
) -> Result<(u64, u64), ClientError> {
    let message = plan.corpus.message(1 << 32 | round);
    let limit = plan.timeout();
    let start = Instant::now();
    in_time(limit, appender.start_append(&plan.mailbox, &message)).await?;
    // From the last byte on the server could know of it.
    let sent = Instant::now();
    in_time(limit, appender.finish("APPEND", |_| ())).await?;
    let done = Instant::now();
    plan.tally.operation("append", done - start);
    let (bytes_sent, bytes_received) = appender.take_counts();
    plan.tally.bytes(bytes_sent, bytes_received);

    let deadline = tokio::time::Instant::now() + NOTIFICATION_MAX;
    let mut waited_for = watchers.of_user[user].clone();
    let mut told = 0;
    while !waited_for.is_empty() {
        match timeout_at(deadline, watchers.heard.recv()).await {
            // What was heard before belongs to an earlier round, which has missed it.
            Ok(Some(Heard::Exists { watcher, at })) if at >= sent && waited_for.remove(&watcher) => {
                told += 1;
                plan.tally.stage("notification", at - sent);
                plan.tally.stage("notification after OK", at.saturating_duration_since(done));
            }
            Ok(Some(Heard::Exists { .. })) => {}
            Ok(Some(Heard::Gone { watcher })) => {
                waited_for.remove(&watcher);
                watchers.gone(watcher);
            }
            Ok(None) | Err(_) => break,
        }
    }
    Ok((told, waited_for.len() as u64))
}

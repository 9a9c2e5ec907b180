//! A run from its options to its report.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::error::{BenchError, ClientError};
use crate::options::{Options, Work};
use crate::process::{self, Spent, Usage};
use crate::report::{Report, Server};
use crate::work::{Plan, Worker, idle, script};

/// Mailboxes that are filled, and connections that are made, at once.
const PREPARING_MAX: usize = 64;

/// Runs and prints the report to standard output; what goes on meanwhile, to standard error. Starts a runtime of its own, so it must not
/// be called from within one.
pub fn run(options: &Options) -> Result<(), BenchError> {
    options.check()?;
    let mut runtime = match options.threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads as usize);
            builder
        }
    };
    let runtime = runtime.enable_all().build().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(measure(options, |what| eprintln!("bench: {what}")))?;
    let text = match options.json {
        true => serde_json::to_string_pretty(&report).map_err(|error| BenchError::Report(error.into()))?,
        false => report.to_string(),
    };
    writeln!(std::io::stdout(), "{text}").map_err(BenchError::Report)
}

/// Runs and gives the report; `say` hears what goes on meanwhile. An operation that fails is counted in the report; an error is what leaves
/// nothing to report.
pub async fn measure(options: &Options, say: impl Fn(&str)) -> Result<Report, BenchError> {
    options.check()?;
    process::raise_open_files();
    let plan = Arc::new(Plan::new(options));
    let before = server_usage(options)?;
    prepare_mailboxes(&plan, &say).await?;
    let workers = match options.work {
        Work::Idle | Work::Script => Vec::new(),
        _ => prepare_workers(&plan).await?,
    };
    // What was counted so far is not part of what is measured.
    plan.tally.take();
    let (at_start, own_at_start) = (server_usage(options)?, process::own_cpu());
    let mut steps = Vec::new();
    let (idle, elapsed, after) = match options.work {
        Work::Idle => {
            let (idle, elapsed, after) = idle::measure(&plan, &say).await?;
            (Some(idle), elapsed, after)
        }
        Work::Script => {
            let elapsed;
            (steps, elapsed) = script::measure(&plan).await?;
            (None, elapsed, server_usage(options)?)
        }
        _ => {
            say(&format!("measuring for {} s", options.seconds));
            let (workers, elapsed) = work(workers, Duration::from_secs(options.seconds)).await;
            // A server may have a process for each connection: they are looked at before they end.
            let after = server_usage(options)?;
            drop(workers);
            (None, elapsed, after)
        }
    };
    let client_cpu_seconds = process::own_cpu().saturating_sub(own_at_start).as_secs_f64();
    let counts = plan.tally.take();
    let server = before.zip(at_start).zip(after).map(|((before, at_start), after)| {
        Server::new(Usage { spent: at_start.spent, ..before }, after, counts.operations)
    });
    Ok(Report {
        work: options.work.to_string(),
        tls: format!("{:?}", options.tls).to_lowercase(),
        connections: options.connections,
        users: plan.users.len(),
        seed: options.seed,
        client_cpu_seconds,
        server,
        idle,
        steps,
        ..Report::new(&counts, elapsed)
    })
}

/// The server's CPU time and memory, if its process was named.
pub fn server_usage(options: &Options) -> Result<Option<Usage>, BenchError> {
    let read = |pid| process::usage(pid).map_err(|source| BenchError::Process { pid, source });
    options.server_pid.map(read).transpose()
}

/// What the server has spent, if its process was named.
pub fn server_spent(options: &Options) -> Result<Option<Spent>, BenchError> {
    let read = |pid| process::spent(pid).map_err(|source| BenchError::Process { pid, source });
    options.server_pid.map(read).transpose()
}

/// Makes and fills the mailbox of each user that takes part. One that cannot be is the end: nothing could be compared.
async fn prepare_mailboxes(plan: &Arc<Plan>, say: &impl Fn(&str)) -> Result<(), BenchError> {
    if plan.options.work == Work::Deliver {
        return Ok(());
    }
    say(&format!("preparing {} mailboxes", plan.users.len()));
    let prepare = |user: usize| {
        let plan = plan.clone();
        async move { plan.prepare(&plan.users[user]).await }
    };
    some_at_once(plan.users.len(), prepare).await.map(drop).map_err(BenchError::NothingPrepared)
}

/// Connects all workers. One that cannot be is the end: fewer connections would be another measurement.
async fn prepare_workers(plan: &Arc<Plan>) -> Result<Vec<Worker>, BenchError> {
    let prepare = |number: usize| Worker::prepared(plan.clone(), number as u32);
    some_at_once(plan.options.connections as usize, prepare).await.map_err(BenchError::NothingPrepared)
}

/// Does all of these, [`PREPARING_MAX`] at once, and stops at the first failure.
async fn some_at_once<T: Send + 'static, F: Future<Output = Result<T, ClientError>> + Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Result<Vec<T>, ClientError> {
    let (mut tasks, mut done) = (JoinSet::new(), Vec::with_capacity(count));
    let mut waiting = (0..count).map(make);
    loop {
        while tasks.len() < PREPARING_MAX {
            let Some(next) = waiting.next() else { break };
            tasks.spawn(next);
        }
        match tasks.join_next().await {
            Some(Ok(result)) => done.push(result?),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => return Ok(done),
        }
    }
}

/// Lets all work until the time is up; gives them back, and how long it took to the end of the last operation.
async fn work(workers: Vec<Worker>, duration: Duration) -> (Vec<Worker>, Duration) {
    let start = Instant::now();
    let mut tasks: JoinSet<Worker> = workers.into_iter().map(|worker| worker.run(start + duration)).collect();
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(worker) => done.push(worker),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    (done, start.elapsed())
}

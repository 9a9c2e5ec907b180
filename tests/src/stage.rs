//! Clients at work on one server or many, and whoever breaks these meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::check::check;
use crate::history::{Event, Observation, Outcome, Recorder};
use crate::names::{NAMES, NameWorker};
use crate::random::Random;
use crate::session::{Endpoint, Session};
use crate::wire;
use crate::worker::{MAILBOXES, Worker};

/// A client that finds nobody waits this long before it tries elsewhere.
const RETRY: Duration = Duration::from_millis(10);
/// A client that is no worker's.
const OBSERVER: usize = usize::MAX;

/// What the clients and who breaks the servers have in common.
pub struct Stage {
    pub recorder: Recorder,
    tokens: AtomicU64,
    seed: u64,
    workers: usize,
    /// How long a worker rests between two commands.
    pace: Duration,
    /// Where servers listen, one of which each client has at a time.
    endpoints: Mutex<Vec<Endpoint>>,
    settling: AtomicBool,
    stopping: AtomicBool,
    barrier: Barrier,
}

impl Stage {
    /// For so many clients that work on messages, and one that works on mailboxes.
    pub fn new(seed: u64, workers: usize, pace: Duration) -> Self {
        Self {
            recorder: Recorder::default(),
            tokens: AtomicU64::new(1),
            seed,
            workers,
            pace,
            endpoints: Mutex::default(),
            settling: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            barrier: Barrier::new(workers + 2),
        }
    }

    /// Where servers listen from now on.
    pub fn set_endpoints(&self, endpoints: Vec<Endpoint>) {
        *self.endpoints.lock().expect("no holder panics") = endpoints;
    }

    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.endpoints.lock().expect("no holder panics").clone()
    }

    /// Makes the mailboxes that all clients share.
    pub fn make_mailboxes(&self) -> Result<()> {
        let endpoint = self.endpoints().into_iter().next().context("no server listens")?;
        let mut session = Session::open(&self.recorder, OBSERVER, &endpoint, false).context("cannot log in")?;
        for mailbox in MAILBOXES.iter().filter(|mailbox| **mailbox != "INBOX") {
            // Archive may be there from the beginning.
            let _ = session.command(&format!("CREATE {mailbox}"));
        }
        Ok(())
    }

    /// All clients work until `breaking` is over.
    pub fn run<T>(&self, breaking: impl FnOnce(&Stage) -> Result<T>) -> Result<T> {
        thread::scope(|scope| {
            for number in 0..self.workers {
                let worker = Worker::new(number, self.seed, &self.recorder, &self.tokens);
                scope.spawn(move || self.work(worker));
            }
            scope.spawn(|| self.work_on_names(self.names_worker(self.seed ^ 0x6e61_6d65)));
            let end = breaking(self);
            self.stopping.store(true, Ordering::SeqCst);
            end
        })
    }

    fn names_worker(&self, seed: u64) -> NameWorker<'_> {
        NameWorker {
            number: self.workers,
            random: Random::new(seed),
            recorder: &self.recorder,
            tokens: &self.tokens,
            session: None,
        }
    }

    /// One of those that there are, another for each turn.
    fn endpoint(&self, turn: usize) -> Option<Endpoint> {
        let endpoints = self.endpoints.lock().expect("no holder panics");
        endpoints.get(turn.checked_rem(endpoints.len())?).cloned()
    }

    fn work(&self, mut worker: Worker<'_>) {
        let mut turn = worker.number;
        while !self.stopping.load(Ordering::SeqCst) {
            if self.settling.load(Ordering::SeqCst) {
                self.settle(&mut worker, turn);
            }
            let Some(endpoint) = self.endpoint(turn) else {
                thread::sleep(RETRY);
                continue;
            };
            let had_session = worker.session.is_some();
            worker.step(&endpoint);
            if worker.session.is_some() {
                thread::sleep(self.pace);
            } else {
                // Elsewhere it may be better.
                turn += usize::from(!had_session);
                thread::sleep(RETRY);
            }
        }
    }

    fn work_on_names(&self, mut worker: NameWorker<'_>) {
        let mut turn = worker.number;
        while !self.stopping.load(Ordering::SeqCst) {
            if self.settling.load(Ordering::SeqCst) {
                for _ in 0..3 {
                    self.barrier.wait();
                }
            }
            let Some(endpoint) = self.endpoint(turn) else {
                thread::sleep(RETRY);
                continue;
            };
            worker.step(&endpoint);
            turn += usize::from(worker.session.is_none());
            thread::sleep(self.pace);
        }
    }

    /// All have stopped changing; each lets its session learn everything; then what it knows is compared.
    fn settle(&self, worker: &mut Worker<'_>, turn: usize) {
        self.barrier.wait();
        if worker.session.as_mut().is_some_and(|session| session.settle().is_err()) {
            worker.session = None;
        }
        if let Some(endpoint) = self.endpoint(turn)
            && let Some(fresh) = worker.fresh(&endpoint)
            && let Some(session) = &mut worker.session
        {
            session.settled(&fresh);
        }
        self.barrier.wait();
        self.barrier.wait();
    }

    /// Everybody stops for a moment, in which the sessions' views are compared with the mailboxes, and the servers with each other.
    pub fn settle_all(&self) -> Result<()> {
        self.settling.store(true, Ordering::SeqCst);
        self.barrier.wait();
        self.barrier.wait();
        let compared = self.compare();
        self.settling.store(false, Ordering::SeqCst);
        self.barrier.wait();
        compared
    }

    /// Records what each server shows.
    fn compare(&self) -> Result<()> {
        let invoked = self.recorder.now();
        let mut replicas = BTreeMap::new();
        for endpoint in self.endpoints() {
            let name = endpoint.imap.to_string();
            let seen = self.look(&endpoint).with_context(|| format!("cannot see what {name} has"))?;
            replicas.insert(name, seen);
        }
        self.recorder.record(OBSERVER, invoked, Outcome::Ok, Event::Replicas(replicas));
        Ok(())
    }

    /// All mailboxes of one server.
    fn look(&self, endpoint: &Endpoint) -> Result<Vec<Observation>> {
        let mut session = Session::open(&self.recorder, OBSERVER, endpoint, false).context("cannot log in")?;
        let list = session.command("LIST \"\" own-*").ok().context("cannot list")?;
        let own = NAMES.iter().filter(|name| {
            list.untagged.iter().any(|response| wire::text(response).trim_end_matches('"').ends_with(**name))
        });
        let mut seen = Vec::new();
        let mut observe = |session: &mut Session<'_>, mailbox: &str| {
            session.select(mailbox, None).ok().with_context(|| format!("cannot select {mailbox}"))?;
            seen.push(session.observation.take().with_context(|| format!("{mailbox} cannot be selected"))?);
            anyhow::Ok(())
        };
        MAILBOXES.iter().try_for_each(|mailbox| observe(&mut session, mailbox))?;
        // Mailboxes that one client makes and deletes have a record of their own.
        let aside = Recorder::default();
        let mut session = Session::open(&aside, OBSERVER, endpoint, false).context("cannot log in")?;
        own.into_iter().try_for_each(|mailbox| observe(&mut session, mailbox))?;
        Ok(seen)
    }

    /// A last look at everything, for the history; no client works any more.
    pub fn look_at_everything(&self) -> Result<()> {
        let endpoint = self.endpoint(0).context("no server listens")?;
        let mut session =
            Session::open(&self.recorder, OBSERVER, &endpoint, false).context("cannot log in at the end")?;
        for mailbox in MAILBOXES {
            session.select(mailbox, None).ok().with_context(|| format!("cannot select {mailbox} at the end"))?;
        }
        self.names_worker(0).look_once(&endpoint);
        Ok(())
    }

    /// An error that names the broken promises, if any is.
    pub fn verdict(&self) -> Result<()> {
        let history = self.recorder.history();
        let count = |outcome| history.records.iter().filter(|record| record.outcome == outcome).count();
        println!(
            "{} records: {} ok, {} refused, {} put off, {} unknown; {} sessions",
            history.records.len(),
            count(Outcome::Ok),
            count(Outcome::Fail),
            count(Outcome::Unavailable),
            count(Outcome::Unknown),
            history.sessions.len()
        );
        let violations = check(&history);
        let shown: String = violations.iter().take(20).map(|violation| format!("{violation}\n")).collect();
        ensure!(violations.is_empty(), "seed {}: {} promises were broken:\n{shown}", self.seed, violations.len());
        Ok(())
    }
}

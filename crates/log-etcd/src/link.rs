//! The way to etcd: one member is asked, and when it fails another one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::keys::Keys;
use crate::kv::{Answer, Connection, Kv, Op, Txn, Watch};
use crate::options::Options;

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Link {
    pub options: Options,
    pub keys: Keys,
    kv: Arc<dyn Kv>,
    /// The member that is asked now.
    current: AtomicUsize,
    /// Set by a request that failed, cleared by one that a quorum answered.
    suspect: AtomicBool,
    /// Whether the keys are known to be this cluster's.
    known: watch::Sender<bool>,
}

impl Link {
    pub fn new(options: Options, kv: Arc<dyn Kv>) -> Self {
        let keys = Keys::new(&options.prefix);
        Self {
            options,
            keys,
            kv,
            current: AtomicUsize::new(0),
            suspect: AtomicBool::new(false),
            known: watch::Sender::new(true),
        }
    }

    /// As [`Link::new`], and nobody uses the keys before [`Link::set_known`].
    pub fn unknown(options: Options, kv: Arc<dyn Kv>) -> Self {
        Self { known: watch::Sender::new(false), ..Self::new(options, kv) }
    }

    pub fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    pub fn set_known(&self) {
        self.known.send_replace(true);
    }

    /// Waits until the keys are known to be this cluster's.
    pub async fn until_known(&self) {
        // The sender is in `self`.
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.kv.endpoints()
    }

    /// Asks one member, by its number, within the time of an attempt.
    pub async fn ask<'a, T, F>(&'a self, member: usize, call: impl FnOnce(&'a dyn Kv) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.ask_within(self.options.attempt, member, call).await
    }

    /// One attempt, at the member whose turn it is. One that fails passes the turn on.
    pub async fn attempt<'a, T, F>(&'a self, call: impl FnOnce(&'a dyn Kv, usize) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.attempt_within(self.options.attempt, call).await
    }

    /// Asks until there is an answer, for as long as `limit`. Only for what may be done twice.
    pub async fn persist(&self, limit: Duration, txn: &Txn) -> Result<Answer, Failure> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let limit = left.min(self.options.attempt);
            match self.attempt_within(limit, |kv, member| kv.txn(member, txn.clone())).await {
                Err(failure @ (Failure::Unknown(_) | Failure::NotDone(_))) => {
                    if Instant::now() + PAUSE >= until {
                        return Err(failure);
                    }
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn attempt_within<'a, T, F>(
        &'a self,
        limit: Duration,
        call: impl FnOnce(&'a dyn Kv, usize) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let member = self.current.load(Ordering::Relaxed);
        let answer = self.ask_within(limit, member, |kv| call(kv, member)).await;
        match &answer {
            Ok(_) => self.suspect.store(false, Ordering::Relaxed),
            Err(Failure::Unknown(_) | Failure::NotDone(_)) => {
                self.suspect.store(true, Ordering::Relaxed);
                self.pass_on(member);
            }
            Err(Failure::Refused(_) | Failure::Compacted(_)) => {}
        }
        answer
    }

    /// Ends by itself within `limit`: ended from outside it could not give up a connection that is dead.
    async fn ask_within<'a, T, F>(
        &'a self,
        limit: Duration,
        member: usize,
        call: impl FnOnce(&'a dyn Kv) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let answer = timeout(limit, call(&*self.kv)).await;
        let answer = answer.unwrap_or_else(|_| Err(Failure::Unknown("the time for an answer is over".into())));
        if let Err(Failure::Unknown(_)) = answer {
            self.kv.give_up(member, Connection::Requests);
        }
        answer.map_err(|failure| self.named(member, failure))
    }

    /// Makes sure, when there is doubt, that a quorum answers, before something is sent that must not be in the balance.
    pub async fn quorum(&self) -> Result<(), Failure> {
        if !self.suspect.load(Ordering::Relaxed) {
            return Ok(());
        }
        let look = Txn::reading(vec![Op::Name(self.keys.cluster())]);
        self.persist(self.options.patience, &look).await.map(drop)
    }

    /// A watch of the keys under `prefix` from a revision on, and the number of its member.
    pub async fn watch(&self, prefix: String, from: i64) -> Result<(Watch, usize), Failure> {
        let member = self.current.load(Ordering::Relaxed);
        let late = || Failure::Unknown("no watch within the time for an answer".into());
        let watch = timeout(self.options.attempt, self.kv.watch(member, prefix, from)).await;
        match watch.unwrap_or_else(|_| Err(late())) {
            Ok(watch) => Ok((watch, member)),
            Err(failure) => Err(self.watch_failed(member, failure)),
        }
    }

    /// The watches at this member ended, or never began: others are tried.
    pub fn watch_failed(&self, member: usize, failure: Failure) -> Failure {
        self.kv.give_up(member, Connection::Watches);
        self.pass_on(member);
        self.named(member, failure)
    }

    /// The next member's turn, unless somebody passed it on already.
    fn pass_on(&self, member: usize) {
        let next = (member + 1) % self.endpoints().len().max(1);
        let _ = self.current.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn named(&self, member: usize, failure: Failure) -> Failure {
        let endpoint = self.endpoints().get(member).cloned().unwrap_or_default();
        let named = |said| format!("{endpoint}: {said}");
        match failure {
            Failure::Refused(said) => Failure::Refused(named(said)),
            Failure::Compacted(said) => Failure::Compacted(named(said)),
            Failure::NotDone(said) => Failure::NotDone(named(said)),
            Failure::Unknown(said) => Failure::Unknown(named(said)),
        }
    }
}

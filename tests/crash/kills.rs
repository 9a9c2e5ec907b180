//! The server under load, killed again and again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use paquebot_testkit::{LmtpAddress, Options, Server};

use paquebot_tests::check::check;
use paquebot_tests::history::{Event, Outcome, Recorder};
use paquebot_tests::names::NameWorker;
use paquebot_tests::random::Random;
use paquebot_tests::session::{Endpoint, PASSWORD, Session};
use paquebot_tests::worker::{MAILBOXES, Worker};

const WORKERS: usize = 6;
const KILLS: usize = 16;
/// After this many kills everybody stops for a moment, and the sessions' views are compared with the mailboxes.
const SETTLE_EVERY: usize = 4;
/// A client that finds nobody waits this long before it tries again.
const RETRY: Duration = Duration::from_millis(10);

/// What the clients and who kills the server have in common.
struct Stage {
    recorder: Recorder,
    tokens: AtomicU64,
    /// Where the server listens while it runs.
    endpoint: Mutex<Option<Endpoint>>,
    settling: AtomicBool,
    stopping: AtomicBool,
    barrier: Barrier,
}

impl Stage {
    fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint.lock().expect("no holder panics").clone()
    }

    fn started(&self, server: &Server) {
        *self.endpoint.lock().expect("no holder panics") = Some(endpoint(server));
    }

    /// Works until it is told to stop.
    fn work(&self, mut worker: Worker<'_>) {
        while !self.stopping.load(Ordering::SeqCst) {
            if self.settling.load(Ordering::SeqCst) {
                self.settle(&mut worker);
            }
            match self.endpoint() {
                Some(endpoint) => {
                    worker.step(&endpoint);
                    if worker.session.is_none() {
                        thread::sleep(RETRY);
                    }
                }
                None => thread::sleep(RETRY),
            }
        }
    }

    /// All have stopped changing; each lets its session learn everything; then what it knows is compared.
    fn settle(&self, worker: &mut Worker<'_>) {
        self.barrier.wait();
        if worker.session.as_mut().is_some_and(|session| session.settle().is_err()) {
            worker.session = None;
        }
        if let Some(endpoint) = self.endpoint()
            && let Some(fresh) = worker.fresh(&endpoint)
            && let Some(session) = &mut worker.session
        {
            session.settled(&fresh);
        }
        self.barrier.wait();
        self.barrier.wait();
    }

    fn work_on_names(&self, mut worker: NameWorker<'_>) {
        while !self.stopping.load(Ordering::SeqCst) {
            if self.settling.load(Ordering::SeqCst) {
                for _ in 0..3 {
                    self.barrier.wait();
                }
            }
            match self.endpoint() {
                Some(endpoint) => worker.step(&endpoint),
                None => thread::sleep(RETRY),
            }
        }
    }

    fn ask_to_settle(&self) {
        self.settling.store(true, Ordering::SeqCst);
        self.barrier.wait();
        self.barrier.wait();
        self.settling.store(false, Ordering::SeqCst);
        self.barrier.wait();
    }
}

#[test]
fn every_promise_holds_through_kills() -> Result<()> {
    let seed = match std::env::var("PAQUEBOT_SEED") {
        Ok(seed) => seed.parse().context("PAQUEBOT_SEED is no number")?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("PAQUEBOT_SEED={seed}");
    let mut server = Server::start(Options::with_account("alice", PASSWORD))?;
    let mut client = server.client("alice")?;
    for mailbox in MAILBOXES.iter().filter(|mailbox| **mailbox != "INBOX") {
        // Archive may be there from the beginning.
        client.command(&format!("CREATE {mailbox}"))?;
    }
    drop(client);
    let stage = Stage {
        recorder: Recorder::default(),
        tokens: AtomicU64::new(1),
        endpoint: Mutex::new(None),
        settling: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        barrier: Barrier::new(WORKERS + 2),
    };
    stage.started(&server);
    thread::scope(|scope| {
        for number in 0..WORKERS {
            let (stage, worker) = (&stage, Worker::new(number, seed, &stage.recorder, &stage.tokens));
            scope.spawn(move || stage.work(worker));
        }
        let names = NameWorker {
            number: WORKERS,
            random: Random::new(seed ^ 0x6e61_6d65),
            recorder: &stage.recorder,
            tokens: &stage.tokens,
            session: None,
        };
        scope.spawn(|| stage.work_on_names(names));
        let end = kill_again_and_again(&stage, &mut server, Random::new(seed));
        stage.stopping.store(true, Ordering::SeqCst);
        end
    })?;
    look_at_everything(&stage, &server)?;
    server.stop()?;

    let history = stage.recorder.history();
    let count = |outcome| history.records.iter().filter(|record| record.outcome == outcome).count();
    println!(
        "{} records: {} ok, {} refused, {} unknown; {} sessions",
        history.records.len(),
        count(Outcome::Ok),
        count(Outcome::Fail),
        count(Outcome::Unknown),
        history.sessions.len()
    );
    let began = Instant::now();
    let violations = check(&history);
    println!("checked in {:?}", began.elapsed());
    let shown: String = violations.iter().take(20).map(|violation| format!("{violation}\n")).collect();
    ensure!(violations.is_empty(), "PAQUEBOT_SEED={seed}: {} promises were broken:\n{shown}", violations.len());
    Ok(())
}

fn kill_again_and_again(stage: &Stage, server: &mut Server, mut random: Random) -> Result<()> {
    let mut slowest = Duration::ZERO;
    for kill in 1..=KILLS {
        thread::sleep(Duration::from_millis(300 + random.number() % 2500));
        if kill % SETTLE_EVERY == 0 {
            stage.ask_to_settle();
        }
        let invoked = stage.recorder.now();
        *stage.endpoint.lock().expect("no holder panics") = None;
        server.kill()?;
        stage.recorder.record(usize::MAX, invoked, Outcome::Ok, Event::Fault(format!("kill {kill}")));
        server.check().with_context(|| format!("after kill {kill}"))?;
        let began = Instant::now();
        server.start_again().with_context(|| format!("after kill {kill}"))?;
        slowest = slowest.max(began.elapsed());
        stage.started(server);
    }
    println!("{KILLS} kills; the slowest start took {slowest:?}");
    stage.ask_to_settle();
    Ok(())
}

fn endpoint(server: &Server) -> Endpoint {
    let LmtpAddress::Tcp(lmtp) = server.addresses().lmtp else { panic!("LMTP is on TCP here") };
    Endpoint { imap: server.addresses().imap, lmtp, account: "alice".to_owned() }
}

fn look_at_everything(stage: &Stage, server: &Server) -> Result<()> {
    let endpoint = endpoint(server);
    let mut session =
        Session::open(&stage.recorder, usize::MAX, &endpoint, false).context("cannot log in at the end")?;
    for mailbox in MAILBOXES {
        session.select(mailbox, None).ok().with_context(|| format!("cannot select {mailbox} at the end"))?;
    }
    let mut names = NameWorker {
        number: WORKERS,
        random: Random::new(0),
        recorder: &stage.recorder,
        tokens: &stage.tokens,
        session: None,
    };
    names.look_once(&endpoint);
    Ok(())
}

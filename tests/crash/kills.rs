//! The server under load, killed again and again.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use paquebot_testkit::{LmtpAddress, Options, Server};
use paquebot_tests::history::{Event, Outcome};
use paquebot_tests::random::Random;
use paquebot_tests::session::{Endpoint, PASSWORD};
use paquebot_tests::stage::Stage;

const WORKERS: usize = 6;
const KILLS: usize = 16;
/// After this many kills everybody stops for a moment, and the sessions' views are compared with the mailboxes.
const SETTLE_EVERY: usize = 4;

#[test]
fn every_promise_holds_through_kills() -> Result<()> {
    let seed = match std::env::var("PAQUEBOT_SEED") {
        Ok(seed) => seed.parse().context("PAQUEBOT_SEED is no number")?,
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("PAQUEBOT_SEED={seed}");
    let mut server = Server::start(Options::with_account("alice", PASSWORD))?;
    let stage = Stage::new(seed, WORKERS, Duration::ZERO);
    stage.set_endpoints(vec![endpoint(&server)]);
    stage.make_mailboxes()?;
    stage.run(|stage| kill_again_and_again(stage, &mut server, Random::new(seed)))?;
    stage.look_at_everything()?;
    server.stop()?;
    stage.verdict()
}

fn kill_again_and_again(stage: &Stage, server: &mut Server, mut random: Random) -> Result<()> {
    let mut slowest = Duration::ZERO;
    for kill in 1..=KILLS {
        thread::sleep(Duration::from_millis(300 + random.number() % 2500));
        if kill % SETTLE_EVERY == 0 {
            stage.settle_all()?;
        }
        let invoked = stage.recorder.now();
        stage.set_endpoints(Vec::new());
        server.kill()?;
        stage.recorder.record(usize::MAX, invoked, Outcome::Ok, Event::Fault(format!("kill {kill}")));
        server.check().with_context(|| format!("after kill {kill}"))?;
        let began = Instant::now();
        server.start_again().with_context(|| format!("after kill {kill}"))?;
        slowest = slowest.max(began.elapsed());
        stage.set_endpoints(vec![endpoint(server)]);
    }
    println!("{KILLS} kills; the slowest start took {slowest:?}");
    stage.settle_all()
}

fn endpoint(server: &Server) -> Endpoint {
    let LmtpAddress::Tcp(lmtp) = server.addresses().lmtp else { panic!("LMTP is on TCP here") };
    Endpoint { imap: server.addresses().imap, lmtp, account: "alice".to_owned() }
}

//! Clients at work, a nemesis at work, and then the verdict.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use paquebot_testkit::cluster::{Cluster, ClusterOptions, Etcd};
use paquebot_tests::session::PASSWORD;
use paquebot_tests::stage::Stage;

use crate::nemesis::{Means, schedule, torment};
use crate::support::{PROBE, endpoints, logs, until_all_take_changes};

const WORKERS: usize = 6;
/// Each worker rests so long between two commands: the machines are to have faults, not to be full.
const PACE: Duration = Duration::from_millis(10);
/// A round has an account and a history of its own.
const STEPS_A_ROUND: usize = 8;
/// How many steps a run without `PAQUEBOT_TORTURE_MINUTES` has.
const STEPS: usize = 4;

/// `PAQUEBOT_SEED`, or a new one.
fn seed() -> Result<u64> {
    match std::env::var("PAQUEBOT_SEED") {
        Ok(seed) => seed.parse().context("PAQUEBOT_SEED is no number"),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}

/// How long a run is to be, if it is to be a long one.
fn minutes() -> Result<Option<u64>> {
    let given = std::env::var("PAQUEBOT_TORTURE_MINUTES").ok();
    given.map(|minutes| minutes.parse().context("PAQUEBOT_TORTURE_MINUTES is no number")).transpose()
}

/// One account, one history: the steps of one seed, and all promises.
fn round(cluster: &mut Cluster, seed: u64, means: Means, more: impl Fn(usize) -> bool) -> Result<usize> {
    println!("PAQUEBOT_SEED={seed}");
    let account = format!("u{seed}");
    cluster.add_account(&account, PASSWORD)?;
    let stage = Stage::new(seed, WORKERS, PACE);
    stage.set_endpoints(endpoints(cluster, &account));
    stage.make_mailboxes()?;
    let done = stage.run(|stage| {
        let done = torment(cluster, stage, schedule(seed, means), more)?;
        until_all_take_changes(cluster)?;
        stage.settle_all()?;
        Ok(done)
    });
    let done = done.with_context(|| format!("PAQUEBOT_SEED={seed}\n{}", logs(cluster)))?;
    stage.look_at_everything()?;
    stage.verdict().with_context(|| format!("PAQUEBOT_SEED={seed}\n{}", logs(cluster)))?;
    Ok(done)
}

fn run(options: ClusterOptions) -> Result<()> {
    let (seed, minutes) = (seed()?, minutes()?);
    let means = Means { nodes: options.nodes, cuts: options.namespaces, clocks: options.clocks, wipes: true };
    let mut cluster = Cluster::start(options)?;
    cluster.add_account(PROBE, PASSWORD)?;
    let Some(minutes) = minutes else {
        return round(&mut cluster, seed, means, |done| done < STEPS).map(drop);
    };
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let (mut steps, mut rounds) = (0, 0);
    while Instant::now() < end {
        steps += round(&mut cluster, seed + rounds, means, |done| done < STEPS_A_ROUND && Instant::now() < end)?;
        rounds += 1;
        println!("{steps} faults in {rounds} rounds: every promise was kept");
    }
    Ok(())
}

/// Whether machines can be namespaces here.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn every_promise_holds_with_managed_etcd() -> Result<()> {
    run(ClusterOptions { namespaces: is_root(), clocks: true, ..ClusterOptions::default() })
}

#[test]
fn every_promise_holds_with_an_etcd_that_was_there() -> Result<()> {
    let options = ClusterOptions { etcd: Etcd::Existing, namespaces: is_root(), clocks: true, ..Default::default() };
    run(options)
}

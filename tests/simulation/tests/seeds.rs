//! Many seeds. One that found something is run by name from then on.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use paquebot_simulation::run;

/// How long seeds are tried; `PAQUEBOT_SIMULATION_SECONDS` says otherwise, and `PAQUEBOT_SIMULATION_SEED` where they begin.
const TIME: Duration = Duration::from_secs(50);

fn told(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(1).trace, run(2).trace);
}

#[test]
fn no_seed_breaks_a_promise() {
    let time = told("PAQUEBOT_SIMULATION_SECONDS").map_or(TIME, Duration::from_secs);
    let next = AtomicU64::new(told("PAQUEBOT_SIMULATION_SEED").unwrap_or(1));
    let (runs, acknowledged, unknown) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while begun.elapsed() < time {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let report = run(seed);
                    assert!(report.breaches.is_empty(), "PAQUEBOT_SIMULATION_SEED={seed}: {:#?}", report.breaches);
                    runs.fetch_add(1, Ordering::Relaxed);
                    acknowledged.fetch_add(report.acknowledged, Ordering::Relaxed);
                    unknown.fetch_add(report.unknown, Ordering::Relaxed);
                }
            });
        }
    });
    let (runs, acknowledged) = (runs.into_inner(), acknowledged.into_inner());
    println!("{runs} seeds, {acknowledged} changes acknowledged, {} unknown", unknown.into_inner());
    assert!(runs > 0 && acknowledged / runs >= 20, "the runs do something");
}

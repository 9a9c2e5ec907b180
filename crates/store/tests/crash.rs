//! A crash after every operation of a workload, in every way that is legal for what was not synced: what was acknowledged is there,
//! nothing is there by half, and the store goes on.
#![allow(clippy::unwrap_used)]

mod toy;

use std::sync::atomic::{AtomicUsize, Ordering};

use paquebot_store::Budget;
use paquebot_store::recorded::{CrashState, Limits, RecordedFs};
use toy::{Expected, Generator, Group, must, open};

/// A workload as it was recorded.
struct History {
    fs: RecordedFs,
    /// What the store has after each number of groups.
    expected: Vec<Expected>,
    /// After so many recorded operations the append of this group (from 1) began, and ended.
    begun: Vec<usize>,
    acknowledged: Vec<usize>,
}

fn record(seed: u64, groups: usize) -> History {
    let fs = RecordedFs::new();
    let mut make = Generator::new(seed);
    let mut history =
        History { fs: fs.clone(), expected: vec![Expected::default()], begun: vec![], acknowledged: vec![] };
    let mut store = open(&fs).unwrap();
    let mut waiting: Vec<(Group, _)> = Vec::new();
    for _ in 0..groups {
        let group = make.group();
        history.begun.push(fs.recorded());
        let bodies = group.append(&store).unwrap();
        history.acknowledged.push(fs.recorded());
        make.expected.apply(&group);
        history.expected.push(make.expected.clone());
        waiting.push((group, bodies));
        // The index follows a little behind, as it does behind a busy log.
        if make.random.below(3) > 0 {
            for (group, bodies) in waiting.drain(..) {
                group.apply(&store, &bodies).unwrap();
            }
        }
        match make.random.below(12) {
            0 | 1 => store.checkpoint().unwrap(),
            2 | 3 => {
                store.reclaim(&Budget { copy_bytes: u64::MAX, dead_percent: 20 }).unwrap();
            }
            4 => {
                drop(store);
                waiting.clear();
                store = open(&fs).unwrap();
            }
            _ => {}
        }
    }
    drop(store);
    history
}

impl History {
    fn verify(&self, state: &CrashState) {
        let CrashState { after, disk, name } = state;
        let fs = RecordedFs::from_disk(disk.clone());
        let store = must(open(&fs), name);
        let least = self.acknowledged.iter().filter(|at| *at <= after).count();
        let most = self.begun.iter().filter(|at| *at < after).count();
        let differences: Vec<_> = (least..=most).map(|groups| self.expected[groups].differs(&store)).collect();
        let Some(at) = differences.iter().position(Option::is_none) else {
            panic!("{name}: neither {least} nor {most} groups: {differences:?}");
        };
        let report = must(store.check(&mut ()), name);
        assert_eq!(report.problems, [], "{name}");
        // It goes on: another group, and another start. Often enough in one of some states.
        if (after + name.len()) % 4 != 0 {
            return;
        }
        let mut make = Generator::new(*after as u64);
        make.expected = self.expected[least + at].clone();
        let group = make.group();
        let bodies = group.append(&store).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        must(group.apply(&store, &bodies), name);
        make.expected.apply(&group);
        drop(store);
        let store = must(open(&fs), name);
        assert_eq!(make.expected.differs(&store), None, "{name}, after another group");
    }

    /// Verifies every state, on all processors.
    fn verify_all(&self, limits: &Limits) -> usize {
        let operations = self.fs.recorded() + 1;
        let (next, shown) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| {
                    loop {
                        let from = next.fetch_add(64, Ordering::Relaxed);
                        if from >= operations {
                            return;
                        }
                        self.fs.crash_states(from..from + 64, limits, &mut |state| {
                            shown.fetch_add(1, Ordering::Relaxed);
                            self.verify(&state);
                        });
                    }
                });
            }
        });
        shown.into_inner()
    }
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    for seed in [1, 2] {
        let history = record(seed, 24);
        let started = std::time::Instant::now();
        let states = history.verify_all(&Limits { each: 2, random: 2, seed });
        println!("seed {seed}: {} operations, {states} states, {:?}", history.fs.recorded(), started.elapsed());
    }
}

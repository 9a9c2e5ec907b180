//! An error at every operation: a change that fails leaves nothing, reads go on, and the store serves again once the disk is well.
#![allow(clippy::unwrap_used)]

mod toy;

use std::sync::Arc;

use paquebot_store::fs::{Fs, FsKind};
use paquebot_store::recorded::{Fault, Limits, RecordedFs, When};
use paquebot_store::{Budget, IndexError, OpenError, Store};
use toy::{AppendFailure, Generator, apply_tail, dir, must, open, options};

/// Whether [`Driver::verify`] tries what a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Tried,
    NotTried,
}

/// Appends and applies groups; after an error does what the replica is to do. Gives how many groups are in the store.
struct Driver {
    fs: RecordedFs,
    store: Option<Store>,
    make: Generator,
    /// The disk does not come back by itself, so nothing can be read either.
    dies: bool,
    /// Appends that left nothing.
    refused: usize,
    recovered: usize,
}

impl Driver {
    fn new(fs: RecordedFs, seed: u64) -> Self {
        Self { fs, store: None, make: Generator::new(seed), dies: false, refused: 0, recovered: 0 }
    }

    /// The open store; `None` if it cannot be opened now.
    fn store(&mut self) -> Option<Store> {
        if self.store.is_none() {
            self.store = open(&self.fs).ok();
        }
        self.store.clone()
    }

    fn step(&mut self) -> Option<()> {
        let store = self.store()?;
        let group = self.make.group();
        match group.append(&store) {
            Ok(bodies) => {
                self.make.expected.apply(&group);
                if group.apply(&store, &bodies).is_err() {
                    self.recover(&store);
                }
            }
            Err(AppendFailure::Nothing) => self.refused += 1,
            Err(AppendFailure::Unknown) => {
                // Reads go on; changes are refused; opening again tells whether the group is there.
                assert!(store.is_poisoned());
                assert_eq!(group.append(&store).unwrap_err(), AppendFailure::Nothing);
                if !self.dies {
                    assert_eq!(self.make.expected.differs(&store), None, "after an unknown outcome");
                }
                drop(store);
                self.store = None;
                self.fs.set_fault(None);
                let store = self.store().expect("the disk is well again");
                let before = self.make.expected.differs(&store);
                if before.is_some() {
                    self.make.expected.apply(&group);
                    assert_eq!(
                        self.make.expected.differs(&store),
                        None,
                        "neither with the group nor without: {before:?}"
                    );
                }
                return Some(());
            }
        }
        let room = self.make.random.below(6);
        let kept = match room {
            0 => store.checkpoint().is_ok(),
            1 => !matches!(
                store.reclaim(&Budget { copy_bytes: u64::MAX, dead_percent: 20 }),
                Err(paquebot_store::ReclaimError::Index(_))
            ),
            2 => {
                drop(store);
                self.store = None;
                return Some(());
            }
            _ => true,
        };
        if !kept {
            self.recover(&store);
        }
        if let Some(store) = &self.store
            && store.is_poisoned()
        {
            self.store = None;
        }
        Some(())
    }

    /// Opens the failed index again; if that fails too, the store.
    fn recover(&mut self, store: &Store) {
        assert!(matches!(store.read().err(), None | Some(IndexError::Failed)));
        let recovered = store.recover_index().and_then(|(recovery, tail)| {
            apply_tail(&tail, |change| recovery.write(change)).map_err(OpenError::Index)?;
            recovery.finish();
            Ok(())
        });
        match recovered {
            Ok(()) => self.recovered += 1,
            Err(_) => self.store = None,
        }
    }

    /// A crash now takes nothing back, though a sync may have failed on the way and a later one have worked.
    fn verify_crash(&self, name: &str) {
        let now = self.fs.recorded();
        self.fs.crash_states(now..now + 1, &Limits { each: 1, random: 1, seed: 3 }, &mut |state| {
            let store = must(open(&RecordedFs::from_disk(state.disk)), name);
            assert_eq!(self.make.expected.differs(&store), None, "{name}, crash {}", state.name);
        });
    }

    /// Everything is right, now and after a start; and after one more group a crash takes nothing back.
    fn verify(mut self, name: &str, crash: Crash) {
        self.fs.set_fault(None);
        self.fs.set_capacity(None);
        if let Some(store) = self.store.take()
            && store.read().is_ok()
        {
            assert_eq!(self.make.expected.differs(&store), None, "{name}");
        }
        let store = must(open(&self.fs), name);
        assert_eq!(self.make.expected.differs(&store), None, "{name}, after a start");
        assert_eq!(must(store.check(&mut ()), name).problems, [], "{name}");
        if crash == Crash::Tried {
            let group = self.make.group();
            let bodies = group.append(&store).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            must(group.apply(&store, &bodies), name);
            self.make.expected.apply(&group);
            self.verify_crash(name);
        }
    }
}

fn run(seed: u64, steps: usize, fault: Option<(When, Fault)>) -> (RecordedFs, Driver) {
    let fs = RecordedFs::new();
    fs.set_fault(fault);
    let mut driver = Driver::new(fs.clone(), seed);
    driver.dies = matches!(fault, Some((When::From(_), _)));
    for _ in 0..steps {
        let _ = driver.step();
    }
    (fs, driver)
}

#[test]
fn an_error_at_any_operation_is_survived() {
    let (fs, driver) = run(5, 14, None);
    driver.verify("without an error", Crash::Tried);
    let operations = fs.count();
    for fault in [Fault::Io, Fault::Full, Fault::Short] {
        let (mut refused, mut recovered) = (0, 0);
        for at in (0..operations).step_by(if fault == Fault::Io { 1 } else { 2 }) {
            let (_, driver) = run(5, 14, Some((When::At(at), fault)));
            refused += driver.refused;
            recovered += driver.recovered;
            let name = format!("{fault:?} at {at}");
            if fault == Fault::Io {
                driver.verify_crash(&name);
            }
            driver.verify(&name, Crash::NotTried);
        }
        println!("{fault:?}: {operations} operations, {refused} groups refused, {recovered} times the index recovered");
    }
}

#[test]
fn a_disk_that_dies_loses_nothing_acknowledged() {
    let (fs, _) = run(6, 14, None);
    // To the next process a disk that dies is as if this one was killed.
    for (fault, crash, step) in [(Fault::Io, Crash::Tried, 2), (Fault::Full, Crash::NotTried, 5)] {
        for at in (0..fs.count()).step_by(step) {
            let (_, driver) = run(6, 14, Some((When::From(at), fault)));
            driver.verify(&format!("{fault:?} from {at}"), crash);
        }
    }
}

#[test]
fn a_full_disk_refuses_bodies_still_expunges_and_takes_mail_again() {
    let fs = RecordedFs::new();
    let mut driver = Driver::new(fs.clone(), 9);
    for _ in 0..10 {
        driver.step().unwrap();
    }
    // Exactly full.
    fs.set_capacity(Some(fs.used_bytes()));
    let store = driver.store().unwrap();
    let mut refused = 0;
    for _ in 0..200 {
        let group = driver.make.group();
        match group.append(&store) {
            Ok(bodies) => {
                driver.make.expected.apply(&group);
                group.apply(&store, &bodies).unwrap();
            }
            Err(failure) => {
                assert_eq!(failure, AppendFailure::Nothing);
                assert!(!group.bodies.is_empty() || refused > 0, "a change without a body is refused first");
                refused += 1;
            }
        }
        if refused > 5 {
            break;
        }
    }
    assert!(refused > 5, "the disk never filled");
    let mut flags = driver.make.group();
    while !flags.bodies.is_empty() {
        flags = driver.make.group();
    }
    let bodies = flags.append(&store).expect("a change that brings no body lives from the reserve");
    driver.make.expected.apply(&flags);
    flags.apply(&store, &bodies).unwrap();
    store.checkpoint().unwrap();
    assert_eq!(driver.make.expected.differs(&store), None);
    fs.set_capacity(None);
    let mut mail = driver.make.group();
    while mail.bodies.is_empty() {
        mail = driver.make.group();
    }
    let bodies = mail.append(&store).expect("there is room again");
    driver.make.expected.apply(&mail);
    mail.apply(&store, &bodies).unwrap();
    drop(store);
    driver.verify("a full disk", Crash::Tried);
}

#[test]
fn a_shared_file_system_is_refused_with_its_name() {
    let fs = RecordedFs::new();
    fs.set_kind(FsKind::NFS);
    let error = Store::open(Arc::new(fs) as Arc<dyn Fs>, &dir(), options()).unwrap_err();
    assert!(matches!(error, OpenError::Shared { kind: "NFS", .. }));
    assert!(error.to_string().contains("local disk"), "{error}");
}

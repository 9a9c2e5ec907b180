//! The states that a crash may leave.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::disk::{Disk, Inode, Op};

/// What reaches a disk whole.
const SECTOR: usize = 512;

/// How many of the states are shown. With `n` operations that are not synced there are at least 2ⁿ; always shown are "none of them",
/// "all", and of "all but one", "only one", "all with one torn", "only one and that torn" as many as `each` allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// States of each of those families at one point, chosen at random where there would be more.
    pub each: usize,
    /// Wholly random states at one point.
    pub random: usize,
    pub seed: u64,
}

/// One state.
#[derive(Debug, Clone)]
pub struct CrashState {
    /// The crash came after so many recorded operations.
    pub after: usize,
    pub disk: Disk,
    /// Which state it is, to find it again.
    pub name: String,
}

/// What became of an operation that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fate {
    Lost,
    Done,
    /// A write of which only the sectors that this number chooses are there.
    Torn(u64),
}

/// An operation that is not folded into the base yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    op: usize,
    /// It is on disk; it waits only because one before it, on the same file, may be or not.
    certain: bool,
    /// A sync failed after it: later syncs say nothing about it.
    abandoned: bool,
}

/// What is certainly on disk, and what may be.
struct Frontier<'o> {
    ops: &'o [Op],
    base: Disk,
    /// Changes with the base, to know states that were shown already.
    version: usize,
    pending: Vec<Pending>,
    abandoned: HashMap<Inode, usize>,
}

pub(super) fn states(start: Disk, ops: &[Op], after: Range<usize>, limits: &Limits, see: &mut dyn FnMut(CrashState)) {
    let mut frontier = Frontier { ops, base: start, version: 0, pending: Vec::new(), abandoned: HashMap::new() };
    let mut seen = HashSet::new();
    for count in 0..=ops.len().min(after.end.saturating_sub(1)) {
        if count > 0 {
            frontier.advance(count - 1);
        }
        if after.contains(&count) {
            let mut random = Random::new(limits.seed ^ (count as u64) << 20);
            frontier.show(count, limits, &mut random, &mut seen, see);
        }
    }
}

impl Frontier<'_> {
    /// Takes one more operation in.
    fn advance(&mut self, op: usize) {
        let ops = self.ops;
        match &ops[op] {
            Op::Sync { inode } => {
                let has_abandoned = self.abandoned.get(inode).is_some_and(|count| *count > 0);
                self.settle(|pending| ops[pending.op].file() == Some(*inode) && !pending.abandoned, has_abandoned);
            }
            Op::FailedSync { inode } => {
                for pending in &mut self.pending {
                    if ops[pending.op].file() == Some(*inode) && !pending.certain && !pending.abandoned {
                        pending.abandoned = true;
                        *self.abandoned.entry(*inode).or_default() += 1;
                    }
                }
            }
            Op::SyncDir { path } => self.settle(|pending| ops[pending.op].is_name_in(path), false),
            _ => self.pending.push(Pending { op, certain: false, abandoned: false }),
        }
    }

    /// Makes pending operations certain. They go into the base, unless ones that may be lost must come before them.
    fn settle(&mut self, which: impl Fn(&Pending) -> bool, stay: bool) {
        let mut left = Vec::with_capacity(self.pending.len());
        for mut pending in std::mem::take(&mut self.pending) {
            if !which(&pending) {
                left.push(pending);
            } else if stay {
                pending.certain = true;
                left.push(pending);
            } else {
                self.base.apply(&self.ops[pending.op]);
            }
        }
        self.pending = left;
        self.version += 1;
    }

    fn show(
        &self,
        count: usize,
        limits: &Limits,
        random: &mut Random,
        seen: &mut HashSet<(usize, Vec<(usize, Fate)>)>,
        see: &mut dyn FnMut(CrashState),
    ) {
        let open: Vec<usize> =
            self.pending.iter().enumerate().filter(|(_, pending)| !pending.certain).map(|(at, _)| at).collect();
        let mut one = |name: String, fate: &dyn Fn(usize) -> Fate| {
            let fates: Vec<Fate> = (0..self.pending.len())
                .map(|at| if self.pending[at].certain { Fate::Done } else { fate(at) })
                .collect();
            let key: Vec<(usize, Fate)> = self.pending.iter().zip(&fates).map(|(p, fate)| (p.op, *fate)).collect();
            let key = key.into_iter().filter(|(_, fate)| *fate != Fate::Lost).collect();
            if seen.insert((self.version, key)) {
                see(CrashState { after: count, disk: self.build(&fates), name: format!("after {count}: {name}") });
            }
        };
        one("none".to_owned(), &|_| Fate::Lost);
        one("all".to_owned(), &|_| Fate::Done);
        for at in random.choose(&open, limits.each) {
            one(format!("all but {at}"), &|other| if other == at { Fate::Lost } else { Fate::Done });
        }
        for at in random.choose(&open, limits.each) {
            one(format!("only {at}"), &|other| if other == at { Fate::Done } else { Fate::Lost });
        }
        let large: Vec<usize> = open.iter().copied().filter(|at| self.sectors(*at) > 1).collect();
        for at in random.choose(&large, limits.each) {
            let torn = Fate::Torn(random.next());
            one(format!("all, {at} as {torn:?}"), &|other| if other == at { torn } else { Fate::Done });
            one(format!("only {at} as {torn:?}"), &|other| if other == at { torn } else { Fate::Lost });
        }
        for _ in 0..limits.random {
            let seed = random.next();
            one(format!("random {seed}"), &|at| {
                let mut random = Random::new(seed ^ (at as u64) << 32);
                match random.next() % 5 {
                    0 | 1 => Fate::Lost,
                    2 | 3 => Fate::Done,
                    _ if self.sectors(at) > 1 => Fate::Torn(random.next()),
                    _ => Fate::Done,
                }
            });
        }
    }

    fn sectors(&self, at: usize) -> usize {
        match &self.ops[self.pending[at].op] {
            Op::Write { data, .. } => data.len().div_ceil(SECTOR),
            _ => 1,
        }
    }

    fn build(&self, fates: &[Fate]) -> Disk {
        let mut disk = self.base.clone();
        for (pending, fate) in self.pending.iter().zip(fates) {
            let op = &self.ops[pending.op];
            match (fate, op) {
                (Fate::Lost, _) => {}
                (Fate::Torn(seed), Op::Write { inode, offset, data }) => {
                    tear(&mut disk, *inode, *offset, data, *seed);
                }
                (Fate::Done | Fate::Torn(_), op) => disk.apply(op),
            }
        }
        disk.prune();
        disk
    }
}

/// Writes some of a write's sectors: its first ones, its last ones, or any.
fn tear(disk: &mut Disk, inode: Inode, offset: u64, data: &[u8], seed: u64) {
    let mut random = Random::new(seed);
    let kind = random.next() % 3;
    // Sectors are the disk's, so the first may be cut short by the write's start.
    let first = SECTOR - (offset as usize % SECTOR);
    let mut cuts = vec![0];
    cuts.extend((first..data.len()).step_by(SECTOR));
    cuts.push(data.len());
    let split = random.next() as usize % cuts.len();
    for (number, ends) in cuts.windows(2).enumerate() {
        let keep = match kind {
            0 => number < split,
            1 => number >= split,
            _ => random.next().is_multiple_of(2),
        };
        if keep {
            disk.write(inode, offset + ends[0] as u64, &data[ends[0]..ends[1]]);
        }
    }
}

/// A small generator (splitmix64), so that a seed gives the same states everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At most `count` of the values.
    fn choose(&mut self, values: &[usize], count: usize) -> Vec<usize> {
        let mut values = values.to_vec();
        while values.len() > count {
            let at = self.next() as usize % values.len();
            values.swap_remove(at);
        }
        values
    }
}

//! What the kernel tells of the server: CPU time, memory and bytes written of a process and all below it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The kernel counts CPU time for users in hundredths of a second, on every architecture (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

/// What a process and its children have spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time, user and system, with that of children that have ended: exact, but for those, which the kernel tells in hundredths.
    pub cpu: Duration,
    /// Bytes of pages that they made dirty or wrote past the cache: what goes to the disk in time (proc_pid_io(5)).
    pub written_bytes: u64,
}

/// A process and its children at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub spent: Spent,
    /// Resident memory, the pages of files that it has mapped included.
    pub resident_bytes: u64,
    /// Resident memory that is the processes' own.
    pub anonymous_bytes: u64,
    /// Resident memory, where each page that several share counts as their share: the fair measure of many processes (PSS).
    pub proportional_bytes: u64,
}

/// One process, of its `stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    own_ticks: u64,
    /// Of the children that have ended and were waited for.
    gone_ticks: u64,
}

/// Reads a process and all below it. Children that end meanwhile are left out.
pub fn usage(pid: u32) -> io::Result<Usage> {
    let mut usage = Usage { spent: spent(pid)?, ..Usage::default() };
    for id in family(pid, &all_stats()?).into_keys() {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else { continue };
        let resident = number_after(&status, "VmRSS:") * 1024;
        usage.resident_bytes += resident;
        usage.anonymous_bytes += number_after(&status, "RssAnon:") * 1024;
        // Who may not read it counts every page in full.
        let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"));
        usage.proportional_bytes += rollup.map_or(resident, |text| number_after(&text, "Pss:") * 1024);
    }
    Ok(usage)
}

/// Reads what a process and all below it have spent: quicker than [`usage`], for before and after every command.
pub fn spent(pid: u32) -> io::Result<Spent> {
    let mut spent = Spent::default();
    // The process itself must be there.
    read_stat(pid)?;
    for (id, stat) in family(pid, &all_stats()?) {
        spent.cpu += cpu_clock(id).unwrap_or_else(|| from_ticks(stat.own_ticks)) + from_ticks(stat.gone_ticks);
        let Ok(io) = std::fs::read_to_string(format!("/proc/{id}/io")) else { continue };
        spent.written_bytes += number_after(&io, "write_bytes:");
    }
    Ok(spent)
}

/// The CPU time of all threads of a process, those that have ended included, to the nanosecond.
fn cpu_clock(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// The CPU time of this process.
pub fn own_cpu() -> Duration {
    cpu_clock(std::process::id()).unwrap_or_default()
}

/// Lets this process hold as many connections as the system allows it.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // If it is refused, connecting tells what is wrong.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

fn all_stats() -> io::Result<BTreeMap<u32, Stat>> {
    let mut stats = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Ok(stat) = read_stat(pid) {
            stats.insert(pid, stat);
        }
    }
    Ok(stats)
}

/// The process and all whose parents lead to it.
fn family(root: u32, stats: &BTreeMap<u32, Stat>) -> BTreeMap<u32, Stat> {
    let mut found = BTreeMap::new();
    let mut wanted = BTreeSet::from([root]);
    while let Some(pid) = wanted.pop_first() {
        let Some(stat) = stats.get(&pid).filter(|_| !found.contains_key(&pid)) else { continue };
        found.insert(pid, *stat);
        wanted.extend(stats.iter().filter(|(_, stat)| stat.parent == pid).map(|(child, _)| *child));
    }
    found
}

fn read_stat(pid: u32) -> io::Result<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other("its stat cannot be understood"))
}

/// Reads proc_pid_stat(5): the command's name, in parentheses, may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    // utime, stime, cutime, cstime are fields 14 to 17 of the whole.
    let ticks = |fields: std::ops::RangeInclusive<usize>| fields.map(number).sum::<Option<u64>>();
    Some(Stat { parent: u32::try_from(number(1)?).ok()?, own_ticks: ticks(11..=12)?, gone_ticks: ticks(13..=14)? })
}

/// The number on the line that begins with this name, as in `VmRSS:      1234 kB`; 0 if there is none.
fn number_after(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_passed_over() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(text), Some(Stat { parent: 3, own_ticks: 30, gone_ticks: 70 }));
        assert_eq!(parse_stat("7 (a) S 3"), None);
    }

    #[test]
    fn a_family_is_all_below_a_process() {
        let stat = |parent| Stat { parent, own_ticks: 0, gone_ticks: 0 };
        let stats = BTreeMap::from([(1, stat(0)), (5, stat(1)), (6, stat(5)), (3, stat(6)), (9, stat(1))]);
        assert_eq!(family(5, &stats).into_keys().collect::<Vec<_>>(), [3, 5, 6]);
        assert!(family(77, &stats).is_empty());
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = usage(std::process::id()).unwrap();
        assert!(usage.resident_bytes >= usage.anonymous_bytes && usage.anonymous_bytes > 0);
        assert!(usage.proportional_bytes > 0 && usage.spent.cpu > Duration::ZERO);
        assert!(super::usage(u32::MAX).is_err());
    }

    #[test]
    fn cpu_time_is_told_finer_than_in_ticks() {
        let before = own_cpu();
        let mut sum = 0_u64;
        while own_cpu() - before < Duration::from_millis(1) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(own_cpu() - before < Duration::from_millis(10));
    }
}

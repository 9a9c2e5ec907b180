//! Each flag of each message is a register of one bit: there is an order of all its writes and reads that fits real time.
//!
//! The search goes through the history by time and keeps every state that the register can be in: its value, and which of the operations that have
//! begun and not ended are done already. A write whose outcome is unknown never ends: it may be done at any time, or never.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, possible, violation, when};
use crate::history::{Event, History, How, Outcome, Record, Token, Uid};

/// The flags that the clients of the tests change. `\Deleted` is set and never taken.
const FLAGS: &[&str] = &["\\Flagged", "\\Answered", "\\Deleted", "work"];

#[derive(Clone, Copy)]
enum Access {
    Write(bool),
    Read(bool),
}

type Register<'a> = Vec<(&'a Record, Access)>;

pub fn check(history: &History) -> Vec<Violation> {
    let mut registers: BTreeMap<(&str, Uid, &str), Register<'_>> = BTreeMap::new();
    let mut tokens: BTreeMap<(&str, Uid), Token> = BTreeMap::new();
    let mut copied: BTreeSet<(&str, Token)> = BTreeSet::new();
    for record in history.records.iter().filter(|record| possible(record)) {
        match &record.event {
            Event::Flag { mailbox, uids, flag, set } => {
                for uid in uids {
                    registers.entry((mailbox, *uid, flag)).or_default().push((record, Access::Write(*set)));
                }
            }
            Event::Seen(seen) => {
                for (uid, message) in &seen.messages {
                    tokens.insert((&seen.mailbox, *uid), message.token);
                    for flag in FLAGS {
                        let read = Access::Read(message.flags.contains(*flag));
                        registers.entry((&seen.mailbox, *uid, flag)).or_default().push((record, read));
                    }
                }
            }
            Event::Add { mailbox, tokens, how: How::Copy | How::Move, .. } => {
                copied.extend(tokens.iter().map(|token| (mailbox.as_str(), *token)));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for ((mailbox, uid, flag), accesses) in registers {
        // A copy begins with the flags of what it was copied from.
        let is_copy = tokens.get(&(mailbox, uid)).is_none_or(|token| copied.contains(&(mailbox, *token)));
        let first = if is_copy { vec![false, true] } else { vec![false] };
        if let Some(at) = unexplained(&accesses, &first) {
            let text = format!(
                "{mailbox} UID {uid} {flag}: no order of its changes explains {}; all of them:\n{}",
                shown(&accesses[at]),
                accesses.iter().map(|access| format!("    {}\n", shown(access))).collect::<String>()
            );
            found.push(violation("flags-last-write", text));
        }
    }
    found
}

/// The access at whose end no state is left, if there is one.
fn unexplained(accesses: &Register<'_>, first: &[bool]) -> Option<usize> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum What {
        Begin,
        End,
    }
    let mut moments: Vec<(u64, What, usize)> = Vec::new();
    for (index, (record, access)) in accesses.iter().enumerate() {
        moments.push((record.invoked, What::Begin, index));
        if record.outcome == Outcome::Ok || matches!(access, Access::Read(_)) {
            moments.push((record.returned, What::End, index));
        }
    }
    moments.sort();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    // The value, and the open operations that are done.
    let mut states: BTreeSet<(bool, BTreeSet<usize>)> = first.iter().map(|value| (*value, BTreeSet::new())).collect();
    for (_, what, index) in moments {
        match what {
            What::Begin => {
                open.insert(index);
            }
            What::End => {
                states = closure(states, &open, accesses);
                states.retain(|(_, done)| done.contains(&index));
                open.remove(&index);
                states = states
                    .into_iter()
                    .map(|(value, mut done)| {
                        done.remove(&index);
                        (value, done)
                    })
                    .collect();
                if states.is_empty() {
                    return Some(index);
                }
            }
        }
    }
    None
}

/// Every state that can be reached by doing open operations.
fn closure(
    states: BTreeSet<(bool, BTreeSet<usize>)>,
    open: &BTreeSet<usize>,
    accesses: &Register<'_>,
) -> BTreeSet<(bool, BTreeSet<usize>)> {
    let mut reached = states.clone();
    let mut left: Vec<_> = states.into_iter().collect();
    while let Some((value, done)) = left.pop() {
        for index in open.iter().filter(|index| !done.contains(index)) {
            let value = match accesses[*index].1 {
                Access::Write(written) => written,
                Access::Read(read) if read == value => value,
                Access::Read(_) => continue,
            };
            let mut done = done.clone();
            done.insert(*index);
            if reached.insert((value, done.clone())) {
                left.push((value, done));
            }
        }
    }
    reached
}

fn shown((record, access): &(&Record, Access)) -> String {
    let what = match access {
        Access::Write(true) => "sets it",
        Access::Write(false) => "takes it",
        Access::Read(true) => "sees it set",
        Access::Read(false) => "sees it not set",
    };
    format!("{} {what} ({:?})", when(record), record.outcome)
}

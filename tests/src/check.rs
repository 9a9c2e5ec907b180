//! Reads a history and says which promises it breaks.
//!
//! | row | checked in |
//! |---|---|
//! | append-durable, expunge-final, no-phantom, body-intact, uid-unique, fresh-read | `check/messages.rs` |
//! | uid-ascending, uidvalidity-stable, modseq-monotonic | `check/numbers.rs` |
//! | flags-last-write | `check/flags.rs` |
//! | qresync-complete | `check/resync.rs` |
//! | view-rules, view-equal | `check/views.rs` |
//! | namespace | `check/namespace.rs` |
//! | replicas-equal | `check/replicas.rs` |
//! | answers | `check/answers.rs` |
//!
//! Reads are judged by their real time alone: what was told before one began must show in it, on whatever
//! connection, to whatever server. A server that says that it may lag is held to what cannot change: that a UID is one message for ever.

mod answers;
mod flags;
mod messages;
mod namespace;
mod numbers;
mod replicas;
mod resync;
mod views;

use std::fmt;

use crate::history::{Event, Flags, History, Observation, Outcome, Record};

/// A promise that was not kept.
#[derive(Debug, Clone)]
pub struct Violation {
    pub row: &'static str,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.row, self.text)
    }
}

/// Everything in `history` that breaks a promise.
pub fn check(history: &History) -> Vec<Violation> {
    let checks = [
        messages::check,
        numbers::check,
        flags::check,
        resync::check,
        views::check,
        namespace::check,
        replicas::check,
        answers::check,
    ];
    checks.iter().flat_map(|check| check(history)).collect()
}

fn violation(row: &'static str, text: String) -> Violation {
    Violation { row, text }
}

/// The observations of one mailbox, or of all, in the order of their beginnings.
fn observations<'a>(history: &'a History, of: Option<&str>) -> Vec<(&'a Record, &'a Observation)> {
    let mut found: Vec<_> = history
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Seen(seen) if of.is_none_or(|mailbox| seen.mailbox == mailbox) => Some((record, seen)),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(record, _)| record.invoked);
    found
}

/// Those that may not be the latest.
fn lagged<'a>(history: &'a History, of: &str) -> Vec<(&'a Record, &'a Observation)> {
    let lagged = history.records.iter().filter_map(|record| match &record.event {
        Event::Lagged(seen) if seen.mailbox == of => Some((record, seen)),
        _ => None,
    });
    lagged.collect()
}

fn mailboxes(history: &History) -> Vec<String> {
    let mut found: Vec<String> = history
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Seen(seen) | Event::Lagged(seen) => Some(seen.mailbox.clone()),
            Event::Add { mailbox, .. } => Some(mailbox.clone()),
            _ => None,
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Whether the operation may have been done.
fn possible(record: &Record) -> bool {
    !matches!(record.outcome, Outcome::Fail | Outcome::Unavailable)
}

fn when(record: &Record) -> String {
    format!("client {} at {}..{}", record.client, record.invoked, record.returned)
}

fn shown(flags: &Flags) -> String {
    format!("({})", flags.iter().cloned().collect::<Vec<_>>().join(" "))
}

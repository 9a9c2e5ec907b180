//! Every command gets an answer that is one, and connections end, and changes are put off, only where something was broken.

use super::{Violation, violation, when};
use crate::history::{Event, History, Outcome, Record};

const ROW: &str = "answers";

pub fn check(history: &History) -> Vec<Violation> {
    let faults: Vec<&Record> =
        history.records.iter().filter(|record| matches!(record.event, Event::Fault(_))).collect();
    let excused = |record: &Record| {
        faults.iter().any(|fault| fault.invoked <= record.returned && record.invoked <= fault.returned)
    };
    history
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Wrong(text) => Some(violation(ROW, format!("{}: {text}", when(record)))),
            Event::Lost if !excused(record) => {
                Some(violation(ROW, format!("{}: the connection ended, and nobody killed the server", when(record))))
            }
            event if record.outcome == Outcome::Unavailable && !excused(record) => {
                Some(violation(ROW, format!("{}: {event:?} was put off, and nothing was wrong", when(record))))
            }
            _ => None,
        })
        .collect()
}

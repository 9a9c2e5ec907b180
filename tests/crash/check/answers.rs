//! Every command gets an answer that is one, and connections end only where something was killed.

use super::{Violation, violation, when};
use crate::history::{Event, History};

const ROW: &str = "answers";

pub fn check(history: &History) -> Vec<Violation> {
    let kills: Vec<u64> = history
        .records
        .iter()
        .filter(|record| matches!(record.event, Event::Killed))
        .map(|record| record.invoked)
        .collect();
    history
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Wrong(text) => Some(violation(ROW, format!("{}: {text}", when(record)))),
            Event::Lost if !kills.iter().any(|kill| (record.invoked..=record.returned).contains(kill)) => {
                Some(violation(ROW, format!("{}: the connection ended, and nobody killed the server", when(record))))
            }
            _ => None,
        })
        .collect()
}

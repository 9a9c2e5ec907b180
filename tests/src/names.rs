//! A client that makes, renames and deletes mailboxes of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::history::{Event, NameChange, Names, Outcome, Recorder};
use crate::message::{message, token_of};
use crate::random::Random;
use crate::session::{Ended, Endpoint, Session};
use crate::wire;
use crate::worker::outcome;

/// Its mailboxes.
pub const NAMES: &[&str] = &["own-a", "own-b", "own-c"];

pub struct NameWorker<'a> {
    pub number: usize,
    pub random: Random,
    pub recorder: &'a Recorder,
    pub tokens: &'a AtomicU64,
    pub session: Option<Session<'a>>,
}

impl NameWorker<'_> {
    /// One change, or a look at everything.
    pub fn step(&mut self, endpoint: &Endpoint) {
        match self.session.take() {
            None => self.session = Session::open(self.recorder, self.number, endpoint, false),
            Some(mut session) => {
                let done = if self.random.chance(40) { self.look(&mut session) } else { self.change(&mut session) };
                if done.is_ok() {
                    self.session = Some(session);
                }
            }
        }
    }

    /// A look at everything, on a connection of its own.
    pub fn look_once(&mut self, endpoint: &Endpoint) {
        if let Some(mut session) = Session::open(self.recorder, self.number, endpoint, false) {
            let _ = self.look(&mut session);
        }
    }

    fn change(&mut self, session: &mut Session<'_>) -> Result<(), Ended> {
        let name = NAMES[self.random.below(NAMES.len())].to_owned();
        let invoked = self.recorder.now();
        let (change, answer) = match self.random.below(10) {
            0..2 => (NameChange::Create(name.clone()), session.command(&format!("CREATE {name}"))),
            2..4 => (NameChange::Delete(name.clone()), session.command(&format!("DELETE {name}"))),
            4..7 => {
                let to = NAMES[self.random.below(NAMES.len())].to_owned();
                (NameChange::Rename(name.clone(), to.clone()), session.command(&format!("RENAME {name} {to}")))
            }
            _ => {
                let token = self.tokens.fetch_add(1, Ordering::Relaxed);
                let octets = message(token);
                let line = format!("APPEND {name} {{{}+}}\r\n", octets.len());
                let answer = session.command_octets(&line, &[line.as_bytes(), &octets].concat());
                (NameChange::Append { name, token }, answer)
            }
        };
        self.recorder.record(self.number, invoked, outcome(&answer), Event::Name(change));
        answer.map(drop)
    }

    fn look(&mut self, session: &mut Session<'_>) -> Result<(), Ended> {
        let invoked = self.recorder.now();
        let list = session.command("LIST \"\" own-*")?;
        let mut lags = wire::lags(&list.untagged);
        let mut names = Names::new();
        for name in NAMES {
            if !list.untagged.iter().any(|response| wire::text(response).trim_end_matches('"').ends_with(name)) {
                continue;
            }
            let selected = session.command(&format!("EXAMINE {name}"))?;
            lags |= wire::lags(&selected.untagged);
            let validity =
                selected.untagged.iter().find_map(|line| wire::number_after(&wire::text(line), "[UIDVALIDITY "));
            let all = session.command("UID FETCH 1:* (UID BODY.PEEK[])")?;
            let messages: BTreeMap<_, _> = all
                .untagged
                .iter()
                .filter_map(wire::fetched)
                .filter_map(|fetched| Some((fetched.uid?, token_of(&fetched.body?).unwrap_or(0))))
                .collect();
            let validity = validity.and_then(|validity| validity.try_into().ok()).unwrap_or(0);
            names.insert((*name).to_owned(), (validity, messages));
        }
        if !lags {
            self.recorder.record(self.number, invoked, Outcome::Ok, Event::Names(names));
        }
        Ok(())
    }
}

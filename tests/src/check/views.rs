//! What a session is told without asking: by the rules, and enough to know the mailbox.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, shown, violation};
use crate::history::{Flags, History, Step, Uid, place_of};

pub fn check(history: &History) -> Vec<Violation> {
    history
        .sessions
        .iter()
        .flat_map(|(client, steps)| {
            let mut view = View { client: *client, ..View::default() };
            steps.iter().for_each(|step| view.step(step));
            view.found
        })
        .collect()
}

/// What a client that believes every response knows of the selected mailbox.
#[derive(Default)]
struct View {
    client: usize,
    qresync: bool,
    command: String,
    by_number: bool,
    /// By message number; a UID is `None` until it is told.
    uids: Vec<Option<Uid>>,
    flags: BTreeMap<Uid, Flags>,
    gone: BTreeSet<Uid>,
    found: Vec<Violation>,
}

impl View {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Select { exists, qresync } => {
                self.qresync = *qresync;
                self.uids = vec![None; *exists as usize];
                self.flags.clear();
                self.gone.clear();
                self.by_number = false;
                self.command = "SELECT".to_owned();
            }
            Step::Command { text, by_number } => {
                self.command.clone_from(text);
                self.by_number = *by_number;
            }
            Step::Exists(count) => {
                if (*count as usize) < self.uids.len() {
                    self.broken(format!("EXISTS fell from {} to {count}", self.uids.len()));
                }
                self.uids.resize(*count as usize, None);
            }
            Step::Expunge(number) => self.expunge(*number),
            Step::Vanished(uids) => self.vanished(uids),
            Step::Fetch { number, uid, flags } => self.fetch(*number, *uid, flags.as_ref()),
            Step::Settled(fresh) => self.settled(fresh),
        }
    }

    fn expunge(&mut self, number: u32) {
        if self.qresync {
            self.broken(format!("EXPUNGE {number} although QRESYNC is enabled"));
        }
        if self.by_number {
            self.broken(format!("EXPUNGE {number} in answer to a command by message number"));
        }
        let index = (number as usize).wrapping_sub(1);
        if index >= self.uids.len() {
            return self.broken(format!("EXPUNGE {number} of {} messages", self.uids.len()));
        }
        if let Some(uid) = self.uids.remove(index) {
            self.flags.remove(&uid);
            self.gone.insert(uid);
        }
    }

    fn vanished(&mut self, uids: &[Uid]) {
        if !self.qresync {
            self.broken(format!("VANISHED {uids:?} although QRESYNC is not enabled"));
        }
        if self.by_number {
            self.broken(format!("VANISHED {uids:?} in answer to a command by message number"));
        }
        for uid in uids {
            if !self.gone.insert(*uid) {
                self.broken(format!("UID {uid} is told to have vanished a second time"));
                continue;
            }
            self.flags.remove(uid);
            match place_of(*uid, &self.uids) {
                Some(index) => drop(self.uids.remove(index)),
                None => self.broken(format!("UID {uid} vanished, which was not there")),
            }
        }
    }

    fn fetch(&mut self, number: u32, uid: Option<Uid>, flags: Option<&Flags>) {
        let index = (number as usize).wrapping_sub(1);
        let Some(known) = self.uids.get(index).copied() else {
            return self.broken(format!("FETCH of message {number} of {}", self.uids.len()));
        };
        if let Some(uid) = uid {
            if known.is_some_and(|known| known != uid) {
                self.broken(format!("message {number} was UID {known:?} and is UID {uid}"));
            }
            self.uids[index] = Some(uid);
            let before = self.uids[..index].iter().flatten().max().copied();
            let behind = self.uids[index + 1..].iter().flatten().min().copied();
            if before.is_some_and(|before| before >= uid) || behind.is_some_and(|behind| behind <= uid) {
                self.broken(format!("message {number} is UID {uid}, between {before:?} and {behind:?}"));
            }
        }
        if let (Some(uid), Some(flags)) = (uid.or(known), flags) {
            self.flags.insert(uid, flags.clone());
        }
    }

    fn settled(&mut self, fresh: &BTreeMap<Uid, Flags>) {
        let known: BTreeSet<Uid> = self.uids.iter().flatten().copied().collect();
        let there: BTreeSet<Uid> = fresh.keys().copied().collect();
        // Those of which only the number is known can be any that are not known.
        let unknown = self.uids.iter().filter(|uid| uid.is_none()).count();
        if !known.is_subset(&there) || known.len() + unknown != there.len() {
            let text =
                format!("client {}: it knows {known:?} and {unknown} more, and there are {there:?}", self.client);
            self.found.push(violation("view-equal", text));
        }
        let differing = self.flags.iter().filter_map(|(uid, flags)| {
            let there = fresh.get(uid)?;
            (there != flags).then(|| (*uid, flags.clone(), there.clone()))
        });
        for (uid, flags, there) in differing.collect::<Vec<_>>() {
            let text =
                format!("client {}: UID {uid} is known as {} and is {}", self.client, shown(&flags), shown(&there));
            self.found.push(violation("view-equal", text));
        }
    }

    fn broken(&mut self, text: String) {
        let text = format!("client {} during {}: {text}", self.client, self.command);
        self.found.push(violation("view-rules", text));
    }
}

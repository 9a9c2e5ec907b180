//! Messages that are told to be there are there, those told to be gone are gone, and no other ever shows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, lagged, mailboxes, observations, possible, violation, when};
use crate::history::{Event, History, How, Observation, Outcome, Record, Token, Uid};

pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let names = mailboxes(history);
    let all: BTreeMap<&str, Messages<'_>> =
        names.iter().map(|mailbox| (mailbox.as_str(), Messages::new(history, mailbox))).collect();
    for messages in all.values() {
        found.extend(messages.one_body());
        found.extend(messages.durable());
        found.extend(messages.whole_appends());
        found.extend(messages.no_phantom());
        found.extend(messages.final_expunges());
    }
    found.extend(moves_lose_nothing(history, &all));
    found.extend(history.records.iter().filter_map(|record| match &record.event {
        Event::Damaged(text) => Some(violation("body-intact", format!("{}: {text}", when(record)))),
        _ => None,
    }));
    found
}

/// What brought messages, which, how, and the UIDs that were told.
type Add<'a> = (&'a Record, &'a [Token], How, Option<&'a [Uid]>);

/// What a history has about one mailbox.
struct Messages<'a> {
    history: &'a History,
    mailbox: &'a str,
    /// By their beginnings.
    seen: Vec<(&'a Record, &'a Observation)>,
    /// Those that may not be the latest.
    lagged: Vec<(&'a Record, &'a Observation)>,
    /// Who saw a UID last, by the beginnings.
    last_seen: BTreeMap<Uid, &'a Record>,
    adds: Vec<Add<'a>>,
    /// The UIDs that a token was ever known to have.
    known: BTreeMap<Token, BTreeSet<Uid>>,
    /// Tokens that COPY or MOVE may have brought.
    copied: BTreeSet<Token>,
    /// What may have removed messages.
    removals: Vec<&'a Record>,
    /// What may have set `\\Deleted`, which is only ever set in the shared mailboxes.
    deletions: BTreeMap<Uid, Vec<&'a Record>>,
}

impl<'a> Messages<'a> {
    fn new(history: &'a History, mailbox: &'a str) -> Self {
        let seen = observations(history, Some(mailbox));
        let mut messages = Self {
            history,
            mailbox,
            seen,
            lagged: lagged(history, mailbox),
            last_seen: BTreeMap::new(),
            adds: Vec::new(),
            known: BTreeMap::new(),
            copied: BTreeSet::new(),
            removals: Vec::new(),
            deletions: BTreeMap::new(),
        };
        for (record, observation) in &messages.seen {
            for (uid, message) in &observation.messages {
                messages.known.entry(message.token).or_default().insert(*uid);
                messages.last_seen.insert(*uid, record);
            }
        }
        for (uid, message) in messages.lagged.iter().flat_map(|(_, observation)| &observation.messages) {
            messages.known.entry(message.token).or_default().insert(*uid);
        }
        for record in &history.records {
            messages.index(record);
        }
        messages
    }

    fn index(&mut self, record: &'a Record) {
        match &record.event {
            Event::Add { mailbox, tokens, how, uids } if mailbox == self.mailbox => {
                for (token, uid) in tokens.iter().zip(uids.iter().flatten()) {
                    self.known.entry(*token).or_default().insert(*uid);
                }
                if matches!(how, How::Copy | How::Move) {
                    self.copied.extend(tokens);
                }
                self.adds.push((record, tokens.as_slice(), *how, uids.as_deref()));
            }
            Event::Remove { mailbox, .. } if mailbox == self.mailbox && possible(record) => self.removals.push(record),
            Event::Flag { mailbox, uids, flag, set: true }
                if mailbox == self.mailbox && flag == "\\Deleted" && possible(record) =>
            {
                for uid in uids {
                    self.deletions.entry(*uid).or_default().push(record);
                }
            }
            _ => {}
        }
    }

    /// The observations that began after this moment.
    fn seen_after(&self, moment: u64) -> &[(&'a Record, &'a Observation)] {
        &self.seen[self.seen.partition_point(|(record, _)| record.invoked <= moment)..]
    }

    /// A UID is one message for ever.
    fn one_body(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut bodies: BTreeMap<(u32, Uid), (Token, &str, String)> = BTreeMap::new();
        for (record, observation) in self.seen.iter().chain(&self.lagged) {
            for (uid, message) in &observation.messages {
                let first = bodies
                    .entry((observation.validity, *uid))
                    .or_insert_with(|| (message.token, &message.hash, when(record)));
                if first.0 != message.token {
                    let text = format!(
                        "{} UID {uid} was message {} ({}) and is message {} ({})",
                        self.mailbox,
                        first.0,
                        first.2,
                        message.token,
                        when(record)
                    );
                    found.push(violation("uid-unique", text));
                } else if first.1 != message.hash {
                    let text = format!(
                        "{} UID {uid} had other octets ({}) than now ({})",
                        self.mailbox,
                        first.2,
                        when(record)
                    );
                    found.push(violation("body-intact", text));
                }
            }
        }
        let mut by_uid: BTreeMap<Uid, Vec<_>> = BTreeMap::new();
        for ((_, uid), body) in &bodies {
            by_uid.entry(*uid).or_default().push(body);
        }
        for (record, tokens, _, uids) in self.adds.iter().filter(|(record, ..)| record.outcome == Outcome::Ok) {
            for (token, uid) in tokens.iter().zip(uids.iter().copied().flatten()) {
                for (seen_token, _, seen_when) in by_uid.get(uid).into_iter().flatten() {
                    if seen_token != token {
                        let text = format!(
                            "{}: {} was told UID {uid} for message {token}, which {seen_when} saw as message {seen_token}",
                            self.mailbox,
                            when(record)
                        );
                        found.push(violation("uid-unique", text));
                    }
                }
            }
        }
        found
    }

    /// What was told to be there shows in whatever begins later.
    fn durable(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (record, tokens, _, uids) in self.adds.iter().filter(|(record, ..)| record.outcome == Outcome::Ok) {
            for (index, token) in tokens.iter().enumerate() {
                let uid = uids.and_then(|uids| uids.get(index)).copied();
                for (seen_by, seen) in self.seen_after(record.returned) {
                    let there = match uid {
                        Some(uid) => seen.messages.contains_key(&uid),
                        None => seen.messages.values().any(|message| message.token == *token),
                    };
                    if there {
                        continue;
                    }
                    let candidates: Vec<Uid> = match uid {
                        Some(uid) => vec![uid],
                        None => self.known.get(token).into_iter().flatten().copied().collect(),
                    };
                    if !candidates.iter().any(|uid| self.may_be_removed(*uid, *token, seen_by.returned)) {
                        let text = format!(
                            "{}: message {token} (UID {uid:?}) was acknowledged to {}, nobody removed it, and {} does not see it",
                            self.mailbox,
                            when(record),
                            when(seen_by)
                        );
                        found.push(violation("append-durable", text));
                    }
                    break;
                }
            }
        }
        found
    }

    /// Of an APPEND of several either all come or none.
    fn whole_appends(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (record, tokens, ..) in
            self.adds.iter().filter(|(_, tokens, how, _)| tokens.len() > 1 && *how == How::Append)
        {
            for (seen_by, seen) in &self.seen {
                let there = |token: &Token| seen.messages.values().any(|message| message.token == *token);
                let excused = |token: &Token| {
                    let uids = self.known.get(token);
                    uids.is_some_and(|uids| uids.iter().any(|uid| self.may_be_removed(*uid, *token, seen_by.returned)))
                };
                let (here, missing): (Vec<Token>, Vec<Token>) = tokens.iter().copied().partition(there);
                if !here.is_empty() && !missing.iter().all(excused) {
                    let text = format!(
                        "{}: {} appended {tokens:?} in one command, and {} sees {here:?} alone",
                        self.mailbox,
                        when(record),
                        when(seen_by)
                    );
                    found.push(violation("append-durable", text));
                    break;
                }
            }
        }
        found
    }

    fn no_phantom(&self) -> Vec<Violation> {
        let mut causes: BTreeMap<Token, usize> = BTreeMap::new();
        for (_, tokens, ..) in self.adds.iter().filter(|(record, ..)| possible(record)) {
            tokens.iter().for_each(|token| *causes.entry(*token).or_default() += 1);
        }
        let phantoms = self.known.iter().filter(|(token, uids)| uids.len() > causes.get(token).copied().unwrap_or(0));
        phantoms
            .map(|(token, uids)| {
                let text = format!(
                    "{}: message {token} is there as UIDs {uids:?}, but only {} commands can have brought it",
                    self.mailbox,
                    causes.get(token).copied().unwrap_or(0)
                );
                violation("no-phantom", text)
            })
            .collect()
    }

    fn final_expunges(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for record in self.history.records.iter().filter(|record| record.outcome == Outcome::Ok) {
            let gone: Vec<Uid> = match &record.event {
                Event::Gone { mailbox, uids } if mailbox == self.mailbox => uids.clone(),
                Event::Remove { mailbox, uids: Some(uids), needs_deleted } if mailbox == self.mailbox => uids
                    .iter()
                    .copied()
                    .filter(|uid| !needs_deleted || self.surely_deleted(*uid, record.invoked))
                    .collect(),
                _ => continue,
            };
            let back = gone.iter().find_map(|uid| {
                let seen_by = self.last_seen.get(uid)?;
                (seen_by.invoked > record.returned).then_some((uid, seen_by))
            });
            if let Some((uid, seen_by)) = back {
                let text = format!(
                    "{} UID {uid}: {} was told that it is gone, and {} sees it again",
                    self.mailbox,
                    when(record),
                    when(seen_by)
                );
                found.push(violation("expunge-final", text));
            }
        }
        found
    }

    /// Whether a command that may have removed the message was sent before `until`.
    fn may_be_removed(&self, uid: Uid, token: Token, until: u64) -> bool {
        self.removals.iter().filter(|record| record.invoked < until && covers(record, uid)).any(|record| {
            let needs_deleted = matches!(record.event, Event::Remove { needs_deleted: true, .. });
            !needs_deleted || self.may_be_deleted(uid, token, until)
        })
    }

    /// A copy has the flags of what it was copied from, `\Deleted` among them.
    fn may_be_deleted(&self, uid: Uid, token: Token, until: u64) -> bool {
        self.copied.contains(&token) || self.deletions(uid).any(|record| record.invoked < until)
    }

    fn surely_deleted(&self, uid: Uid, before: u64) -> bool {
        self.deletions(uid).any(|record| record.outcome == Outcome::Ok && record.returned < before)
    }

    fn deletions(&self, uid: Uid) -> impl Iterator<Item = &'a Record> {
        self.deletions.get(&uid).into_iter().flatten().copied()
    }
}

/// Whether this removal names the message, or names none.
fn covers(removal: &Record, uid: Uid) -> bool {
    matches!(&removal.event, Event::Remove { uids, .. } if uids.as_ref().is_none_or(|uids| uids.contains(&uid)))
}

/// A MOVE that was cut off has either moved a message or left it: in the end it is in one of the two mailboxes.
fn moves_lose_nothing(history: &History, all: &BTreeMap<&str, Messages<'_>>) -> Vec<Violation> {
    let mut found = Vec::new();
    for pair in history.records.windows(2) {
        // Both halves of a MOVE are recorded one after the other, by the same client at the same moment.
        let [add, remove] = pair else { continue };
        let (
            Event::Add { mailbox: to, tokens, how: How::Move, .. },
            Event::Remove { mailbox: from, uids: Some(uids), .. },
        ) = (&add.event, &remove.event)
        else {
            continue;
        };
        if !possible(add) || add.client != remove.client || add.invoked != remove.invoked {
            continue;
        }
        let (Some(source), Some(target)) = (all.get(from.as_str()), all.get(to.as_str())) else { continue };
        let (Some((last_source, in_source)), Some((last_target, in_target))) = (source.seen.last(), target.seen.last())
        else {
            continue;
        };
        if last_source.invoked < remove.returned || last_target.invoked < add.returned {
            continue;
        }
        for (token, uid) in tokens.iter().zip(uids) {
            let there = in_source.messages.contains_key(uid)
                || in_target.messages.values().any(|message| message.token == *token);
            // Whoever else removed it from either mailbox is answered for elsewhere.
            let from_source =
                source.removals.iter().any(|other| other.invoked != remove.invoked && covers(other, *uid));
            let targets = target.known.get(token).into_iter().flatten();
            let others =
                from_source || targets.into_iter().any(|uid| target.removals.iter().any(|other| covers(other, *uid)));
            if !there && !others {
                let text =
                    format!("message {token}, {from} UID {uid}: {} moved it to {to}, and it is in neither", when(add));
                found.push(violation("append-durable", text));
            }
        }
    }
    found
}

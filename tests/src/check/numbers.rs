//! UIDs, UIDVALIDITY and mod-sequences only go up, in real time.

use std::collections::BTreeMap;

use super::{Violation, mailboxes, observations, violation, when};
use crate::history::{Event, History, Observation, Outcome, Record, Uid};

pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for mailbox in mailboxes(history) {
        let seen = observations(history, Some(&mailbox));
        found.extend(uids_ascend(history, &mailbox, &seen));
        found.extend(tops_never_fall(&seen));
        found.extend(message_modseqs(&seen));
    }
    found
}

fn uids_ascend(history: &History, mailbox: &str, seen: &[(&Record, &Observation)]) -> Vec<Violation> {
    let mut found = Vec::new();
    let told: Vec<(&Record, &[Uid])> = history
        .records
        .iter()
        .filter(|record| record.outcome == Outcome::Ok)
        .filter_map(|record| match &record.event {
            Event::Add { mailbox: into, uids: Some(uids), .. } if into == mailbox => Some((record, uids.as_slice())),
            _ => None,
        })
        .collect();
    for (record, uids) in &told {
        if !uids.is_sorted_by(|one, two| one < two) {
            found.push(violation("uid-ascending", format!("{mailbox}: {} was told {uids:?}", when(record))));
        }
        let earlier = told.iter().filter(|(other, _)| other.returned < record.invoked);
        let highest =
            earlier.flat_map(|(other, uids)| uids.iter().map(move |uid| (*uid, *other))).max_by_key(|(uid, _)| *uid);
        if let (Some((highest, by)), Some(lowest)) = (highest, uids.iter().min())
            && *lowest <= highest
        {
            let text = format!("{mailbox}: {} got UID {lowest} after {} had got {highest}", when(record), when(by));
            found.push(violation("uid-ascending", text));
        }
        for (seen_by, seen) in seen.iter().filter(|(seen, _)| seen.invoked > record.returned) {
            if let Some(uid) = uids.iter().find(|uid| **uid >= seen.uid_next) {
                let text = format!(
                    "{mailbox}: {} was told UIDNEXT {} after {} had been told UID {uid}",
                    when(seen_by),
                    seen.uid_next,
                    when(record)
                );
                found.push(violation("uid-ascending", text));
                break;
            }
        }
    }
    found
}

fn tops_never_fall(seen: &[(&Record, &Observation)]) -> Vec<Violation> {
    let mut found = Vec::new();
    // The highest so far, by the end of the observation: for each, those that ended before it began.
    let mut ended: Vec<_> = seen.to_vec();
    ended.sort_by_key(|(record, _)| record.returned);
    let mut uid_next: Option<(Uid, &Record)> = None;
    let mut modseq: Option<(u64, &Record)> = None;
    let mut ended = ended.into_iter().peekable();
    for (record, observation) in seen {
        while let Some((past, before)) = ended.next_if(|(past, _)| past.returned < record.invoked) {
            if before.validity != observation.validity {
                let text = format!(
                    "{}: {} was told {}, then {} was told {}",
                    observation.mailbox,
                    when(past),
                    before.validity,
                    when(record),
                    observation.validity
                );
                found.push(violation("uidvalidity-stable", text));
            }
            if uid_next.is_none_or(|(highest, _)| highest < before.uid_next) {
                uid_next = Some((before.uid_next, past));
            }
            if modseq.is_none_or(|(highest, _)| highest < before.highest_modseq) {
                modseq = Some((before.highest_modseq, past));
            }
        }
        if let Some((highest, by)) = uid_next.filter(|(highest, _)| *highest > observation.uid_next) {
            let text = format!(
                "{}: UIDNEXT was {highest} for {} and fell to {} for {}",
                observation.mailbox,
                when(by),
                observation.uid_next,
                when(record)
            );
            found.push(violation("uid-ascending", text));
        }
        if let Some((highest, by)) = modseq.filter(|(highest, _)| *highest > observation.highest_modseq) {
            let text = format!(
                "{}: HIGHESTMODSEQ was {highest} for {} and fell to {} for {}",
                observation.mailbox,
                when(by),
                observation.highest_modseq,
                when(record)
            );
            found.push(violation("modseq-monotonic", text));
        }
    }
    found
}

/// A message's own never falls, and a mailbox's is above those that were seen before.
fn message_modseqs(seen: &[(&Record, &Observation)]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut ended: Vec<_> = seen.to_vec();
    ended.sort_by_key(|(record, _)| record.returned);
    let mut ended = ended.into_iter().peekable();
    let mut highest: BTreeMap<Uid, (u64, &Record)> = BTreeMap::new();
    for (record, observation) in seen {
        while let Some((past, before)) = ended.next_if(|(past, _)| past.returned < record.invoked) {
            for (uid, message) in &before.messages {
                let known = highest.entry(*uid).or_insert((message.modseq, past));
                if known.0 < message.modseq {
                    *known = (message.modseq, past);
                }
            }
        }
        for (uid, message) in &observation.messages {
            let Some((before, by)) = highest.get(uid) else { continue };
            if message.modseq < *before {
                let text = format!(
                    "{} UID {uid}: MODSEQ was {before} for {} and fell to {} for {}",
                    observation.mailbox,
                    when(by),
                    message.modseq,
                    when(record)
                );
                found.push(violation("modseq-monotonic", text));
            }
        }
        if let Some((uid, (modseq, by))) = highest.iter().find(|(_, (modseq, _))| *modseq > observation.highest_modseq)
        {
            let text = format!(
                "{} UID {uid}: {} saw MODSEQ {modseq}, then {} was told HIGHESTMODSEQ {}",
                observation.mailbox,
                when(by),
                when(record),
                observation.highest_modseq
            );
            found.push(violation("modseq-monotonic", text));
        }
    }
    found
}

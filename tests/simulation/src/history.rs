//! What clients were told, and what must hold because of it.

use std::collections::{BTreeMap, BTreeSet};

use paquebot_types::{BlobHash, Flags, MailboxId, ShardId};

use crate::view::View;

/// A mailbox of a shard.
pub type Place = (ShardId, MailboxId);

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<T> {
    Ok(T),
    /// Told that it was not done, and never will be.
    Fail,
    Unknown,
}

/// Everything that clients asked for and heard, of the whole cluster.
#[derive(Debug, Default)]
pub struct History {
    /// Which body a UID was acknowledged for.
    uids: BTreeMap<(Place, u32), BlobHash>,
    /// Messages that somebody asked to be expunged or moved away.
    leaving: BTreeSet<(Place, u32)>,
    gone: BTreeSet<(Place, u32)>,
    flagged: BTreeSet<(Place, u32)>,
    refused: BTreeSet<BlobHash>,
    /// UIDNEXT and HIGHESTMODSEQ, the highest that anybody saw.
    highest: BTreeMap<Place, (u32, u64)>,
    pub acknowledged: usize,
    pub unknown: usize,
    pub failed: usize,
    /// What is wrong.
    pub breaches: Vec<String>,
}

impl History {
    fn count<T>(&mut self, end: &End<T>) {
        match end {
            End::Ok(_) => self.acknowledged += 1,
            End::Fail => self.failed += 1,
            End::Unknown => self.unknown += 1,
        }
    }

    pub fn appended(&mut self, place: Place, hash: BlobHash, end: End<u32>) {
        self.count(&end);
        match end {
            End::Ok(uid) => self.given(place, uid, hash),
            End::Fail => drop(self.refused.insert(hash)),
            End::Unknown => {}
        }
    }

    fn given(&mut self, place: Place, uid: u32, hash: BlobHash) {
        if let Some(before) = self.uids.insert((place, uid), hash)
            && before != hash
        {
            self.breaches.push(format!("{place:?}: UID {uid} was given to two messages"));
        }
    }

    /// Somebody is about to ask for this.
    pub fn leaves(&mut self, place: Place, uid: u32) {
        self.leaving.insert((place, uid));
    }

    pub fn expunged(&mut self, place: Place, uid: u32, end: End<()>) {
        self.count(&end);
        if end == End::Ok(()) {
            self.gone.insert((place, uid));
        }
    }

    pub fn moved(&mut self, from: (Place, u32), to: Place, hash: BlobHash, end: End<Option<u32>>) {
        self.count(&end);
        if let End::Ok(moved) = end {
            self.gone.insert(from);
            if let Some(uid) = moved {
                self.given(to, uid, hash);
            }
        }
    }

    pub fn flagged(&mut self, place: Place, uid: u32, end: End<()>) {
        self.count(&end);
        if end == End::Ok(()) {
            self.flagged.insert((place, uid));
        }
    }

    /// What a node shows that is up to date, when this began or since.
    pub fn saw(&mut self, node: usize, shard: ShardId, view: &View, known: &Known) {
        for (id, shown) in &view.mailboxes {
            let place = (shard, *id);
            let highest = self.highest.entry(place).or_default();
            let before = known.highest.get(&place).copied().unwrap_or_default();
            if shown.uid_next < before.0 || shown.modseq < before.1 {
                let now = (shown.uid_next, shown.modseq);
                self.breaches
                    .push(format!("{place:?}: node {node} shows {now:?} as UIDNEXT and modseq after {before:?}"));
            }
            *highest = (highest.0.max(shown.uid_next), highest.1.max(shown.modseq));
        }
        for (place, uid) in known.gone.iter().filter(|((of, _), _)| *of == shard) {
            if view.mailboxes.get(&place.1).is_some_and(|shown| shown.messages.contains_key(uid)) {
                self.breaches.push(format!("{place:?}: node {node} shows UID {uid}, which is gone"));
            }
        }
        for ((place, uid), hash) in known.uids.iter().filter(|(((of, _), _), _)| *of == shard) {
            let shown = view.mailboxes.get(&place.1).and_then(|shown| shown.messages.get(uid));
            match shown {
                Some((found, _)) if found != hash => {
                    self.breaches.push(format!("{place:?}: node {node} shows another message under UID {uid}"));
                }
                None if !self.leaving.contains(&(*place, *uid)) => {
                    self.breaches.push(format!("{place:?}: node {node} has lost UID {uid}"));
                }
                _ => {}
            }
        }
        for key @ (place, uid) in known.flagged.iter().filter(|((of, _), _)| *of == shard) {
            let shown = view.mailboxes.get(&place.1).and_then(|shown| shown.messages.get(uid));
            if shown.is_some_and(|(_, flags)| !flags.contains(Flags::FLAGGED)) {
                self.breaches.push(format!("{key:?}: node {node} has lost a flag"));
            }
        }
        let mut bodies = BTreeSet::new();
        for hash in view.mailboxes.values().flat_map(|shown| shown.messages.values()).map(|(hash, _)| hash) {
            if !bodies.insert(*hash) {
                self.breaches.push(format!("shard {shard}: node {node} shows a message twice"));
            }
            if self.refused.contains(hash) {
                self.breaches.push(format!("shard {shard}: node {node} shows a message that was refused"));
            }
        }
    }

    /// What has been acknowledged so far.
    pub fn known(&self) -> Known {
        Known {
            uids: self.uids.clone(),
            gone: self.gone.clone(),
            flagged: self.flagged.clone(),
            highest: self.highest.clone(),
        }
    }
}

/// What had been acknowledged, or seen, when a read began: the read shows it.
pub struct Known {
    uids: BTreeMap<(Place, u32), BlobHash>,
    gone: BTreeSet<(Place, u32)>,
    flagged: BTreeSet<(Place, u32)>,
    highest: BTreeMap<Place, (u32, u64)>,
}

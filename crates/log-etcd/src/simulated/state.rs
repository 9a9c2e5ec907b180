//! Keys, revisions and history, as etcd has them.

use std::collections::{BTreeMap, VecDeque};

use crate::kv::{Answer, Condition, Event, Found, Op, Pair, Txn};

pub struct State {
    revision: i64,
    keys: BTreeMap<String, Pair>,
    /// What each revision changed, from the one after `compacted` on.
    history: VecDeque<(i64, Vec<Event>)>,
    compacted: i64,
}

impl Default for State {
    fn default() -> Self {
        Self { revision: 1, keys: BTreeMap::new(), history: VecDeque::new(), compacted: 0 }
    }
}

impl State {
    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn carry_out(&mut self, txn: &Txn) -> Answer {
        let happened = txn.when.iter().all(|condition| self.holds(condition));
        let next = self.revision + 1;
        let mut events = Vec::new();
        let ops = if happened { &txn.then } else { &txn.otherwise };
        let found = ops.iter().map(|op| self.operate(op, next, &mut events)).collect();
        if !events.is_empty() {
            self.revision = next;
            self.history.push_back((next, events));
        }
        Answer { happened, revision: self.revision, found }
    }

    fn holds(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Absent(key) => !self.keys.contains_key(key),
            Condition::NoneUnder(prefix) => self.under(prefix).next().is_none(),
            Condition::Holds(key, value) => self.keys.get(key).is_some_and(|pair| pair.value == *value),
        }
    }

    fn operate(&mut self, op: &Op, revision: i64, events: &mut Vec<Event>) -> Found {
        let one = |pair: Option<Pair>| Found { count: pair.is_some().into(), pairs: pair.into_iter().collect() };
        match op {
            Op::Put(key, value) => {
                let pair = self.keys.entry(key.clone()).or_insert_with(|| Pair {
                    key: key.clone().into(),
                    made: revision,
                    ..Pair::default()
                });
                (pair.value, pair.changed) = (value.clone(), revision);
                pair.version += 1;
                events.push(Event::Put(pair.clone()));
                Found::default()
            }
            Op::Delete(key) => {
                if self.keys.remove(key).is_some() {
                    events.push(Event::Delete(Pair { key: key.clone().into(), changed: revision, ..Pair::default() }));
                }
                Found::default()
            }
            Op::Get(key) => one(self.keys.get(key).cloned()),
            Op::Name(key) => one(self.keys.get(key).map(name)),
            Op::Names(prefix) => {
                let mut pairs: Vec<Pair> = self.under(prefix).map(name).collect();
                pairs.sort_by_key(|pair| pair.made);
                Found { count: pairs.len() as u64, pairs }
            }
            Op::Count(prefix) => Found { count: self.under(prefix).count() as u64, pairs: Vec::new() },
        }
    }

    fn under<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'s Pair> {
        let from = self.keys.range(prefix.to_string()..);
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(_, pair)| pair)
    }

    /// What happened under a prefix from a revision on, for at most `count` revisions, and the last revision that this tells of; `None` if some of it
    /// is forgotten.
    pub fn events(&self, prefix: &str, from: i64, count: usize) -> Option<(Vec<Event>, i64)> {
        if from <= self.compacted {
            return None;
        }
        let mut found: Vec<Event> = Vec::new();
        let mut revisions = 0;
        for (revision, events) in self.history.iter().filter(|(revision, _)| *revision >= from) {
            if revisions == count {
                return Some((found, revision - 1));
            }
            let before = found.len();
            found.extend(events.iter().filter(|event| is_under(event, prefix)).cloned());
            revisions += usize::from(found.len() > before);
        }
        Some((found, self.revision))
    }

    pub fn compact(&mut self, upto: i64) {
        self.compacted = self.compacted.max(upto.min(self.revision));
        while self.history.front().is_some_and(|(revision, _)| *revision <= self.compacted) {
            self.history.pop_front();
        }
    }
}

fn name(pair: &Pair) -> Pair {
    Pair { value: Vec::new(), ..pair.clone() }
}

fn is_under(event: &Event, prefix: &str) -> bool {
    let (Event::Put(pair) | Event::Delete(pair)) = event;
    pair.key.starts_with(prefix.as_bytes())
}

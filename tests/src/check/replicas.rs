//! While nobody changes anything, every server shows the same.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, shown, violation, when};
use crate::history::{Event, History, Message, Observation};

const ROW: &str = "replicas-equal";

pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for record in &history.records {
        let Event::Replicas(servers) = &record.event else { continue };
        let mut servers = servers.iter();
        let Some((first, expected)) = servers.next() else { continue };
        let expected = by_name(expected);
        for (other, seen) in servers {
            for difference in differences((first, &expected), (other, &by_name(seen))) {
                found.push(violation(ROW, format!("{}: {difference}", when(record))));
            }
        }
    }
    found
}

type Mailboxes<'a> = BTreeMap<&'a str, &'a Observation>;

fn by_name(observations: &[Observation]) -> Mailboxes<'_> {
    observations.iter().map(|observation| (observation.mailbox.as_str(), observation)).collect()
}

fn differences((one, left): (&str, &Mailboxes<'_>), (two, right): (&str, &Mailboxes<'_>)) -> Vec<String> {
    let mut found = Vec::new();
    let names: BTreeSet<&str> = left.keys().chain(right.keys()).copied().collect();
    for name in names {
        let (Some(here), Some(there)) = (left.get(name), right.get(name)) else {
            let has = if left.contains_key(name) { one } else { two };
            found.push(format!("of {one} and {two} only {has} has {name}"));
            continue;
        };
        let numbers = |seen: &Observation| (seen.validity, seen.uid_next, seen.highest_modseq);
        if numbers(here) != numbers(there) {
            found.push(format!(
                "{name}: UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ are {:?} on {one} and {:?} on {two}",
                numbers(here),
                numbers(there)
            ));
        }
        let uids: BTreeSet<u32> = here.messages.keys().chain(there.messages.keys()).copied().collect();
        for uid in uids {
            let (left, right) = (here.messages.get(&uid), there.messages.get(&uid));
            if left != right {
                found.push(format!("{name} UID {uid}: {one} shows {}, {two} shows {}", told(left), told(right)));
            }
        }
    }
    found
}

fn told(message: Option<&Message>) -> String {
    message.map_or_else(
        || "nothing".to_owned(),
        |message| {
            format!("message {} {} MODSEQ {} {}", message.token, shown(&message.flags), message.modseq, message.hash)
        },
    )
}

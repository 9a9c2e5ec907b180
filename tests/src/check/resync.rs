//! A cache brought up to date by QRESYNC is the mailbox, and CHANGEDSINCE leaves nothing out.

use super::{Violation, shown, violation, when};
use crate::history::{Event, History};

const ROW: &str = "qresync-complete";

pub fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for record in &history.records {
        match &record.event {
            Event::Resync(resync) => {
                for (uid, message) in &resync.full {
                    if message.modseq > resync.highest_modseq {
                        continue;
                    }
                    let text = match resync.cache.get(uid) {
                        None => "it was not told".to_owned(),
                        Some((flags, _)) if *flags != message.flags => {
                            format!("the cache has {}, it has {}", shown(flags), shown(&message.flags))
                        }
                        Some((_, modseq)) if *modseq != message.modseq => {
                            format!("the cache has MODSEQ {modseq}, it has {}", message.modseq)
                        }
                        Some(_) => continue,
                    };
                    let text = format!(
                        "{} UID {uid}, MODSEQ {} of {}: {text} ({}); {}",
                        resync.mailbox,
                        message.modseq,
                        resync.highest_modseq,
                        when(record),
                        resync.said
                    );
                    found.push(violation(ROW, text));
                }
                let left =
                    resync.cache.keys().filter(|uid| !resync.full.contains_key(uid) && !resync.gone.contains(uid));
                for uid in left {
                    let text =
                        format!("{} UID {uid}: it is gone and was not told to be ({})", resync.mailbox, when(record));
                    found.push(violation(ROW, text));
                }
            }
            Event::Changed { since, answered, before, gone } => {
                let left_out = before
                    .iter()
                    .filter(|(uid, message)| message.modseq > *since && !answered.contains(uid) && !gone.contains(uid));
                for (uid, message) in left_out {
                    let text = format!(
                        "UID {uid} with MODSEQ {} is not in the answer to CHANGEDSINCE {since} ({})",
                        message.modseq,
                        when(record)
                    );
                    found.push(violation(ROW, text));
                }
            }
            _ => {}
        }
    }
    found
}

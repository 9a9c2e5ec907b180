//! Judging a message by a plan, with as much of the message as is at hand.

use paquebot_message::Form;
use paquebot_message::search::header_contains;
use paquebot_model::Message;
use paquebot_types::SeqNum;

use super::envelope;
use super::plan::{Level, Node, Plan, Test};
use crate::machine::bodies::Indexed;

/// What is known of a message. What is `None` has not been read yet.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub seq_num: SeqNum,
    pub message: &'a Message,
    pub recent: bool,
    pub indexed: Option<Indexed<'a>>,
    /// The message's header as stored.
    pub header: Option<&'a [u8]>,
    /// For each test of a text in the header whether it is so, once they are all looked at: see [`Plan::know`].
    pub known: Option<&'a [bool]>,
    /// For each of [`Plan::bodies`] whether it was found.
    pub found: Option<&'a [Option<bool>]>,
}

impl Plan {
    /// Whether the message is one that was asked for; `None` if that depends on what has not been read.
    pub(super) fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        self.root.judge(facts)
    }

    /// For each test of a text in the header whether it is so, by their places.
    pub(super) fn know(&self, facts: &Facts<'_>) -> Vec<bool> {
        let mut known = vec![false; usize::try_from(self.header_texts).unwrap_or(0)];
        self.root.know(facts, &mut known);
        known
    }

    /// Whether some test needs this level.
    pub(super) fn needs(&self, level: Level) -> bool {
        self.root.needs(level)
    }
}

impl Node {
    /// By Kleene's logic: what is not known makes a difference only where nothing that is known decides.
    fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        match self {
            Self::All(nodes) => decide(nodes, facts, false),
            Self::Any(nodes) => decide(nodes, facts, true),
            Self::Not(node) => node.judge(facts).map(|is_so| !is_so),
            Self::Test(test) => test.judge(facts),
        }
    }

    fn know(&self, facts: &Facts<'_>, known: &mut [bool]) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.know(facts, known)),
            Self::Not(node) => node.know(facts, known),
            Self::Test(test) => {
                if let Test::Envelope { place, .. } | Test::Header { place, .. } = &**test
                    && let Some(known) = known.get_mut(*place)
                {
                    *known = test.judge(facts).unwrap_or(false);
                }
            }
        }
    }

    fn needs(&self, level: Level) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(|node| node.needs(level)),
            Self::Not(node) => node.needs(level),
            Self::Test(test) => test.level() == level,
        }
    }
}

/// One node that comes to `decisive` decides; if all come to the other, so do they together.
fn decide(nodes: &[Node], facts: &Facts<'_>, decisive: bool) -> Option<bool> {
    let mut all_known = true;
    for node in nodes {
        match node.judge(facts) {
            Some(verdict) if verdict == decisive => return Some(decisive),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!decisive)
}

impl Test {
    fn judge(&self, facts: &Facts<'_>) -> Option<bool> {
        let message = facts.message;
        Some(match self {
            Self::Has(flags) => message.flags.contains(*flags),
            Self::Lacks(flags) => !message.flags.intersects(*flags),
            Self::Keyword(bits) => message.keywords() & bits != 0,
            Self::Recent => facts.recent,
            Self::SeqNums { set, last } => set.contains(facts.seq_num.get(), *last),
            Self::Uids(uids) => uids.contains(message.uid),
            Self::ChangedFrom(modseq) => message.modseq >= *modseq,
            Self::InternalDay(days) => days.contains(message.internal_date.local_day()),
            Self::SaveDay(days) => days.contains(message.save_date.div_euclid(86_400)),
            Self::NotAfter(moment) => message.internal_date.unix_seconds() <= *moment,
            Self::NotBefore(moment) => message.internal_date.unix_seconds() >= *moment,
            Self::Larger(octets) => u64::from(message.size) > *octets,
            Self::Smaller(octets) => u64::from(message.size) < *octets,
            Self::SentDay(days) => {
                let date = facts.indexed?.summary.sent_date();
                date.is_some_and(|date| days.contains(date.day.into()))
            }
            Self::EmailId(id) => facts.indexed?.hash.email_id() == *id,
            Self::ThreadId(id) => facts.indexed?.thread == Some(*id),
            Self::Envelope { place, field, needle } => match facts.known {
                Some(known) => known.get(*place).copied()?,
                None => envelope::contains(facts.indexed?.summary.envelope(Form::Utf8), *field, needle),
            },
            Self::Header { place, name, needle } => match facts.known {
                Some(known) => known.get(*place).copied()?,
                None => header_contains(facts.header?, name, needle),
            },
            Self::Body(place) => return facts.found?.get(*place).copied().flatten(),
        })
    }
}

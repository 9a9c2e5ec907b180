//! SORT (RFC 5256) with RETURN (RFC 5267, 3) and by what is shown of addresses (RFC 5957).

use std::cmp::Ordering;
use std::sync::Arc;

use paquebot_message::{Form, SummaryRef, casemap};
use paquebot_model::{Message, Scan};
use paquebot_protocol::command::{ReturnOptions, Sort, SortCriterion, SortKey};
use paquebot_protocol::response::ESearch;
use paquebot_protocol::{SequenceSet, Tag};
use paquebot_types::UidSet;

use super::background::in_background;
use super::bodies::Bodies;
use super::search::{
    EnvelopeField, Found, Plan, ScanError, Wanted, displayed, find, highest_modseq, plan, told_number, unknown_charset,
    warn,
};
use super::walk::Walk;
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers SORT and UID SORT.
pub(crate) async fn sort(session: &mut Session, tag: &Tag, command: Sort) -> Flow {
    let expunges = Expunges::after(command.kind);
    let saves = command.returns.is_some_and(|returns| returns.save);
    let Some(plan) = plan(session, Some(&command.charset), &command.keys) else {
        return unknown_charset(session, tag, expunges, saves);
    };
    let (found, keys) = match find_keys(session, &plan, &command.criteria).await {
        Ok(found) => found,
        Err(ScanError::End(end)) => return Err(end),
        Err(ScanError::Failed(error)) => {
            if saves {
                session.selected_mut().saved = UidSet::new();
            }
            return session.failed(tag, &error);
        }
    };
    let order = in_background(move || keys.sorted()).await?;
    tell(session, tag, &command, &plan, &order);
    warn(session, &found);
    session.complete(tag, expunges, None, "SORT completed")
}

async fn find_keys(
    session: &mut Session,
    plan: &Arc<Plan>,
    criteria: &[SortCriterion],
) -> Result<(Found, Keys), ScanError> {
    let found = find(session, plan, Wanted::All).await?;
    let keys = Keys::read(session, criteria, &found.numbers).await?;
    Ok((found, keys))
}

/// Writes the answer, and saves what is to be saved.
fn tell(session: &mut Session, tag: &Tag, command: &Sort, plan: &Plan, order: &[u32]) {
    let told: Vec<u32> = order.iter().filter_map(|number| told_number(session, command.kind, *number)).collect();
    let modseq = |session: &Session, numbers: &SequenceSet| {
        plan.asks_modseq().then(|| highest_modseq(session, numbers)).flatten()
    };
    let Some(returns) = command.returns else {
        let modseq = modseq(session, &order.iter().copied().collect());
        return session.writer().sort(told, modseq);
    };
    // Of a SORT, MIN and MAX are the first and the last in its order (RFC 5267, 3).
    let only_ends = (returns.min || returns.max) && !returns.all && !returns.count;
    let counted: SequenceSet = if only_ends {
        let ends = [order.first().filter(|_| returns.min), order.last().filter(|_| returns.max)];
        ends.into_iter().flatten().copied().collect()
    } else {
        order.iter().copied().collect()
    };
    if returns.save {
        let saved = session.selected().view.uids_of(&counted);
        session.selected_mut().saved = saved;
    }
    let ReturnOptions { min, max, all, count, save: _ } = returns;
    if !(min || max || all || count) {
        return;
    }
    let mut answer = ESearch::new(tag, command.kind);
    answer.min = told.first().copied().filter(|_| min);
    answer.max = told.last().copied().filter(|_| max);
    answer.count = count.then(|| u32::try_from(told.len()).unwrap_or(u32::MAX));
    answer.modseq = modseq(session, &counted);
    answer.all_sorted = all.then_some(told.as_slice());
    session.writer().esearch(&answer);
}

/// The keys of the messages to be sorted, as flat as they can be.
struct Keys {
    criteria: Vec<SortCriterion>,
    /// Sequence numbers, ascending.
    numbers: Vec<u32>,
    /// For each message one for each criterion.
    values: Vec<Value>,
    texts: Vec<u8>,
}

/// One message's key for one criterion; all of a criterion are of one kind.
#[derive(Clone, Copy)]
enum Value {
    Number(i64),
    /// From here to there in the texts.
    Text(usize, usize),
}

impl Keys {
    async fn read(session: &mut Session, criteria: &[SortCriterion], numbers: &SequenceSet) -> Result<Self, ScanError> {
        let mut keys = Self::new(criteria);
        let mut walk = Walk::new(session.selected().view.messages().clone(), numbers.clone());
        let mut bodies = Bodies::new(session.account().clone());
        let needs_index = keys.criteria.iter().any(|criterion| needs_index(criterion.key));
        while walk.advance() {
            if !needs_index {
                walk.batch().iter().for_each(|(number, message)| keys.push(number.get(), message, None));
                continue;
            }
            let read = bodies.indexed_each(walk.batch(), &mut |(number, message), indexed| {
                let summary = indexed.map(|indexed| indexed.summary);
                if let Err(error) = &summary {
                    let error = error as &dyn std::error::Error;
                    tracing::error!(error, uid = message.uid.get(), "a message is sorted without its header");
                }
                keys.push(number.get(), message, summary.ok().as_ref());
                Scan::Continue
            });
            read?;
            bodies.release();
            session.end_slice().await?;
        }
        Ok(keys)
    }

    /// A key that comes again makes no difference.
    fn new(criteria: &[SortCriterion]) -> Self {
        let mut distinct: Vec<SortCriterion> = Vec::new();
        for criterion in criteria {
            if distinct.iter().all(|earlier| earlier.key != criterion.key) {
                distinct.push(*criterion);
            }
        }
        Self { criteria: distinct, numbers: Vec::new(), values: Vec::new(), texts: Vec::new() }
    }

    fn push(&mut self, number: u32, message: &Message, summary: Option<&SummaryRef<'_>>) {
        self.numbers.push(number);
        for criterion in &self.criteria {
            let shown_text;
            let text = match criterion.key {
                SortKey::Arrival => {
                    self.values.push(Value::Number(message.internal_date.unix_seconds()));
                    continue;
                }
                SortKey::Size => {
                    self.values.push(Value::Number(message.size.into()));
                    continue;
                }
                SortKey::Date => {
                    // RFC 5256, 2.2.
                    let sent = summary.and_then(SummaryRef::sent_date).map(|date| date.unix_seconds);
                    self.values.push(Value::Number(sent.unwrap_or(message.internal_date.unix_seconds())));
                    continue;
                }
                SortKey::DisplayFrom | SortKey::DisplayTo => {
                    let field = match criterion.key {
                        SortKey::DisplayFrom => EnvelopeField::From,
                        _ => EnvelopeField::To,
                    };
                    let shown = summary.map(|summary| displayed(summary.envelope(Form::Utf8), field));
                    shown_text = casemap::normalise(&shown.unwrap_or_default());
                    shown_text.as_bytes()
                }
                SortKey::Cc => summary.map_or(&[][..], |summary| summary.sort_cc()),
                SortKey::From => summary.map_or(&[][..], |summary| summary.sort_from()),
                SortKey::Subject => summary.map_or(&[][..], |summary| summary.sort_subject()),
                SortKey::To => summary.map_or(&[][..], |summary| summary.sort_to()),
            };
            let start = self.texts.len();
            self.texts.extend_from_slice(text);
            self.values.push(Value::Text(start, self.texts.len()));
        }
    }

    /// The sequence numbers in order; what is equal by all criteria comes by number.
    fn sorted(&self) -> Vec<u32> {
        let mut places: Vec<usize> = (0..self.numbers.len()).collect();
        places.sort_by(|a, b| self.compare(*a, *b));
        places.into_iter().filter_map(|place| self.numbers.get(place).copied()).collect()
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let width = self.criteria.len();
        let values = |place: usize| self.values.get(place * width..(place + 1) * width).unwrap_or_default();
        let pairs = values(a).iter().zip(values(b));
        for (criterion, (a, b)) in self.criteria.iter().zip(pairs) {
            let order = match (a, b) {
                (Value::Number(a), Value::Number(b)) => a.cmp(b),
                (Value::Text(a, a_end), Value::Text(b, b_end)) => {
                    self.texts.get(*a..*a_end).cmp(&self.texts.get(*b..*b_end))
                }
                _ => Ordering::Equal,
            };
            if order != Ordering::Equal {
                return if criterion.reverse { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    }
}

fn needs_index(key: SortKey) -> bool {
    !matches!(key, SortKey::Arrival | SortKey::Size)
}

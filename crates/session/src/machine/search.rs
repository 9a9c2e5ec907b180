//! SEARCH (RFC 9051, 6.4.4) with RETURN (RFC 4731), SAVE (RFC 5182), MODSEQ (RFC 7162, 3.1.5) and WITHIN (RFC 5032).

mod body;
mod envelope;
mod judge;
mod plan;
mod scan;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_message::charset;
use paquebot_protocol::command::{ReturnOptions, Search, SearchKey};
use paquebot_protocol::response::{Code, ESearch};
use paquebot_protocol::{NumberKind, SequenceSet, Tag};
use paquebot_types::{ModSeq, SeqNum, UidSet};

pub(super) use self::envelope::displayed;
use self::plan::Meaning;
pub(super) use self::plan::{EnvelopeField, Plan};
pub(super) use self::scan::{Found, ScanError, Wanted, find};
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Charsets named to a client that used another (RFC 9051, 7.1: BADCHARSET). More are understood.
const CHARSETS: &[&str] = &[
    "UTF-8",
    "US-ASCII",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-15",
    "WINDOWS-1251",
    "WINDOWS-1252",
    "KOI8-R",
    "ISO-2022-JP",
    "SHIFT_JIS",
    "EUC-JP",
    "EUC-KR",
    "GB18030",
    "BIG5",
];

/// Answers SEARCH and UID SEARCH.
pub(crate) async fn search(session: &mut Session, tag: &Tag, command: Search) -> Flow {
    let expunges = Expunges::after(command.kind);
    if session.modes.utf8_accept && !session.modes.rev2 && command.charset.is_some() {
        return session.bad(Some(tag), "No CHARSET once UTF8=ACCEPT is enabled: all is UTF-8 (RFC 9755, 3)");
    }
    let saves = command.returns.is_some_and(|returns| returns.save);
    let Some(plan) = plan(session, command.charset.as_deref(), &command.keys) else {
        return unknown_charset(session, tag, expunges, saves);
    };
    let found = match find(session, &plan, wanted(command.returns)).await {
        Ok(found) => found,
        Err(ScanError::End(end)) => return Err(end),
        Err(ScanError::Failed(error)) => {
            if saves {
                session.selected_mut().saved = UidSet::new();
            }
            return session.failed(tag, &error);
        }
    };
    tell(session, tag, &command, &plan, &found.numbers);
    warn(session, &found);
    session.complete(tag, expunges, None, "SEARCH completed")
}

/// Makes a program ready for this session; `None` if its charset is not known. One that asks for MODSEQ enables CONDSTORE.
pub(super) fn plan(session: &mut Session, charset: Option<&str>, keys: &SearchKey) -> Option<Arc<Plan>> {
    if charset.is_some_and(|label| !charset::is_known(label.as_bytes())) {
        return None;
    }
    let selected = session.selected();
    let messages = selected.view.messages();
    let plan = Plan::new(
        keys,
        &Meaning {
            charset,
            now: now(),
            keywords: selected.keywords(),
            exists: messages.len(),
            last_uid: messages.last().map(|message| message.uid),
            saved: &selected.saved,
        },
    );
    if plan.asks_modseq() {
        session.enable_condstore();
    }
    Some(Arc::new(plan))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}

/// NO, and with SAVE an empty `$` (RFC 9051, 6.4.4.1).
pub(super) fn unknown_charset(session: &mut Session, tag: &Tag, expunges: Expunges, saves: bool) -> Flow {
    if saves {
        session.selected_mut().saved = UidSet::new();
    }
    session.refuse(tag, expunges, Some(Code::BadCharset(CHARSETS)), "The charset is not known")
}

/// Says that the answer may lack something.
pub(super) fn warn(session: &mut Session, found: &Found) {
    if found.unreadable > 0 {
        let text = format!("{} messages could not be read; the server's log tells more", found.unreadable);
        session.writer().untagged_no(Some(Code::Corruption), &text);
    }
}

/// The least that must be found for the answer.
fn wanted(returns: Option<ReturnOptions>) -> Wanted {
    match returns {
        Some(ReturnOptions { min: true, max: false, all: false, count: false, .. }) => Wanted::First,
        _ => Wanted::All,
    }
}

/// Writes the answer, and saves what is to be saved.
fn tell(session: &mut Session, tag: &Tag, command: &Search, plan: &Plan, numbers: &SequenceSet) {
    let returns = match command.returns {
        None if session.modes.rev2 => ReturnOptions { all: true, ..ReturnOptions::default() },
        None => return tell_list(session, command.kind, plan, numbers),
        Some(returns) => returns,
    };
    let ends = Ends::of(numbers);
    // MIN and MAX by themselves limit what is saved, and whose modseq is told (RFC 5182, 2.1; RFC 4731, 3.2).
    let only_ends = (returns.min || returns.max) && !returns.all && !returns.count;
    let counted = if only_ends { ends.chosen(returns) } else { numbers.clone() };
    if returns.save {
        let saved = session.selected().view.uids_of(&counted);
        session.selected_mut().saved = saved;
    }
    if !(returns.min || returns.max || returns.all || returns.count) {
        return;
    }
    let mut answer = ESearch::new(tag, command.kind);
    answer.min = ends.min.filter(|_| returns.min).and_then(|number| told_number(session, command.kind, number));
    answer.max = ends.max.filter(|_| returns.max).and_then(|number| told_number(session, command.kind, number));
    answer.count = returns.count.then(|| count(numbers));
    answer.modseq = plan.asks_modseq().then(|| highest_modseq(session, &counted)).flatten();
    let all = returns.all.then(|| told_set(session, command.kind, numbers));
    answer.all = all.as_ref();
    session.writer().esearch(&answer);
}

/// The answer without RETURN in rev1.
fn tell_list(session: &mut Session, kind: NumberKind, plan: &Plan, numbers: &SequenceSet) {
    let modseq = plan.asks_modseq().then(|| highest_modseq(session, numbers)).flatten();
    let told = told_set(session, kind, numbers);
    let each = told.ranges().iter().flat_map(|range| range.first..=range.last);
    session.writer().search(each, modseq);
}

/// The first and the last of what was found.
struct Ends {
    min: Option<u32>,
    max: Option<u32>,
}

impl Ends {
    fn of(numbers: &SequenceSet) -> Self {
        let ranges = numbers.ranges();
        Self { min: ranges.first().map(|range| range.first), max: ranges.last().map(|range| range.last) }
    }

    fn chosen(&self, returns: ReturnOptions) -> SequenceSet {
        let ends = [self.min.filter(|_| returns.min), self.max.filter(|_| returns.max)];
        ends.into_iter().flatten().collect()
    }
}

pub(super) fn count(numbers: &SequenceSet) -> u32 {
    numbers.ranges().iter().map(|range| range.last - range.first + 1).sum()
}

/// A message's number as the command wants it.
pub(super) fn told_number(session: &Session, kind: NumberKind, number: u32) -> Option<u32> {
    match kind {
        NumberKind::SeqNum => Some(number),
        NumberKind::Uid => Some(session.selected().view.messages().get(SeqNum::new(number)?)?.uid.get()),
    }
}

fn told_set(session: &Session, kind: NumberKind, numbers: &SequenceSet) -> SequenceSet {
    match kind {
        NumberKind::SeqNum => numbers.clone(),
        NumberKind::Uid => SequenceSet::from(&session.selected().view.uids_of(numbers)),
    }
}

/// The highest modseq of some messages; `None` if there are none.
pub(super) fn highest_modseq(session: &Session, numbers: &SequenceSet) -> Option<ModSeq> {
    session.selected().view.picked(numbers).map(|(_, message)| message.modseq).max()
}

#[cfg(test)]
mod tests;

//! Running a plan over the messages of a view, in slices, reading of each message no more than decides.

use paquebot_mailbox::{PageTree, ServiceError};
use paquebot_message::casemap::Matcher;
use paquebot_message::limits::HEADER_BYTES_MAX;
use paquebot_message::search::{Scope, SegmentReader, segments};
use paquebot_message::{Splitter, Structure};
use paquebot_model::Message;
use paquebot_protocol::SequenceSet;
use paquebot_types::BlobId;

use super::judge::Facts;
use super::plan::{Level, Node, Plan, Test};
use crate::machine::bodies::{Bodies, CHUNK_BYTES, HELD_BYTES, Row, Unreadable};
use crate::machine::walk::Walk;
use crate::session::Session;
use crate::state::End;

/// What is done before other sessions get their turn, in units of some 25 ns.
const SLICE_COST: u64 = 20_000;
const MESSAGE_COST: u64 = 1;
const INDEX_COST: u64 = 60;
const HEADER_COST: u64 = 200;
const CHUNK_COST: u64 = 4_000;

/// How much of the result is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    First,
}

/// What a search came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) numbers: SequenceSet,
    /// Messages that could not be read where that would have decided. They are not among the numbers.
    pub(crate) unreadable: u32,
}

/// Why a search came to nothing.
pub(crate) enum ScanError {
    End(End),
    Failed(ServiceError),
}

impl From<End> for ScanError {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<ServiceError> for ScanError {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

/// The messages of the session's view that a plan asks for.
pub(crate) async fn find(session: &mut Session, plan: &Plan, wanted: Wanted) -> Result<Found, ScanError> {
    let messages = session.selected().view.messages().clone();
    let candidates = candidates(session, plan, &messages);
    let mut scan = Scan::new(session, plan);
    let mut found = Found::default();
    for (seq_num, message) in Walk::new(messages, candidates) {
        let message = &message;
        let recent = session.selected().view.is_recent(message.uid);
        let facts = Facts { seq_num, message, recent, indexed: None, header: None, found: None };
        scan.cost += MESSAGE_COST;
        let verdict = match plan.judge(&facts) {
            Some(verdict) => Ok(verdict),
            None => scan.look_closer(session, facts).await,
        };
        match verdict {
            Ok(false) => {}
            Ok(true) => {
                found.numbers.insert(seq_num.get(), seq_num.get());
                if wanted == Wanted::First {
                    break;
                }
            }
            Err(LookError::End(end)) => return Err(end.into()),
            Err(LookError::Unreadable(error)) => {
                if found.unreadable == 0 {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, uid = message.uid.get(), "a message cannot be searched");
                }
                found.unreadable += 1;
            }
        }
        if scan.cost >= SLICE_COST {
            scan.end_slice(session).await?;
        }
    }
    Ok(found)
}

/// The sequence numbers of the messages to be judged: those that a set in the program names, or all.
fn candidates(session: &Session, plan: &Plan, messages: &PageTree) -> SequenceSet {
    let nodes = match &plan.root {
        Node::All(nodes) => nodes.as_slice(),
        node => std::slice::from_ref(node),
    };
    let tests = nodes.iter().filter_map(|node| match node {
        Node::Test(test) => Some(&**test),
        _ => None,
    });
    let mut sets = tests.filter_map(|test| match test {
        Test::Uids(uids) => Some(session.selected().view.numbers_of(uids)),
        Test::SeqNums { set, last } => {
            let mut numbers = SequenceSet::new();
            let ranges = set.resolve(*last).into_iter().filter(|range| range.first <= messages.len());
            ranges.for_each(|range| numbers.insert(range.first, range.last.min(messages.len())));
            Some(numbers)
        }
        _ => None,
    });
    sets.next().unwrap_or_else(|| {
        let mut all = SequenceSet::new();
        all.insert(1.min(messages.len()), messages.len());
        all
    })
}

/// Why a message could not be judged.
enum LookError {
    End(End),
    Unreadable(Unreadable),
}

impl From<End> for LookError {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl<E: Into<Unreadable>> From<E> for LookError {
    fn from(error: E) -> Self {
        Self::Unreadable(error.into())
    }
}

struct Scan<'p> {
    plan: &'p Plan,
    needs_header: bool,
    bodies: Bodies,
    row: Row,
    header: Vec<u8>,
    body: Body,
    /// Spent in this slice.
    cost: u64,
}

impl<'p> Scan<'p> {
    fn new(session: &Session, plan: &'p Plan) -> Self {
        Self {
            plan,
            needs_header: plan.needs(Level::Header),
            bodies: Bodies::new(session.account().clone()),
            row: Row::default(),
            header: Vec::new(),
            body: Body::default(),
            cost: 0,
        }
    }

    async fn end_slice(&mut self, session: &mut Session) -> Result<(), End> {
        self.cost = 0;
        self.bodies.release();
        session.end_slice().await
    }

    /// Judges a message for which the view alone does not decide.
    async fn look_closer(&mut self, session: &mut Session, facts: Facts<'_>) -> Result<bool, LookError> {
        let plan = self.plan;
        let blob = facts.message.blob;
        self.cost += INDEX_COST;
        let verdict = self.bodies.indexed(blob, |indexed| plan.judge(&Facts { indexed: Some(indexed), ..facts }))?;
        if let Some(verdict) = verdict {
            return Ok(verdict);
        }
        self.bodies.copy_row(blob, &mut self.row)?;
        let row = std::mem::take(&mut self.row);
        let verdict = self.open(session, facts, &row).await;
        self.row = row;
        verdict
    }

    /// Judges a message for which the index does not decide.
    async fn open(&mut self, session: &mut Session, facts: Facts<'_>, row: &Row) -> Result<bool, LookError> {
        let indexed = row.indexed()?;
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        if self.needs_header {
            self.cost += HEADER_COST;
            let size = usize::try_from(indexed.summary.header_length())
                .map_or(HEADER_BYTES_MAX, |size| size.min(HEADER_BYTES_MAX));
            self.bodies.append(facts.message.blob, 0, size, &mut header)?;
        }
        let facts = Facts { indexed: Some(indexed), header: Some(&header), ..facts };
        let verdict = match self.plan.judge(&facts) {
            Some(verdict) => Ok(verdict),
            None => self.search_body(session, facts).await,
        };
        self.header = header;
        verdict
    }

    /// Judges a message for which its header does not decide: looks for all texts at once, until those that were found decide.
    async fn search_body(&mut self, session: &mut Session, facts: Facts<'_>) -> Result<bool, LookError> {
        let plan = self.plan;
        let structure = self.split(session, facts.message).await?;
        let mut matchers: Vec<Matcher<'_>> = plan.bodies.iter().map(|text| Matcher::new(&text.needle)).collect();
        let mut found: Vec<Option<bool>> = matchers.iter().map(|matcher| matcher.is_found().then_some(true)).collect();
        for scope in [Scope::Body, Scope::Text] {
            let in_scope = |place: usize| plan.bodies.get(place).is_some_and(|text| text.scope == scope);
            for segment in segments(&structure, scope) {
                if !(0..found.len()).any(|place| in_scope(place) && found[place].is_none()) {
                    break;
                }
                let mut reader = Some(SegmentReader::new(&segment));
                let mut at = segment.range.start;
                while let Some(mut running) = reader.take() {
                    let octets = self.body.octets(&mut self.bodies, at, segment.range.end)?;
                    at += octets.len() as u64;
                    let mut sink = |text: &str| {
                        let open = matchers.iter_mut().enumerate().filter(|(place, _)| in_scope(*place));
                        open.for_each(|(_, matcher)| matcher.push(text));
                    };
                    running.push(octets, &mut sink);
                    if at < segment.range.end {
                        reader = Some(running);
                    } else {
                        running.finish(&mut sink);
                    }
                    let mut is_new = false;
                    for (found, matcher) in found.iter_mut().zip(&matchers) {
                        is_new |= found.is_none() && matcher.is_found();
                        *found = found.or(matcher.is_found().then_some(true));
                    }
                    if is_new && let Some(verdict) = plan.judge(&Facts { found: Some(&found), ..facts }) {
                        return Ok(verdict);
                    }
                    self.spend_chunk(session).await?;
                }
                matchers.iter_mut().for_each(Matcher::end_text);
            }
            for (place, found) in found.iter_mut().enumerate().filter(|(place, _)| in_scope(*place)) {
                *found = found.or(matchers.get(place).map(Matcher::is_found));
            }
        }
        Ok(plan.judge(&Facts { found: Some(&found), ..facts }).unwrap_or(false))
    }

    /// Finds a message's parts, and holds its octets if they are few.
    async fn split(&mut self, session: &mut Session, message: &Message) -> Result<Structure, LookError> {
        self.body.open(message);
        let mut splitter = Splitter::new();
        let size = u64::from(message.size);
        let mut at = 0;
        while at < size {
            let octets = self.body.octets(&mut self.bodies, at, size)?;
            at += octets.len() as u64;
            splitter.push(octets);
            self.spend_chunk(session).await?;
        }
        Ok(splitter.finish())
    }

    async fn spend_chunk(&mut self, session: &mut Session) -> Result<(), End> {
        self.cost += CHUNK_COST;
        if self.cost >= SLICE_COST { self.end_slice(session).await } else { Ok(()) }
    }
}

/// The octets of the message being searched.
#[derive(Default)]
struct Body {
    blob: Option<BlobId>,
    size: u64,
    /// All of them if they are few and have been read, or the last chunk.
    octets: Vec<u8>,
    is_whole: bool,
}

impl Body {
    fn open(&mut self, message: &Message) {
        self.blob = Some(message.blob);
        self.size = message.size.into();
        self.is_whole = false;
    }

    /// Octets from `at` on, at least one if there are any before `end`.
    fn octets(&mut self, bodies: &mut Bodies, at: u64, end: u64) -> Result<&[u8], Unreadable> {
        let Some(blob) = self.blob.filter(|_| at < end) else { return Ok(&[]) };
        if self.size <= HELD_BYTES {
            if !self.is_whole {
                self.octets.clear();
                bodies.append_whole(blob, &mut self.octets)?;
                self.is_whole = true;
            }
            return self.octets.get(at as usize..end as usize).ok_or(Unreadable::Short);
        }
        self.octets.clear();
        let count = usize::try_from(end - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        bodies.append(blob, at, count, &mut self.octets)?;
        Ok(&self.octets)
    }
}

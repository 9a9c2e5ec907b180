//! Running a plan over the messages of a view, in slices, reading of each message no more than decides.

use paquebot_mailbox::{PageTree, ServiceError};
use paquebot_message::casemap::Matcher;
use paquebot_message::limits::HEADER_BYTES_MAX;
use paquebot_message::search::{Scope, SegmentReader, segments};
use paquebot_message::{Splitter, Structure};
use paquebot_model::{Message, Scan as Step};
use paquebot_protocol::SequenceSet;
use paquebot_types::{BlobId, SeqNum};

use super::judge::Facts;
use super::plan::{Level, Node, Plan, Test};
use crate::machine::bodies::{Bodies, CHUNK_BYTES, HELD_BYTES, Row, Unreadable};
use crate::machine::walk::Walk;
use crate::session::Session;
use crate::state::End;

/// What is done before other sessions get their turn, in units of some 25 ns.
const SLICE_COST: u64 = 20_000;
const MESSAGE_COST: u64 = 1;
const INDEX_COST: u64 = 20;
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
    let mut walk = Walk::new(messages, candidates);
    while walk.advance() {
        scan.judge_batch(session, walk.batch())?;
        for (place, (seq_num, message)) in walk.batch().iter().enumerate() {
            let verdict = match scan.verdicts.get_mut(place).and_then(Verdict::take) {
                Some(verdict) => verdict,
                None => scan.open(session, *seq_num, message).await,
            };
            match verdict {
                Ok(false) => {}
                Ok(true) => found.numbers.insert(seq_num.get(), seq_num.get()),
                Err(LookError::End(end)) => return Err(end.into()),
                Err(LookError::Unreadable(error)) => {
                    if found.unreadable == 0 {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, uid = message.uid.get(), "a message cannot be searched");
                    }
                    found.unreadable += 1;
                }
            }
            if wanted == Wanted::First && !found.numbers.is_empty() {
                return Ok(found);
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

/// What the view knows of a message.
fn in_view<'m>(session: &Session, seq_num: SeqNum, message: &'m Message) -> Facts<'m> {
    let recent = session.selected().view.is_recent(message.uid);
    Facts { seq_num, message, recent, indexed: None, header: None, found: None }
}

/// What is known of a message so far: `None` if only its body can decide.
type Verdict = Option<Result<bool, LookError>>;

struct Scan<'p> {
    plan: &'p Plan,
    needs_header: bool,
    bodies: Bodies,
    /// Those of the current batch, in its order.
    verdicts: Vec<Verdict>,
    undecided: Vec<(SeqNum, Message)>,
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
            verdicts: Vec::new(),
            undecided: Vec::new(),
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

    /// Judges those messages of a batch for which the view or the index decides.
    fn judge_batch(&mut self, session: &Session, batch: &[(SeqNum, Message)]) -> Result<(), ServiceError> {
        let Self { plan, bodies, verdicts, undecided, cost, .. } = self;
        verdicts.clear();
        undecided.clear();
        for (seq_num, message) in batch {
            let verdict = plan.judge(&in_view(session, *seq_num, message));
            if verdict.is_none() {
                undecided.push((*seq_num, *message));
            }
            verdicts.push(verdict.map(Ok));
        }
        *cost += MESSAGE_COST * batch.len() as u64 + INDEX_COST * undecided.len() as u64;
        if undecided.is_empty() {
            return Ok(());
        }
        let mut open = verdicts.iter_mut().filter(|verdict| verdict.is_none());
        bodies.indexed_each(undecided, &mut |(seq_num, message), indexed| {
            if let Some(verdict) = open.next() {
                *verdict = match indexed {
                    Ok(indexed) => {
                        let facts = Facts { indexed: Some(indexed), ..in_view(session, *seq_num, message) };
                        plan.judge(&facts).map(Ok)
                    }
                    Err(error) => Some(Err(error.into())),
                };
            }
            Step::Continue
        })?;
        Ok(())
    }

    /// Judges a message for which the index does not decide.
    async fn open(&mut self, session: &mut Session, seq_num: SeqNum, message: &Message) -> Result<bool, LookError> {
        self.bodies.copy_row(message.blob, &mut self.row)?;
        let (row, mut header) = (std::mem::take(&mut self.row), std::mem::take(&mut self.header));
        let verdict = self.judge_open(session, seq_num, message, &row, &mut header).await;
        (self.row, self.header) = (row, header);
        verdict
    }

    async fn judge_open(
        &mut self,
        session: &mut Session,
        seq_num: SeqNum,
        message: &Message,
        row: &Row,
        header: &mut Vec<u8>,
    ) -> Result<bool, LookError> {
        let indexed = row.indexed()?;
        header.clear();
        if self.needs_header {
            self.cost += HEADER_COST;
            let size = usize::try_from(indexed.summary.header_length()).unwrap_or(usize::MAX);
            self.bodies.append(message.blob, 0, size.min(HEADER_BYTES_MAX), header)?;
        }
        let facts = Facts { indexed: Some(indexed), header: Some(header), ..in_view(session, seq_num, message) };
        match self.plan.judge(&facts) {
            Some(verdict) => Ok(verdict),
            None => self.search_body(session, facts).await,
        }
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

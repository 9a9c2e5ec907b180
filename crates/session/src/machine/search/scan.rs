//! Running a plan over the messages of a view, in slices, reading of each message no more than decides.

use std::sync::Arc;

use paquebot_mailbox::{PageTree, ServiceError};
use paquebot_message::Form;
use paquebot_message::limits::HEADER_BYTES_MAX;
use paquebot_model::{Message, Scan as Step};
use paquebot_protocol::SequenceSet;
use paquebot_types::SeqNum;

use super::body::{Body, Texts};
use super::judge::Facts;
use super::plan::{Level, Node, Plan, Test};
use crate::machine::background::in_background;
use crate::machine::bodies::{Bodies, Row, Unreadable};
use crate::machine::walk::Walk;
use crate::session::Session;
use crate::state::End;

/// What is done before other sessions get their turn, in units of some 25 ns.
const SLICE_COST: u64 = 20_000;
const MESSAGE_COST: u64 = 1;
const INDEX_COST: u64 = 20;
const HEADER_COST: u64 = 200;
/// Octets that are decoded and compared in one unit.
const UNIT_OCTETS: u64 = 16;
/// Octets of a header times texts looked for in it: more than this is for the background.
const HEAVY_OCTETS: u64 = 128 << 10;

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
pub(crate) async fn find(session: &mut Session, plan: &Arc<Plan>, wanted: Wanted) -> Result<Found, ScanError> {
    let messages = session.selected().view.messages().clone();
    let candidates = candidates(session, plan, &messages);
    let mut scan = Scan::new(session, plan.clone());
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
                // It could be among those asked for: a client must not take what was found for all.
                Err(LookError::Unreadable(Unreadable::Service(error @ ServiceError::Unfetched(_)))) => {
                    return Err(error.into());
                }
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
            scan.end_slice_if_due(session).await?;
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

/// What is known of a message so far: `None` if neither the view nor the index decides.
type Verdict = Option<Result<bool, LookError>>;

struct Scan {
    plan: Arc<Plan>,
    bodies: Bodies,
    /// Those of the current batch, in its order.
    verdicts: Vec<Verdict>,
    undecided: Vec<(SeqNum, Message)>,
    opened: Opened,
    body: Body,
    /// Spent in this slice.
    cost: u64,
}

impl Scan {
    fn new(session: &Session, plan: Arc<Plan>) -> Self {
        Self {
            plan,
            bodies: Bodies::new(session.account().clone()),
            verdicts: Vec::new(),
            undecided: Vec::new(),
            opened: Opened::default(),
            body: Body::default(),
            cost: 0,
        }
    }

    async fn end_slice_if_due(&mut self, session: &mut Session) -> Result<(), End> {
        if self.cost < SLICE_COST {
            return Ok(());
        }
        self.cost = 0;
        self.bodies.release();
        session.end_slice().await
    }

    /// Judges those messages of a batch for which the view or the index decides, but for much text in a header.
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
            let verdict = match indexed {
                Ok(indexed) => {
                    let octets = indexed.summary.envelope(Form::Utf8).len() as u64 * plan.header_texts;
                    if octets <= HEAVY_OCTETS {
                        *cost += octets / UNIT_OCTETS;
                        let facts = Facts { indexed: Some(indexed), ..in_view(session, *seq_num, message) };
                        plan.judge(&facts).map(Ok)
                    } else {
                        None
                    }
                }
                Err(error) => Some(Err(error.into())),
            };
            if let Some(open) = open.next() {
                *open = verdict;
            }
            Step::Continue
        })?;
        Ok(())
    }

    /// Judges a message for which neither the view nor the index has decided. A body that is not here, or damaged, is fetched.
    async fn open(&mut self, session: &mut Session, seq_num: SeqNum, message: &Message) -> Result<bool, LookError> {
        match self.look(session, seq_num, message).await {
            Err(LookError::Unreadable(error)) => {
                self.bodies.mend(message.blob, error).await?;
                self.look(session, seq_num, message).await
            }
            looked => looked,
        }
    }

    async fn look(&mut self, session: &mut Session, seq_num: SeqNum, message: &Message) -> Result<bool, LookError> {
        let mut opened = std::mem::take(&mut self.opened);
        let octets = opened.read(&mut self.bodies, &self.plan, message)?;
        let recent = session.selected().view.is_recent(message.uid);
        let octets = octets * self.plan.header_texts;
        let verdict;
        if octets <= HEAVY_OCTETS {
            self.cost += HEADER_COST + octets / UNIT_OCTETS;
            verdict = opened.judge(&self.plan, seq_num, message, recent);
        } else {
            self.bodies.release();
            let (plan, message) = (self.plan.clone(), *message);
            let judge = move || (opened.judge(&plan, seq_num, &message, recent), opened);
            (verdict, opened) = in_background(judge).await?;
        }
        let verdict = match verdict? {
            Some(verdict) => Ok(verdict),
            None => {
                let facts = opened.facts(seq_num, message, recent)?;
                self.search_body(session, facts).await
            }
        };
        self.opened = opened;
        verdict
    }

    /// Judges a message for which its header does not decide: looks for all texts at once, until those that were found decide.
    async fn search_body(&mut self, session: &mut Session, facts: Facts<'_>) -> Result<bool, LookError> {
        let plan = self.plan.clone();
        let mut body = std::mem::take(&mut self.body);
        body.open(facts.message);
        while !body.is_split() {
            self.cost += body.split_on(&mut self.bodies)? / UNIT_OCTETS;
            self.end_slice_if_due(session).await?;
        }
        let mut texts = Texts::new(&plan.bodies);
        while body.look_on(&mut self.bodies, &mut texts)? {
            if texts.take_news()
                && let Some(verdict) = plan.judge(&Facts { found: Some(texts.found()), ..facts })
            {
                self.body = body;
                return Ok(verdict);
            }
            self.cost += texts.take_octets() / UNIT_OCTETS;
            self.end_slice_if_due(session).await?;
        }
        self.body = body;
        texts.end();
        Ok(plan.judge(&Facts { found: Some(texts.found()), ..facts }).unwrap_or(false))
    }
}

/// What the view knows of a message.
fn in_view<'m>(session: &Session, seq_num: SeqNum, message: &'m Message) -> Facts<'m> {
    let recent = session.selected().view.is_recent(message.uid);
    Facts { seq_num, message, recent, indexed: None, header: None, known: None, found: None }
}

/// What was read of a message: its row in the index and, where a test needs it, its header. Used again from message to message.
#[derive(Default)]
struct Opened {
    row: Row,
    header: Vec<u8>,
    known: Option<Vec<bool>>,
}

impl Opened {
    /// Reads a message; gives how many octets there are to look at.
    fn read(&mut self, bodies: &mut Bodies, plan: &Plan, message: &Message) -> Result<u64, Unreadable> {
        bodies.copy_row(message.blob, &mut self.row)?;
        self.header.clear();
        self.known = None;
        let summary = self.row.indexed()?.summary;
        if plan.needs(Level::Header) {
            let size = usize::try_from(summary.header_length()).unwrap_or(usize::MAX);
            bodies.append(message.blob, 0, size.min(HEADER_BYTES_MAX), &mut self.header)?;
        }
        Ok((summary.envelope(Form::Utf8).len() + self.header.len()) as u64)
    }

    fn judge(
        &mut self,
        plan: &Plan,
        seq_num: SeqNum,
        message: &Message,
        recent: bool,
    ) -> Result<Option<bool>, Unreadable> {
        let facts = self.facts(seq_num, message, recent)?;
        let verdict = plan.judge(&facts);
        if verdict.is_none() {
            // The body decides, piece by piece, and these must not be looked at again for each.
            self.known = Some(plan.know(&facts));
        }
        Ok(verdict)
    }

    fn facts<'o>(&'o self, seq_num: SeqNum, message: &'o Message, recent: bool) -> Result<Facts<'o>, Unreadable> {
        let (indexed, header, known) = (Some(self.row.indexed()?), Some(&*self.header), self.known.as_deref());
        Ok(Facts { seq_num, message, recent, indexed, header, known, found: None })
    }
}

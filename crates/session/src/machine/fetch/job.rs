//! Answering one FETCH, message by message, in slices.

use std::sync::Arc;

use paquebot_mailbox::Snapshot;
use paquebot_message::Form;
use paquebot_model::{Message, Scan};
use paquebot_protocol::command::{Fetch, FetchItem};
use paquebot_protocol::response::{Code, FetchPause, FetchWriter, ResponseWriter};
use paquebot_protocol::{NumberKind, SequenceSet};
use paquebot_types::{Keyword, SeqNum, UidSet};

use super::body::{self, SendError};
use super::items::{Facts, KeywordNames, needs_body, needs_index, write_item};
use crate::conn::OUTPUT_BYTES;
use crate::machine::bodies::{Bodies, Row, Unreadable};
use crate::machine::walk::Walk;
use crate::session::Session;
use crate::state::{Flow, Modes};

/// Batches of messages answered before other sessions get their turn.
const SLICE_BATCHES: u32 = 4;

/// Why something that was asked for was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Unreadable,
    /// It is on other machines, none of which can be asked now.
    Unavailable,
    /// RFC 3516, 4.3.
    UnknownEncoding,
}

impl Failure {
    pub fn code(self) -> Code<'static> {
        match self {
            Self::Unreadable => Code::ServerBug,
            Self::Unavailable => Code::Unavailable,
            Self::UnknownEncoding => Code::UnknownCte,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Unreadable => "Something could not be read; the server's log tells more",
            Self::Unavailable => "Some messages cannot be fetched from another node now",
            Self::UnknownEncoding => "A part's transfer encoding is not known",
        }
    }
}

/// What is told of every message.
#[derive(Clone, Copy)]
struct Plan<'a> {
    items: &'a [FetchItem],
    /// UID was not asked for, but UID FETCH tells it (RFC 9051, 6.4.9).
    uid: bool,
    flags: bool,
    /// MODSEQ was not asked for, but CHANGEDSINCE tells it (RFC 7162, 3.1.4.1).
    modseq: bool,
    modes: Modes,
    form: Form,
}

/// One FETCH command being answered.
pub(super) struct Job<'a> {
    plan: Plan<'a>,
    needs_index: bool,
    needs_body: bool,
    snapshot: Arc<Snapshot>,
    /// Messages that this command made `\Seen`: their flags are told.
    seen: UidSet,
    keywords: KeywordNames,
    bodies: Bodies,
    row: Row,
    scratch: body::Scratch,
    batches: u32,
    failure: Option<Failure>,
}

impl<'a> Job<'a> {
    pub fn new(session: &Session, command: &'a Fetch, seen: UidSet) -> Self {
        let asked = |item| command.items.contains(&item);
        let modes = session.modes;
        let plan = Plan {
            items: &command.items,
            uid: command.messages.kind == NumberKind::Uid && !asked(FetchItem::Uid),
            flags: asked(FetchItem::Flags),
            modseq: command.changed_since.is_some() && !asked(FetchItem::ModSeq),
            modes,
            form: if modes.utf8() { Form::Utf8 } else { Form::Ascii },
        };
        Self {
            plan,
            needs_index: command.items.iter().any(needs_index),
            needs_body: command.items.iter().any(needs_body),
            snapshot: session.selected().view.snapshot().clone(),
            seen,
            keywords: KeywordNames::new(),
            bodies: Bodies::new(session.account().clone()),
            row: Row::default(),
            scratch: body::Scratch::default(),
            batches: 0,
            failure: None,
        }
    }

    /// The worst of what could not be told.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Answers for the messages with these numbers.
    pub async fn run(&mut self, session: &mut Session, numbers: &SequenceSet) -> Flow {
        let mut walk = Walk::new(session.selected().view.messages().clone(), numbers.clone());
        while walk.advance() {
            let mut left = walk.batch();
            while let Some((number, message)) = left.first() {
                let told = if self.needs_body {
                    self.tell_with_body(session, *number, message).await?;
                    1
                } else if self.needs_index {
                    self.tell_indexed(session, left)
                } else {
                    self.tell(session, left)
                };
                left = left.get(told..).unwrap_or_default();
                if session.conn.output().len() >= OUTPUT_BYTES {
                    self.bodies.release();
                    session.end_slice().await?;
                }
            }
            self.batches += 1;
            if self.batches.is_multiple_of(SLICE_BATCHES) {
                self.bodies.release();
                session.end_slice().await?;
            }
        }
        Ok(())
    }

    /// Tells of messages what the view has; gives of how many.
    fn tell(&mut self, session: &mut Session, messages: &[(SeqNum, Message)]) -> usize {
        for (number, message) in messages {
            let facts = self.facts(session, message);
            let was_seen = self.seen.contains(message.uid);
            let keywords = self.keywords.of(&self.snapshot.mailbox.keywords, message.keywords());
            self.plan.write(&mut session.writer(), *number, &facts, was_seen, keywords);
        }
        messages.len()
    }

    /// Tells of messages what the index has, as long as the output is not full; gives of how many.
    fn tell_indexed(&mut self, session: &mut Session, messages: &[(SeqNum, Message)]) -> usize {
        let Self { plan, bodies, keywords, snapshot, seen, .. } = self;
        let mut failed = None;
        let told = bodies.indexed_each(messages, &mut |(number, message), indexed| {
            match indexed {
                Ok(indexed) => {
                    let facts = Facts { message, recent: plan.is_recent(session, message), indexed: Some(indexed) };
                    let keywords = keywords.of(&snapshot.mailbox.keywords, message.keywords());
                    plan.write(&mut session.writer(), *number, &facts, seen.contains(message.uid), keywords);
                }
                Err(error) => failed = Some((message, error)),
            }
            if session.conn.output().len() < OUTPUT_BYTES { Scan::Continue } else { Scan::Stop }
        });
        if let Some((message, error)) = failed {
            self.unreadable(message, &error);
        }
        match (told, messages.first()) {
            (Ok(told), _) => told,
            (Err(error), first) => {
                if let Some((_, message)) = first {
                    self.unreadable(message, &error.into());
                }
                messages.len()
            }
        }
    }

    /// Tells what needs the body, which goes out as it is read.
    async fn tell_with_body(&mut self, session: &mut Session, number: SeqNum, message: &Message) -> Flow {
        let mut row = std::mem::take(&mut self.row);
        let flow = match self.bodies.copy_row(message.blob, &mut row) {
            Ok(()) => self.tell_row(session, number, message, &row).await,
            Err(error) => {
                self.tell_unreadable(session, number, message, &error.into());
                Ok(())
            }
        };
        self.row = row;
        flow
    }

    async fn tell_row(&mut self, session: &mut Session, number: SeqNum, message: &Message, row: &Row) -> Flow {
        let indexed = match row.indexed() {
            Ok(indexed) => indexed,
            Err(error) => {
                self.tell_unreadable(session, number, message, &error);
                return Ok(());
            }
        };
        let facts = Facts { indexed: Some(indexed), ..self.facts(session, message) };
        let was_seen = self.seen.contains(message.uid);
        let plan = self.plan;
        let mut response = Response::begin(session, number);
        if plan.tells_uid(was_seen) {
            response.write(session, |write| write.uid(message.uid));
        }
        for item in plan.items {
            if needs_body(item) {
                let sent =
                    body::send(session, &mut self.bodies, &mut self.scratch, &mut response, message, indexed, item);
                match sent.await {
                    Ok(()) => {}
                    Err(SendError::End(end)) => return Err(end),
                    Err(SendError::Unreadable(error)) => self.unreadable(message, &error),
                    Err(SendError::UnknownEncoding) => {
                        self.failure.get_or_insert(Failure::UnknownEncoding);
                    }
                }
            } else {
                let keywords = self.keywords.of(&self.snapshot.mailbox.keywords, message.keywords());
                response.write(session, |write| {
                    write_item(write, item, &facts, keywords, plan.form);
                });
            }
        }
        if plan.tells_flags(was_seen) || plan.tells_modseq(was_seen) {
            let keywords = self.keywords.of(&self.snapshot.mailbox.keywords, message.keywords());
            response.write(session, |write| plan.write_rest(write, &facts, was_seen, keywords));
        }
        response.end(session);
        Ok(())
    }

    /// Tells of a message of which the index has nothing what must be told nevertheless: that it is `\Seen` now.
    fn tell_unreadable(&mut self, session: &mut Session, number: SeqNum, message: &Message, error: &Unreadable) {
        self.unreadable(message, error);
        if self.seen.contains(message.uid) {
            let facts = self.facts(session, message);
            let keywords = self.keywords.of(&self.snapshot.mailbox.keywords, message.keywords());
            let uid = self.plan.uid || self.plan.items.contains(&FetchItem::Uid);
            let plan = Plan { items: &[], uid, flags: false, ..self.plan };
            plan.write(&mut session.writer(), number, &facts, true, keywords);
        }
    }

    fn facts<'m>(&self, session: &Session, message: &'m Message) -> Facts<'m> {
        Facts { message, recent: self.plan.is_recent(session, message), indexed: None }
    }

    /// Notes that something of a message cannot be told. The log has the first of a command: a damaged pack may hold thousands.
    fn unreadable(&mut self, message: &Message, error: &Unreadable) {
        let failure = if error.is_unavailable() { Failure::Unavailable } else { Failure::Unreadable };
        if self.failure != Some(failure) && self.failure != Some(Failure::Unreadable) {
            self.failure = Some(failure);
            let error = error as &dyn std::error::Error;
            tracing::error!(error, uid = message.uid.get(), "a message cannot be read");
        }
    }
}

impl Plan<'_> {
    /// Whether FLAGS, where they are told, have `\Recent`, which only rev1 knows.
    fn is_recent(&self, session: &Session, message: &Message) -> bool {
        !self.modes.rev2 && session.selected().view.is_recent(message.uid)
    }

    /// QRESYNC wants UID with flags that were not asked for (RFC 7162, 3.2.4).
    fn tells_uid(&self, was_seen: bool) -> bool {
        self.uid || (was_seen && self.modes.qresync && !self.items.contains(&FetchItem::Uid))
    }

    fn tells_flags(&self, was_seen: bool) -> bool {
        was_seen && !self.flags
    }

    /// Where flags are told and CONDSTORE is enabled, MODSEQ is (RFC 7162, 3.1).
    fn tells_modseq(&self, was_seen: bool) -> bool {
        let with_flags = self.modes.condstore && (self.flags || was_seen);
        self.modseq || (with_flags && !self.items.contains(&FetchItem::ModSeq))
    }

    /// Writes a response that needs no body.
    fn write(
        &self,
        write: &mut ResponseWriter<'_>,
        number: SeqNum,
        facts: &Facts<'_>,
        was_seen: bool,
        keywords: &[Keyword],
    ) {
        let mut write = write.fetch(number);
        if self.tells_uid(was_seen) {
            write.uid(facts.message.uid);
        }
        for item in self.items {
            write_item(&mut write, item, facts, keywords, self.form);
        }
        self.write_rest(&mut write, facts, was_seen, keywords);
        write.end();
    }

    /// What was not asked for, after what was.
    fn write_rest(&self, write: &mut FetchWriter<'_>, facts: &Facts<'_>, was_seen: bool, keywords: &[Keyword]) {
        if self.tells_flags(was_seen) {
            write_item(write, &FetchItem::Flags, facts, keywords, self.form);
        }
        if self.tells_modseq(was_seen) {
            write_item(write, &FetchItem::ModSeq, facts, keywords, self.form);
        }
    }
}

/// A FETCH response that goes out while it is written.
pub(super) struct Response {
    number: SeqNum,
    /// Where it begins in the output, as long as nothing of it is told.
    start: usize,
    pause: Option<FetchPause>,
    items: usize,
}

impl Response {
    fn begin(session: &mut Session, number: SeqNum) -> Self {
        let start = session.conn.output().len();
        let pause = Some(session.writer().fetch(number).pause());
        Self { number, start, pause, items: 0 }
    }

    /// Writes one item, or several.
    pub fn write(&mut self, session: &mut Session, item: impl FnOnce(&mut FetchWriter<'_>)) {
        if let Some(pause) = self.pause.take() {
            let mut write = session.writer();
            let mut write = write.resume(pause);
            item(&mut write);
            self.pause = Some(write.pause());
            self.items += 1;
        }
    }

    /// Takes the last item back, which began at `mark` of the output, of which nothing has gone out since.
    pub fn undo(&mut self, session: &mut Session, mark: usize) {
        self.items -= 1;
        if self.items > 0 {
            session.conn.output().truncate(mark);
        } else {
            session.conn.output().truncate(self.start);
            self.pause = Some(session.writer().fetch(self.number).pause());
        }
    }

    /// Ends the response. One without items is no response.
    fn end(self, session: &mut Session) {
        match self.pause {
            Some(pause) if self.items > 0 => session.writer().resume(pause).end(),
            _ => session.conn.output().truncate(self.start),
        }
    }
}

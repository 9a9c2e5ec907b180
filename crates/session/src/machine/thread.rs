//! THREAD (RFC 5256).

use std::sync::Arc;

use paquebot_message::thread::{ThreadInput, ordered_subject, references, write_threads};
use paquebot_message::{MessageIdHash, SummaryRef};
use paquebot_model::{Message, Scan};
use paquebot_protocol::command::{Thread, ThreadAlgorithm};
use paquebot_protocol::{NumberKind, SequenceSet, Tag};

use super::background::in_background;
use super::bodies::Bodies;
use super::search::{Found, Plan, ScanError, Wanted, find, plan, unknown_charset, warn};
use super::walk::Walk;
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

/// Answers THREAD and UID THREAD.
pub(crate) async fn thread(session: &mut Session, tag: &Tag, command: Thread) -> Flow {
    let expunges = Expunges::after(command.kind);
    let Some(plan) = plan(session, Some(&command.charset), &command.keys) else {
        return unknown_charset(session, tag, expunges, false);
    };
    let (found, inputs) = match find_inputs(session, &plan, command.kind).await {
        Ok(found) => found,
        Err(ScanError::End(end)) => return Err(end),
        Err(ScanError::Failed(error)) => return session.failed(tag, &error),
    };
    let algorithm = command.algorithm;
    let threads = in_background(move || inputs.threads(algorithm)).await?;
    session.writer().thread(&threads);
    warn(session, &found);
    session.complete(tag, expunges, None, "THREAD completed")
}

async fn find_inputs(session: &mut Session, plan: &Arc<Plan>, kind: NumberKind) -> Result<(Found, Inputs), ScanError> {
    let found = find(session, plan, Wanted::All).await?;
    let inputs = Inputs::read(session, kind, &found.numbers).await?;
    Ok((found, inputs))
}

/// What threads are made of, as flat as it can be.
#[derive(Default)]
struct Inputs {
    messages: Vec<Input>,
    references: Vec<MessageIdHash>,
    subjects: Vec<u8>,
}

struct Input {
    id: u32,
    message_id: Option<MessageIdHash>,
    /// Where the references and the subject end, which begin where those of the message before end.
    references_end: usize,
    subject_end: usize,
    is_reply: bool,
    unix_seconds: i64,
}

impl Inputs {
    async fn read(session: &mut Session, kind: NumberKind, numbers: &SequenceSet) -> Result<Self, ScanError> {
        let mut inputs = Self::default();
        let mut walk = Walk::new(session.selected().view.messages().clone(), numbers.clone());
        let mut bodies = Bodies::new(session.account().clone());
        while walk.advance() {
            let read = bodies.indexed_each(walk.batch(), &mut |(number, message), indexed| {
                let id = match kind {
                    NumberKind::SeqNum => number.get(),
                    NumberKind::Uid => message.uid.get(),
                };
                let summary = indexed.map(|indexed| indexed.summary);
                if let Err(error) = &summary {
                    let error = error as &dyn std::error::Error;
                    tracing::error!(error, uid = message.uid.get(), "a message is threaded without its header");
                }
                inputs.push(id, message, summary.ok().as_ref());
                Scan::Continue
            });
            read?;
            bodies.release();
            session.end_slice().await?;
        }
        Ok(inputs)
    }

    fn push(&mut self, id: u32, message: &Message, summary: Option<&SummaryRef<'_>>) {
        if let Some(summary) = summary {
            self.references.extend(summary.references());
            self.subjects.extend_from_slice(summary.sort_subject());
        }
        // RFC 5256, 2.2.
        let sent = summary.and_then(SummaryRef::sent_date).map(|date| date.unix_seconds);
        self.messages.push(Input {
            id,
            message_id: summary.and_then(SummaryRef::message_id),
            references_end: self.references.len(),
            subject_end: self.subjects.len(),
            is_reply: summary.is_some_and(SummaryRef::is_reply),
            unix_seconds: sent.unwrap_or(message.internal_date.unix_seconds()),
        });
    }

    /// The threads as the answer writes them.
    fn threads(&self, algorithm: ThreadAlgorithm) -> Vec<u8> {
        let (mut references_start, mut subject_start) = (0, 0);
        let inputs = self.messages.iter().map(|message| {
            let input = ThreadInput {
                id: message.id,
                message_id: message.message_id,
                references: self.references.get(references_start..message.references_end).unwrap_or_default(),
                subject: self.subjects.get(subject_start..message.subject_end).unwrap_or_default(),
                is_reply: message.is_reply,
                unix_seconds: message.unix_seconds,
            };
            (references_start, subject_start) = (message.references_end, message.subject_end);
            input
        });
        let inputs: Vec<ThreadInput<'_>> = inputs.collect();
        let forest = match algorithm {
            ThreadAlgorithm::OrderedSubject => ordered_subject(&inputs),
            ThreadAlgorithm::References => references(&inputs),
        };
        let mut out = Vec::new();
        write_threads(&forest, &mut out);
        out
    }
}

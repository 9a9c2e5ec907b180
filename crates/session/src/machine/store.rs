//! STORE (RFC 9051, 6.4.6) with UNCHANGEDSINCE (RFC 7162, 3.1.3).

use paquebot_model::{FlagAction, FlagChange, Message, Outcome, keyword_bits};
use paquebot_protocol::command::{Store, StoreAction};
use paquebot_protocol::response::Code;
use paquebot_protocol::{NumberKind, SequenceSet, Tag};
use paquebot_types::{ModSeq, SeqNum, UidSet};

use crate::answer::Named;
use crate::machine::update::{Telling, write_message};
use crate::session::Session;
use crate::state::{Flow, State};
use crate::view::{Expunges, Update};

/// Messages told between two looks at the output.
const SLICE: usize = 256;

/// Answers STORE and UID STORE.
///
/// A message that is gone but still in the view is stored to as well, as far as the client can see, unless UNCHANGEDSINCE was given: being
/// expunged is a change.
pub(crate) async fn store(session: &mut Session, tag: &Tag, command: Store) -> Flow {
    let kind = command.messages.kind;
    let numbers = match session.pick(kind, &command.messages.set) {
        Ok(numbers) => numbers,
        Err(error) => return session.bad(Some(tag), &error.to_string()),
    };
    let expunges = Expunges::after(kind);
    if command.unchanged_since.is_some() {
        session.enable_condstore();
    }
    if let Some(why) = session.selected().unchangeable() {
        return session.refuse(tag, expunges, Some(Code::ReadOnly), why);
    }
    let before = Before::of(session, &numbers);
    let (account, mailbox) = (session.account().clone(), session.selected().live.at.mailbox);
    let change = change_of(&command);
    let outcome = account.store(mailbox, before.uids.clone(), change.clone(), command.unchanged_since).await;
    let (mut modified, own) = match outcome {
        Ok(Outcome::Stored { modified, modseq, .. }) => (modified, modseq),
        Ok(_) => (UidSet::new(), None),
        Err(error) => return session.not_changed(tag, &error, expunges, Named::Itself),
    };
    let update = session.take_update(Expunges::Hold).unwrap_or_default();
    session.write_news(&update);
    let ghosts = before.ghosts(session);
    if command.unchanged_since.is_some() {
        modified = modified.union(&ghosts.iter().map(|(_, ghost)| ghost.uid).collect());
    }
    let answer = Answer { kind, change, own, silent: command.silent, modified: &modified, before: &before };
    answer.tell(session, &numbers, &update, &ghosts).await?;
    let modified = modified_numbers(session, kind, &modified);
    let code = (!modified.is_empty()).then_some(Code::Modified(&modified));
    let text = if code.is_some() { "STORE completed, but for some" } else { "STORE completed" };
    session.complete(tag, expunges, code, text)
}

fn change_of(command: &Store) -> FlagChange {
    let action = match command.action {
        StoreAction::Add => FlagAction::Add,
        StoreAction::Remove => FlagAction::Remove,
        StoreAction::Replace => FlagAction::Replace,
    };
    FlagChange { action, flags: command.flags, keywords: command.keywords.clone() }
}

/// In the kind of number that the command used (RFC 7162, 3.1.3).
fn modified_numbers(session: &Session, kind: NumberKind, modified: &UidSet) -> SequenceSet {
    match kind {
        NumberKind::Uid => SequenceSet::from(modified),
        NumberKind::SeqNum => session.selected().view.numbers_of(modified),
    }
}

/// The messages as the client knew them before the change.
struct Before {
    messages: Vec<Message>,
    uids: UidSet,
}

impl Before {
    fn of(session: &Session, numbers: &SequenceSet) -> Self {
        let messages: Vec<Message> = session.selected().view.picked(numbers).map(|(_, message)| *message).collect();
        let uids = messages.iter().map(|message| message.uid).collect();
        Self { messages, uids }
    }

    fn find(&self, message: &Message) -> Option<&Message> {
        let at = self.messages.binary_search_by_key(&message.uid, |before| before.uid).ok()?;
        self.messages.get(at)
    }

    /// Those that are gone and that the client was not told of.
    fn ghosts(&self, session: &Session) -> Vec<(SeqNum, Message)> {
        let view = &session.selected().view;
        if !view.has_ghosts() {
            return Vec::new();
        }
        let ghosts = self.messages.iter().filter(|message| view.is_ghost(message.uid));
        ghosts.filter_map(|ghost| Some((view.messages().number_of(ghost.uid)?, *ghost))).collect()
    }
}

/// What the client is told of the messages.
struct Answer<'a> {
    kind: NumberKind,
    change: FlagChange,
    /// The modseq of those that this command changed.
    own: Option<ModSeq>,
    silent: bool,
    modified: &'a UidSet,
    before: &'a Before,
}

impl Answer<'_> {
    async fn tell(
        &self,
        session: &mut Session,
        numbers: &SequenceSet,
        update: &Update,
        ghosts: &[(SeqNum, Message)],
    ) -> Flow {
        let mut told: Vec<(SeqNum, Message)> = update.changed.clone();
        if !self.silent {
            // Each message named is told of, also where nothing changed, as if it were fetched.
            let view = &session.selected().view;
            let named = view.picked(numbers).filter(|(_, message)| !self.modified.contains(message.uid));
            told.extend(named.filter(|(_, message)| !view.is_ghost(message.uid)).map(|(number, it)| (number, *it)));
            told.extend(ghosts.iter().map(|(number, ghost)| (*number, self.changed(session, ghost))));
            told.sort_by_key(|(number, _)| *number);
            told.dedup_by_key(|(number, _)| *number);
        }
        for slice in told.chunks(SLICE) {
            self.tell_slice(session, slice);
            session.end_slice().await?;
        }
        Ok(())
    }

    fn tell_slice(&self, session: &mut Session, slice: &[(SeqNum, Message)]) {
        let (modes, mode) = (session.modes, session.mode());
        let State::Selected(_, selected) = &session.state else { return };
        let mut write = session.conn.writer(mode);
        for (number, message) in slice {
            let flags = !(self.silent && self.is_expected(selected.keywords(), message));
            // A silent change has a modseq all the same, which the client must hear (RFC 7162, 3.1.3).
            if flags || modes.condstore {
                let telling = Telling { uid: modes.qresync || self.kind == NumberKind::Uid, flags };
                write_message(&mut write, modes, selected, *number, message, telling);
            }
        }
    }

    /// Whether the message is now what the client makes of the flags that it knew.
    fn is_expected(&self, keywords: &[paquebot_types::Keyword], message: &Message) -> bool {
        self.own == Some(message.modseq)
            && self.before.find(message).is_some_and(|before| {
                let expected = apply(&self.change, keywords, before);
                (expected.flags, expected.keywords()) == (message.flags, message.keywords())
            })
    }

    fn changed(&self, session: &Session, ghost: &Message) -> Message {
        match self.modified.contains(ghost.uid) {
            true => *ghost,
            false => apply(&self.change, session.selected().keywords(), ghost),
        }
    }
}

/// The message with its flags changed, as the model does it.
fn apply(change: &FlagChange, keywords: &[paquebot_types::Keyword], message: &Message) -> Message {
    let bits = keyword_bits(keywords, &change.keywords);
    let mut after = *message;
    let (flags, keywords) = match change.action {
        FlagAction::Add => (message.flags.union(change.flags), message.keywords() | bits),
        FlagAction::Remove => (message.flags.difference(change.flags), message.keywords() & !bits),
        FlagAction::Replace => (change.flags, bits),
    };
    after.flags = flags;
    after.set_keywords(keywords);
    after
}

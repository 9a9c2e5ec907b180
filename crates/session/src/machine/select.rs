//! SELECT and EXAMINE (RFC 9051, 6.3.2 and 6.3.3), CONDSTORE and QRESYNC (RFC 7162, 3.1.8 and 3.2.5).

use std::sync::Arc;

use paquebot_mailbox::{Live, ServiceError};
use paquebot_protocol::command::{Access, QResync, Select, SeqMatch};
use paquebot_protocol::response::{Code, ListEntry, ListName};
use paquebot_protocol::{ListKind, Tag};
use paquebot_types::{Flags, MailboxName, SeqNum, Uid, UidRange, UidSet};

use crate::machine::list;
use crate::machine::recent::Claim;
use crate::machine::update::{write_changed, write_flags};
use crate::session::Session;
use crate::state::{Flow, Selected, State};
use crate::view::View;

/// Messages told between two looks at the output.
const SLICE: usize = 256;

/// Answers SELECT and EXAMINE. The mailbox selected before is left in any case, also if this one cannot be selected.
pub(crate) async fn select(session: &mut Session, tag: &Tag, command: Select) -> Flow {
    if command.qresync.is_some() && !session.modes.qresync {
        return session.bad(Some(tag), "QRESYNC is not enabled");
    }
    if session.deselect() {
        session.writer().untagged_ok(Some(Code::Closed), "The previous mailbox is closed");
    }
    if command.condstore {
        session.enable_condstore();
    }
    let name = match command.mailbox {
        Ok(name) => name,
        Err(error) => {
            session.writer().no(tag, Some(Code::NonExistent), &crate::answer::sentence(&error.to_string()));
            return Ok(());
        }
    };
    session.reach_last().await;
    let live = match open(session, &name, command.access).await {
        Ok(Some(live)) => live,
        Ok(None) => {
            session.writer().no(tag, Some(Code::NonExistent), "There is no such mailbox");
            return Ok(());
        }
        Err(error) => return session.failed(tag, &error),
    };
    session.enter(name, live, command.access);
    write_mailbox(session);
    if let Some(qresync) = &command.qresync {
        match resynchronize(session, qresync) {
            Ok(changed) => tell_changed(session, &changed).await?,
            Err(error) => {
                session.deselect();
                return session.failed(tag, &error);
            }
        }
    }
    let why = session.selected().view.snapshot().read_only.clone();
    let (code, text) = match (command.access, why) {
        (Access::ReadOnly, _) => (Code::ReadOnly, "EXAMINE completed".into()),
        (Access::ReadWrite, None) => (Code::ReadWrite, "SELECT completed".into()),
        (Access::ReadWrite, Some(why)) => (Code::ReadOnly, format!("SELECT completed, for reading only: {why}")),
    };
    session.writer().ok(tag, Some(code), &text);
    Ok(())
}

/// The mailbox in use, read from the index if it is not: that may take a while, so it is done where nobody waits.
async fn open(session: &Session, name: &MailboxName, access: Access) -> Result<Option<Arc<Live>>, ServiceError> {
    let account = session.account().clone();
    let Some(mailbox) = account.mailbox_named(name)? else { return Ok(None) };
    let access = match access {
        Access::ReadWrite => paquebot_mailbox::Access::Write,
        Access::ReadOnly => paquebot_mailbox::Access::Read,
    };
    tokio::task::spawn_blocking(move || account.open_for(mailbox, access)).await.map_err(|_| ServiceError::Stopping)?
}

impl Session {
    /// Makes the mailbox the selected one.
    fn enter(&mut self, name: MailboxName, live: Arc<Live>, access: Access) {
        let is_examined = access == Access::ReadOnly;
        let holder = if is_examined { 0 } else { live.take_over() };
        let mut bell = live.subscribe();
        let view = View::new(bell.borrow_and_update().clone());
        let read_only = is_examined || view.snapshot().read_only.is_some();
        let (claim, saved) = (Claim::default(), UidSet::new());
        let selected = Selected { name, read_only, holder, live, bell, view, claim, saved };
        self.state = match std::mem::replace(&mut self.state, State::NotAuthenticated) {
            State::Authenticated(identity) | State::Selected(identity, _) => {
                State::Selected(identity, Box::new(selected))
            }
            State::NotAuthenticated => State::NotAuthenticated,
        };
        self.take_recent();
    }

    /// Leaves the selected mailbox, if there is one: gives whether there was.
    pub(crate) fn deselect(&mut self) -> bool {
        let (state, was_selected) = match std::mem::replace(&mut self.state, State::NotAuthenticated) {
            State::Selected(identity, _) => (State::Authenticated(identity), true),
            other => (other, false),
        };
        self.state = state;
        was_selected
    }
}

/// What a client is told of a mailbox that it selects.
fn write_mailbox(session: &mut Session) {
    let (modes, mode) = (session.modes, session.mode());
    // All of an account's names are looked through for it, in other servers' directories too.
    let entry = if modes.rev2 { list::entry_of(session, &session.selected().name) } else { None };
    let State::Selected(_, selected) = &session.state else { return };
    let (snapshot, view) = (selected.view.snapshot(), &selected.view);
    let mut write = session.conn.writer(mode);
    write_flags(&mut write, selected);
    write.exists(view.messages().len());
    if !modes.rev2 {
        write.recent(view.recent_count());
        if let Some(unseen) = first_unseen(view) {
            write.untagged_ok(Some(Code::Unseen(unseen)), "The first unseen message");
        }
    }
    write.untagged_ok(Some(Code::UidValidity(snapshot.mailbox.uid_validity)), "UIDs are valid");
    if let Some(uid_next) = snapshot.mailbox.uid_next {
        write.untagged_ok(Some(Code::UidNext(uid_next)), "The next UID, at least");
    }
    write.untagged_ok(Some(Code::HighestModSeq(snapshot.mailbox.highest_modseq)), "The highest mod-sequence");
    write.untagged_ok(Some(Code::MailboxId(&snapshot.mailbox.object_id())), "The mailbox's identifier");
    if modes.rev2 {
        let entry = ListEntry {
            attributes: &entry.unwrap_or_default(),
            separator: Some(MailboxName::SEPARATOR),
            name: ListName::Mailbox(&selected.name),
            child_info: &[],
            old_name: None,
        };
        write.list(ListKind::List, &entry);
    }
}

fn first_unseen(view: &View) -> Option<SeqNum> {
    if view.snapshot().mailbox.unseen == 0 {
        return None;
    }
    let index = view.messages().iter().position(|message| !message.flags.contains(Flags::SEEN))?;
    SeqNum::new(u32::try_from(index).ok()?.checked_add(1)?)
}

/// Tells what has gone since the client was here; gives the messages whose flags it is to be told.
///
/// A message may go after the view was made. It is counted by the EXISTS that was told, so it is told as usual, when its time comes.
fn resynchronize(session: &mut Session, qresync: &QResync) -> Result<UidSet, ServiceError> {
    let selected = session.selected();
    let (view, mailbox) = (&selected.view, &selected.view.snapshot().mailbox);
    if mailbox.uid_validity != qresync.uid_validity {
        return Ok(UidSet::new());
    }
    let known = known_uids(qresync, mailbox.uid_next);
    let expunged = session.account().expunged_since(selected.live.at.mailbox, qresync.modseq)?;
    let mut vanished = view.without_messages_in_it(expunged.intersection(&known));
    if let Some(seq_match) = &qresync.seq_match
        && let Some(matched) = last_match(view, seq_match)
    {
        let above = matched.next().map_or(UidSet::new(), |first| one_range(first, Uid::MAX));
        vanished = vanished.intersection(&above);
    }
    let changed = view.messages().iter().filter(|message| message.modseq > qresync.modseq);
    let changed = changed.map(|message| message.uid).collect::<UidSet>().intersection(&known);
    session.writer().vanished_earlier(&vanished);
    Ok(changed)
}

/// The UIDs that the client knows or may know.
fn known_uids(qresync: &QResync, uid_next: Option<Uid>) -> UidSet {
    let last = uid_next.map_or(Some(Uid::MAX), |next| Uid::new(next.get() - 1));
    let given_out = last.map_or(UidSet::new(), |last| one_range(Uid::MIN, last));
    match &qresync.known_uids {
        Some(known) => known.intersection(&given_out),
        None => given_out,
    }
}

fn one_range(first: Uid, last: Uid) -> UidSet {
    UidSet::from_ranges(vec![UidRange::new(first, last)])
}

/// The last UID whose sequence number is still the one that the client knows.
///
/// Messages only ever go, so if the client and the view have as many messages up to a UID they have the same: of what vanished, nothing
/// lies below it that the client does not know (RFC 7162, 3.2.5.2).
fn last_match(view: &View, seq_match: &SeqMatch) -> Option<Uid> {
    let numbers = seq_match.seq_nums.ranges().iter().flat_map(|range| range.first..=range.last);
    let mut matched = None;
    for (number, uid) in numbers.zip(seq_match.uids.iter()) {
        if view.messages().number_of(uid).map(SeqNum::get) != Some(number) {
            break;
        }
        matched = Some(uid);
    }
    matched
}

async fn tell_changed(session: &mut Session, changed: &UidSet) -> Flow {
    let numbers = session.selected().view.numbers_of(changed);
    let (modes, mode) = (session.modes, session.mode());
    for range in numbers.ranges() {
        let mut next = range.first;
        while let Some(first) = SeqNum::new(next).filter(|_| next <= range.last) {
            let State::Selected(_, selected) = &session.state else { return Ok(()) };
            let mut write = session.conn.writer(mode);
            let messages = selected.view.messages().iter_from(first).take(SLICE);
            for (number, message) in messages.take_while(|(number, _)| number.get() <= range.last) {
                write_changed(&mut write, modes, selected, number, message);
            }
            next = next.saturating_add(SLICE as u32);
            session.end_slice().await?;
        }
    }
    Ok(())
}

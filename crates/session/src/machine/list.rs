//! LIST (RFC 9051, 6.3.9), LSUB (RFC 3501, 6.3.9) and XLIST; LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154).

use std::collections::{BTreeMap, BTreeSet};

use paquebot_mailbox::{Listed, ServiceError};
use paquebot_protocol::command::{List, ListKind};
use paquebot_protocol::response::{ListAttribute, ListEntry, ListName};
use paquebot_protocol::{ListPattern, StatusItem, Tag};
use paquebot_types::{MailboxId, MailboxName, SpecialUse};

use crate::machine::status;
use crate::session::Session;
use crate::state::Flow;
use crate::view::Expunges;

type Names = BTreeMap<MailboxName, Listed>;
type Uses = BTreeMap<MailboxId, Vec<SpecialUse>>;

/// Names told between two looks at the output.
const SLICE: usize = 64;

/// A name that the answer has, and what is told of it.
struct Entry {
    name: MailboxName,
    attributes: Vec<ListAttribute>,
    /// CHILDINFO: what mailboxes below it were selected for.
    child_info: Vec<&'static str>,
    /// The mailbox of this name, if it can be selected.
    mailbox: Option<MailboxId>,
}

/// Answers LIST, LSUB and XLIST.
pub(crate) async fn list(session: &mut Session, tag: &Tag, command: List) -> Flow {
    let text = match command.kind {
        ListKind::List => "LIST completed",
        ListKind::Lsub => "LSUB completed",
        ListKind::Xlist => "XLIST completed",
    };
    if command.only_separator {
        write_root(session, &command);
        return session.complete(tag, Expunges::Tell, None, text);
    }
    if command.returns.status.contains(&StatusItem::HighestModSeq) {
        session.enable_condstore();
    }
    session.reach_last().await;
    let entries = match select_entries(session, &command) {
        Ok(entries) => entries,
        Err(error) => return session.failed(tag, &error),
    };
    for slice in entries.chunks(SLICE) {
        for entry in slice {
            write_entry(session, command.kind, entry);
            if let Err(error) = write_status(session, &command, entry) {
                return session.failed(tag, &error);
            }
        }
        session.end_slice().await?;
    }
    session.complete(tag, Expunges::Tell, None, text)
}

/// The answer to an empty pattern: the separator, and the root of the reference, which is everywhere the same (RFC 9051, 6.3.9).
fn write_root(session: &mut Session, command: &List) {
    let entry = ListEntry {
        attributes: &[ListAttribute::NoSelect],
        separator: Some(MailboxName::SEPARATOR),
        name: ListName::Root(""),
        child_info: &[],
        old_name: None,
    };
    session.writer().list(command.kind, &entry);
}

fn write_entry(session: &mut Session, kind: ListKind, entry: &Entry) {
    let entry = ListEntry {
        attributes: &entry.attributes,
        separator: Some(MailboxName::SEPARATOR),
        name: ListName::Mailbox(&entry.name),
        child_info: &entry.child_info,
        old_name: None,
    };
    session.writer().list(kind, &entry);
}

/// STATUS of a mailbox after its LIST, if that was asked for and it can be selected (RFC 5819, 2).
fn write_status(session: &mut Session, command: &List, entry: &Entry) -> Result<(), ServiceError> {
    let (items, Some(id)) = (&command.returns.status, entry.mailbox) else { return Ok(()) };
    if items.is_empty() {
        return Ok(());
    }
    match session.reader()?.mailbox(id)? {
        Some(mailbox) => status::tell(session, &entry.name, &mailbox, items),
        None => Ok(()),
    }
}

/// A mailbox's attributes as SELECT tells them in rev2; `None` if they cannot be read.
pub(super) fn entry_of(session: &Session, name: &MailboxName) -> Option<Vec<ListAttribute>> {
    let account = session.account();
    let listed = account.list().ok()?.remove(name)?;
    let uses = account.special_uses().ok()?;
    let mut attributes = vec![children(&listed)];
    attributes.extend(uses_of(&listed, &uses));
    Some(attributes)
}

fn select_entries(session: &Session, command: &List) -> Result<Vec<Entry>, ServiceError> {
    let names = session.account().list()?;
    let uses = session.account().special_uses()?;
    Ok(match command.kind {
        ListKind::Lsub => subscribed_entries(&names, &uses, &command.patterns),
        ListKind::List | ListKind::Xlist => matching_entries(&names, &uses, command),
    })
}

/// LIST and XLIST.
fn matching_entries(names: &Names, uses: &Uses, command: &List) -> Vec<Entry> {
    let selection = command.selection;
    let by_selection = selection.subscribed || selection.special_use;
    let is_selected = |listed: &Listed| {
        (!selection.subscribed || listed.subscribed)
            && (!selection.special_use || uses_of(listed, uses).next().is_some())
    };
    // Without a selection every name that exists is meant; one that is only subscribed to does not.
    let exists = |listed: &Listed| listed.mailbox.is_some() || listed.has_children;
    let mut selected_below: BTreeSet<MailboxName> = BTreeSet::new();
    // Those of them below which something is selected that the patterns leave out: a name that is not selected itself is told for such
    // mailboxes only, since the others speak for themselves (RFC 5258, 3.5).
    let mut stands_for_others: BTreeSet<MailboxName> = BTreeSet::new();
    if selection.recursive_match {
        for (name, _) in names.iter().filter(|(_, listed)| is_selected(listed)) {
            selected_below.extend(above(name));
            if !matches_any(&command.patterns, name) {
                stands_for_others.extend(above(name));
            }
        }
    }
    let candidates = names.iter().map(|(name, listed)| (name.clone(), listed.clone()));
    // The names above a subscription need not exist, nor be in the list.
    let unlisted = stands_for_others.iter().filter(|name| !names.contains_key(*name));
    let unlisted = unlisted.map(|name| (name.clone(), Listed::default()));
    let mut candidates: Vec<(MailboxName, Listed)> = candidates.chain(unlisted).collect();
    candidates.sort_by(|(one, _), (two, _)| one.cmp(two));
    let matches = candidates.into_iter().filter(|(name, _)| matches_any(&command.patterns, name));
    matches
        .filter_map(|(name, listed)| {
            let is_in = if by_selection { is_selected(&listed) } else { exists(&listed) };
            if !is_in && !stands_for_others.contains(&name) {
                return None;
            }
            let child_info = if selected_below.contains(&name) { child_info(command) } else { Vec::new() };
            let attributes = attributes(&name, &listed, uses, command);
            Some(Entry { mailbox: listed.mailbox, name, attributes, child_info })
        })
        .collect()
}

/// What CHILDINFO says: the criteria that are met below (RFC 5258, 3.5). RECURSIVEMATCH always has one of them beside it.
fn child_info(command: &List) -> Vec<&'static str> {
    let selection = command.selection;
    let options = [(selection.subscribed, "SUBSCRIBED"), (selection.special_use, "SPECIAL-USE")];
    options.into_iter().filter(|(is_given, _)| *is_given).map(|(_, name)| name).collect()
}

/// LSUB: what is subscribed to, and the parents of those that match by `%` (RFC 3501, 6.3.9).
fn subscribed_entries(names: &Names, uses: &Uses, patterns: &[ListPattern]) -> Vec<Entry> {
    let mut found: BTreeMap<MailboxName, bool> = BTreeMap::new();
    for (name, _) in names.iter().filter(|(_, listed)| listed.subscribed) {
        if matches_any(patterns, name) {
            found.insert(name.clone(), true);
        } else {
            for parent in above(name).filter(|parent| matches_any(patterns, parent)) {
                found.entry(parent).or_insert(false);
            }
        }
    }
    let none = Listed::default();
    let entry = |(name, is_subscribed): (MailboxName, bool)| {
        let listed = names.get(&name).unwrap_or(&none);
        let mut attributes = Vec::new();
        // \Noselect on LSUB is for the names that are told only for what is below them. Old clients open whatever else they are shown.
        if !is_subscribed || listed.mailbox.is_none() {
            attributes.push(ListAttribute::NoSelect);
        }
        attributes.push(children(listed));
        attributes.extend(uses_of(listed, uses));
        Entry { name, attributes, child_info: Vec::new(), mailbox: None }
    };
    found.into_iter().map(entry).collect()
}

fn attributes(name: &MailboxName, listed: &Listed, uses: &Uses, command: &List) -> Vec<ListAttribute> {
    let mut attributes = Vec::new();
    if listed.mailbox.is_none() {
        // What only has inferiors exists as a place (RFC 9051, 7.3.1); what is only subscribed to does not.
        attributes.push(if listed.has_children { ListAttribute::NoSelect } else { ListAttribute::NonExistent });
    }
    if command.kind == ListKind::Xlist && name.is_inbox() {
        attributes.push(ListAttribute::Inbox);
    }
    if listed.subscribed && (command.returns.subscribed || command.selection.subscribed) {
        attributes.push(ListAttribute::Subscribed);
    }
    attributes.push(children(listed));
    attributes.extend(uses_of(listed, uses));
    attributes
}

fn children(listed: &Listed) -> ListAttribute {
    if listed.has_children { ListAttribute::HasChildren } else { ListAttribute::HasNoChildren }
}

fn uses_of<'a>(listed: &Listed, uses: &'a Uses) -> impl Iterator<Item = ListAttribute> + 'a {
    let found = listed.mailbox.and_then(|id| uses.get(&id));
    found.into_iter().flatten().map(|special_use| ListAttribute::Use(*special_use))
}

fn matches_any(patterns: &[ListPattern], name: &MailboxName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// The names above this one, the nearest first.
fn above(name: &MailboxName) -> impl Iterator<Item = MailboxName> + use<> {
    std::iter::successors(name.parent(), MailboxName::parent)
}

//! What each command does, one file a command.

use std::pin::Pin;

use paquebot_protocol::response::{Code, Namespace};
use paquebot_protocol::{Command, Tag, Tagged};
use paquebot_types::MailboxName;

use crate::capability;
use crate::session::Session;
use crate::state::{End, Flow, State};
use crate::view::Expunges;

pub(crate) mod append;
mod authenticate;
mod background;
mod bodies;
mod compress;
mod condstore;
mod copy;
mod create;
mod delete;
mod enable;
mod expunge;
mod fetch;
mod id;
mod idle;
mod list;
mod login;
pub(crate) mod recent;
mod rename;
mod search;
mod select;
mod sort;
mod starttls;
mod status;
mod store;
mod subscribe;
mod thread;
mod unauthenticate;
mod update;
mod walk;

use copy::Originals;
use subscribe::Subscription;

/// The state that a command belongs to (RFC 9051, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Anything,
    NotAuthenticated,
    Authenticated,
    Selected,
}

impl Needs {
    fn of(command: &Command) -> Self {
        match command {
            Command::Capability | Command::Noop | Command::Logout | Command::Id(_) => Self::Anything,
            Command::StartTls | Command::Authenticate(_) | Command::Login(_) => Self::NotAuthenticated,
            Command::Enable(_)
            | Command::Select(_)
            | Command::Create(_)
            | Command::Delete(_)
            | Command::Rename { .. }
            | Command::Subscribe(_)
            | Command::Unsubscribe(_)
            | Command::List(_)
            | Command::Namespace
            | Command::Status(_)
            | Command::Idle
            | Command::Compress
            | Command::Unauthenticate => Self::Authenticated,
            Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Expunge(_)
            | Command::Search(_)
            | Command::Sort(_)
            | Command::Thread(_)
            | Command::Fetch(_)
            | Command::Store(_)
            | Command::Copy(_)
            | Command::Move(_) => Self::Selected,
        }
    }

    /// Why a command cannot be answered in this state; `None` if it can.
    fn lacking(self, state: &State) -> Option<&'static str> {
        match (self, state) {
            (Self::NotAuthenticated, State::Authenticated(_) | State::Selected(..)) => {
                Some("You are logged in already")
            }
            (Self::Authenticated | Self::Selected, State::NotAuthenticated) => Some("Log in first"),
            (Self::Selected, State::Authenticated(_)) => Some("Select a mailbox first"),
            _ => None,
        }
    }
}

/// A command being answered.
type Answering<'a> = Pin<Box<dyn Future<Output = Flow> + Send + 'a>>;

/// Answers a command.
///
/// Each command's future has its own place on the heap while it runs, so that a waiting session is as small as its state. Its type is left
/// out: what it is made of need not be known to whoever runs sessions on many threads.
pub(crate) fn answer(session: &mut Session, tagged: Tagged) -> Answering<'_> {
    let Tagged { tag, command } = tagged;
    tracing::debug!(command = command.name(), "command");
    if let Some(text) = Needs::of(&command).lacking(&session.state) {
        return at_once(session.bad(Some(&tag), text));
    }
    match command {
        Command::Capability => at_once(capability(session, &tag)),
        Command::Noop => at_once(look(session, &tag, "NOOP completed")),
        Command::Check => at_once(look(session, &tag, "CHECK completed")),
        Command::Logout => at_once(logout(session, &tag)),
        Command::Id(fields) => at_once(id::id(session, &tag, fields.as_deref())),
        Command::Enable(names) => at_once(enable::enable(session, &tag, &names)),
        Command::Namespace => at_once(namespace(session, &tag)),
        Command::Unselect => at_once(expunge::unselect(session, &tag)),
        Command::StartTls => Box::pin(async move { starttls::starttls(session, &tag).await }),
        Command::Authenticate(command) => {
            Box::pin(async move { authenticate::authenticate(session, &tag, command).await })
        }
        Command::Login(command) => Box::pin(async move { login::login(session, &tag, command).await }),
        Command::Select(command) => Box::pin(async move { select::select(session, &tag, command).await }),
        Command::Create(command) => Box::pin(async move { create::create(session, &tag, command).await }),
        Command::Delete(mailbox) => Box::pin(async move { delete::delete(session, &tag, mailbox).await }),
        Command::Rename { from, to } => Box::pin(async move { rename::rename(session, &tag, from, to).await }),
        Command::Subscribe(mailbox) => {
            Box::pin(async move { subscribe::subscribe(session, &tag, mailbox, Subscription::Begin).await })
        }
        Command::Unsubscribe(mailbox) => {
            Box::pin(async move { subscribe::subscribe(session, &tag, mailbox, Subscription::End).await })
        }
        Command::List(command) => Box::pin(async move { list::list(session, &tag, command).await }),
        Command::Status(command) => Box::pin(async move { status::status(session, &tag, command).await }),
        Command::Idle => Box::pin(async move { idle::idle(session, &tag).await }),
        Command::Compress => Box::pin(async move { compress::compress(session, &tag).await }),
        Command::Unauthenticate => Box::pin(async move { unauthenticate::unauthenticate(session, &tag).await }),
        Command::Close => Box::pin(async move { expunge::close(session, &tag).await }),
        Command::Expunge(only) => Box::pin(async move { expunge::expunge(session, &tag, only).await }),
        Command::Search(search) => Box::pin(async move { search::search(session, &tag, search).await }),
        Command::Sort(sort) => Box::pin(async move { sort::sort(session, &tag, sort).await }),
        Command::Thread(thread) => Box::pin(async move { thread::thread(session, &tag, thread).await }),
        Command::Fetch(fetch) => Box::pin(async move { fetch::fetch(session, &tag, fetch).await }),
        Command::Store(store) => Box::pin(async move { store::store(session, &tag, store).await }),
        Command::Copy(copy) => Box::pin(async move { copy::copy(session, &tag, copy, Originals::Stay).await }),
        Command::Move(copy) => Box::pin(async move { copy::copy(session, &tag, copy, Originals::Go).await }),
    }
}

/// The answer of a command that waits for nothing.
fn at_once<'a>(flow: Flow) -> Answering<'a> {
    Box::pin(std::future::ready(flow))
}

/// Answers CAPABILITY (RFC 9051, 6.1.1).
fn capability(session: &mut Session, tag: &Tag) -> Flow {
    let capabilities = capability::list(session);
    session.writer().capability(capabilities.iter().map(|name| &**name));
    session.complete(tag, Expunges::Tell, None, "CAPABILITY completed")
}

/// Answers LOGOUT (RFC 9051, 6.1.3).
fn logout(session: &mut Session, tag: &Tag) -> Flow {
    session.writer().bye(None::<Code<'_>>, "Logging out");
    session.writer().ok(tag, None, "LOGOUT completed");
    Err(End::Logout)
}

/// Answers NOOP (RFC 9051, 6.1.2) and CHECK (RFC 3501, 6.4.1): tells what is new, if need be by asking.
fn look(session: &mut Session, tag: &Tag, text: &str) -> Flow {
    if let State::Selected(_, selected) = &session.state {
        selected.live.look();
    }
    session.complete(tag, Expunges::Tell, None, text)
}

/// Answers NAMESPACE (RFC 9051, 6.3.10): everything is the user's own, also what lies in other servers' files.
fn namespace(session: &mut Session, tag: &Tag) -> Flow {
    let service = session.shared.service.clone();
    let mut own = vec![Namespace { prefix: "", separator: Some(MailboxName::SEPARATOR) }];
    for namespace in service.namespaces().iter().filter(|namespace| !namespace.prefix.is_empty()) {
        own.push(Namespace { prefix: &namespace.prefix, separator: Some(MailboxName::SEPARATOR) });
    }
    session.writer().namespace(&own, &[], &[]);
    session.complete(tag, Expunges::Tell, None, "NAMESPACE completed")
}

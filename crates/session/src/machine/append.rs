//! APPEND (RFC 9051, 6.3.12) and MULTIAPPEND (RFC 3502): the messages are streamed, and appended all at once or not at all.

use std::time::{SystemTime, UNIX_EPOCH};

use paquebot_mailbox::{Account, Incoming, Ready, ServiceError};
use paquebot_model::Outcome;
use paquebot_protocol::command::{AppendForm, AppendHead, AppendMessage, parse_append_end, parse_append_next};
use paquebot_protocol::response::Code;
use paquebot_protocol::{AppendStart, Event, SyntaxError, Tag};
use paquebot_types::{InternalDate, MailboxId};

use crate::answer::{Named, sentence};
use crate::session::Session;
use crate::state::{End, Flow, State};
use crate::view::Expunges;

/// Messages of one APPEND that are kept in memory until the last has come, in octets. Large ones are on disk and do not count.
const GATHERED_BYTES: u64 = 16 << 20;
/// Messages of one APPEND.
const MESSAGES_MAX: usize = 1000;
/// What counts as large: the mailbox service keeps smaller ones in memory.
const LARGE_BYTES: u64 = 256 << 10;

/// A message as it was announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    size: u64,
    synchronizing: bool,
    too_big: bool,
}

impl Announced {
    pub(crate) fn from(start: &AppendStart<'_>) -> Self {
        Self { size: start.size, synchronizing: start.synchronizing, too_big: start.too_big }
    }
}

/// Why an APPEND is not done. What the client sends of it nevertheless is dropped, then this is answered.
enum Refused {
    Syntax(SyntaxError),
    /// BAD for another reason.
    Bad(&'static str),
    No(Code<'static>, String),
    Failed(ServiceError),
}

/// What comes next of an APPEND.
enum Piece {
    Data,
    /// A message is whole.
    Whole,
    Next(Result<AppendMessage, SyntaxError>, Announced),
    End(Result<(), SyntaxError>),
    /// The framer has dropped the rest, and says why.
    Dropped(Option<String>),
    Cut(End),
}

/// Answers an APPEND of which the head has come, up to the first message's announcement.
///
/// Whether the mailbox exists is looked up before the client is let send: it need not send a large message for a NO.
pub(crate) async fn append(session: &mut Session, head: Result<AppendHead, SyntaxError>, first: Announced) -> Flow {
    let head = match head {
        Ok(head) => head,
        Err(error) => {
            let tag = error.tag.clone();
            return drop_rest(session, tag.as_ref(), Refused::Syntax(error)).await;
        }
    };
    let tag = head.tag;
    let mailbox = match target(session, head.mailbox) {
        Ok(mailbox) => mailbox,
        Err(refused) => return drop_rest(session, Some(&tag), refused).await,
    };
    let mut gathered = Gathered { account: session.account().clone(), messages: Vec::new(), memory_bytes: 0 };
    match receive(session, &mut gathered, head.message, first).await? {
        Ok(()) => finish(session, &tag, mailbox, gathered).await,
        Err(Unfinished::Refuse(refused)) => drop_rest(session, Some(&tag), refused).await,
        Err(Unfinished::Over(refused)) => answer(session, Some(&tag), refused),
    }
}

fn target(session: &Session, mailbox: paquebot_protocol::Mailbox) -> Result<MailboxId, Refused> {
    if let State::NotAuthenticated = session.state {
        return Err(Refused::Bad("APPEND needs a login"));
    }
    let name = mailbox.map_err(|error| Refused::No(Code::Cannot, sentence(&error.to_string())))?;
    match session.account().mailbox_named(&name) {
        Ok(Some(mailbox)) => Ok(mailbox),
        Ok(None) => Err(Refused::No(Code::TryCreate, "There is no such mailbox".into())),
        Err(error) => Err(Refused::Failed(error)),
    }
}

/// The messages that have come.
struct Gathered {
    account: Account,
    messages: Vec<(AppendMessage, Ready)>,
    /// What they take in memory.
    memory_bytes: u64,
}

/// Why the messages did not all come.
enum Unfinished {
    /// The rest is still to come, and to be dropped.
    Refuse(Refused),
    /// All of the command has been read.
    Over(Refused),
}

/// Receives the messages up to the command's end.
async fn receive(
    session: &mut Session,
    gathered: &mut Gathered,
    mut message: AppendMessage,
    mut announced: Announced,
) -> Result<Result<(), Unfinished>, End> {
    loop {
        if let Err(refused) = admit(gathered, announced) {
            return Ok(Err(Unfinished::Refuse(refused)));
        }
        if announced.synchronizing {
            session.writer().continuation("Go ahead");
        }
        let form = message.form;
        let incoming = match receive_one(session, &gathered.account, form, announced).await? {
            Ok(incoming) => incoming,
            Err(unfinished) => return Ok(Err(unfinished)),
        };
        match incoming.finish().await {
            Ok(ready) => {
                if announced.size <= LARGE_BYTES {
                    gathered.memory_bytes += announced.size;
                }
                gathered.messages.push((message, ready));
            }
            Err(error) => return Ok(Err(Unfinished::Refuse(Refused::Failed(error)))),
        }
        match next_piece(session, form, &mut |_| {}).await? {
            Piece::Next(Ok(next), next_announced) => (message, announced) = (next, next_announced),
            Piece::End(Ok(())) => return Ok(Ok(())),
            Piece::Next(Err(error), _) => return Ok(Err(Unfinished::Refuse(Refused::Syntax(error)))),
            Piece::End(Err(error)) => return Ok(Err(Unfinished::Over(Refused::Syntax(error)))),
            piece => return Ok(Err(out_of_place(piece)?)),
        }
    }
}

/// Whether a message may be sent.
fn admit(gathered: &Gathered, announced: Announced) -> Result<(), Refused> {
    if announced.too_big {
        return Err(Refused::No(Code::TooBig, "The message is larger than APPENDLIMIT".into()));
    }
    // RFC 3502, 6.3.11: this is how a client gives up.
    if announced.size == 0 {
        return Err(Refused::No(Code::Cannot, "A message cannot be empty".into()));
    }
    let in_memory = if announced.size <= LARGE_BYTES { announced.size } else { 0 };
    if gathered.messages.len() >= MESSAGES_MAX || gathered.memory_bytes + in_memory > GATHERED_BYTES {
        return Err(Refused::No(Code::Limit, "Too many messages for one APPEND".into()));
    }
    Ok(())
}

/// Receives one message.
async fn receive_one(
    session: &mut Session,
    account: &Account,
    form: AppendForm,
    announced: Announced,
) -> Result<Result<Incoming, Unfinished>, End> {
    let mut incoming = account.incoming(Some(announced.size));
    let mut failure = None;
    loop {
        let mut write = |octets: &[u8]| {
            if form == AppendForm::Literal && octets.contains(&0) {
                failure = Some(Refused::Bad("A message with NUL is to be sent as a literal8 (RFC 3516)"));
            } else if let Err(error) = incoming.write(octets) {
                failure = Some(Refused::Failed(error));
            }
        };
        let piece = next_piece(session, form, &mut write).await?;
        if let Some(refused) = failure {
            return Ok(Err(Unfinished::Refuse(refused)));
        }
        match piece {
            Piece::Data => {}
            Piece::Whole => return Ok(Ok(incoming)),
            piece => return Ok(Err(out_of_place(piece)?)),
        }
    }
}

fn out_of_place(piece: Piece) -> Result<Unfinished, End> {
    match piece {
        Piece::Dropped(Some(_)) => Ok(Unfinished::Over(Refused::Bad("The command is longer than it may be"))),
        Piece::Cut(end) => Err(end),
        _ => Err(End::Bye("The server lost its place in your command".into())),
    }
}

/// What comes next, waiting for it if need be. A message's octets are given to `write`.
async fn next_piece(
    session: &mut Session,
    form: AppendForm,
    write: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<Piece, End> {
    let context = session.parse_context();
    loop {
        let piece = session.conn.next(|event| match event {
            Event::Data(octets) => {
                write(octets);
                Piece::Data
            }
            Event::DataEnd => Piece::Whole,
            Event::Append(start) => Piece::Next(parse_append_next(start.head, form, &context), Announced::from(&start)),
            Event::AppendEnd(rest) => Piece::End(parse_append_end(rest, form)),
            Event::Refused => Piece::Dropped(None),
            Event::Bad { error, .. } => Piece::Dropped(Some(error.to_string())),
            Event::Fatal(error) => Piece::Cut(End::Bye(error.to_string())),
            Event::Command(_) | Event::Literal { .. } | Event::Line(_) => {
                Piece::Cut(End::Bye("The server lost its place in your command".into()))
            }
        });
        match piece {
            Some(piece) => return Ok(piece),
            None => session.fill_within_command().await?,
        }
    }
}

/// Drops what the client sends of a refused APPEND, then answers it.
async fn drop_rest(session: &mut Session, tag: Option<&Tag>, refused: Refused) -> Flow {
    session.conn.framer.refuse();
    loop {
        match next_piece(session, AppendForm::Literal, &mut |_| {}).await? {
            Piece::Dropped(None) => return answer(session, tag, refused),
            Piece::Dropped(Some(_)) => {
                return answer(session, tag, Refused::Bad("The command is longer than it may be"));
            }
            Piece::Cut(end) => return Err(end),
            // The command's end had come already when it was refused.
            Piece::End(_) => return answer(session, tag, refused),
            Piece::Data | Piece::Whole => {}
            Piece::Next(..) => session.conn.framer.refuse(),
        }
    }
}

fn answer(session: &mut Session, tag: Option<&Tag>, refused: Refused) -> Flow {
    match (refused, tag) {
        (Refused::Syntax(error), tag) => session.bad(tag, &error.to_string()),
        (Refused::Bad(text), tag) => session.bad(tag, text),
        (Refused::No(code, text), Some(tag)) => session.refuse(tag, Expunges::Tell, Some(code), &text),
        (Refused::Failed(error), Some(tag)) => session.failed(tag, &error),
        // A head that could be parsed has a tag.
        (Refused::No(_, text), None) => session.bad(None, &text),
        (Refused::Failed(error), None) => session.bad(None, &error.to_string()),
    }
}

/// Appends what has come.
async fn finish(session: &mut Session, tag: &Tag, mailbox: MailboxId, gathered: Gathered) -> Flow {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = InternalDate::utc(i64::try_from(now).unwrap_or(i64::MAX));
    let messages = gathered
        .messages
        .into_iter()
        .map(|(message, ready)| ready.message(message.flags, message.keywords, message.internal_date.unwrap_or(now)));
    match gathered.account.append(mailbox, messages.collect()).await {
        Ok(Outcome::Appended { uid_validity, uids, .. }) => {
            let code = Code::AppendUid { uid_validity, uids: &uids };
            session.complete(tag, Expunges::Tell, Some(code), "APPEND completed")
        }
        Ok(_) => session.complete(tag, Expunges::Tell, None, "APPEND completed"),
        Err(error) => session.not_changed(tag, &error, Expunges::Tell, Named::Target),
    }
}

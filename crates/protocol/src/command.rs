//! Commands: what a client asks for, as types.

mod append;
mod authenticate;
mod copy;
mod create;
mod fetch;
mod id;
mod list;
mod login;
mod search;
mod select;
mod sort;
mod status;
mod store;
mod thread;

pub use append::{AppendForm, AppendHead, AppendMessage, parse_append, parse_append_end, parse_append_next};
pub use authenticate::{Authenticate, SaslLine, parse_sasl_line};
pub use copy::Copy;
pub use create::Create;
pub use fetch::{Fetch, FetchItem};
pub use id::{ID_KEY_BYTES_MAX, ID_PAIRS_MAX, ID_VALUE_BYTES_MAX, IdPair};
pub use list::{LIST_PATTERNS_MAX, List, ListKind, ListReturn, ListSelection};
pub use login::{Login, Password};
pub use search::{ReturnOptions, Search, SearchKey};
pub use select::{Access, QResync, Select, SeqMatch};
pub use sort::{Sort, SortCriterion, SortKey};
pub use status::{Status, StatusItem};
pub use store::{Store, StoreAction};
pub use thread::{Thread, ThreadAlgorithm};

use crate::parser::{Parsed, Parser, Stop};
use crate::{Fault, Mailbox, MessageSet, NumberKind, SyntaxError, Tag};

/// A command with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub tag: Tag,
    pub command: Command,
}

/// Every command but APPEND, whose messages are streamed and never part of a parsed command: see [`parse_append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    // Any state.
    Capability,
    Noop,
    Logout,
    /// `None` for `ID NIL`; `ID ()` gives an empty list (RFC 2971).
    Id(Option<Vec<IdPair>>),

    // Not authenticated.
    StartTls,
    Authenticate(Authenticate),
    Login(Login),

    // Authenticated.
    /// The names in upper case, in the order given; at least one (RFC 5161). Unknown ones are to be ignored.
    Enable(Vec<String>),
    /// SELECT and EXAMINE.
    Select(Select),
    Create(Create),
    Delete(Mailbox),
    Rename {
        from: Mailbox,
        to: Mailbox,
    },
    Subscribe(Mailbox),
    Unsubscribe(Mailbox),
    /// LIST, LSUB and XLIST.
    List(List),
    Namespace,
    Status(Status),
    /// Answer `+`, then [`crate::Framer::expect_line`]: the next line is to be `DONE` (RFC 2177).
    Idle,
    /// COMPRESS DEFLATE (RFC 4978).
    Compress,
    Unauthenticate,

    // Selected.
    Check,
    Close,
    Unselect,
    /// `None` for EXPUNGE, the UIDs of UID EXPUNGE otherwise (RFC 4315).
    Expunge(Option<MessageSet>),
    Search(Search),
    Sort(Sort),
    Thread(Thread),
    Fetch(Fetch),
    Store(Store),
    Copy(Copy),
    Move(Copy),
}

/// What the session has agreed on with its client, and how much of anything one command may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseContext {
    /// Whether UTF8=ACCEPT or IMAP4rev2 was enabled: mailbox names are UTF-8, not modified UTF-7.
    pub utf8: bool,
    /// Elements of one set of numbers, before merging.
    pub set_elements_max: usize,
    /// NOT and parentheses within one another; chains of OR do not count.
    pub search_depth_max: usize,
    /// Keys of one search program, NOT, OR and parentheses included.
    pub search_keys_max: usize,
    /// Elements of every other list: FETCH items, header names, flags.
    pub list_elements_max: usize,
}

impl Default for ParseContext {
    fn default() -> Self {
        Self {
            utf8: false,
            set_elements_max: 10_000,
            search_depth_max: 50,
            search_keys_max: 2_000,
            list_elements_max: 1_000,
        }
    }
}

impl Command {
    /// The command's name, for logs and metrics; UID is not told.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate(_) => "AUTHENTICATE",
            Self::Login(_) => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select(select) => match select.access {
                Access::ReadWrite => "SELECT",
                Access::ReadOnly => "EXAMINE",
            },
            Self::Create(_) => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(list) => match list.kind {
                ListKind::List => "LIST",
                ListKind::Lsub => "LSUB",
                ListKind::Xlist => "XLIST",
            },
            Self::Namespace => "NAMESPACE",
            Self::Status(_) => "STATUS",
            Self::Idle => "IDLE",
            Self::Compress => "COMPRESS",
            Self::Unauthenticate => "UNAUTHENTICATE",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge(_) => "EXPUNGE",
            Self::Search(_) => "SEARCH",
            Self::Sort(_) => "SORT",
            Self::Thread(_) => "THREAD",
            Self::Fetch(_) => "FETCH",
            Self::Store(_) => "STORE",
            Self::Copy(_) => "COPY",
            Self::Move(_) => "MOVE",
        }
    }
}

/// Parses one whole command, as [`crate::Event::Command`] gives it: without its final line end, literals with their announcements as sent.
///
/// No recursion, and no allocation beyond what the command itself holds. Leniencies, each for clients seen in the wild: one space after
/// the command's end; bare LF after a literal's announcement; empty flag lists and `ID ()`; a day of one digit without its leading space
/// in APPEND's date. Everything else is by the grammar of RFC 9051 and the extensions, the older one of RFC 3501 included.
pub fn parse(bytes: &[u8], context: &ParseContext) -> Result<Tagged, SyntaxError> {
    let mut parser = Parser::new(bytes, context);
    let tag = parse_tag(&mut parser)?;
    let at = parser.at();
    let word = parser.word();
    let (name, kind) = if word.as_str() == "UID" {
        match parser.space() {
            Ok(()) => (parser.word(), NumberKind::Uid),
            Err(stop) => return Err(syntax_error(Some(tag), Some("UID"), stop)),
        }
    } else {
        (word, NumberKind::SeqNum)
    };
    let Some((name, arguments)) = arguments_of(name.as_str(), kind) else {
        return Err(syntax_error(Some(tag), None, Stop { at, fault: Fault::UnknownCommand }));
    };
    match arguments(&mut parser, kind).and_then(|command| parser.end().map(|()| command)) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(stop) => Err(syntax_error(Some(tag), Some(name), stop)),
    }
}

type Arguments = fn(&mut Parser<'_>, NumberKind) -> Parsed<Command>;

/// The command of this name and how the rest of it is read; with UID before it only what has such a form.
fn arguments_of(name: &str, kind: NumberKind) -> Option<(&'static str, Arguments)> {
    let numbered: Option<(&'static str, Arguments)> = match name {
        "FETCH" => Some(("FETCH", fetch::parse)),
        "STORE" => Some(("STORE", store::parse)),
        "SEARCH" => Some(("SEARCH", search::parse)),
        "COPY" => Some(("COPY", |parser, kind| copy::parse(parser, kind).map(Command::Copy))),
        "MOVE" => Some(("MOVE", |parser, kind| copy::parse(parser, kind).map(Command::Move))),
        "EXPUNGE" => Some(("EXPUNGE", expunge)),
        "SORT" => Some(("SORT", sort::parse)),
        "THREAD" => Some(("THREAD", thread::parse)),
        _ => None,
    };
    if numbered.is_some() || kind == NumberKind::Uid {
        return numbered;
    }
    Some(match name {
        "NOOP" => ("NOOP", |_, _| Ok(Command::Noop)),
        "IDLE" => ("IDLE", |_, _| Ok(Command::Idle)),
        "SELECT" => ("SELECT", |parser, _| select::parse(parser, Access::ReadWrite)),
        "EXAMINE" => ("EXAMINE", |parser, _| select::parse(parser, Access::ReadOnly)),
        "STATUS" => ("STATUS", |parser, _| status::parse(parser)),
        "LIST" => ("LIST", |parser, _| list::parse(parser, ListKind::List)),
        "LSUB" => ("LSUB", |parser, _| list::parse(parser, ListKind::Lsub)),
        "XLIST" => ("XLIST", |parser, _| list::parse(parser, ListKind::Xlist)),
        "CAPABILITY" => ("CAPABILITY", |_, _| Ok(Command::Capability)),
        "LOGOUT" => ("LOGOUT", |_, _| Ok(Command::Logout)),
        "LOGIN" => ("LOGIN", |parser, _| login::parse(parser)),
        "AUTHENTICATE" => ("AUTHENTICATE", |parser, _| authenticate::parse(parser)),
        "STARTTLS" => ("STARTTLS", |_, _| Ok(Command::StartTls)),
        "ID" => ("ID", |parser, _| id::parse(parser)),
        "ENABLE" => ("ENABLE", |parser, _| enable(parser)),
        "CREATE" => ("CREATE", |parser, _| create::parse(parser)),
        "DELETE" => ("DELETE", |parser, _| mailbox(parser).map(Command::Delete)),
        "RENAME" => ("RENAME", |parser, _| Ok(Command::Rename { from: mailbox(parser)?, to: mailbox(parser)? })),
        "SUBSCRIBE" => ("SUBSCRIBE", |parser, _| mailbox(parser).map(Command::Subscribe)),
        "UNSUBSCRIBE" => ("UNSUBSCRIBE", |parser, _| mailbox(parser).map(Command::Unsubscribe)),
        "NAMESPACE" => ("NAMESPACE", |_, _| Ok(Command::Namespace)),
        "CHECK" => ("CHECK", |_, _| Ok(Command::Check)),
        "CLOSE" => ("CLOSE", |_, _| Ok(Command::Close)),
        "UNSELECT" => ("UNSELECT", |_, _| Ok(Command::Unselect)),
        "COMPRESS" => ("COMPRESS", |parser, _| compress(parser)),
        "UNAUTHENTICATE" => ("UNAUTHENTICATE", |_, _| Ok(Command::Unauthenticate)),
        // Its messages are announced to the session before a command is whole: one that comes here has none.
        "APPEND" => ("APPEND", |parser, _| match append::head_after_name(parser) {
            Ok(_) => parser.expected("a message"),
            Err(stop) => Err(stop),
        }),
        _ => return None,
    })
}

/// `SP mailbox`
fn mailbox(parser: &mut Parser<'_>) -> Parsed<Mailbox> {
    parser.space()?;
    parser.mailbox()
}

/// `"EXPUNGE"` or `"UID EXPUNGE" SP sequence-set`
fn expunge(parser: &mut Parser<'_>, kind: NumberKind) -> Parsed<Command> {
    if kind == NumberKind::SeqNum {
        return Ok(Command::Expunge(None));
    }
    parser.space()?;
    parser.message_set().map(|uids| Command::Expunge(Some(uids)))
}

/// `enable = "ENABLE" 1*(SP capability)`
fn enable(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let max = parser.context.list_elements_max;
    let mut names = Vec::new();
    for _ in 0..max {
        names.push(parser.atom("a capability")?.to_ascii_uppercase());
        if !parser.skip_space() {
            return Ok(Command::Enable(names));
        }
    }
    parser.too_many("capabilities", max)
}

/// `compress = "COMPRESS" SP algorithm`, of which there is one.
fn compress(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let start = parser.at();
    match parser.word().as_str() {
        "DEFLATE" => Ok(Command::Compress),
        _ => Parser::expected_at(start, "DEFLATE"),
    }
}

/// `tag SP`
fn parse_tag(parser: &mut Parser<'_>) -> Result<Tag, SyntaxError> {
    let tag = Tag::new(parser.take_while(Tag::takes));
    if tag.is_none() {
        return Err(syntax_error(None, None, Stop { at: parser.at(), fault: Fault::Expected("a tag") }));
    }
    match (tag, parser.peek()) {
        (Some(tag), Some(b' ')) => {
            parser.skip_byte(b' ');
            Ok(tag)
        }
        (tag, None) => Err(syntax_error(tag, None, Stop { at: parser.at(), fault: Fault::Expected("a command") })),
        // The tag goes on with what cannot be in one.
        (_, Some(_)) => Err(syntax_error(None, None, Stop { at: parser.at(), fault: Fault::Expected("a space") })),
    }
}

fn syntax_error(tag: Option<Tag>, command: Option<&'static str>, stop: Stop) -> SyntaxError {
    SyntaxError { tag, command, at: stop.at, fault: stop.fault }
}

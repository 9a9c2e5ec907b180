//! IMAP bytes to typed commands, typed responses to bytes; no I/O.
//!
//! Reading has two stages. A [`Framer`] finds out where a command ends and what of it has to be asked for; [`parse`] says what it means. A
//! message that is appended passes through the framer and is never held. Writing is a [`response::ResponseWriter`] over a buffer.
//!
//! The crate knows the grammar of RFC 3501, RFC 9051 and the extensions that each file names, and that of the PROXY protocol's header, which
//! may come before. It must not know of mailboxes' contents, of
//! sessions' states, sockets or time. Nothing in it recurses over input or can panic on it; what a client can make grow has a bound in
//! [`Limits`] or [`ParseContext`].
//!
//! ```
//! use paquebot_protocol::{Command, Event, Framer, Limits, ParseContext, parse};
//! let mut framer = Framer::new(Limits::BEFORE_LOGIN);
//! let mut input: &[u8] = b"a1 CAPABILITY\r\n";
//! let Some(Event::Command(bytes)) = framer.next(&mut input) else { panic!("a whole line is a command") };
//! let tagged = parse(bytes, &ParseContext::default()).unwrap();
//! assert_eq!((tagged.tag.as_str(), tagged.command), ("a1", Command::Capability));
//! ```

pub mod command;
mod date;
mod error;
mod frame;
mod list_pattern;
mod mailbox;
mod parser;
mod proxy;
pub mod response;
mod section;
mod sequence_set;
mod tag;
mod utf7;

pub use command::{Command, ListKind, ParseContext, StatusItem, Tagged, parse};
pub use date::{Day, parse_date_time};
pub use error::{Fault, SyntaxError};
pub use frame::{AppendStart, Event, FatalError, FrameError, Framer, LITERAL_SIZE_MAX, Limits};
pub use list_pattern::ListPattern;
pub use mailbox::{InvalidMailbox, Mailbox};
pub use proxy::{PROXY_HEADER_MAX, Proxied, ProxyError, ProxyHeader, parse_proxy_header};
pub use section::{Partial, SECTION_PARTS_MAX, Section, SectionText};
pub use sequence_set::{MessageSet, Messages, NumberKind, NumberRange, SequenceSet};
pub use tag::Tag;
pub use utf7::{decode_utf7, encode_utf7};

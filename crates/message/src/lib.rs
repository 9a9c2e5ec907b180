//! A message's bytes to byte ranges, ENVELOPE, BODYSTRUCTURE, PREVIEW and search text; no I/O.
//!
//! Any bytes are a message: there is always an answer, within the bounds of [`limits`], in time linear in the bytes. Nothing here
//! changes a byte of a message or knows of commands, mailboxes or disks.
//!
//! ```
//! use paquebot_message::{Form, SectionText, body_structure, parse, resolve};
//! let message = b"Content-Type: text/plain\r\n\r\nhello\r\n";
//! let structure = parse(message);
//! let text = body_structure(&structure, Form::Ascii).text;
//! assert_eq!(text, br#"("text" "plain" NIL NIL NIL "7bit" 7 1 NIL NIL NIL NIL)"#);
//! assert_eq!(resolve(structure.entries(), &[1], SectionText::Whole), Some(28..35));
//! ```

pub mod address;
pub mod casemap;
pub mod charset;
pub mod content;
pub mod encoded_word;
pub mod header;
pub mod limits;
pub mod search;
pub mod thread;
pub mod transfer;

mod bodystructure;
mod date;
mod envelope;
mod html;
mod message_id;
mod preview;
mod section;
mod splitter;
mod structure;
mod subject;
mod summary;
mod wire;

pub use bodystructure::{BodyStructure, body_structure};
pub use content::Encoding;
pub use date::{SentDate, parse_date};
pub use envelope::write_envelope;
pub use message_id::{MessageIdHash, MessageIds, message_ids, read_message_ids};
pub use preview::preview;
pub use section::{FieldSelector, PartEntry, SectionText, Selection, resolve, resolve_binary, select_fields};
pub use splitter::{Splitter, parse};
pub use structure::{Part, PartIndex, PartKind, Structure};
pub use subject::{BaseSubject, base_subject};
pub use summary::{SummaryError, SummaryRef, summarise};
pub use wire::Form;

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
pub mod charset;
pub mod content;
pub mod encoded_word;
pub mod header;
pub mod limits;
pub mod transfer;

mod bodystructure;
mod envelope;
mod section;
mod splitter;
mod structure;
mod wire;

pub use bodystructure::{BodyStructure, body_structure};
pub use content::Encoding;
pub use envelope::write_envelope;
pub use section::{FieldSelector, PartEntry, SectionText, Selection, resolve, resolve_binary, select_fields};
pub use splitter::{Splitter, parse};
pub use structure::{Part, PartIndex, PartKind, Structure};
pub use wire::Form;

//! The items of a FETCH response that need no message body.

use paquebot_message::Form;
use paquebot_model::{Message, keywords_of};
use paquebot_protocol::command::FetchItem;
use paquebot_protocol::response::FetchWriter;
use paquebot_types::{InternalDate, Keyword};

use crate::machine::bodies::Indexed;

/// What is told of a message beside its body.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub message: &'a Message,
    pub recent: bool,
    /// `None` where no item needs it.
    pub indexed: Option<Indexed<'a>>,
}

/// Names of keywords, looked up once for neighbours that have the same.
pub(super) struct KeywordNames {
    bits: u128,
    names: Vec<Keyword>,
}

impl KeywordNames {
    pub fn new() -> Self {
        Self { bits: 0, names: Vec::new() }
    }

    /// The names of `bits` among all keywords of a mailbox, which are always the same.
    pub fn of(&mut self, all: &[Keyword], bits: u128) -> &[Keyword] {
        if self.bits != bits {
            self.bits = bits;
            self.names.clear();
            self.names.extend(keywords_of(all, bits).cloned());
        }
        &self.names
    }
}

/// Whether the item needs the row of the message's body in the index.
pub(super) fn needs_index(item: &FetchItem) -> bool {
    use FetchItem::{Flags, InternalDate, ModSeq, Rfc822Size, SaveDate, Uid};
    !matches!(item, Flags | Uid | InternalDate | Rfc822Size | ModSeq | SaveDate)
}

/// Whether the item needs the body itself.
pub(super) fn needs_body(item: &FetchItem) -> bool {
    use FetchItem::{Binary, BinarySize, Rfc822, Rfc822Header, Rfc822Text, Section};
    matches!(item, Rfc822 | Rfc822Header | Rfc822Text | Section { .. } | Binary { .. } | BinarySize { .. })
}

/// Writes an item; gives `false`, and writes nothing, if it needs what is not there.
pub(super) fn write_item(
    write: &mut FetchWriter<'_>,
    item: &FetchItem,
    facts: &Facts<'_>,
    keywords: &[Keyword],
    form: Form,
) -> bool {
    let message = facts.message;
    match item {
        FetchItem::Flags => write.flags(message.flags, keywords, facts.recent),
        FetchItem::Uid => write.uid(message.uid),
        FetchItem::InternalDate => write.internal_date(message.internal_date),
        FetchItem::Rfc822Size => write.rfc822_size(message.size.into()),
        FetchItem::ModSeq => write.modseq(message.modseq),
        FetchItem::SaveDate => write.save_date(Some(InternalDate::utc(message.save_date))),
        _ => {
            let Some(indexed) = &facts.indexed else { return false };
            return write_indexed(write, item, indexed, form);
        }
    }
    true
}

fn write_indexed(write: &mut FetchWriter<'_>, item: &FetchItem, indexed: &Indexed<'_>, form: Form) -> bool {
    match item {
        FetchItem::Envelope => write.envelope(indexed.summary.envelope(form)),
        FetchItem::BodyStructure => write.body_structure(indexed.summary.bodystructure(form)),
        FetchItem::Body => {
            write.body(&[]);
            indexed.summary.body(form).for_each(|piece| write.octets(piece));
        }
        FetchItem::EmailId => write.email_id(&indexed.hash.email_id()),
        FetchItem::ThreadId => write.thread_id(indexed.thread.as_ref()),
        // Computed at delivery, so that LAZY makes no difference.
        FetchItem::Preview { .. } => write.preview(Some(indexed.summary.preview())),
        _ => return false,
    }
    true
}

//! Making a summary.

use std::borrow::Cow;

use crate::address::{AddressItem, Mailbox, addresses};
use crate::bodystructure::{BodyStructure, body_structure};
use crate::casemap::normalise;
use crate::date::parse_date;
use crate::encoded_word;
use crate::envelope::write_envelope;
use crate::header::unfold;
use crate::message_id::read_message_ids;
use crate::preview::preview;
use crate::structure::{Part, Structure};
use crate::subject::base_subject;
use crate::summary::{SORT_KEY_BYTES_MAX, TEXTS, Text, VERSION, flag, table, write_number};
use crate::wire::Form;

/// Writes a message's summary in bytes that stay readable in later versions.
///
/// After the version come flags, the message's and its header's length, the sent date, the ids, then the lengths of all texts, then the
/// texts. Numbers of fixed size are little-endian.
pub fn summarise(structure: &Structure) -> Vec<u8> {
    let Some(message) = structure.parts().first() else { return Vec::new() };
    let date = structure.field(message, "Date").and_then(parse_date);
    let ids = read_message_ids(structure, message);
    let subject = base_subject(structure.field(message, "Subject").unwrap_or_default());

    let mut texts: [Vec<u8>; TEXTS] = Default::default();
    let mut set = |text: Text, bytes: Vec<u8>| {
        if let Some(place) = texts.get_mut(text as usize) {
            *place = bytes;
        }
    };
    let mut envelope = Vec::new();
    write_envelope(structure, message, Form::Ascii, &mut envelope);
    let ascii = body_structure(structure, Form::Ascii);
    // Only raw 8-bit text is written in two ways.
    if !structure.kept.is_ascii() {
        let mut envelope_utf8 = Vec::new();
        write_envelope(structure, message, Form::Utf8, &mut envelope_utf8);
        if envelope_utf8 != envelope {
            set(Text::EnvelopeUtf8, envelope_utf8);
        }
        let utf8 = body_structure(structure, Form::Utf8);
        if utf8 != ascii {
            set(Text::CutsUtf8, cuts(&utf8));
            set(Text::BodyStructureUtf8, utf8.text);
        }
    }
    set(Text::Envelope, envelope);
    set(Text::Cuts, cuts(&ascii));
    set(Text::BodyStructure, ascii.text);
    set(Text::Preview, preview(structure).into_bytes());
    set(Text::Subject, sort_key(&subject.text));
    for (text, name) in [(Text::From, "From"), (Text::To, "To"), (Text::Cc, "Cc")] {
        set(
            text,
            first_mailbox(structure, message, name).map(|found| sort_key(&local_part(&found))).unwrap_or_default(),
        );
    }
    for (text, name) in [(Text::DisplayFrom, "From"), (Text::DisplayTo, "To")] {
        set(text, first_mailbox(structure, message, name).map(|found| sort_key(&display(&found))).unwrap_or_default());
    }
    set(Text::References, ids.references.iter().flat_map(|id| id.to_le_bytes()).collect());
    let mut parts = Vec::new();
    table::write(structure.entries(), &mut parts);
    set(Text::Parts, parts);

    let mut flags = 0;
    for (is_set, bit) in [
        (subject.is_reply, flag::IS_REPLY),
        (date.is_some(), flag::HAS_DATE),
        (ids.own.is_some(), flag::HAS_MESSAGE_ID),
        (ids.thread_id.is_some(), flag::HAS_THREAD_ID),
    ] {
        flags |= if is_set { bit } else { 0 };
    }
    let mut out = vec![VERSION, flags];
    write_number(structure.size(), &mut out);
    write_number(structure.header_length(), &mut out);
    if let Some(date) = date {
        out.extend_from_slice(&date.unix_seconds.to_le_bytes());
        out.extend_from_slice(&date.day.to_le_bytes());
    }
    if let Some(own) = ids.own {
        out.extend_from_slice(&own.to_le_bytes());
    }
    if let Some(thread_id) = ids.thread_id {
        out.extend_from_slice(&thread_id.0);
    }
    texts.iter().for_each(|text| write_number(text.len() as u64, &mut out));
    texts.iter().for_each(|text| out.extend_from_slice(text));
    out
}

fn cuts(written: &BodyStructure) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for cut in &written.extensions {
        write_number((cut.start - at) as u64, &mut out);
        write_number((cut.end - cut.start) as u64, &mut out);
        at = cut.end;
    }
    out
}

fn sort_key(text: &str) -> Vec<u8> {
    // Decomposition makes a text longer at most, so that more is never needed.
    let text = text.get(..text.floor_char_boundary(SORT_KEY_BYTES_MAX)).unwrap_or_default();
    let mut key = normalise(text);
    key.truncate(key.floor_char_boundary(SORT_KEY_BYTES_MAX));
    key.into_bytes()
}

/// The first address, or the group that comes before it.
fn first_mailbox(structure: &Structure, message: &Part, name: &str) -> Option<Mailbox> {
    let value = structure.field(message, name)?;
    addresses(&unfold(value)).find_map(|item| match item {
        AddressItem::Mailbox(found) => Some(found),
        // ENVELOPE has a group's name in a mailbox's place, and SORT compares what is there (RFC 5256, 3; RFC 5957, 3).
        AddressItem::GroupStart(name) => {
            Some(Mailbox { name: Some(name.clone()), local_part: name, ..Mailbox::default() })
        }
        AddressItem::GroupEnd => None,
    })
}

/// What SORT compares of an address (RFC 5256, 3).
fn local_part(found: &Mailbox) -> Cow<'_, str> {
    encoded_word::decode(&found.local_part)
}

/// The display name, or else the address (RFC 5957, 3).
fn display(found: &Mailbox) -> String {
    match found.name.as_deref().map(encoded_word::decode) {
        Some(name) if !name.trim().is_empty() => name.into_owned(),
        _ => format!("{}@{}", encoded_word::decode(&found.local_part), encoded_word::decode(&found.domain)),
    }
}

//! ENVELOPE (RFC 9051, 7.5.2).

use crate::address::{AddressItem, Mailbox, addresses};
use crate::header::unfold;
use crate::limits::ADDRESSES_MAX;
use crate::structure::{Part, Structure};
use crate::wire::{Form, nstring, string};

/// Writes the envelope of the message whose root part is `message`.
///
/// A field that is missing is NIL, one that is there but empty `""`. Sender and Reply-To without an address are From. Address fields that
/// come more than once count as one list, so that no address is hidden; of others the first counts. Addresses without a domain
/// get an empty host, since NIL marks a group.
pub fn write_envelope(structure: &Structure, message: &Part, form: Form, out: &mut Vec<u8>) {
    let text = |name, out: &mut Vec<u8>| nstring(structure.field(message, name), form, out);
    out.push(b'(');
    text("Date", out);
    out.push(b' ');
    text("Subject", out);
    let start = out.len();
    let has_from = address_list(structure, message, "From", form, out);
    let from = start..out.len();
    for name in ["Sender", "Reply-To"] {
        let start = out.len();
        if !address_list(structure, message, name, form, out) && has_from {
            out.truncate(start);
            out.extend_from_within(from.clone());
        }
    }
    for name in ["To", "Cc", "Bcc"] {
        address_list(structure, message, name, form, out);
    }
    for name in ["In-Reply-To", "Message-ID"] {
        out.push(b' ');
        text(name, out);
    }
    out.push(b')');
}

/// Writes a space and the addresses of all fields `name`, or NIL if there is none; gives whether there is one.
fn address_list(structure: &Structure, message: &Part, name: &str, form: Form, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(b" (");
    let empty = out.len();
    let mut left = ADDRESSES_MAX;
    for field in structure.fields(message).filter(|field| field.is(name)) {
        if left == 0 {
            break;
        }
        for item in addresses(&unfold(field.value)) {
            left = left.saturating_sub(1);
            match item {
                AddressItem::Mailbox(found) => mailbox(&found, form, out),
                AddressItem::GroupStart(name) => {
                    out.extend_from_slice(b"(NIL NIL ");
                    string(&name, form, out);
                    out.extend_from_slice(b" NIL)");
                }
                AddressItem::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
            }
        }
    }
    if out.len() == empty {
        out.truncate(start);
        out.extend_from_slice(b" NIL");
        return false;
    }
    out.push(b')');
    true
}

fn mailbox(found: &Mailbox, form: Form, out: &mut Vec<u8>) {
    let optional = |value: &Option<Vec<u8>>, out: &mut Vec<u8>| match value {
        Some(value) => string(value, form, out),
        None => out.extend_from_slice(b"NIL"),
    };
    out.push(b'(');
    optional(&found.name, out);
    out.push(b' ');
    optional(&found.route, out);
    out.push(b' ');
    string(&found.local_part, form, out);
    out.push(b' ');
    string(&found.domain, form, out);
    out.push(b')');
}

//! A second opinion on every response: `imap-codec`, a strict parser that nobody here wrote.
//!
//! It is built without its allowances for servers that err. What it does not know is taken out before it looks, and judged here by the
//! grammar of the RFC in question; the exceptions are those named in this file and no others:
//!
//! | what | RFC |
//! |---|---|
//! | FETCH items EMAILID, THREADID, SAVEDATE, PREVIEW | 8474, 8514, 8970 |
//! | the origin of a partial BINARY, which the text has and the formal syntax forgot | 3516, 9051 |
//! | STATUS items MAILBOXID, DELETED, APPENDLIMIT | 8474, 9051, 7889 |
//! | the extended data at the end of LIST | 5258, 9051 |
//! | ESEARCH | 4731, 9051, 9394 |
//! | APPENDUID with a set, after APPEND of several messages | 4315 |
//! | XLIST, which is LIST by another name | none |
//! | UTF-8 in quoted strings, once UTF8=ACCEPT or IMAP4rev2 is enabled | 9755, 9051 |

use imap_codec::decode::{Decoder, GreetingDecodeError, ResponseDecodeError};
use imap_codec::imap_types::response::{Bye, Code, Response, Status, StatusBody, Tagged};
use imap_codec::{GreetingCodec, ResponseCodec};

/// The response codes with arguments that the parser knows: when it takes one of these for a code that it does not know, the arguments are wrong.
const CODES: &[&str] = &[
    "APPENDUID",
    "BADCHARSET",
    "CAPABILITY",
    "COPYUID",
    "HIGHESTMODSEQ",
    "MODIFIED",
    "PERMANENTFLAGS",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
];

/// Judges the first line of a connection, with its CRLF.
pub fn check_greeting(line: &[u8]) -> Result<(), String> {
    match GreetingCodec::default().decode(line) {
        Ok(([], _)) => Ok(()),
        Ok((rest, _)) => Err(format!("goes on with {}", shown(rest))),
        Err(GreetingDecodeError::Incomplete) => Err("it is incomplete".to_owned()),
        Err(GreetingDecodeError::Failed) => Err("not by the grammar".to_owned()),
    }
}

/// Judges a response with its CRLF. `utf8`: whether the session has enabled UTF-8 in quoted strings.
pub fn check_response(response: &[u8], utf8: bool) -> Result<(), String> {
    let ascii = if utf8 { without_utf8(response) } else { response.to_vec() };
    match decode(&ascii) {
        Ok(()) => Ok(()),
        Err(why) => check_extended(&ascii).unwrap_or(Err(why)),
    }
}

fn decode(response: &[u8]) -> Result<(), String> {
    match ResponseCodec::default().decode(response) {
        Ok(([], decoded)) => check_code(&decoded),
        Ok((rest, _)) => Err(format!("goes on with {}", shown(rest))),
        Err(ResponseDecodeError::Incomplete) => Err("it is incomplete".to_owned()),
        Err(ResponseDecodeError::LiteralFound { length }) => {
            Err(format!("the literal of {length} octets is not there"))
        }
        Err(ResponseDecodeError::Failed) => Err("not by the grammar".to_owned()),
    }
}

fn check_code(response: &Response<'_>) -> Result<(), String> {
    let Response::Status(status) = response else { return Ok(()) };
    let (Status::Untagged(StatusBody { code, .. })
    | Status::Tagged(Tagged { body: StatusBody { code, .. }, .. })
    | Status::Bye(Bye { code, .. })) = status;
    let Some(Code::Other(other)) = code else { return Ok(()) };
    let text = String::from_utf8_lossy(other.inner()).into_owned();
    let name = text.split(' ').next().unwrap_or_default();
    if name == "APPENDUID" && is_append_uid_set(&text) {
        return Ok(());
    }
    if CODES.contains(&name) { Err(format!("the response code {text} is not by the grammar")) } else { Ok(()) }
}

/// `"APPENDUID" SP nz-number SP append-uid`, where append-uid is a set as COPYUID has it (RFC 4315, 4).
fn is_append_uid_set(code: &str) -> bool {
    let Some((validity, uids)) = code.strip_prefix("APPENDUID ").and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    decode(format!("* OK [COPYUID {validity} {uids} {uids}] x\r\n").as_bytes()).is_ok()
}

/// `None`: nothing in it is among the exceptions.
fn check_extended(response: &[u8]) -> Option<Result<(), String>> {
    let line = response.strip_prefix(b"* ")?.strip_suffix(b"\r\n")?;
    let items = match items(line) {
        Ok(items) => items,
        Err(why) => return Some(Err(why)),
    };
    match items.as_slice() {
        [number, b"FETCH", list] => {
            reduced(list, is_fetch_exception, |left| [b"* ", *number, b" FETCH (", left, b")\r\n"].concat())
        }
        [b"STATUS", name, list] => {
            reduced(list, is_status_exception, |left| [b"* STATUS ", *name, b" (", left, b")\r\n"].concat())
        }
        [b"LIST", flags, separator, name, extended] => {
            let plain = [b"* LIST ", *flags, b" ", *separator, b" ", *name, b"\r\n"].concat();
            Some(decode(&plain).and_then(|()| check_list_extended(extended)))
        }
        [b"XLIST", rest @ ..] => Some(decode(&[b"* LIST ", rest.join(&b' ').as_slice(), b"\r\n"].concat())),
        [b"ESEARCH", rest @ ..] => Some(check_esearch(rest)),
        _ => None,
    }
}

/// Takes the name-value pairs that are exceptions out of a list, and has the rest judged by the parser.
fn reduced(
    list: &[u8],
    exception: fn(&[u8], &[u8]) -> Option<bool>,
    rebuilt: impl Fn(&[u8]) -> Vec<u8>,
) -> Option<Result<(), String>> {
    let inner = list.strip_prefix(b"(")?.strip_suffix(b")")?;
    let inner = items(inner).ok()?;
    let (pairs, []) = inner.as_chunks::<2>() else { return Some(Err("a name without a value".to_owned())) };
    let mut left: Vec<&[u8]> = Vec::new();
    for [name, value] in pairs {
        match exception(name, value) {
            Some(true) => {}
            Some(false) => return Some(Err(format!("{} {} is not by the grammar", shown(name), shown(value)))),
            None => left.extend([*name, *value]),
        }
    }
    if left.len() == inner.len() {
        return None;
    }
    Some(if left.is_empty() { Ok(()) } else { decode(&rebuilt(&left.join(&b' '))) })
}

/// `Some`: it is an exception, and whether its value is right.
fn is_fetch_exception(name: &[u8], value: &[u8]) -> Option<bool> {
    match name {
        b"EMAILID" => Some(is_object_id(value)),
        b"THREADID" => Some(value == b"NIL" || is_object_id(value)),
        b"SAVEDATE" => Some(value == b"NIL" || is_date_time(value)),
        b"PREVIEW" => Some(value == b"NIL" || is_string(value)),
        _ => {
            let name = without_binary_origin(name)?;
            Some(decode(&[b"* 1 FETCH (", name, b" ", value, b")\r\n"].concat()).is_ok())
        }
    }
}

/// `BINARY[1]` of `BINARY[1]<5>`.
fn without_binary_origin(name: &[u8]) -> Option<&[u8]> {
    let end = name.windows(2).position(|pair| pair == b"]<").filter(|_| name.starts_with(b"BINARY["))?;
    let (name, origin) = name.split_at(end + 1);
    let origin = origin.strip_prefix(b"<")?.strip_suffix(b">")?;
    is_number(origin).then_some(name)
}

fn is_status_exception(name: &[u8], value: &[u8]) -> Option<bool> {
    match name {
        b"MAILBOXID" => Some(is_object_id(value)),
        b"DELETED" => Some(is_number(value)),
        b"APPENDLIMIT" => Some(value == b"NIL" || is_number(value)),
        _ => None,
    }
}

/// `"(" objectid ")"`, of 1 to 255 characters.
fn is_object_id(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"(").and_then(|value| value.strip_suffix(b")"));
    inner.is_some_and(|id| {
        (1..=255).contains(&id.len())
            && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    })
}

fn is_number(value: &[u8]) -> bool {
    std::str::from_utf8(value)
        .is_ok_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u64>().is_ok())
}

fn is_string(value: &[u8]) -> bool {
    value.starts_with(b"\"") || value.starts_with(b"{")
}

/// By the parser: as the INTERNALDATE of a message.
fn is_date_time(value: &[u8]) -> bool {
    decode(&[b"* 1 FETCH (INTERNALDATE ", value, b")\r\n"].concat()).is_ok()
}

/// `mbox-list-extended = "(" [name SP value *(SP name SP value)] ")"`, of the names that we send.
fn check_list_extended(list: &[u8]) -> Result<(), String> {
    let inner =
        list.strip_prefix(b"(").and_then(|list| list.strip_suffix(b")")).ok_or("the extended data is no list")?;
    let inner = items(inner)?;
    let (pairs, []) = inner.as_chunks::<2>() else { return Err("an extended item without a value".to_owned()) };
    for [name, value] in pairs {
        let known = matches!(
            name.to_ascii_uppercase().as_slice(),
            b"CHILDINFO" | b"\"CHILDINFO\"" | b"OLDNAME" | b"\"OLDNAME\""
        );
        if !known || !value.starts_with(b"(") {
            return Err(format!("{} {} is no extended item", shown(name), shown(value)));
        }
    }
    Ok(())
}

/// `esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)`.
fn check_esearch(mut rest: &[&[u8]]) -> Result<(), String> {
    if let [correlator, after @ ..] = rest
        && correlator.starts_with(b"(")
    {
        if !(correlator.starts_with(b"(TAG \"") && correlator.ends_with(b"\")")) {
            return Err(format!("{} is no correlator", shown(correlator)));
        }
        rest = after;
    }
    if let [b"UID", after @ ..] = rest {
        rest = after;
    }
    let (pairs, []) = rest.as_chunks::<2>() else { return Err("an item of ESEARCH without a value".to_owned()) };
    for [name, value] in pairs {
        let right = match *name {
            b"MIN" | b"MAX" => is_number(value) && *value != b"0",
            b"COUNT" | b"MODSEQ" => is_number(value),
            b"ALL" => is_set(value),
            b"PARTIAL" => value.starts_with(b"(") && value.ends_with(b")"),
            _ => false,
        };
        if !right {
            return Err(format!("{} {} is no item of ESEARCH", shown(name), shown(value)));
        }
    }
    Ok(())
}

fn is_set(value: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .all(|range| range.splitn(2, |byte| *byte == b':').all(|end| is_number(end) && end != b"0"))
}

/// Splits at single spaces, outside of quoted strings, literals, parentheses and brackets.
fn items(line: &[u8]) -> Result<Vec<&[u8]>, String> {
    let (mut found, mut start, mut at, mut depth) = (Vec::new(), 0, 0, 0_usize);
    while at < line.len() {
        match line[at] {
            b'"' => {
                at += 1;
                while at < line.len() && line[at] != b'"' {
                    at += if line[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' => {
                let end =
                    line[at..].windows(2).position(|pair| pair == b"\r\n").ok_or("a brace that begins no literal")?;
                let size =
                    crate::response::literal_size(&line[at..at + end]).ok_or("a brace that begins no literal")?;
                at += end + 2 + size;
            }
            b'(' | b'[' => (depth, at) = (depth + 1, at + 1),
            b')' | b']' => (depth, at) = (depth.checked_sub(1).ok_or("a parenthesis too many")?, at + 1),
            b' ' if depth == 0 => {
                found.push(&line[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    if depth > 0 || at != line.len() {
        return Err("it ends too early".to_owned());
    }
    if start < line.len() || !found.is_empty() {
        found.push(&line[start..]);
    }
    if found.iter().any(|item| item.is_empty()) { Err("a space too many".to_owned()) } else { Ok(found) }
}

/// Valid UTF-8 sequences as as many letters `u`, so that sizes stay right.
fn without_utf8(response: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(response.len());
    for chunk in response.utf8_chunks() {
        out.extend(chunk.valid().bytes().map(|byte| if byte.is_ascii() { byte } else { b'u' }));
        out.extend(chunk.invalid());
    }
    out
}

fn shown(data: &[u8]) -> String {
    String::from_utf8_lossy(&data[..data.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_responses_pass() {
        for response in [
            "* 3 EXISTS",
            "* OK [UIDNEXT 4] next",
            "* OK [MAILBOXID (F2212ea87-6097)] ok",
            "t1 NO [NONEXISTENT] no such mailbox",
            "* 1 FETCH (UID 7 FLAGS (\\Seen $Forwarded) MODSEQ (12))",
            "* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)]<0> {3}\r\na\r\n)",
            "* 1 FETCH (UID 7 EMAILID (Mab-1_) THREADID NIL PREVIEW \"a \\\" b\" RFC822.SIZE 3)",
            "* 1 FETCH (EMAILID (Mab-1_))",
            "* 1 FETCH (UID 7 BINARY[1.2]<5> ~{2}\r\n\0! BINARY[3]<0> NIL)",
            "* 1 FETCH (SAVEDATE \"17-Jul-2026 02:44:25 -0700\")",
            "* STATUS INBOX (MESSAGES 3 MAILBOXID (F1) SIZE 30)",
            "* LIST (\\HasChildren) \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "* ESEARCH (TAG \"t1\") UID MIN 1 ALL 1:3,7 MODSEQ 5",
            "* ESEARCH (TAG \"t1\")",
            "* VANISHED (EARLIER) 1:5,9",
            "t1 OK [APPENDUID 7 1:3,5] appended",
            "* XLIST (\\Inbox \\HasNoChildren) \"/\" INBOX",
            "* SEARCH",
            "* THREAD (1 2 (3)(4))",
            "+ go on",
        ] {
            assert_eq!(check_response(format!("{response}\r\n").as_bytes(), false), Ok(()), "{response}");
        }
        assert_eq!(check_response("* LIST () \"/\" \"日本語\"\r\n".as_bytes(), true), Ok(()));
    }

    #[test]
    fn wrong_responses_are_refused() {
        for response in [
            "* 0 FETCH ()",
            "* OK [UIDNEXT 0] next",
            "* OK [HIGHESTMODSEQ 5]",
            "* 1 FETCH (UID 7 )",
            "* 1 FETCH (UID 7  EMAILID (M1))",
            "* 1 FETCH (EMAILID M1)",
            "* 1 FETCH (BINARY[1]<x> NIL)",
            "* 1 FETCH (PREVIEW text)",
            "* 1 FETCH (EMAILID (M1) FLAGS \\Seen)",
            "* STATUS INBOX (MESSAGES 3 MAILBOXID F1)",
            "* LIST () \"/\" foo (\"CHILDINFO\")",
            "* ESEARCH (TAG t1) ALL 1",
            "* ESEARCH (TAG \"t1\") ALL 0",
            "* LIST () \"/\" \"日本語\"",
            "t1 OK [APPENDUID 7 0] appended",
            "t1 OK [APPENDUID 7 1 2] appended",
            "* XLIST \"/\" INBOX",
            "* 3 EXISTS ",
        ] {
            assert!(check_response(format!("{response}\r\n").as_bytes(), false).is_err(), "{response}");
        }
    }
}

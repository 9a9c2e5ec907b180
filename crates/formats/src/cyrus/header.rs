//! cyrus.header: who a mailbox is, and what its keywords are called.

use super::acl::Acl;
use super::dlist::{self, Value};

pub const MAGIC: &[u8] = b"\xa1\x02\x8b\x0dCyrus mailbox header\n\
    \"The best thing about this system was that it had lots of goals.\"\n\t--Jim Morris on Andrew\n";
/// A file that is longer is none.
pub const BYTES_MAX: u64 = 1 << 20;
/// Keywords that a record has bits for.
pub const KEYWORDS: usize = 128;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Empty in the files of very old versions.
    pub unique_id: String,
    /// The internal name and the letters of the type, which the new form has.
    pub name: Option<String>,
    pub kind: Option<String>,
    pub quota_root: Option<String>,
    pub acl: Acl,
    /// Name i has bit i of a record; `None` is a bit that nobody uses.
    pub keywords: Vec<Option<String>>,
}

impl Header {
    /// What is wrong is said, with its place.
    pub fn parse(octets: &[u8]) -> Result<Self, (u64, &'static str)> {
        let text = octets.strip_prefix(MAGIC).ok_or((0, "the file does not begin as cyrus.header does"))?;
        let at = MAGIC.len() as u64;
        match text.first() {
            Some(b'%') => Self::parse_new(text).ok_or((at, "the line of values does not end, or has no unique id")),
            _ => Self::parse_old(text).ok_or((at, "there are not the lines that there must be")),
        }
    }

    /// The form of 3.6: one line of values.
    fn parse_new(text: &[u8]) -> Option<Self> {
        let value = Value::parse(text)?;
        let keywords = match value.get(b"U") {
            Some(Value::List(names)) => {
                names.iter().map(|name| String::from_utf8(name.text()?.to_vec()).ok()).take(KEYWORDS).collect()
            }
            _ => Vec::new(),
        };
        Some(Self {
            unique_id: value.string(b"I")?,
            name: value.string(b"N"),
            kind: value.string(b"T"),
            quota_root: value.string(b"Q"),
            acl: value.get(b"A").map(Acl::from_value).unwrap_or_default(),
            keywords,
        })
    }

    /// The form before: lines of quota root and unique id, of keywords, of rights.
    fn parse_old(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|octet| *octet == b'\n');
        let first = String::from_utf8(lines.next()?.to_vec()).ok()?;
        let (quota_root, unique_id) = first.split_once('\t').unwrap_or((&first, ""));
        // Some versions write a blank after the last name.
        let mut keywords: Vec<Option<String>> = lines
            .next()?
            .split(|octet| *octet == b' ')
            .map(|name| String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty()))
            .take(KEYWORDS)
            .collect();
        while keywords.last().is_some_and(Option::is_none) {
            keywords.pop();
        }
        Some(Self {
            unique_id: unique_id.to_owned(),
            name: None,
            kind: None,
            quota_root: Some(quota_root.to_owned()).filter(|root| !root.is_empty()),
            acl: Acl::from_tabs(lines.next()?),
            keywords,
        })
    }
}

/// What a mailbox needs beside its messages, in the old form, which every version reads.
pub fn write_old(unique_id: &str, quota_root: Option<&str>, keywords: &[String], acl: &Acl) -> Vec<u8> {
    let mut octets = MAGIC.to_vec();
    octets.extend_from_slice(format!("{}\t{unique_id}\n{}\n", quota_root.unwrap_or(""), keywords.join(" ")).as_bytes());
    for (identifier, rights) in &acl.0 {
        octets.extend_from_slice(format!("{identifier}\t{rights}\t").as_bytes());
    }
    octets.push(b'\n');
    octets
}

/// The same in the form of 3.6, which knows the mailbox's internal name and type.
pub fn write_new(kind: &str, name: &str, header: (&str, Option<&str>), keywords: &[String], acl: &Acl) -> Vec<u8> {
    let (unique_id, quota_root) = header;
    let mut line = String::from("%(T ");
    let mut put = |key: &str, text: &str| {
        line.push_str(key);
        dlist::write_text(text, &mut line);
    };
    put("", kind);
    put(" N ", name);
    put(" I ", unique_id);
    if let Some(root) = quota_root {
        put(" Q ", root);
    }
    line.push_str(" A %(");
    for (place, (identifier, rights)) in acl.0.iter().enumerate() {
        line.push_str(if place == 0 { "" } else { " " });
        dlist::write_text(identifier, &mut line);
        line.push(' ');
        dlist::write_text(rights, &mut line);
    }
    line.push(')');
    if !keywords.is_empty() {
        line.push_str(" U (");
        for (place, keyword) in keywords.iter().enumerate() {
            line.push_str(if place == 0 { "" } else { " " });
            dlist::write_text(keyword, &mut line);
        }
        line.push(')');
    }
    line.push_str(")\n");
    [MAGIC, line.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_forms_go_there_and_back() {
        let acl = Acl(vec![("alice".into(), "lrswi".into()), ("bob".into(), "lr".into())]);
        let keywords = ["$Forwarded".to_owned(), "Work".to_owned()];
        let named: Vec<_> = keywords.iter().cloned().map(Some).collect();
        let old = write_old("0123456789abcdef", Some("user.alice"), &keywords, &acl);
        let read = Header::parse(&old).unwrap();
        assert_eq!((read.unique_id.as_str(), read.name), ("0123456789abcdef", None));
        assert_eq!((&read.keywords, &read.acl, read.quota_root.as_deref()), (&named, &acl, Some("user.alice")));
        let new = write_new("e", "user.alice.a b", ("0123456789abcdef", None), &keywords, &acl);
        let read = Header::parse(&new).unwrap();
        assert_eq!((read.unique_id.as_str(), read.name.as_deref()), ("0123456789abcdef", Some("user.alice.a b")));
        assert_eq!((&read.keywords, &read.acl, read.quota_root), (&named, &acl, None));
    }

    #[test]
    fn a_bit_that_nobody_uses_has_no_name() {
        let old = [MAGIC, b"\tabc\nOne  Three\nalice\tlrs\t\n"].concat();
        let names = Header::parse(&old).unwrap().keywords;
        assert_eq!(names, [Some("One".to_owned()), None, Some("Three".to_owned())]);
        let ancient = [MAGIC, b"user.alice\n\nalice\tlrs\t\n"].concat();
        let read = Header::parse(&ancient).unwrap();
        assert_eq!((read.unique_id.as_str(), read.keywords.len()), ("", 0));
        assert_eq!(Header::parse(&old[1..]).unwrap_err().0, 0);
    }
}

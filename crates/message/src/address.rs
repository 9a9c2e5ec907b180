//! Address lists (RFC 5322, 3.4, with the obsolete forms), tolerantly and in linear time.

use std::borrow::Cow;

use crate::content::Cursor;
use crate::limits::ADDRESSES_MAX;

/// One thing in an address list, in bytes as stored but without quoting, comments and folding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressItem {
    Mailbox(Mailbox),
    /// `name:`
    GroupStart(Vec<u8>),
    /// `;`, or the end of the list.
    GroupEnd,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mailbox {
    /// The display name, or else the comment after the address.
    pub name: Option<Vec<u8>>,
    /// The obsolete source route, `@a,@b`.
    pub route: Option<Vec<u8>>,
    pub local_part: Vec<u8>,
    /// Empty if there was no `@`.
    pub domain: Vec<u8>,
}

/// The addresses of an unfolded field value; at most [`ADDRESSES_MAX`] items, and every group that starts ends.
pub fn addresses(value: &[u8]) -> Addresses<'_> {
    Addresses { cursor: Cursor::new(value), in_group: false, left: ADDRESSES_MAX }
}

/// See [`addresses`].
#[derive(Debug)]
pub struct Addresses<'a> {
    cursor: Cursor<'a>,
    in_group: bool,
    left: usize,
}

/// What is gathered of an address until its end is seen.
#[derive(Default)]
struct Pending {
    /// Words, with single spaces between those that had any.
    phrase: Vec<u8>,
    has_phrase: bool,
    /// The bytes after an `@` outside angle brackets, up to white space without a dot beside it: what follows that is no address.
    domain: Option<Vec<u8>>,
    is_domain_over: bool,
    comment: Option<Vec<u8>>,
    angle: Option<Mailbox>,
}

impl Iterator for Addresses<'_> {
    type Item = AddressItem;

    fn next(&mut self) -> Option<AddressItem> {
        if self.left == 0 {
            return std::mem::take(&mut self.in_group).then_some(AddressItem::GroupEnd);
        }
        let mut pending = Pending::default();
        loop {
            let spaced = self.skip_spaces();
            match self.cursor.peek() {
                None => {
                    if let Some(mailbox) = pending.finish() {
                        return self.item(AddressItem::Mailbox(mailbox));
                    }
                    return std::mem::take(&mut self.in_group).then_some(AddressItem::GroupEnd);
                }
                Some(b',') => {
                    self.cursor.advance(1);
                    if let Some(mailbox) = pending.finish() {
                        return self.item(AddressItem::Mailbox(mailbox));
                    }
                    pending = Pending::default();
                }
                Some(b';') => {
                    if let Some(mailbox) = pending.finish() {
                        // The group's end comes with the next call.
                        return self.item(AddressItem::Mailbox(mailbox));
                    }
                    self.cursor.advance(1);
                    if std::mem::take(&mut self.in_group) {
                        return self.item(AddressItem::GroupEnd);
                    }
                    pending = Pending::default();
                }
                Some(b':') if !self.in_group && pending.domain.is_none() && pending.angle.is_none() => {
                    self.cursor.advance(1);
                    self.in_group = true;
                    return self.item(AddressItem::GroupStart(pending.phrase));
                }
                Some(b'<') => {
                    self.cursor.advance(1);
                    let angle = self.angle();
                    pending.angle.get_or_insert(angle);
                }
                Some(b'(') => {
                    let comment = unescape(self.cursor.comment());
                    pending.comment.get_or_insert(comment);
                }
                Some(b'@') => {
                    self.cursor.advance(1);
                    pending.domain.get_or_insert_default();
                }
                Some(byte) => {
                    let word = self.word(byte);
                    pending.push(&word, spaced);
                }
            }
        }
    }
}

impl Addresses<'_> {
    fn item(&mut self, item: AddressItem) -> Option<AddressItem> {
        self.left -= 1;
        Some(item)
    }

    fn skip_spaces(&mut self) -> bool {
        let mut any = false;
        while matches!(self.cursor.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.cursor.advance(1);
            any = true;
        }
        any
    }

    /// What stands between `<` and `>`: an optional route and an address.
    fn angle(&mut self) -> Mailbox {
        let mut mailbox = Mailbox::default();
        // What was read since the last `:` or the start; `at` is where its last `@` is.
        let mut text: Vec<u8> = Vec::new();
        let mut at = None;
        loop {
            self.cursor.skip_comments();
            match self.cursor.peek() {
                None => break,
                Some(b'>') => {
                    self.cursor.advance(1);
                    break;
                }
                // A list that goes on after an unclosed bracket.
                Some(b';') => break,
                Some(b',') if !text.starts_with(b"@") => break,
                Some(b':') if text.starts_with(b"@") && mailbox.route.is_none() => {
                    self.cursor.advance(1);
                    mailbox.route = Some(std::mem::take(&mut text));
                    at = None;
                }
                Some(byte @ (b'@' | b',' | b':' | b'<')) => {
                    self.cursor.advance(1);
                    if byte == b'@' {
                        at = Some(text.len());
                    }
                    text.push(byte);
                }
                Some(byte) => text.extend_from_slice(&self.word(byte)),
            }
        }
        match at {
            Some(at) => {
                mailbox.domain = text.split_off(at).split_off(1);
                mailbox.local_part = text;
            }
            None => mailbox.local_part = text,
        }
        mailbox
    }

    /// A quoted string without its quotes, a domain literal with its brackets, or an atom with dots.
    fn word(&mut self, first: u8) -> Cow<'_, [u8]> {
        let rest = self.cursor.rest();
        let length = match first {
            b'"' => return self.cursor.quoted(),
            b'[' => memchr::memchr(b']', rest).map_or(rest.len(), |at| at + 1),
            _ => rest
                .iter()
                .skip(1)
                .position(|byte| {
                    matches!(
                        byte,
                        b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b':' | b'<' | b'>' | b'(' | b'@' | b'"' | b'['
                    )
                })
                .map_or(rest.len(), |at| at + 1),
        };
        self.cursor.advance(length);
        Cow::Borrowed(rest.get(..length).unwrap_or(rest))
    }
}

impl Pending {
    fn push(&mut self, word: &[u8], spaced: bool) {
        if let Some(domain) = &mut self.domain {
            self.is_domain_over |= spaced && !domain.is_empty() && !domain.ends_with(b".") && !word.starts_with(b".");
            if !self.is_domain_over {
                domain.extend_from_slice(word);
            }
            return;
        }
        if spaced && self.has_phrase {
            self.phrase.push(b' ');
        }
        self.has_phrase = true;
        self.phrase.extend_from_slice(word);
    }

    fn finish(self) -> Option<Mailbox> {
        let phrase = self.has_phrase.then_some(self.phrase);
        match self.angle {
            Some(mut mailbox) => {
                // A phrase may be an address itself: `joe@example.org <joe@example.org>`.
                mailbox.name = match (phrase, self.domain) {
                    (Some(phrase), Some(domain)) => Some([phrase, domain].join(&b'@')),
                    (Some(phrase), None) => Some(phrase),
                    (None, _) => self.comment,
                };
                Some(mailbox)
            }
            None if phrase.is_none() && self.domain.is_none() => None,
            None => Some(Mailbox {
                name: self.comment,
                route: None,
                local_part: phrase.unwrap_or_default(),
                domain: self.domain.unwrap_or_default(),
            }),
        }
    }
}

fn unescape(comment: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(comment.len());
    let mut bytes = comment.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'\\' {
            out.extend(bytes.next());
        } else {
            out.push(byte);
        }
    }
    out.trim_ascii().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a list as `name|route|local|domain` with `{name` and `}` for groups.
    fn shown(value: &str) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = addresses(value.as_bytes()).map(|item| match item {
            AddressItem::GroupStart(name) => format!("{{{}", text(&name)),
            AddressItem::GroupEnd => "}".to_owned(),
            AddressItem::Mailbox(found) => format!(
                "{}|{}|{}|{}",
                found.name.map_or("-".to_owned(), |name| text(&name)),
                found.route.map_or("-".to_owned(), |route| text(&route)),
                text(&found.local_part),
                text(&found.domain),
            ),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn addresses_of_all_forms_are_read() {
        let cases = [
            ("joe@example.org", "-|-|joe|example.org"),
            ("Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|-|john.q.public|example.com"),
            ("\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>", "Giant; \"Big\" Box|-|sysservices|example.net"),
            ("joe@example.org (Joe)", "Joe|-|joe|example.org"),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"),
            ("A Group:Ed Jones <joe@where.test>,joe@x;", "{A Group Ed Jones|-|joe|where.test -|-|joe|x }"),
            ("Undisclosed recipients:;", "{Undisclosed recipients }"),
            ("<@a.test,@b.test:joe@c.test>", "-|@a.test,@b.test|joe|c.test"),
            ("\"joe smith\"@x, [1.2.3.4], a@[1.2.3.4]", "-|-|joe smith|x -|-|[1.2.3.4]| -|-|a|[1.2.3.4]"),
            ("joe@x <joe@x>", "joe@x|-|joe|x"),
            ("Mary Smith  <mary@@x>", "Mary Smith|-|mary@|x"),
            (" , ,,a@b,", "-|-|a|b"),
            ("<>", "-|-||"),
            ("joe", "-|-|joe|"),
            ("group: a@b", "{group -|-|a|b }"),
            ("a: b: c@d;;", "{a -|-|b: c|d }"),
            ("Joe <a@b, c@d", "Joe|-|a|b -|-|c|d"),
            ("(", ""),
            ("(\\", ""),
            ("\"\\", "-|-||"),
            (":", "{ }"),
            ("a . b @ c . d", "-|-|a . b|c.d"),
            ("a@b c@d, e@f (x) g", "-|-|a|b x|-|e|f"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn lists_are_bounded_and_groups_closed() {
        let list = "g:".to_owned() + &"a@b,".repeat(50_000);
        let items: Vec<_> = addresses(list.as_bytes()).collect();
        assert_eq!(items.len(), ADDRESSES_MAX + 1);
        assert_eq!(items.last(), Some(&AddressItem::GroupEnd));
    }
}

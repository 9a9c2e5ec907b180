//! Cyrus's notation for nested values, in cyrus.header and in mailboxes.db.
//!
//! ```text
//! value = "NIL" / atom / quoted / literal / "(" *value ")" / "%(" *(key value) ")"     ; a blank between values
//! ```

/// Values in values, at most.
const DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Nil,
    Text(Vec<u8>),
    List(Vec<Value>),
    /// Keys and values in their order.
    Map(Vec<(Vec<u8>, Value)>),
}

impl Value {
    /// The value at the start of octets; what follows it is left alone. `None` if there is none, or it does not end.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        Reader { rest: octets }.value(DEPTH)
    }

    /// What a map has under a key.
    pub fn get(&self, key: &[u8]) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text under a key, if it is one of UTF-8.
    pub fn string(&self, key: &[u8]) -> Option<String> {
        self.get(key).and_then(Self::text).and_then(|text| String::from_utf8(text.to_vec()).ok())
    }
}

/// Writes a text as an atom where it can be one, else quoted.
pub fn write_text(text: &str, into: &mut String) {
    let is_atom = |byte: u8| byte > b' ' && byte != 0x7f && byte.is_ascii() && !b"()\"\\%{}*]".contains(&byte);
    if !text.is_empty() && !text.eq_ignore_ascii_case("NIL") && text.bytes().all(is_atom) {
        into.push_str(text);
        return;
    }
    into.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            into.push('\\');
        }
        into.push(letter);
    }
    into.push('"');
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        match *self.rest.first()? {
            b'"' => self.quoted().map(Value::Text),
            b'{' => self.literal().map(Value::Text),
            b'(' => {
                self.skip(1);
                let mut values = Vec::new();
                while !self.ends()? {
                    values.push(self.value(depth)?);
                }
                Some(Value::List(values))
            }
            b'%' if self.rest.get(1) == Some(&b'(') => {
                self.skip(2);
                let mut entries = Vec::new();
                while !self.ends()? {
                    let key = self.atom()?;
                    self.blanks();
                    entries.push((key, self.value(depth)?));
                }
                Some(Value::Map(entries))
            }
            _ => match self.atom()? {
                atom if atom == b"NIL" => Some(Value::Nil),
                atom => Some(Value::Text(atom)),
            },
        }
    }

    /// Whether a list ends here.
    fn ends(&mut self) -> Option<bool> {
        self.blanks();
        let ends = *self.rest.first()? == b')';
        if ends {
            self.skip(1);
        }
        Some(ends)
    }

    fn atom(&mut self) -> Option<Vec<u8>> {
        let is_end = |octet: &u8| matches!(octet, b' ' | b'(' | b')' | b'"' | b'\r' | b'\n' | 0);
        let end = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let atom = self.rest.get(..end).filter(|atom| !atom.is_empty())?.to_vec();
        self.skip(end);
        Some(atom)
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut at = 1;
        loop {
            match *self.rest.get(at)? {
                b'"' => break,
                b'\\' => {
                    text.push(*self.rest.get(at + 1)?);
                    at += 2;
                }
                octet => {
                    text.push(octet);
                    at += 1;
                }
            }
        }
        self.skip(at + 1);
        Some(text)
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let end = self.rest.iter().take(16).position(|octet| *octet == b'}')?;
        let digits = std::str::from_utf8(self.rest.get(1..end)?).ok()?.trim_end_matches('+');
        let length: usize = digits.parse().ok()?;
        let start = end + 3;
        if self.rest.get(end + 1..start) != Some(b"\r\n") {
            return None;
        }
        let text = self.rest.get(start..start.checked_add(length)?)?.to_vec();
        self.skip(start + length);
        Some(text)
    }

    fn blanks(&mut self) {
        let blanks = self.rest.iter().take_while(|octet| **octet == b' ').count();
        self.skip(blanks);
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_are_nested() {
        let value = Value::parse(b"%(T e N \"a \\\"b\\\" c\" A %(bob lrs) U (x NIL {4}\r\n)( x) H ()) rest").unwrap();
        assert_eq!(value.string(b"T").as_deref(), Some("e"));
        assert_eq!(value.string(b"N").as_deref(), Some("a \"b\" c"));
        assert_eq!(value.get(b"A").unwrap().string(b"bob").as_deref(), Some("lrs"));
        let text = |text: &[u8]| Value::Text(text.to_vec());
        assert_eq!(value.get(b"U"), Some(&Value::List(vec![text(b"x"), Value::Nil, text(b")( x")])));
        assert_eq!(value.get(b"H"), Some(&Value::List(Vec::new())));
    }

    #[test]
    fn what_does_not_end_is_none() {
        for text in ["", "(", "%(a", "%(a b", "\"a", "{9}\r\nshort", "{9999999999999999999}\r\n", ")", "%(\"a\" b)"] {
            assert_eq!(Value::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Value::parse(&[b'('; 100_000]), None);
    }

    #[test]
    fn texts_go_there_and_back() {
        for text in ["", "a", "a b", "NIL", "q\"\\", "$Forwarded", "user.alice.&ZeVnLIqe-", "a(b)"] {
            let mut written = String::new();
            write_text(text, &mut written);
            assert_eq!(Value::parse(written.as_bytes()), Some(Value::Text(text.as_bytes().to_vec())), "{written}");
        }
    }
}

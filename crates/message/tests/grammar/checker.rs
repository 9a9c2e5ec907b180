//! A strict reader of ENVELOPE and BODYSTRUCTURE by the grammar of RFC 9051, section 9. It shares nothing with the writer.

type Check<T = ()> = Result<T, String>;

pub struct Checker<'a> {
    bytes: &'a [u8],
    at: usize,
    utf8: bool,
    /// Whether extension data must be there, or must not.
    extensions: bool,
}

pub fn check_envelope(text: &[u8], utf8: bool) -> Check {
    let mut checker = Checker { bytes: text, at: 0, utf8, extensions: true };
    checker.envelope()?;
    checker.end()
}

pub fn check_body(text: &[u8], utf8: bool, extensions: bool) -> Check {
    let mut checker = Checker { bytes: text, at: 0, utf8, extensions };
    checker.body()?;
    checker.end()
}

impl Checker<'_> {
    fn fail<T>(&self, expected: &str) -> Check<T> {
        let around = &self.bytes[self.at.saturating_sub(40)..(self.at + 40).min(self.bytes.len())];
        Err(format!("expected {expected} at {} near {:?}", self.at, String::from_utf8_lossy(around)))
    }

    fn end(&self) -> Check {
        if self.at == self.bytes.len() { Ok(()) } else { self.fail("the end") }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, text: &str) -> Check {
        if !self.takes(text) {
            return self.fail(text);
        }
        Ok(())
    }

    fn takes(&mut self, text: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(text.as_bytes());
        if found {
            self.at += text.len();
        }
        found
    }

    fn number(&mut self) -> Check<u64> {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.bytes[self.at..self.at + digits]).map_err(|error| error.to_string())?;
        self.at += digits;
        text.parse().or_else(|_| self.fail("a number"))
    }

    fn string(&mut self) -> Check<Vec<u8>> {
        let mut out = Vec::new();
        if self.takes("{") {
            let length = self.number()? as usize;
            self.take("}\r\n")?;
            out.extend_from_slice(self.bytes.get(self.at..self.at + length).ok_or("a literal that is cut")?);
            self.at += length;
            if out.contains(&0) {
                return self.fail("a literal without NUL");
            }
        } else {
            self.take("\"")?;
            loop {
                match self.peek() {
                    Some(b'"') => break,
                    Some(b'\\') if matches!(self.bytes.get(self.at + 1), Some(b'"' | b'\\')) => self.at += 1,
                    Some(b'\\' | b'\r' | b'\n' | 0) | None => return self.fail("a character of a quoted string"),
                    _ => {}
                }
                out.push(self.bytes[self.at]);
                self.at += 1;
            }
            self.at += 1;
        }
        if !(out.is_ascii() || self.utf8 && std::str::from_utf8(&out).is_ok()) {
            return self.fail("no 8-bit text before here");
        }
        Ok(out)
    }

    fn nstring(&mut self) -> Check<Option<Vec<u8>>> {
        if self.takes("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    fn nstrings(&mut self, count: usize) -> Check {
        for place in 0..count {
            if place > 0 {
                self.take(" ")?;
            }
            self.nstring()?;
        }
        Ok(())
    }

    fn envelope(&mut self) -> Check {
        self.take("(")?;
        self.nstrings(2)?;
        for _ in 0..6 {
            self.take(" ")?;
            if !self.takes("NIL") {
                self.take("(")?;
                self.address()?;
                while !self.takes(")") {
                    self.address()?;
                }
            }
        }
        self.take(" ")?;
        self.nstrings(2)?;
        self.take(")")
    }

    fn address(&mut self) -> Check {
        self.take("(")?;
        self.nstrings(4)?;
        self.take(")")
    }

    /// Bodies are nested no deeper than the limit of the writer, so that this may recurse.
    fn body(&mut self) -> Check {
        self.take("(")?;
        if self.peek() == Some(b'(') {
            while self.peek() == Some(b'(') {
                self.body()?;
            }
            self.take(" ")?;
            self.string()?;
            if self.extensions {
                self.take(" ")?;
                self.parameters()?;
                self.common_extensions()?;
            }
            return self.take(")");
        }
        let kind = self.string()?;
        self.take(" ")?;
        let subtype = self.string()?;
        self.take(" ")?;
        self.parameters()?;
        self.take(" ")?;
        self.nstrings(2)?;
        self.take(" ")?;
        self.string()?;
        self.take(" ")?;
        self.number()?;
        if kind.eq_ignore_ascii_case(b"text") {
            self.take(" ")?;
            self.number()?;
        } else if kind.eq_ignore_ascii_case(b"multipart") {
            return self.fail("no multipart without parts");
        } else if kind.eq_ignore_ascii_case(b"message")
            && (subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global"))
        {
            self.take(" ")?;
            self.envelope()?;
            self.take(" ")?;
            self.body()?;
            self.take(" ")?;
            self.number()?;
        }
        if self.extensions {
            self.take(" ")?;
            self.nstring()?;
            self.common_extensions()?;
        }
        self.take(")")
    }

    fn common_extensions(&mut self) -> Check {
        self.take(" ")?;
        if !self.takes("NIL") {
            self.take("(")?;
            self.string()?;
            self.take(" ")?;
            self.parameters()?;
            self.take(")")?;
        }
        self.take(" ")?;
        if self.takes("(") {
            self.string()?;
            while !self.takes(")") {
                self.take(" ")?;
                self.string()?;
            }
        } else {
            self.nstring()?;
        }
        self.take(" ")?;
        self.nstring().map(drop)
    }

    fn parameters(&mut self) -> Check {
        if self.takes("NIL") {
            return Ok(());
        }
        self.take("(")?;
        loop {
            self.string()?;
            self.take(" ")?;
            self.string()?;
            if self.takes(")") {
                return Ok(());
            }
            self.take(" ")?;
        }
    }
}

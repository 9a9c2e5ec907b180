//! Lists of UIDs, as text: `dovecot-uidlist` in its versions 1 and 3, and `courierimapuiddb`, which is Dovecot's version 1.
//!
//! A header line, then a line for each message by ascending UID. The files may list messages that are gone. Names are without their info.

use paquebot_types::{Uid, UidValidity};

use super::layout::number;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    /// With extensions: a letter and a value each.
    Three,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub version: Version,
    pub validity: UidValidity,
    /// May lag behind the lines: those are appended first.
    pub next: u64,
    /// What else stands there, as it does: ` G0123...`.
    pub extensions: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub uid: Uid,
    pub extensions: &'a [u8],
    pub name: &'a [u8],
}

impl Header {
    /// `None` for what is no header, or one with a zero: then nothing of the list holds.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        let version = words.next()?;
        let (mut validity, mut next, mut extensions) = (None, None, Vec::new());
        let version = match version {
            b"1" => {
                (validity, next) = (number(words.next()?), number(words.next()?));
                Version::One
            }
            b"3" => {
                for word in words {
                    match word {
                        [b'V', digits @ ..] => validity = number(digits),
                        [b'N', digits @ ..] => next = number(digits),
                        _ => {
                            extensions.push(b' ');
                            extensions.extend_from_slice(word);
                        }
                    }
                }
                Version::Three
            }
            _ => return None,
        };
        let next = next.filter(|next| (1..=1 << 32).contains(next))?;
        Some(Self { version, validity: validity.and_then(UidValidity::new)?, next, extensions })
    }

    pub fn write(&self) -> Vec<u8> {
        match self.version {
            Version::One => format!("1 {} {}\n", self.validity, self.next).into_bytes(),
            Version::Three => {
                let numbers = format!("3 V{} N{}", self.validity, self.next);
                [numbers.as_bytes(), &self.extensions, b"\n"].concat()
            }
        }
    }

    /// The value of an extension.
    pub fn extension(&self, letter: u8) -> Option<&[u8]> {
        let mut words = self.extensions.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        words.find_map(|word| word.split_first().filter(|(first, _)| **first == letter)).map(|(_, value)| value)
    }
}

impl<'a> Line<'a> {
    /// `None` for what is no line of this version.
    pub fn parse(version: Version, line: &'a [u8]) -> Option<Self> {
        let blank = memchr::memchr(b' ', line)?;
        let uid = Uid::new(number(&line[..blank])?)?;
        let rest = &line[blank..];
        let (extensions, name) = match version {
            Version::One => (&[][..], &rest[1..]),
            Version::Three => {
                let colon = memchr::memmem::find(rest, b" :")?;
                (&rest[..colon], &rest[colon + 2..])
            }
        };
        // A list of before info was left out may have it.
        let name = name.split(|octet| *octet == b':').next().filter(|name| !name.is_empty())?;
        (!name.contains(&b'/')).then_some(Self { uid, extensions, name })
    }

    pub fn write(&self, version: Version, out: &mut Vec<u8>) {
        out.extend_from_slice(self.uid.to_string().as_bytes());
        match version {
            Version::One => out.push(b' '),
            Version::Three => {
                out.extend_from_slice(self.extensions);
                out.extend_from_slice(b" :");
            }
        }
        out.extend_from_slice(self.name);
        out.push(b'\n');
    }

    /// The value of an extension: `W` is the octets that IMAP shows.
    pub fn extension(extensions: &[u8], letter: u8) -> Option<&[u8]> {
        let mut words = extensions.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
        words.find_map(|word| word.split_first().filter(|(first, _)| **first == letter)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn headers_go_there_and_back() {
        for line in ["1 795549804 25", "3 V1795550013 N25 G011dc80b3beb056bd92b000083ecc375 P123"] {
            let header = Header::parse(line.as_bytes()).unwrap();
            assert_eq!(header.write(), format!("{line}\n").as_bytes());
        }
        let header = Header::parse(b"3 V5 N1 Gabc").unwrap();
        assert_eq!(header.extension(b'G'), Some(&b"abc"[..]));
        for bad in ["", "2 5 1", "1 0 25", "1 5 0", "3 V5", "3 N5", "1 5", "x", "1 99999999999 1", "1 5 99999999999"] {
            assert_eq!(Header::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lines_go_there_and_back() {
        let cases = [
            (Version::One, "3 1795549804.M800897P2027V0_2.mx.example,S=275"),
            (Version::Three, "1 :1795550011.M351781P11225.vm,S=188,W=198"),
            (Version::Three, "7 S12 W14 Pold-uidl :1.2.host"),
        ];
        for (version, text) in cases {
            let line = Line::parse(version, text.as_bytes()).unwrap();
            let mut out = Vec::new();
            line.write(version, &mut out);
            assert_eq!(out, format!("{text}\n").as_bytes());
        }
        let line = Line::parse(Version::Three, b"7 S12 W14 :1.2.host").unwrap();
        assert_eq!(Line::extension(line.extensions, b'W'), Some(&b"14"[..]));
        for bad in ["", "0 :a", "1", "1 ", "1 :", "1 :a/b", "x :a", "99999999999 :a"] {
            assert_eq!(Line::parse(Version::Three, bad.as_bytes()), None, "{bad}");
        }
    }
}

//! Envelope addresses (RFC 5321, 4.1.2 and 4.1.3; RFC 6531, 3.3).
//!
//! ```text
//! Path       = "<" [ A-d-l ":" ] Mailbox ">"
//! A-d-l      = At-domain *( "," At-domain )        ; a source route: taken and left out
//! At-domain  = "@" Domain
//! Mailbox    = Local-part [ "@" ( Domain / address-literal ) ]
//! Local-part = Dot-string / Quoted-string
//! ```
//!
//! Wider than the RFC in two points: a mailbox may lack its domain, as local users' addresses do in LMTP, and `_` may stand in a domain,
//! as it does in real ones. Narrower in one: a local part cannot be empty, even in quotes.

use std::fmt;

/// The longest path, in octets. RFC 5321 asks for 256 at least; senders' variable return paths go beyond.
pub const PATH_BYTES_MAX: usize = 1000;

/// An address of the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    local: String,
    domain: Option<String>,
}

/// Why something is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("an address is expected between < and >")]
    Brackets,
    #[error("the part before @ is not that of an address")]
    Local,
    #[error("the part after @ is no domain")]
    Domain,
    #[error("the source route is none")]
    Route,
    #[error("an address has at most {PATH_BYTES_MAX} octets")]
    Length,
}

impl Address {
    /// What stands before the `@`, without quotes: never empty, without control characters.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands after the `@`, as it was given.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Whether only a session that uses SMTPUTF8 may say it.
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || self.domain.as_ref().is_some_and(|domain| !domain.is_ascii())
    }

    /// Reads a path from the start of `text`; gives the address, nothing for `<>`, and the rest of the text.
    pub fn parse_path(text: &str) -> Result<(Option<Self>, &str), AddressError> {
        let rest = text.strip_prefix('<').ok_or(AddressError::Brackets)?;
        if let Some(rest) = rest.strip_prefix('>') {
            return Ok((None, rest));
        }
        let rest = skip_source_route(rest)?;
        let (local, rest) = match rest.strip_prefix('"') {
            Some(quoted) => parse_quoted(quoted)?,
            None => parse_dot_string(rest)?,
        };
        let (domain, rest) = match rest.strip_prefix('@') {
            Some(rest) => parse_domain(rest).map(|(domain, rest)| (Some(domain.to_owned()), rest))?,
            None => (None, rest),
        };
        let rest = rest.strip_prefix('>').ok_or(AddressError::Brackets)?;
        if text.len() - rest.len() > PATH_BYTES_MAX {
            return Err(AddressError::Length);
        }
        Ok((Some(Self { local, domain }), rest))
    }
}

/// Writes the address as it stands between the brackets, quoted where it must be.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            f.write_str(&self.local)?;
        } else {
            f.write_str("\"")?;
            for c in self.local.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\"")?;
        }
        match &self.domain {
            Some(domain) => write!(f, "@{domain}"),
            None => Ok(()),
        }
    }
}

/// Whether the character may stand in an atom: `atext` of RFC 5322, and beyond ASCII all but controls and separators of lines.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

fn is_utf8_text(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace() && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn parse_dot_string(text: &str) -> Result<(String, &str), AddressError> {
    let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
    let (local, rest) = text.split_at(end);
    if is_dot_string(local) { Ok((local.to_owned(), rest)) } else { Err(AddressError::Local) }
}

/// The inside of a quoted string, its opening quote gone already.
fn parse_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut local = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let c = match c {
            '"' if local.is_empty() => return Err(AddressError::Local),
            '"' => return Ok((local, &text[at + 1..])),
            '\\' => chars.next().map(|(_, c)| c).filter(char::is_ascii).ok_or(AddressError::Local)?,
            c => c,
        };
        if !matches!(c, ' '..='~') && !is_utf8_text(c) {
            return Err(AddressError::Local);
        }
        local.push(c);
    }
    Err(AddressError::Local)
}

fn parse_domain(text: &str) -> Result<(&str, &str), AddressError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(AddressError::Domain)?;
        let (literal, rest) = text.split_at(end + 1);
        let inside = &literal[1..end];
        let is_literal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-');
        return match !inside.is_empty() && inside.chars().all(is_literal) {
            true => Ok((literal, rest)),
            false => Err(AddressError::Domain),
        };
    }
    let end = text.find(|c| !is_label(c) && c != '.').unwrap_or(text.len());
    let (domain, rest) = text.split_at(end);
    let sound = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    if domain.len() <= 255 && domain.split('.').all(sound) { Ok((domain, rest)) } else { Err(AddressError::Domain) }
}

fn is_label(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_utf8_text(c)
}

/// A source route must be taken and should be ignored (RFC 5321, 4.1.1.3 and appendix C).
fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    let mut rest = text;
    if !rest.starts_with('@') {
        return Ok(text);
    }
    loop {
        let domain = rest.strip_prefix('@').ok_or(AddressError::Route)?;
        let (_, after) = parse_domain(domain).map_err(|_| AddressError::Route)?;
        match (after.strip_prefix(','), after.strip_prefix(':')) {
            (Some(after), _) => rest = after,
            (None, Some(after)) => return Ok(after),
            (None, None) => return Err(AddressError::Route),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<Address>, AddressError> {
        let (address, rest) = Address::parse_path(text)?;
        assert_eq!(rest, "", "{text}");
        Ok(address)
    }

    #[test]
    fn paths_are_taken_apart() {
        let table = [
            ("<bob@example.org>", "bob", Some("example.org"), "bob@example.org"),
            ("<bob>", "bob", None, "bob"),
            ("<Postmaster>", "Postmaster", None, "Postmaster"),
            ("<Bob+Lists/Rust@Example.ORG>", "Bob+Lists/Rust", Some("Example.ORG"), "Bob+Lists/Rust@Example.ORG"),
            ("<@a.example,@b.example:bob@example.org>", "bob", Some("example.org"), "bob@example.org"),
            ("<\"bob\"@example.org>", "bob", Some("example.org"), "bob@example.org"),
            (
                "<\"a b\\\"c\\\\d>@\"@example.org>",
                "a b\"c\\d>@",
                Some("example.org"),
                "\"a b\\\"c\\\\d>@\"@example.org",
            ),
            ("<\"a..b\"@x>", "a..b", Some("x"), "\"a..b\"@x"),
            ("<bob@[192.0.2.1]>", "bob", Some("[192.0.2.1]"), "bob@[192.0.2.1]"),
            ("<bob@[IPv6:2001:db8::1]>", "bob", Some("[IPv6:2001:db8::1]"), "bob@[IPv6:2001:db8::1]"),
            ("<bob@under_score.example>", "bob", Some("under_score.example"), "bob@under_score.example"),
            ("<josé@exämple.org>", "josé", Some("exämple.org"), "josé@exämple.org"),
            ("<bob+../../etc/passwd@x>", "bob+../../etc/passwd", Some("x"), ""),
        ];
        for (text, local, domain, shown) in table {
            if shown.is_empty() {
                // Not even grammatical: two dots in a row need quotes.
                assert_eq!(parse(text), Err(AddressError::Local));
                continue;
            }
            let address = parse(text).unwrap().unwrap();
            assert_eq!((address.local(), address.domain(), &*address.to_string()), (local, domain, shown), "{text}");
        }
        assert_eq!(parse("<>"), Ok(None));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        use AddressError::*;
        let table = [
            ("", Brackets),
            ("bob@x", Brackets),
            ("<bob@x", Brackets),
            ("<bob@x>>", Brackets),
            ("< bob@x>", Local),
            ("<bob@x >", Brackets),
            ("<bob @x>", Brackets),
            ("<@x>", Route),
            ("<@x:>", Local),
            ("<@x,y:bob@x>", Route),
            ("<@:bob@x>", Route),
            ("<\"\"@x>", Local),
            ("<\"\">", Local),
            ("<\"bob@x>", Local),
            ("<\"bo\tb\"@x>", Local),
            ("<\"bo\\", Local),
            ("<.bob@x>", Local),
            ("<bob.@x>", Local),
            ("<bob..b@x>", Local),
            ("<bob@>", Domain),
            ("<bob@.x>", Domain),
            ("<bob@x.>", Domain),
            ("<bob@-x>", Domain),
            ("<bob@x-.y>", Domain),
            ("<bob@[]>", Domain),
            ("<bob@[1.2.3.4>", Domain),
            ("<bob@[1 2]>", Domain),
            ("<bob\0@x>", Brackets),
            ("<bob\u{85}@x>", Brackets),
            ("<bob(comment)@x>", Brackets),
        ];
        for (text, error) in table {
            let parsed = Address::parse_path(text);
            match parsed {
                Ok((_, rest)) => assert_eq!((rest, error), (">", Brackets), "{text:?}"),
                Err(found) => assert_eq!(found, error, "{text:?}"),
            }
        }
        let long = format!("<{}@x>", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(Address::parse_path(&long), Err(Length));
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer_and_addresses_go_there_and_back(text in "<?[ -~\u{e9}\u{85}\t\"\\\\@.,:<>]{0,40}>?") {
            if let Ok((Some(address), _)) = Address::parse_path(&text) {
                let shown = format!("<{address}>");
                prop_assert!(!shown.chars().any(char::is_control));
                prop_assert_eq!(Address::parse_path(&shown), Ok((Some(address), "")));
            }
        }
    }
}

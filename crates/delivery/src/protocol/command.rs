//! Commands (RFC 5321, 4.1.1; RFC 2033, 4.1; BDAT: RFC 3030, 2).
//!
//! ```text
//! lhlo = "LHLO" SP ( Domain / address-literal )
//! mail = "MAIL FROM:" Path [ SP Mail-parameters ]
//! rcpt = "RCPT TO:" Path [ SP Rcpt-parameters ]
//! bdat = "BDAT" SP 1*20DIGIT [ SP "LAST" ]
//! esmtp-param = esmtp-keyword [ "=" esmtp-value ]
//! ```
//!
//! Verbs and keywords in any case. Between two words stands one space; white space at a line's end is passed over.

use super::address::Address;
use super::reply::Reply;

/// A name that a client gives to itself, at most.
const CLIENT_BYTES_MAX: usize = 255;

/// Between nodes: the key of the delivery to a recipient, as 32 hexadecimal digits.
pub const ONCE: &str = "XPAQUEBOT-ONCE";

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Lhlo {
        client: String,
    },
    Mail {
        /// Nothing for `<>`: a bounce, which nobody wants an answer to.
        sender: Option<Address>,
        parameters: MailParameters,
    },
    Rcpt {
        recipient: Address,
        /// The delivery's key, from another node.
        once: Option<[u8; 16]>,
    },
    Data,
    Bdat {
        octets: u64,
        last: bool,
    },
    Rset,
    Noop,
    Help,
    Vrfy,
    Quit,
}

/// What comes with MAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// The message's octets, as the client estimates them (RFC 1870, 5).
    pub size: Option<u64>,
    pub smtputf8: bool,
}

impl Command {
    /// Reads a line without its CRLF; what is wrong with it is the reply to it.
    pub fn parse(line: &[u8]) -> Result<Self, Reply> {
        let line = std::str::from_utf8(line).map_err(|_| Reply::NOT_TEXT)?;
        let line = line.trim_end_matches([' ', '\t']);
        if line.chars().any(char::is_control) {
            return Err(Reply::NOT_TEXT);
        }
        let (verb, rest) = match line.split_once(' ') {
            Some((verb, rest)) => (verb, Some(rest)),
            None => (line, None),
        };
        let alone = |command| if rest.is_none() { Ok(command) } else { Err(Reply::NO_PARAMETERS) };
        match verb.to_ascii_uppercase().as_str() {
            "LHLO" => lhlo(rest),
            "MAIL" => mail(rest),
            "RCPT" => rcpt(rest),
            "DATA" => alone(Self::Data),
            "BDAT" => bdat(rest),
            "RSET" => alone(Self::Rset),
            "QUIT" => alone(Self::Quit),
            "NOOP" => Ok(Self::Noop),
            "HELP" => Ok(Self::Help),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Err(Reply::NO_EXPN),
            "HELO" | "EHLO" => Err(Reply::NOT_SMTP),
            _ => Err(Reply::UNKNOWN_COMMAND),
        }
    }
}

fn lhlo(rest: Option<&str>) -> Result<Command, Reply> {
    // It ends up in a header field: nothing that could open a comment or end one.
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let sound = |client: &&str| (1..=CLIENT_BYTES_MAX).contains(&client.len()) && client.chars().all(is_name);
    let client = rest.filter(sound).ok_or(Reply::LHLO_SYNTAX)?.to_owned();
    Ok(Command::Lhlo { client })
}

fn mail(rest: Option<&str>) -> Result<Command, Reply> {
    let rest = rest.and_then(|rest| strip_keyword(rest, "FROM:")).ok_or(Reply::MAIL_SYNTAX)?;
    let (sender, rest) = Address::parse_path(rest).map_err(|error| Reply::new(501, "5.1.7", error.to_string()))?;
    let mut parameters = MailParameters::default();
    let mut seen = Vec::new();
    for (keyword, value) in split_parameters(rest, Reply::MAIL_SYNTAX)? {
        let keyword = keyword.to_ascii_uppercase();
        match (keyword.as_str(), value) {
            ("SIZE", Some(value)) => parameters.size = Some(number(value).ok_or(Reply::PARAMETER_SYNTAX)?),
            ("SMTPUTF8", None) => parameters.smtputf8 = true,
            // Either way the message is kept octet by octet. BINARYMIME is not offered.
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") || value.eq_ignore_ascii_case("8BITMIME") => {}
            ("SIZE" | "SMTPUTF8" | "BODY", _) => return Err(Reply::PARAMETER_SYNTAX),
            _ => return Err(Reply::UNKNOWN_PARAMETER),
        }
        // Only the known ones come here, so this list stays short.
        if seen.contains(&keyword) {
            return Err(Reply::PARAMETER_SYNTAX);
        }
        seen.push(keyword);
    }
    if !parameters.smtputf8 && sender.as_ref().is_some_and(Address::needs_utf8) {
        return Err(Reply::NEEDS_SMTPUTF8);
    }
    Ok(Command::Mail { sender, parameters })
}

fn rcpt(rest: Option<&str>) -> Result<Command, Reply> {
    let rest = rest.and_then(|rest| strip_keyword(rest, "TO:")).ok_or(Reply::RCPT_SYNTAX)?;
    let (recipient, rest) = Address::parse_path(rest).map_err(|error| Reply::new(501, "5.1.3", error.to_string()))?;
    let recipient = recipient.ok_or(Reply::RCPT_SYNTAX)?;
    let mut once = None;
    for (keyword, value) in split_parameters(rest, Reply::RCPT_SYNTAX)? {
        match value {
            Some(value) if keyword == ONCE && once.is_none() => {
                once = Some(key(value).ok_or(Reply::PARAMETER_SYNTAX)?);
            }
            _ => return Err(Reply::UNKNOWN_PARAMETER),
        }
    }
    Ok(Command::Rcpt { recipient, once })
}

fn key(digits: &str) -> Option<[u8; 16]> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(digits, 16).ok()).flatten().map(u128::to_be_bytes)
}

fn bdat(rest: Option<&str>) -> Result<Command, Reply> {
    let (octets, last) = match rest.ok_or(Reply::BDAT_SYNTAX)?.split_once(' ') {
        Some((octets, last)) if last.eq_ignore_ascii_case("LAST") => (octets, true),
        Some(_) => return Err(Reply::BDAT_SYNTAX),
        None => (rest.unwrap_or_default(), false),
    };
    Ok(Command::Bdat { octets: number(octets).ok_or(Reply::BDAT_SYNTAX)?, last })
}

/// One to twenty digits; what does not fit is as large as can be.
fn number(text: &str) -> Option<u64> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn strip_keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then_some(rest)
}

/// The parameters after a path: each a keyword and perhaps a value.
fn split_parameters(rest: &str, error: Reply) -> Result<impl Iterator<Item = (&str, Option<&str>)>, Reply> {
    let rest = match rest.strip_prefix(' ') {
        Some(rest) => Some(rest),
        None if rest.is_empty() => None,
        None => return Err(error),
    };
    Ok(rest.into_iter().flat_map(|rest| rest.split(' ')).map(|parameter| match parameter.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (parameter, None),
    }))
}

#[cfg(test)]
mod tests;

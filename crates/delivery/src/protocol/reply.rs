//! Replies (RFC 5321, 4.2) with enhanced status codes (RFC 2034; the codes: RFC 3463 and 5248).

use std::borrow::Cow;

/// The longest text of a reply line, in octets: with codes and CRLF it stays within the 512 of RFC 5321, 4.5.3.1.5.
const TEXT_BYTES_MAX: usize = 480;

/// A reply of one line, or of several for LHLO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// `None` in the greeting, in LHLO's answer and in 354: RFC 2034, 3.
    enhanced: Option<&'static str>,
    text: Cow<'static, str>,
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $code:literal $enhanced:literal $text:literal;)*) => {
        impl Reply {
            $($(#[$doc])* pub const $name: Self = Self::constant($code, $enhanced, $text);)*
        }
        #[cfg(test)]
        const ALL: &[(&str, Reply)] = &[$((stringify!($name), Reply::$name)),*];
    };
}

replies! {
    OK = 250 "2.0.0" "OK";
    RESET = 250 "2.0.0" "Nothing is left of the transaction";
    SENDER_OK = 250 "2.1.0" "Sender OK";
    RECIPIENT_OK = 250 "2.1.5" "Recipient OK";
    CANNOT_VERIFY = 252 "2.5.2" "RCPT tells whether there is such a user";
    HELP = 214 "2.0.0" "LMTP: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT (RFC 2033)";
    CLOSING = 221 "2.0.0" "Bye";

    STOPPING = 421 "4.3.2" "The server is stopping; try again soon";
    TOO_MANY_CONNECTIONS = 421 "4.3.2" "Too many connections; try again soon";
    TIMEOUT = 421 "4.4.2" "Waited too long";
    TOO_MANY_ERRORS = 421 "4.7.0" "Too many commands in a row that cannot be understood";

    LOOKUP_FAILED = 451 "4.3.0" "It cannot be told now whether there is such a user; try again";
    UNAVAILABLE = 451 "4.3.0" "The message cannot be stored now; try again";
    MAILBOX_GONE = 451 "4.2.0" "The mailbox has just been deleted; try again";
    ACCOUNT_MOVING = 451 "4.3.2" "The account is being moved to other machines; try again soon";
    NOT_REACHED = 451 "4.4.1" "The machines that have the mailbox cannot be reached now; try again";
    NOT_HERE = 451 "4.3.2" "The mailbox is on other machines than was thought; try again";
    /// Refused as a whole: nothing of the message is kept.
    DISK_FULL = 452 "4.3.1" "There is no space on the server's disk; try again later";
    MAILBOX_FULL = 452 "4.2.2" "The mailbox is full";
    TOO_MANY_RECIPIENTS = 452 "4.5.3" "Too many recipients for one message; send it to the others in another transaction";

    UNKNOWN_COMMAND = 500 "5.5.1" "Unknown command";
    NOT_SMTP = 500 "5.5.1" "This is LMTP, which begins with LHLO";
    LINE_TOO_LONG = 500 "5.5.2" "The line is too long";
    BARE_LF = 500 "5.5.2" "Lines end in CRLF, and not in LF alone";
    NOT_TEXT = 500 "5.5.2" "The command holds control characters, or is not UTF-8";
    NO_PARAMETERS = 501 "5.5.4" "The command has no parameters";
    LHLO_SYNTAX = 501 "5.5.4" "Syntax: LHLO domain";
    MAIL_SYNTAX = 501 "5.5.4" "Syntax: MAIL FROM:<address> [parameters]";
    RCPT_SYNTAX = 501 "5.5.4" "Syntax: RCPT TO:<address> [parameters]";
    BDAT_SYNTAX = 501 "5.5.4" "Syntax: BDAT octets [LAST]";
    PARAMETER_SYNTAX = 501 "5.5.4" "The parameter's value is not one it can have, or the parameter stands there twice";
    NO_EXPN = 502 "5.5.1" "There are no lists to be expanded";
    LHLO_FIRST = 503 "5.5.1" "LHLO comes first";
    MAIL_FIRST = 503 "5.5.1" "MAIL comes first";
    NESTED_MAIL = 503 "5.5.1" "A transaction has begun already";
    NO_RECIPIENTS = 503 "5.5.1" "There is no valid recipient";
    IN_CHUNKS = 503 "5.5.1" "The message is being sent by BDAT, which goes on until LAST or RSET";
    CHUNK_FAILED = 503 "5.5.1" "An earlier chunk failed; RSET comes first";
    UNKNOWN_USER = 550 "5.1.1" "There is no such user here";
    TOO_BIG = 552 "5.3.4" "The message is larger than the server takes";
    NEEDS_SMTPUTF8 = 553 "5.6.7" "An address beyond ASCII needs the parameter SMTPUTF8";
    UNKNOWN_PARAMETER = 555 "5.5.4" "The parameter is not known here";
}

impl Reply {
    const fn constant(code: u16, enhanced: &'static str, text: &'static str) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Borrowed(text) }
    }

    /// A reply with a text of its own, without control characters.
    pub fn new(code: u16, enhanced: &'static str, text: String) -> Self {
        debug_assert!(!text.chars().any(char::is_control));
        Self { code, enhanced: Some(enhanced), text: Cow::Owned(text) }
    }

    /// The first line that a client gets.
    pub fn greeting(host_name: &str) -> Self {
        Self { code: 220, enhanced: None, text: format!("{host_name} LMTP Paquebot").into() }
    }

    /// The answer to LHLO: what the server can do.
    pub fn capabilities(host_name: &str, message_bytes_max: u64, passed_on: bool) -> Self {
        let once = if passed_on { format!("\n{}", super::command::ONCE) } else { String::new() };
        let text = format!(
            "{host_name}\nPIPELINING\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nSIZE {message_bytes_max}\nCHUNKING{once}"
        );
        Self { code: 250, enhanced: None, text: text.into() }
    }

    /// The reply that another node gave in this line, to be given as it is.
    pub fn passed_on(line: &str) -> Option<Self> {
        let (code, text) = line.split_once(' ')?;
        let code = code.parse().ok().filter(|code| (200..=599).contains(code))?;
        let text = text.chars().filter(|c| !c.is_control()).collect::<String>();
        Some(Self { code, enhanced: None, text: text.into() })
    }

    /// The go-ahead for DATA.
    pub fn go_ahead() -> Self {
        Self { code: 354, enhanced: None, text: Cow::Borrowed("The message now, CRLF.CRLF after it") }
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<&'static str> {
        self.enhanced
    }

    /// Whether it says that a command was not understood.
    pub fn is_syntax_error(&self) -> bool {
        matches!(self.code, 500..=502 | 504 | 555)
    }

    /// Appends the reply as it is sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(&line.as_bytes()[..line.floor_char_boundary(TEXT_BYTES_MAX)]);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_reply_has_a_class_that_its_enhanced_code_repeats() {
        for (name, reply) in ALL {
            let text = written(reply);
            let (code, rest) = text.split_once(' ').unwrap();
            let enhanced: Vec<u16> = reply.enhanced().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
            assert_eq!(code, reply.code().to_string(), "{name}");
            assert_eq!((enhanced.len(), enhanced[0]), (3, reply.code() / 100), "{name}");
            assert!(rest.ends_with("\r\n") && rest.len() < 200 && rest.is_ascii(), "{name}");
            assert!(rest.len() > reply.enhanced().unwrap().len() + 3, "{name} has no text");
        }
    }

    #[test]
    fn capabilities_are_one_a_line() {
        let text = written(&Reply::capabilities("mail.example", 1000, false));
        let expected = "250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n\
                        250-SIZE 1000\r\n250 CHUNKING\r\n";
        assert_eq!(text, expected);
        assert_eq!(written(&Reply::greeting("mail.example")), "220 mail.example LMTP Paquebot\r\n");
        assert!(written(&Reply::go_ahead()).starts_with("354 The"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = written(&Reply::new(250, "2.0.0", "é".repeat(400)));
        assert_eq!(text.len(), "250 2.0.0 ".len() + 480 + 2);
    }
}

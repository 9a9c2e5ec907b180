use super::*;
use proptest::prelude::*;

fn address(path: &str) -> Address {
    Address::parse_path(path).unwrap().0.unwrap()
}

fn mail(sender: Option<&str>, size: Option<u64>, smtputf8: bool) -> Command {
    Command::Mail { sender: sender.map(address), parameters: MailParameters { size, smtputf8 } }
}

#[test]
fn commands_are_understood() {
    let table: Vec<(&str, Command)> = vec![
        ("LHLO mx.example", Command::Lhlo { client: "mx.example".into() }),
        ("lhlo [192.0.2.1]", Command::Lhlo { client: "[192.0.2.1]".into() }),
        ("LHLO my_host", Command::Lhlo { client: "my_host".into() }),
        ("LHLO exämple.org", Command::Lhlo { client: "exämple.org".into() }),
        ("MAIL FROM:<>", mail(None, None, false)),
        ("mail from:<a@b>", mail(Some("<a@b>"), None, false)),
        ("MAIL FROM:<a@b> SIZE=12", mail(Some("<a@b>"), Some(12), false)),
        ("MAIL FROM:<a@b> size=99999999999999999999 body=8bitmime", mail(Some("<a@b>"), Some(u64::MAX), false)),
        ("MAIL FROM:<a@b> BODY=7BIT SMTPUTF8", mail(Some("<a@b>"), None, true)),
        ("MAIL FROM:<é@b> SMTPUTF8", mail(Some("<é@b>"), None, true)),
        ("MAIL FROM:<@x,@y:a@b>  \t", mail(Some("<a@b>"), None, false)),
        ("RCPT TO:<bob>", Command::Rcpt { recipient: address("<bob>"), once: None }),
        ("Rcpt To:<\"a b\"@x>", Command::Rcpt { recipient: address("<\"a b\"@x>"), once: None }),
        ("RCPT TO:<bob+é@x>", Command::Rcpt { recipient: address("<bob+é@x>"), once: None }),
        ("DATA", Command::Data),
        ("data ", Command::Data),
        ("BDAT 0", Command::Bdat { octets: 0, last: false }),
        ("BDAT 86 LAST", Command::Bdat { octets: 86, last: true }),
        ("bdat 18446744073709551616 last", Command::Bdat { octets: u64::MAX, last: true }),
        ("RSET", Command::Rset),
        ("NOOP anything at all", Command::Noop),
        ("HELP MAIL", Command::Help),
        ("VRFY bob", Command::Vrfy),
        ("QUIT", Command::Quit),
    ];
    for (line, command) in table {
        assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
    }
}

#[test]
fn what_is_no_command_gets_its_reason() {
    let table: Vec<(&[u8], Reply)> = vec![
        (b"", Reply::UNKNOWN_COMMAND),
        (b" NOOP", Reply::UNKNOWN_COMMAND),
        (b"POST / HTTP/1.1", Reply::UNKNOWN_COMMAND),
        (b"MAILFROM:<a@b>", Reply::UNKNOWN_COMMAND),
        (b"EHLO x", Reply::NOT_SMTP),
        (b"HELO x", Reply::NOT_SMTP),
        (b"EXPN list", Reply::NO_EXPN),
        (b"NOOP \xff", Reply::NOT_TEXT),
        (b"NO\0OP", Reply::NOT_TEXT),
        (b"NOOP\rRSET", Reply::NOT_TEXT),
        (b"LHLO", Reply::LHLO_SYNTAX),
        (b"LHLO ", Reply::LHLO_SYNTAX),
        (b"LHLO a b", Reply::LHLO_SYNTAX),
        (b"LHLO x)(y", Reply::LHLO_SYNTAX),
        (b"DATA now", Reply::NO_PARAMETERS),
        (b"RSET x", Reply::NO_PARAMETERS),
        (b"QUIT x", Reply::NO_PARAMETERS),
        (b"MAIL", Reply::MAIL_SYNTAX),
        (b"MAIL <a@b>", Reply::MAIL_SYNTAX),
        (b"MAIL FROM:<a@b>SIZE=1", Reply::MAIL_SYNTAX),
        (b"MAIL FROM:<a@b> ", mail_ok()),
        (b"MAIL FROM:<a@b>  SIZE=1", Reply::UNKNOWN_PARAMETER),
        (b"MAIL FROM:<a@b> RET=HDRS", Reply::UNKNOWN_PARAMETER),
        (b"MAIL FROM:<a@b> SIZE", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> SIZE=", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> SIZE=-1", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> SIZE=1 size=2", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> SIZE=123456789012345678901", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> BODY=BINARYMIME", Reply::PARAMETER_SYNTAX),
        (b"MAIL FROM:<a@b> SMTPUTF8=yes", Reply::PARAMETER_SYNTAX),
        ("MAIL FROM:<é@b>".as_bytes(), Reply::NEEDS_SMTPUTF8),
        (b"RCPT", Reply::RCPT_SYNTAX),
        (b"RCPT FROM:<a>", Reply::RCPT_SYNTAX),
        (b"RCPT TO:<>", Reply::RCPT_SYNTAX),
        (b"RCPT TO:<a@b> NOTIFY=NEVER", Reply::UNKNOWN_PARAMETER),
        (b"BDAT", Reply::BDAT_SYNTAX),
        (b"BDAT x", Reply::BDAT_SYNTAX),
        (b"BDAT -1", Reply::BDAT_SYNTAX),
        (b"BDAT 1 FIRST", Reply::BDAT_SYNTAX),
        (b"BDAT 1 LAST LAST", Reply::BDAT_SYNTAX),
        (b"BDAT 123456789012345678901", Reply::BDAT_SYNTAX),
    ];
    for (line, reply) in table {
        let parsed = Command::parse(line);
        match reply.code() {
            250 => assert!(parsed.is_ok(), "{}", line.escape_ascii()),
            _ => assert_eq!(parsed, Err(reply), "{}", line.escape_ascii()),
        }
    }
}

/// Stands in the table for "no error".
fn mail_ok() -> Reply {
    Reply::SENDER_OK
}

#[test]
fn a_bad_address_is_named_by_its_enhanced_code() {
    for (line, enhanced) in [
        ("MAIL FROM:<\"\"@x>", "5.1.7"),
        ("MAIL FROM: <a@b>", "5.1.7"),
        ("MAIL FROM:a@b", "5.1.7"),
        ("RCPT TO:<\"\"@x>", "5.1.3"),
        ("RCPT TO: <a@b>", "5.1.3"),
        ("RCPT TO:<a@b", "5.1.3"),
    ] {
        let reply = Command::parse(line.as_bytes()).unwrap_err();
        assert_eq!((reply.code(), reply.enhanced()), (501, Some(enhanced)), "{line}");
    }
}

proptest! {
    #[test]
    fn any_line_gets_an_answer(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Command::parse(&line);
    }

    #[test]
    fn any_path_gets_an_answer(path in "(MAIL FROM:|RCPT TO:|BDAT )[ -~é]{0,60}") {
        let _ = Command::parse(path.as_bytes());
    }
}

//! APPEND in its pieces.

use paquebot_protocol::command::{
    AppendForm, AppendHead, AppendMessage, parse_append, parse_append_end, parse_append_next,
};
use paquebot_protocol::{Fault, InvalidMailbox, ParseContext, Tag};
use paquebot_types::{Flags, InternalDate, Keyword};

use crate::{mailbox, utf8};

fn head(text: &str) -> AppendHead {
    parse_append(text.as_bytes(), &ParseContext::default()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn plain() -> AppendMessage {
    AppendMessage { flags: Flags::NONE, keywords: vec![], internal_date: None, form: AppendForm::Literal }
}

#[test]
fn heads() {
    let tag = Tag::new(b"A003").unwrap();
    let seen = AppendMessage { flags: Flags::SEEN, ..plain() };
    assert_eq!(
        head("A003 APPEND saved-messages (\\Seen) {297}"),
        AppendHead { tag, mailbox: mailbox("saved-messages"), message: seen.clone() }
    );
    assert_eq!(head("a append {5+}\r\nINBOX {1+}").mailbox, mailbox("INBOX"));
    assert_eq!(head("a APPEND \"x {5}\" {1}").mailbox, mailbox("x {5}"));
    assert_eq!(head("a APPEND a&b {1}").mailbox, Err(InvalidMailbox::Utf7));
    assert_eq!(head("a APPEND x () {1}").message, plain());
    let date = InternalDate::new(760_171_384, -480);
    let dated = AppendMessage { internal_date: Some(date), ..plain() };
    assert_eq!(head("a APPEND x \" 1-Feb-1994 22:43:04 -0800\" {1}").message, dated);
    assert_eq!(head("a APPEND x \"1-feb-1994 22:43:04 -0800\" {1}").message, dated);
    let keyword = AppendMessage { keywords: vec![Keyword::new("$Junk").unwrap()], form: AppendForm::Literal8, ..dated };
    assert_eq!(head("a APPEND x ($Junk) \"01-Feb-1994 22:43:04 -0800\" ~{1}").message, keyword);
    assert_eq!(head("a APPEND x (\\recent \\Seen \\Recent) {10}").message, seen);
    assert_eq!(head("a APPEND x (\\Seen) UTF8 (~{10}").message, AppendMessage { form: AppendForm::Utf8, ..seen });
    assert_eq!(parse_append("a APPEND \"\u{e9}\" {1}".as_bytes(), &utf8()).unwrap().mailbox, mailbox("\u{e9}"));
}

#[test]
fn further_messages_and_the_end() {
    let context = ParseContext::default();
    let next = |text: &str, previous| parse_append_next(text.as_bytes(), previous, &context);
    assert_eq!(next(" {5}", AppendForm::Literal), Ok(plain()));
    assert_eq!(next(") (\\Seen) {5}", AppendForm::Utf8), Ok(AppendMessage { flags: Flags::SEEN, ..plain() }));
    assert_eq!(next(" UTF8 (~{5}", AppendForm::Literal8), Ok(AppendMessage { form: AppendForm::Utf8, ..plain() }));
    let error = next(" {5}", AppendForm::Utf8).unwrap_err();
    assert_eq!((error.tag, error.at, error.fault), (None, 0, Fault::Expected("a closing parenthesis")));
    assert_eq!(next("{5}", AppendForm::Literal).unwrap_err().at, 0);

    for (rest, form, at) in [
        ("", AppendForm::Literal, None),
        (" ", AppendForm::Literal8, None),
        (")", AppendForm::Utf8, None),
        (") ", AppendForm::Utf8, None),
        ("", AppendForm::Utf8, Some(0)),
        (")", AppendForm::Literal, Some(0)),
        (" (\\Seen)", AppendForm::Literal, Some(0)),
        (") x", AppendForm::Utf8, Some(1)),
    ] {
        assert_eq!(parse_append_end(rest.as_bytes(), form).err().map(|error| error.at), at, "{rest:?}");
    }
}

#[test]
fn errors_name_the_byte() {
    for (text, at, expected) in [
        ("a APPEND {5}", 12, "a line end after a literal's size"),
        ("a APPEND x{5}", 10, "a space"),
        ("a APPEND x (\\Recently) {5}", 19, "a space or a closing parenthesis"),
        ("a APPEND x (\\Foo) {5}", 12, "a system flag that can be set"),
        ("a APPEND x (\\Seen){5}", 18, "a space"),
        ("a APPEND x \"yesterday\" {5}", 11, "a date as \" 1-Feb-1994 22:43:04 -0800\""),
        ("a APPEND x  {5}", 11, "a literal"),
        ("a APPEND x CATENATE {5}", 11, "a literal"),
        ("a APPEND x UTF8 ({5}", 11, "a literal"),
    ] {
        let error = parse_append(text.as_bytes(), &ParseContext::default()).unwrap_err();
        assert_eq!((error.at, error.fault), (at, Fault::Expected(expected)), "{text}");
        assert_eq!((error.tag.unwrap().as_str(), error.command), ("a", Some("APPEND")));
    }
    assert_eq!(parse_append(b"a NOOP", &ParseContext::default()).unwrap_err().fault, Fault::UnknownCommand);
    assert_eq!(parse_append(b"+ APPEND", &ParseContext::default()).unwrap_err().tag, None);
}

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Form, SectionText, body_structure, parse, resolve};

const MESSAGE: &str = "Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Jörg <Joerg@x>\r\nTo: g:; , b@c\r\nCc: d@e\r\n\
    Subject: Re: Grüße\r\nMessage-ID: <2@x>\r\nReferences: <0@x> <1@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\n\r\nHello\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nner\r\n--b\r\n\
    Content-Type: a/b; name=ü\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--b--\r\n";

#[test]
fn a_summary_gives_back_what_it_was_made_of() {
    let structure = parse(MESSAGE.as_bytes());
    let bytes = summarise(&structure);
    let summary = SummaryRef::new(&bytes).unwrap();
    assert_eq!(summary.size(), MESSAGE.len() as u64);
    assert_eq!(summary.header_length(), structure.header_length());
    for form in [Form::Ascii, Form::Utf8] {
        let written = body_structure(&structure, form);
        assert_eq!(summary.bodystructure(form), written.text);
        assert_eq!(summary.body(form).collect::<Vec<_>>().concat(), written.body().collect::<Vec<_>>().concat());
        let mut envelope = Vec::new();
        crate::write_envelope(&structure, &structure.parts()[0], form, &mut envelope);
        assert_eq!(summary.envelope(form), envelope);
    }
    assert!(summary.entries().eq(structure.entries()));
    assert_eq!(summary.preview(), "Hello");
    assert_eq!(summary.sent_date().map(|date| (date.unix_seconds, date.day)), Some((837_595_405, 9694)));
    assert_eq!(summary.sort_subject(), "GRU\u{308}ßE".as_bytes());
    assert!(summary.is_reply());
    assert_eq!((summary.sort_from(), summary.sort_to(), summary.sort_cc()), (&b"JOERG"[..], &b"G"[..], &b"D"[..]));
    assert_eq!((summary.display_from(), summary.display_to()), ("JO\u{308}RG".as_bytes(), &b"G"[..]));
    assert!(summary.message_id().is_some());
    assert_eq!(summary.references().count(), 2);
    assert!(summary.thread_id().is_some());
    let range = resolve(summary.entries(), &[2, 1], SectionText::Whole).unwrap();
    assert_eq!(&MESSAGE[range.start as usize..range.end as usize], "ner");
}

#[test]
fn a_group_sorts_by_its_name() {
    let bytes = summarise(&parse(b"Cc: Team: a@b, c@d;\r\n\r\n"));
    assert_eq!(SummaryRef::new(&bytes).unwrap().sort_cc(), b"TEAM");
}

#[test]
fn an_empty_message_has_a_summary() {
    let bytes = summarise(&parse(b""));
    let summary = SummaryRef::new(&bytes).unwrap();
    assert_eq!((summary.size(), summary.sent_date(), summary.message_id(), summary.thread_id()), (0, None, None, None));
    assert_eq!(summary.preview(), "");
}

/// The bytes of version 1 are on disks: this fails when they change.
#[test]
fn version_one_stays_readable() {
    let mut expected = vec![1, 1, 21, 20];
    let envelope = br#"(NIL "Re: a b" NIL NIL NIL NIL NIL NIL NIL NIL)"#;
    let structure = br#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL)"#;
    expected.extend([envelope.len() as u8, 0, structure.len() as u8, 0, 2, 0, 1, 3, 0, 0, 0, 0, 0, 0, 5]);
    expected.extend(envelope);
    expected.extend(structure);
    expected.extend([structure.len() as u8 - 17, 16]);
    expected.extend(b"xA B");
    expected.extend([0x20, 0, 0, 20, 1]);
    assert_eq!(summarise(&parse(b"Subject: Re: a b\r\n\r\nx")), expected);
}

#[test]
fn damaged_summaries_are_refused() {
    let bytes = summarise(&parse(MESSAGE.as_bytes()));
    for length in 0..bytes.len() {
        assert!(SummaryRef::new(&bytes[..length]).is_err(), "{length}");
    }
    assert_eq!(SummaryRef::new(&[9]).map(|_| ()).unwrap_err(), SummaryError::Version(9));
}

#[test]
fn summaries_are_bounded() {
    let name = "é".repeat(40);
    let hostile = format!(
        "From: {}\r\nSubject: {}\r\n\r\n",
        format!("a{name} b <c@d>,\r\n ").repeat(100_000),
        "é".repeat(1 << 20)
    );
    let mut message = String::new();
    for _ in 0..20 {
        message += "Content-Type: message/rfc822\r\n";
        message += &hostile;
    }
    for message in [&hostile, &message] {
        assert!(summarise(&parse(message.as_bytes())).len() < 16 << 20);
    }
}

fn read_everything(bytes: &[u8]) {
    if let Ok(summary) = SummaryRef::new(bytes) {
        for form in [Form::Ascii, Form::Utf8] {
            let whole = summary.bodystructure(form).len();
            assert!(summary.body(form).map(<[u8]>::len).sum::<usize>() <= whole);
        }
        assert!(summary.entries().all(|entry| entry.body.end <= summary.size()));
        let _ = (summary.references().count(), summary.preview().len());
        let _ = resolve(summary.entries(), &[1, 1, 1], SectionText::Header);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_fail_badly(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        read_everything(&bytes);
        read_everything(&[&[VERSION], &bytes[..]].concat());
    }

    #[test]
    fn no_damage_makes_a_reader_fail_badly(at in 0usize..2_000, byte in proptest::num::u8::ANY) {
        let mut bytes = summarise(&parse(MESSAGE.as_bytes()));
        let at = at % bytes.len();
        bytes[at] = byte;
        read_everything(&bytes);
    }

    #[test]
    fn numbers_go_there_and_back(value in proptest::num::u64::ANY) {
        let mut bytes = Vec::new();
        write_number(value, &mut bytes);
        let mut rest = &bytes[..];
        proptest::prop_assert_eq!(read_number(&mut rest), Some(value));
        proptest::prop_assert!(rest.is_empty());
    }
}

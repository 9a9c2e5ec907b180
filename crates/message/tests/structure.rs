//! What messages are made of: ENVELOPE, BODYSTRUCTURE and sections of lawful and of malformed mail.

#![allow(clippy::unwrap_used)]

use paquebot_message::{
    Form, PartKind, SectionText, Selection, Structure, body_structure, parse, resolve, resolve_binary, select_fields,
    write_envelope,
};

fn envelope_in(message: &[u8], form: Form) -> String {
    let structure = parse(message);
    let mut out = Vec::new();
    write_envelope(&structure, &structure.parts()[0], form, &mut out);
    String::from_utf8(out).unwrap()
}

fn envelope(message: &str) -> String {
    envelope_in(message.as_bytes(), Form::Ascii)
}

fn shown(structure: &Structure) -> String {
    String::from_utf8(body_structure(structure, Form::Ascii).text).unwrap()
}

fn bodystructure(message: &str) -> String {
    shown(&parse(message.as_bytes()))
}

fn body(message: &str) -> String {
    let written = body_structure(&parse(message.as_bytes()), Form::Ascii);
    String::from_utf8(written.body().flatten().copied().collect()).unwrap()
}

fn section<'a>(message: &'a str, path: &[u32], text: SectionText) -> Option<&'a str> {
    let range = resolve(parse(message.as_bytes()).entries(), path, text)?;
    Some(&message[range.start as usize..range.end as usize])
}

#[test]
fn the_envelope_of_rfc_9051_is_written() {
    let message = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
        From: Terry Gray <gray@cac.washington.example>\r\n\
        Subject: IMAP4rev2 WG mtg summary and minutes\r\n\
        To: imap@cac.washington.example\r\n\
        cc: minutes@CNRI.Reston.VA.EXAMPLE, John Klensin <KLENSIN@MIT.EXAMPLE>\r\n\
        Message-Id: <B27397-0100000@cac.washington.ed>\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n";
    assert_eq!(
        envelope(message),
        r#"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev2 WG mtg summary and minutes" (("Terry Gray" NIL "gray" "cac.washington.example")) (("Terry Gray" NIL "gray" "cac.washington.example")) (("Terry Gray" NIL "gray" "cac.washington.example")) ((NIL NIL "imap" "cac.washington.example")) ((NIL NIL "minutes" "CNRI.Reston.VA.EXAMPLE")("John Klensin" NIL "KLENSIN" "MIT.EXAMPLE")) NIL NIL "<B27397-0100000@cac.washington.ed>")"#
    );
    assert_eq!(bodystructure(message), r#"("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)"#);
}

#[test]
fn missing_is_nil_and_empty_is_an_empty_string() {
    assert_eq!(envelope(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_eq!(
        envelope("Subject:\r\nDate: \r\nFrom:\r\nSender:\r\nTo: \r\nMessage-ID:\r\n\r\n"),
        r#"("" "" NIL NIL NIL NIL NIL NIL NIL "")"#
    );
    assert_eq!(
        envelope("Sender: s@x\nReply-To:\nFrom: f@x\n\n"),
        r#"(NIL NIL ((NIL NIL "f" "x")) ((NIL NIL "s" "x")) ((NIL NIL "f" "x")) NIL NIL NIL NIL NIL)"#
    );
}

#[test]
fn groups_and_repeated_fields_are_shown_whole() {
    assert_eq!(
        envelope("To: Friends: a@b;\r\nTo: c@d\r\nSubject: 1\r\nSubject: 2\r\n\r\n"),
        r#"(NIL "1" NIL NIL NIL ((NIL NIL "Friends" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "c" "d")) NIL NIL NIL NIL)"#
    );
}

#[test]
fn raw_text_is_never_sent_raw_to_sessions_without_utf8() {
    let message = "Subject: Grüße\r\nFrom: \"Jörg \\\"x\\\" \\\\\" <j@x>\r\n\r\n".as_bytes();
    assert_eq!(
        envelope_in(message, Form::Ascii),
        r#"(NIL "=?utf-8?q?Gr=C3=BC=C3=9Fe?=" (("=?utf-8?q?J=C3=B6rg?= \"x\" \\" NIL "j" "x")) (("=?utf-8?q?J=C3=B6rg?= \"x\" \\" NIL "j" "x")) (("=?utf-8?q?J=C3=B6rg?= \"x\" \\" NIL "j" "x")) NIL NIL NIL NIL NIL)"#
    );
    assert!(envelope_in(message, Form::Utf8).contains(r#"NIL "Grüße" (("Jörg \"x\" \\" NIL"#));
    assert!(envelope_in(b"Subject: caf\xe9\r\n\r\n", Form::Utf8).contains("\"=?unknown-8bit?q?caf=E9?=\""));
    assert!(envelope("Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n\r\n").contains(r#""=?utf-8?q?a?= =?utf-8?q?b?=""#));
    assert!(envelope_in(b"Subject: a\0b\rc\r\n d\r\n\r\n", Form::Ascii).contains(r#""ab c d""#));
}

const MIXED: &str = "From: a@b\r\nContent-Type: multipart/mixed; boundary=\"o\"\r\n\r\npreamble\r\n--o\r\n\
    \r\nfirst\r\nlines\r\n--o\r\nContent-Type: message/rfc822\r\nContent-Description: fwd\r\n\r\n\
    Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/html; charset=utf-8\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=\r\n--i\r\nContent-Type: image/png; name=x.png\r\n\
    Content-ID: <id@x>\r\nContent-MD5: abc\r\nContent-Disposition: attachment; filename=\"x y.png\"\r\nContent-Language: en, de\r\n\
    Content-Location: http://x/\r\nContent-Transfer-Encoding: BASE64\r\n\r\naGk=\r\n--i--\r\n\r\n--o--\r\nepilogue\r\n";

#[test]
fn a_boundary_may_be_folded() {
    for fold in ["\n ", "\r\n "] {
        let message =
            format!("Content-Type: multipart/mixed; boundary=\"foo{fold}bar\"\n\n--foo bar\n\nhello\n--foo bar--\n");
        assert_eq!(section(&message, &[1], SectionText::Whole), Some("hello"), "{fold:?}");
    }
}

#[test]
fn a_nested_message_has_envelope_structure_and_lines() {
    assert_eq!(
        bodystructure(MIXED),
        concat!(
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 12 1 NIL NIL NIL NIL)"#,
            r#"("message" "rfc822" NIL NIL "fwd" "7bit" 403 "#,
            r#"(NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            r#"(("text" "html" ("charset" "utf-8") NIL NIL "quoted-printable" 4 0 NIL NIL NIL NIL)"#,
            r#"("image" "png" ("name" "x.png") "<id@x>" NIL "BASE64" 4 "abc" ("attachment" ("filename" "x y.png")) ("en" "de") "http://x/")"#,
            r#" "alternative" ("boundary" "i") NIL NIL NIL) 19 NIL NIL NIL NIL)"#,
            r#" "mixed" ("boundary" "o") NIL NIL NIL)"#
        )
    );
    assert_eq!(
        body(MIXED),
        concat!(
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 12 1)"#,
            r#"("message" "rfc822" NIL NIL "fwd" "7bit" 403 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) "#,
            r#"(("text" "html" ("charset" "utf-8") NIL NIL "quoted-printable" 4 0)"#,
            r#"("image" "png" ("name" "x.png") "<id@x>" NIL "BASE64" 4) "alternative") 19) "mixed")"#
        )
    );
}

#[test]
fn sections_are_found() {
    let whole = |path: &[u32]| section(MIXED, path, SectionText::Whole);
    assert_eq!(whole(&[]), Some(MIXED));
    assert_eq!(whole(&[1]), Some("first\r\nlines"));
    assert!(whole(&[2]).unwrap().starts_with("Subject: inner\r\n"));
    assert!(whole(&[2]).unwrap().ends_with("--i--\r\n"));
    assert_eq!(whole(&[2, 1]), Some("<p>="));
    assert_eq!(whole(&[2, 2]), Some("aGk="));
    for missing in [&[0][..], &[3], &[1, 1], &[1, 2], &[2, 3], &[2, 1, 1], &[2, 0], &[u32::MAX]] {
        assert_eq!(whole(missing), None, "{missing:?}");
    }
    assert_eq!(
        section(MIXED, &[2], SectionText::Mime),
        Some("Content-Type: message/rfc822\r\nContent-Description: fwd\r\n\r\n")
    );
    assert!(section(MIXED, &[2], SectionText::Header).unwrap().ends_with("boundary=i\r\n\r\n"));
    assert!(section(MIXED, &[2], SectionText::Text).unwrap().starts_with("--i\r\n"));
    assert_eq!(section(MIXED, &[1], SectionText::Header), None);
    assert_eq!(section(MIXED, &[1], SectionText::Text), None);
    assert_eq!(section(MIXED, &[], SectionText::Mime), None);
    assert!(section(MIXED, &[], SectionText::Text).unwrap().starts_with("preamble"));
}

#[test]
fn part_one_of_a_plain_message_is_its_body() {
    let message = "A: b\r\n\r\nbody\r\n";
    assert_eq!(section(message, &[1], SectionText::Whole), Some("body\r\n"));
    assert_eq!(section(message, &[1], SectionText::Mime), Some("A: b\r\n\r\n"));
    assert_eq!(section(message, &[1, 1], SectionText::Whole), None);
    assert_eq!(section(message, &[2], SectionText::Whole), None);
    let message = "Content-Type: message/rfc822\n\nSubject: x\n\ninner";
    assert_eq!(section(message, &[1], SectionText::Whole), Some("Subject: x\n\ninner"));
    assert_eq!(section(message, &[1], SectionText::Header), Some("Subject: x\n\n"));
    assert_eq!(section(message, &[1, 1], SectionText::Whole), Some("inner"));
    assert_eq!(section(message, &[1, 1, 1], SectionText::Whole), None);
}

#[test]
fn binary_says_how_a_part_is_encoded() {
    use paquebot_message::Encoding;
    let structure = parse(MIXED.as_bytes());
    assert_eq!(resolve_binary(structure.entries(), &[2, 2]).map(|(_, encoding)| encoding), Some(Encoding::Base64));
    assert_eq!(resolve_binary(structure.entries(), &[2]).map(|(_, encoding)| encoding), Some(Encoding::Binary));
    assert_eq!(resolve_binary(structure.entries(), &[]), Some((0..MIXED.len() as u64, Encoding::Binary)));
    assert_eq!(resolve_binary(structure.entries(), &[9]), None);
}

#[test]
fn header_fields_are_chosen_as_stored() {
    let header = b"From: a\r\nX: 1\r\n more\r\nfrom : b\r\nodd line\r\nSubject: s\r\n\r\n";
    assert_eq!(select_fields(header, Selection::Fields, &[b"FROM"]), b"From: a\r\nfrom : b\r\n\r\n");
    assert_eq!(select_fields(header, Selection::Fields, &[b"x"]), b"X: 1\r\n more\r\n\r\n");
    assert_eq!(select_fields(header, Selection::Fields, &[b"none"]), b"\r\n");
    assert_eq!(select_fields(header, Selection::FieldsNot, &[b"From", b"X"]), b"odd line\r\nSubject: s\r\n\r\n");
    assert_eq!(select_fields(b"A: b", Selection::Fields, &[b"a"]), b"A: b\r\n\r\n");
    assert_eq!(select_fields(b"", Selection::FieldsNot, &[]), b"\r\n");
}

#[test]
fn malformed_multiparts_keep_the_grammar() {
    let cases = [
        ("Content-Type: multipart/mixed\r\n\r\ntext\r\n", r#"("text" "plain" NIL NIL NIL "7bit" 6 1 NIL NIL NIL NIL)"#),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts",
            r#"("text" "plain" NIL NIL NIL "7bit" 8 0 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
            r#"("text" "plain" NIL NIL NIL "7bit" 7 1 NIL NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x",
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) "mixed" ("boundary" "x") NIL NIL NIL)"#,
        ),
        (
            "Content-Type: multipart/x; boundary=x\n\n--x\n\na\n--x\n\nb",
            r#"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL) "x" ("boundary" "x") NIL NIL NIL)"#,
        ),
        ("Content-Type: X-ZIP\r\n\r\n", r#"("application" "octet-stream" NIL NIL NIL "7bit" 0 NIL NIL NIL NIL)"#),
        (
            "Content-Type: message/rfc822\r\n",
            r#"("message" "rfc822" NIL NIL NIL "7bit" 0 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL)"#,
        ),
        ("no header at all", r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)"#),
        ("\r\nonly body\n", r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 1 NIL NIL NIL NIL)"#),
        (
            "Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: d\n\nbody\n--x--\n",
            r#"(("message" "rfc822" NIL NIL NIL "7bit" 16 (NIL "d" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 4 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) "digest" ("boundary" "x") NIL NIL NIL)"#,
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(bodystructure(message), expected, "{message:?}");
    }
}

#[test]
fn an_outer_delimiter_ends_an_unfinished_inner_multipart() {
    let message = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n\
        --i\n\none\n--o\n\ntwo\n--i\nstill two\n--o--\n";
    let structure = parse(message.as_bytes());
    let kinds: Vec<_> = structure.parts().iter().map(|part| (part.depth, part.kind)).collect();
    let expected = [(0, PartKind::Multipart), (1, PartKind::Multipart), (2, PartKind::Text), (1, PartKind::Text)];
    assert_eq!(kinds, expected);
    assert_eq!(section(message, &[1, 1], SectionText::Whole), Some("one"));
    assert_eq!(section(message, &[2], SectionText::Whole), Some("two\n--i\nstill two"));
}

#[test]
fn a_boundary_may_be_the_start_of_another() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b2\n\n\
        --b2  \n\none\n--b2--\n--b\t\r\n\ntwo\n--b--";
    assert_eq!(section(message, &[1, 1], SectionText::Whole), Some("one"));
    assert_eq!(section(message, &[2], SectionText::Whole), Some("two"));
}

#[test]
fn a_part_header_cut_by_a_delimiter_has_an_empty_body() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n--b--\n";
    assert_eq!(section(message, &[1], SectionText::Mime), Some("Content-Type: text/html\n"));
    assert_eq!(section(message, &[1], SectionText::Whole), Some(""));
    assert_eq!(section(message, &[2], SectionText::Mime), Some(""));
    assert_eq!(section(message, &[3], SectionText::Whole), None);
}

#[test]
fn nesting_and_parts_are_bounded() {
    let mut nested = String::new();
    for level in 0..5_000 {
        nested += &format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n");
    }
    let structure = parse(nested.as_bytes());
    assert_eq!(structure.parts().len(), 101);
    assert_eq!(structure.parts()[100].kind, PartKind::Opaque);
    assert!(shown(&structure).contains(r#"("application" "octet-stream" NIL NIL NIL "7bit" "#));

    let messages = "Content-Type: message/rfc822\n\n".repeat(3_000);
    assert_eq!(parse(messages.as_bytes()).parts().len(), 101);

    let wide = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned() + &"--b\n\n".repeat(50_000);
    let structure = parse(wide.as_bytes());
    assert_eq!(structure.parts().len(), 10_000);
    assert_eq!(structure.parts()[9_999].body.end, wide.len() as u64);
}

#[test]
fn large_headers_are_bounded_but_served_whole() {
    let many = "To: ".to_owned() + &"a@b, ".repeat(50_000) + "\r\n\r\n";
    assert_eq!(envelope(&many).matches("(NIL NIL \"a\" \"b\")").count(), 10_000);
    assert_eq!(parse(many.as_bytes()).header_length(), many.len() as u64);

    let long = format!("Subject: {}\r\n\r\nbody", "x".repeat(4 << 20));
    assert!(envelope(&long).len() < (1 << 20) + 200);
    assert_eq!(section(&long, &[], SectionText::Text), Some("body"));

    let fields = "X: y\r\n".repeat(100_000) + "Subject: late\r\n\r\n";
    assert_eq!(envelope(&fields), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");

    let pieces = (0..20_000).map(|piece| format!("; f*{piece}=x")).collect::<String>();
    let shown = bodystructure(&format!("Content-Type: a/b{pieces}\r\n\r\n"));
    assert_eq!(shown.matches("\"f*").count(), 1_000);
}

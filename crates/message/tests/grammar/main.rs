//! Any bytes are a message: what is written of them keeps the grammar, ranges are exact, and chunks make no difference.

#![allow(clippy::unwrap_used)]

mod checker;

use checker::{check_body, check_envelope};
use paquebot_message::casemap::Needle;
use paquebot_message::search::{Scope, contains, segments};
use paquebot_message::{
    FieldSelector, Form, PartKind, SectionText, Selection, Splitter, Structure, SummaryRef, body_structure, parse,
    resolve, select_fields, summarise, write_envelope,
};
use proptest::prelude::*;

/// Pieces out of which mail, and what only looks like it, is made.
const PIECES: [&[u8]; 64] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\r\n\r\n",
    b"\n\n",
    b"--",
    b"--b",
    b"--b--",
    b"\r\n--b\r\n",
    b"\n--b\n",
    b"\n--b\n\n",
    b"\r\n--b--\r\n",
    b"\r\n--c\r\n",
    b"\n--c\n",
    b"\n--c--\n",
    b"\n--b--b\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: multipart/alternative; boundary=\"c\"\n",
    b"Content-Type: multipart/digest; boundary=b--b\n",
    b"Content-Type: multipart/mixed\n\n",
    b"Content-Type: multipart\n",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: message/global\n\n",
    b"Content-Type: message/partial\n\n",
    b"Content-Type: text/html; charset=\"utf-8\"; format\r\n\r\n",
    b"Content-Type: X-ZIP; name=\"\\\"\xc3\xa9\"\r\n",
    b"Content-Type: a/b; \xe9=\xe9; x=\"\0\r\n y\"\r\n",
    b"Content-Type: ;;;\n",
    b"Content-Type:",
    b"Content-Disposition: attachment; filename*0*=x'; filename*1=y\r\n",
    b"Content-Disposition: (\\",
    b"Content-Disposition: inline\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Transfer-Encoding: x (y) z\r\n",
    b"Content-Language: en, (x), \"de\r\n",
    b"Content-Language: ,\n",
    b"Content-ID: <a@b>\r\n",
    b"Content-MD5: \xff\n",
    b"Content-Location:\r\n",
    b"Content-Description: \r\n x\r\n",
    b"Subject: Re: [x] \xc3\xa9 =?utf-8?q?=C3?= \xe9\r\n",
    b"Subject:\n",
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT\r\n",
    b"From: \"a\\\"b\" <@x,@y:c@d>, \xc3\xa9: e@f (g), ;\r\n",
    b"Sender: <>\n",
    b"Reply-To: ,,;\n",
    b"To: x:y:z;;\r\n <a@b\n",
    b"Cc: (a(b)\r\n",
    b"Bcc: a@b@c \"\\\n",
    b"Message-ID: <x@y>\r\n",
    b"References: <x@y> <z@\n",
    b"In-Reply-To: <x\r\n",
    b":\r\n",
    b"text \xc3\xa9 \xff aGk= =41=\n",
    b"<p>&amp;<style>",
    b"(",
    b"\"",
    b"\\",
    b";",
    b"--b \t\r\n",
];

/// Headers and bodies in turn, so that most of what is made has parts, and some of it nested ones.
fn mail() -> impl Strategy<Value = Vec<u8>> {
    let any_piece = || {
        prop_oneof![
            9 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ]
    };
    let field = || prop::sample::select(&PIECES[19..57]).prop_map(<[u8]>::to_vec);
    let delimiter = || prop::sample::select(&PIECES[10..19]).prop_map(<[u8]>::to_vec);
    let multipart = || prop::option::weighted(0.7, prop::sample::select(&PIECES[19..21]).prop_map(<[u8]>::to_vec));
    let block = (
        prop::option::weighted(0.8, delimiter()),
        multipart(),
        prop::collection::vec(field(), 0..2),
        prop::option::weighted(0.8, Just(b"\n\r\n".to_vec())),
        prop::collection::vec(any_piece(), 0..3),
        prop::sample::select(vec!["", "\n", "\r\n"]),
    );
    let block = block.prop_map(|(delimiter, multipart, fields, blank, text, end)| {
        [
            delimiter.unwrap_or_default(),
            multipart.unwrap_or_default(),
            fields.concat(),
            blank.unwrap_or_default(),
            text.concat(),
            end.as_bytes().to_vec(),
        ]
        .concat()
    });
    let blocks = prop::collection::vec(block, 0..10);
    (multipart(), blocks).prop_map(|(start, blocks)| [start.unwrap_or_default(), blocks.concat()].concat())
}

fn check(message: &[u8]) -> Result<(), String> {
    let structure = parse(message);
    if structure.size() != message.len() as u64 {
        return Err("a wrong size".to_owned());
    }
    check_ranges(&structure, message)?;
    for (form, utf8) in [(Form::Ascii, false), (Form::Utf8, true)] {
        let written = body_structure(&structure, form);
        check_body(&written.text, utf8, true)?;
        check_body(&written.body().collect::<Vec<_>>().concat(), utf8, false)?;
        let mut envelope = Vec::new();
        write_envelope(&structure, &structure.parts()[0], form, &mut envelope);
        check_envelope(&envelope, utf8)?;
    }
    check_sections(&structure)?;
    let summary = summarise(&structure);
    let summary = SummaryRef::new(&summary).map_err(|error| error.to_string())?;
    if !summary.entries().eq(structure.entries()) {
        return Err("a summary with another table".to_owned());
    }
    if summary.preview().chars().count() > 200 || summary.preview().contains(char::is_control) {
        return Err("a preview too long or with controls".to_owned());
    }
    Ok(())
}

/// Parts lie within their parents and after each other; lines are the line feeds.
fn check_ranges(structure: &Structure, message: &[u8]) -> Result<(), String> {
    let parts = structure.parts();
    for (index, part) in parts.iter().enumerate() {
        let bytes = &message[part.body.start as usize..part.body.end as usize];
        let is_sound = part.header.end == part.body.start
            && part.lines == bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
            && part.parent.is_none_or(|parent| {
                let parent = &parts[parent];
                parent.body.start <= part.header.start
                    && part.body.end <= parent.body.end
                    && parent.depth + 1 == part.depth
            });
        let children: Vec<_> = parts.iter().filter(|child| child.parent == Some(index)).collect();
        let is_lawful = match part.kind {
            PartKind::Multipart => !children.is_empty(),
            PartKind::Message => children.len() == 1 && children[0].header.start == part.body.start,
            _ => children.is_empty(),
        };
        if !is_sound || !is_lawful || !children.is_sorted_by(|one, other| one.body.end <= other.header.start) {
            return Err(format!("part {index}: {part:?}"));
        }
    }
    let root = &parts[0];
    if (root.header.start, root.body.end) != (0, message.len() as u64) {
        return Err("the message is not its parts".to_owned());
    }
    Ok(())
}

/// Every part that BODYSTRUCTURE shows has a number, and only those.
fn check_sections(structure: &Structure) -> Result<(), String> {
    let mut paths: Vec<Vec<u32>> = Vec::new();
    let parts = structure.parts();
    for (index, part) in parts.iter().enumerate() {
        let number = parts[..index].iter().filter(|sibling| sibling.parent == part.parent).count() as u32 + 1;
        let path = match part.parent {
            None if part.kind == PartKind::Multipart => vec![],
            None => vec![1],
            // A nested message's root shares its message's number if it has parts, and is its part 1 if not.
            Some(parent) if parts[parent].kind == PartKind::Message && part.kind == PartKind::Multipart => {
                paths[parent].clone()
            }
            Some(parent) => [&paths[parent][..], &[number]].concat(),
        };
        paths.push(path.clone());
        let is_shared = path.is_empty() || part.parent.is_some_and(|parent| paths[parent] == path);
        let found = resolve(structure.entries(), &path, SectionText::Whole);
        if !is_shared && found != Some(part.body.clone()) {
            return Err(format!("{path:?} is {found:?} and not {:?}", part.body));
        }
        let last = [&path[..], &[u32::from(part.subtree_end > index + 1) * 20_000 + 2]].concat();
        if resolve(structure.entries(), &last, SectionText::Whole).is_some() {
            return Err(format!("{last:?} is found"));
        }
    }
    Ok(())
}

fn split_in(message: &[u8], sizes: &[usize]) -> Structure {
    let mut splitter = Splitter::new();
    let mut rest = message;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, following) = rest.split_at((*size).min(rest.len()));
        splitter.push(chunk);
        rest = following;
    }
    splitter.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn mail_of_any_make_keeps_the_grammar(message in mail()) {
        prop_assert_eq!(check(&message), Ok(()), "{}", message.escape_ascii());
    }

    #[test]
    fn any_bytes_keep_the_grammar(message in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(check(&message), Ok(()));
    }

    #[test]
    fn chunks_make_no_difference(message in mail(), sizes in prop::collection::vec(1usize..20, 1..8)) {
        prop_assert_eq!(split_in(&message, &sizes), parse(&message), "{}", message.escape_ascii());
    }

    #[test]
    fn field_selection_does_not_depend_on_chunks(message in mail(), size in 1usize..9) {
        let names: [&[u8]; 3] = [b"subject", b"FROM", b"content-type"];
        for selection in [Selection::Fields, Selection::FieldsNot] {
            let mut out = Vec::new();
            let mut selector = FieldSelector::new(selection, &names);
            message.chunks(size).for_each(|chunk| selector.push(chunk, &mut out));
            selector.finish(&mut out);
            prop_assert_eq!(out, select_fields(&message, selection, &names));
        }
    }

    #[test]
    fn search_reads_any_mail(message in mail()) {
        let structure = parse(&message);
        prop_assert!(contains(&message, &structure, Scope::Body, &Needle::new("")));
        contains(&message, &structure, Scope::Text, &Needle::new("é Q"));
        prop_assert!(segments(&structure, Scope::Text).all(|segment| segment.range.end <= message.len() as u64));
    }
}

#[test]
fn hostile_mail_keeps_the_grammar() {
    let nested: String =
        (0..500).map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n")).collect();
    let addresses = format!("To: {}\r\nFrom: {}\r\n\r\n", "g:a@b,".repeat(20_000), "\"é\" <x@y>, ".repeat(20_000));
    let messages = [
        nested,
        "Content-Type: message/rfc822\n\n".repeat(500),
        addresses,
        format!("Subject: {}\r\n\r\n", "é".repeat(100_000)),
        format!("Content-Type: a/b{}\r\n\r\n", "; x*1*=\"é\"".repeat(20_000)),
        format!("From: {}\r\n\r\n", "(".repeat(100_000)),
        format!("From: {}\r\n\r\n", "<".repeat(100_000)),
        format!("Content-Type: {}\r\n\r\n", "\"\\".repeat(100_000)),
        "A".repeat(1_000_000),
        "-".repeat(100_000),
    ];
    for message in messages {
        check_whole(message.as_bytes());
    }
}

/// The properties above would hold of mail without parts too.
#[test]
fn mail_that_is_made_has_parts() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let parts = (0..500).map(|_| parse(&mail().new_tree(&mut runner).unwrap().current()).parts().len());
    assert!(parts.filter(|&parts| parts > 2).count() > 80);
}

fn check_whole(message: &[u8]) {
    assert_eq!(check(message), Ok(()), "{}", message[..message.len().min(60)].escape_ascii());
    assert_eq!(split_in(message, &[4_093]), parse(message));
}

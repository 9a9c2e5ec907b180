//! FETCH.

use paquebot_protocol::command::{Fetch, FetchItem};
use paquebot_protocol::{Command, MessageSet, Messages, NumberKind, Partial, Section, SectionText};
use paquebot_types::ModSeq;

use crate::{command, error};

fn fetch(line: &str) -> Fetch {
    match command(line) {
        Command::Fetch(fetch) => fetch,
        other => panic!("{other:?}"),
    }
}

fn items(text: &str) -> Vec<FetchItem> {
    let fetch = fetch(&format!("FETCH 1 {text}"));
    assert_eq!((fetch.changed_since, fetch.vanished), (None, false));
    fetch.items
}

fn section(part: &[u32], text: SectionText) -> FetchItem {
    FetchItem::Section { section: Section { part: part.to_vec(), text }, peek: false, partial: None }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

#[test]
fn numbers() {
    let messages = |line| fetch(line).messages;
    let kind = |line| messages(line).kind;
    assert_eq!((kind("FETCH 1 UID"), kind("uid fetch 1 flags")), (NumberKind::SeqNum, NumberKind::Uid));
    assert_eq!(messages("UID FETCH $ UID"), Messages { kind: NumberKind::Uid, set: MessageSet::Saved });
}

#[test]
fn plain_items_in_the_order_asked() {
    use FetchItem::*;
    let all = "(FLAGS UID INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE RFC822 RFC822.HEADER RFC822.TEXT)";
    let expected = [
        Flags,
        Uid,
        InternalDate,
        Rfc822Size,
        Envelope,
        Body,
        BodyStructure,
        ModSeq,
        EmailId,
        ThreadId,
        SaveDate,
        Rfc822,
        Rfc822Header,
        Rfc822Text,
    ];
    assert_eq!(items(all), expected);
    assert_eq!(items(&all.to_ascii_lowercase()), expected);
    assert_eq!(items("(UID FLAGS UID)"), [Uid, Flags]);
    assert_eq!(items("BODY"), [Body]);
}

#[test]
fn macros_stand_for_their_items() {
    use FetchItem::*;
    assert_eq!(items("FAST"), [Flags, InternalDate, Rfc822Size]);
    assert_eq!(items("all"), [Flags, InternalDate, Rfc822Size, Envelope]);
    assert_eq!(items("FULL"), [Flags, InternalDate, Rfc822Size, Envelope, Body]);
    assert_eq!(error("FETCH 1 (ALL)"), (9, "FETCH: expected a FETCH item".into()));
    assert_eq!(error("FETCH 1 ALLES"), (11, "FETCH: expected the end of the command".into()));
}

#[test]
fn sections() {
    assert_eq!(items("BODY[]"), [section(&[], SectionText::Whole)]);
    assert_eq!(items("BODY[1.2]"), [section(&[1, 2], SectionText::Whole)]);
    assert_eq!(items("BODY[HEADER]"), [section(&[], SectionText::Header)]);
    assert_eq!(items("BODY[TEXT]"), [section(&[], SectionText::Text)]);
    assert_eq!(items("BODY[3.HEADER]"), [section(&[3], SectionText::Header)]);
    assert_eq!(items("BODY[4.2.2.MIME]"), [section(&[4, 2, 2], SectionText::Mime)]);
    assert_eq!(items("body[3.text]"), [section(&[3], SectionText::Text)]);
    let fields = SectionText::HeaderFields(names(&["DATE", "From"]));
    assert_eq!(items("BODY[HEADER.FIELDS (DATE From)]"), [section(&[], fields)]);
    let fields = SectionText::HeaderFieldsNot(names(&["X-a", "b c"]));
    assert_eq!(items("BODY[1.HEADER.FIELDS.NOT (\"X-a\" {3}\r\nb c)]"), [section(&[1], fields)]);
}

#[test]
fn peeks_and_partials() {
    let whole = |peek, partial| FetchItem::Section { section: Section::default(), peek, partial };
    let partial = |origin, count| Some(Partial { origin, count });
    assert_eq!(items("BODY.PEEK[]"), [whole(true, None)]);
    assert_eq!(items("BODY[]<0.2048>"), [whole(false, partial(0, 2048))]);
    assert_eq!(items("BODY.PEEK[]<4294967295.4294967295>"), [whole(true, partial(4_294_967_295, 4_294_967_295))]);
    assert_eq!(items("(BODY[]<5.1> BODY[])"), [whole(false, partial(5, 1)), whole(false, None)]);
}

#[test]
fn binary_parts() {
    let binary = |part: &[u32], peek, partial| FetchItem::Binary { part: part.to_vec(), peek, partial };
    assert_eq!(items("BINARY[1.1]"), [binary(&[1, 1], false, None)]);
    assert_eq!(items("BINARY.PEEK[2]<10.20>"), [binary(&[2], true, Some(Partial { origin: 10, count: 20 }))]);
    assert_eq!(items("BINARY[]"), [binary(&[], false, None)]);
    assert_eq!(items("BINARY.SIZE[4.2]"), [FetchItem::BinarySize { part: vec![4, 2] }]);
}

#[test]
fn previews() {
    assert_eq!(items("PREVIEW"), [FetchItem::Preview { lazy: false }]);
    assert_eq!(
        items("(UID PREVIEW (LAZY) FLAGS)"),
        [FetchItem::Uid, FetchItem::Preview { lazy: true }, FetchItem::Flags]
    );
    assert_eq!(items("(PREVIEW)"), [FetchItem::Preview { lazy: false }]);
    assert_eq!(fetch("FETCH 1 PREVIEW (lazy) (CHANGEDSINCE 5)").changed_since, Some(ModSeq(5)));
    assert_eq!(fetch("FETCH 1 PREVIEW (CHANGEDSINCE 5)").items, [FetchItem::Preview { lazy: false }]);
}

#[test]
fn modifiers() {
    let since = |line| (fetch(line).changed_since, fetch(line).vanished);
    assert_eq!(since("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)"), (Some(ModSeq(12345)), false));
    assert_eq!(since("FETCH 1:* FLAGS (CHANGEDSINCE 0)"), (Some(ModSeq::ZERO), false));
    assert_eq!(since("UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)"), (Some(ModSeq(12345)), true));
    assert_eq!(since("UID FETCH 1 FLAGS (VANISHED CHANGEDSINCE 9223372036854775807)"), (Some(ModSeq::MAX), true));
    let only = "FETCH: expected VANISHED with UID FETCH and CHANGEDSINCE only".to_string();
    assert_eq!(error("UID FETCH 1 FLAGS (VANISHED)"), (18, only.clone()));
    assert_eq!(error("FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)"), (14, only));
}

#[test]
fn seen_is_set_by_what_reads_the_text() {
    for (text, sets) in [
        ("BODY[]", true),
        ("BODY.PEEK[]", false),
        ("RFC822", true),
        ("RFC822.TEXT", true),
        ("RFC822.HEADER", false),
        ("BINARY[1]", true),
        ("BINARY.PEEK[1]", false),
        ("BINARY.SIZE[1]", false),
        ("BODY", false),
        ("PREVIEW", false),
    ] {
        assert_eq!(items(text).iter().any(FetchItem::sets_seen), sets, "{text}");
    }
}

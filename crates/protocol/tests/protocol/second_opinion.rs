//! The same bytes before a parser that is not ours, as far as it knows the grammar: `imap-codec`.

use imap_codec::decode::Decoder;
use imap_codec::encode::Encoder;
use imap_codec::{CommandCodec, ResponseCodec};
use paquebot_protocol::response::{
    Code, ListAttribute, ListEntry, ListName, LiteralForm, Mode, Namespace, ResponseWriter, StatusValue,
};
use paquebot_protocol::{ListKind, ParseContext, Section, SectionText, SequenceSet, Tag, parse};
use paquebot_types::{Flags, InternalDate, Keyword, MailboxName, ModSeq, SeqNum, SpecialUse, Uid, UidSet, UidValidity};

/// Commands that both know. It writes each anew, in its own way, and that must mean the same to us.
const COMMANDS: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "CHECK",
    "CLOSE",
    "EXPUNGE",
    "IDLE",
    "UNSELECT",
    "NAMESPACE",
    "COMPRESS DEFLATE",
    "ENABLE CONDSTORE UTF8=ACCEPT",
    "LOGIN a \"b c\"",
    "LOGIN \"a\\\"\" {3+}\r\nx\ny",
    "AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=",
    "AUTHENTICATE PLAIN",
    "AUTHENTICATE PLAIN =",
    "ID NIL",
    "ID (\"name\" \"x\" \"os\" NIL)",
    "SELECT inbox",
    "EXAMINE \"a b\"",
    "CREATE a/b",
    "DELETE a",
    "RENAME a b",
    "SUBSCRIBE a",
    "UNSUBSCRIBE a",
    "LIST \"\" *",
    "LIST a/ \"%/x\"",
    "LSUB \"\" *",
    "STATUS a (MESSAGES UIDNEXT UIDVALIDITY UNSEEN RECENT HIGHESTMODSEQ)",
    "STATUS a (SIZE)",
    "SELECT a (CONDSTORE)",
    "SELECT a (QRESYNC (67890007 90060115194045000 41:211,214:541))",
    "COPY 1:4,7 a",
    "UID COPY 1:* a",
    "MOVE 2 a",
    "UID MOVE 2,4 a",
    "UID EXPUNGE 3000:3002",
    "STORE 1:* +FLAGS (\\Seen $x)",
    "UID STORE 5 -FLAGS.SILENT (\\Deleted)",
    "STORE 1 FLAGS ()",
    "STORE 1 (UNCHANGEDSINCE 12) FLAGS (a)",
    "FETCH 1 ALL",
    "FETCH 1:* FAST",
    "FETCH 1 FULL",
    "FETCH 1 (FLAGS UID BODY[] BODYSTRUCTURE ENVELOPE INTERNALDATE RFC822.SIZE)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12)",
    "UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12 VANISHED)",
    "FETCH 1 BODY.PEEK[1.2.HEADER.FIELDS (From To)]<10.20>",
    "FETCH 1 BODY[4.MIME]",
    "FETCH 1 BINARY.PEEK[1.1]<0.5>",
    "FETCH 1 BINARY.SIZE[2]",
    "FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT BODY)",
    "FETCH * BODY[HEADER.FIELDS.NOT (X)]",
    "SEARCH ALL",
    "UID SEARCH UNSEEN DELETED",
    "SEARCH CHARSET UTF-8 SUBJECT {2}\r\n\u{e9}",
    "SEARCH OR (FROM a TO b) NOT KEYWORD $x",
    "SEARCH UID 1:5 LARGER 10 SMALLER 20",
    "SEARCH SINCE 1-Feb-1994 BEFORE 02-Feb-1994 ON 1-Jan-2000 SENTSINCE 1-Feb-1994",
    "SEARCH HEADER X-a \"b\" TEXT c BODY d CC e BCC f",
    "SEARCH 1,3:5 NEW OLD RECENT",
    "SORT (SUBJECT REVERSE DATE) UTF-8 ALL",
    "UID SORT (ARRIVAL) US-ASCII UNSEEN",
    "THREAD REFERENCES UTF-8 ALL",
    "UID THREAD ORDEREDSUBJECT UTF-8 SEEN",
];

#[test]
fn commands_mean_the_same_when_another_writes_them() {
    let context = ParseContext::default();
    for line in COMMANDS {
        let ours = parse(format!("a {line}").as_bytes(), &context).unwrap_or_else(|error| panic!("{line}: {error}"));
        let bytes = format!("a {line}\r\n").into_bytes();
        let (rest, theirs) = CommandCodec::default().decode(&bytes).unwrap_or_else(|error| panic!("{line}: {error:?}"));
        assert!(rest.is_empty());
        let written = CommandCodec::default().encode(&theirs).dump();
        let again = parse(written.strip_suffix(b"\r\n").unwrap(), &context).unwrap();
        assert_eq!(again, ours, "{line} became {}", String::from_utf8_lossy(&written));
    }
}

/// What the other parser reads from a response, written by it again.
fn read_and_written(response: &[u8]) -> String {
    let text = String::from_utf8_lossy(response);
    let (rest, read) = ResponseCodec::default().decode(response).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    assert!(rest.is_empty(), "{text:?}");
    String::from_utf8(ResponseCodec::default().encode(&read).dump()).unwrap()
}

/// Asserts that the other parser reads all of what is written, and says it in the same bytes. (It writes `IMAP4REV1`, and the day of a date with two
/// digits.)
fn same(write: impl FnOnce(&mut ResponseWriter<'_>)) {
    let mut out = Vec::new();
    write(&mut ResponseWriter::new(&mut out, Mode::default()));
    assert_eq!(read_and_written(&out), String::from_utf8(out).unwrap());
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().filter_map(|&number| Uid::new(number)).collect()
}

#[test]
fn responses_are_read_as_they_are_meant() {
    let tag = Tag::new(b"A1").unwrap();
    let name = MailboxName::new("a \"\u{e9}\"").unwrap();
    let uid_validity = UidValidity::new(38_505).unwrap();
    let some = uids(&[304, 319, 320]);
    let seq_nums: SequenceSet = [7, 9].into_iter().collect();
    let keywords = [Keyword::new("$Junk").unwrap()];
    let permanent = Code::PermanentFlags { flags: Flags::ALL, keywords: &keywords, new_keywords: true };
    for code in [
        Code::Alert,
        Code::BadCharset(&["UTF-8"]),
        Code::Capability(&["IMAP4REV1", "IDLE"]),
        Code::Parse,
        permanent,
        Code::ReadOnly,
        Code::ReadWrite,
        Code::TryCreate,
        Code::UidNext(Uid::MAX),
        Code::UidValidity(uid_validity),
        Code::Unseen(SeqNum::MIN),
        Code::CompressionActive,
        Code::OverQuota,
        Code::TooBig,
        Code::UnknownCte,
        Code::UidNotSticky,
        Code::HighestModSeq(ModSeq(5)),
        Code::NoModSeq,
        Code::Modified(&seq_nums),
        Code::Closed,
        Code::AppendUid { uid_validity, uids: &some },
        Code::CopyUid { uid_validity, from: &some, to: &uids(&[1, 2, 3]) },
        Code::AuthenticationFailed,
        Code::NonExistent,
        Code::MailboxId("F1"),
    ] {
        same(|write| write.ok(&tag, Some(code), "text"));
        same(|write| write.no(&tag, Some(code), "text"));
        same(|write| write.untagged_ok(Some(code), "text"));
    }
    same(|write| write.bad(None, None, "text"));
    same(|write| write.bye(None, "text"));
    same(|write| write.continuation("idling"));
    same(|write| write.capability(["IMAP4REV1", "LITERAL+", "AUTH=PLAIN", "COMPRESS=DEFLATE"]));
    same(|write| write.enabled(["CONDSTORE"]));
    same(|write| write.exists(3));
    same(|write| write.recent(1));
    same(|write| write.expunge(SeqNum::MIN));
    same(|write| write.flags(Flags::ALL, &keywords));
    same(|write| write.id(&[("name", Some("Paquebot"))]));
    same(|write| write.search([4, 2], None));
    same(|write| write.search([4, 2], Some(ModSeq(7))));
    same(|write| write.search([], None));
    same(|write| write.sort([4, 2], None));
    same(|write| write.thread(b"(2)(3 6 (4 23)(44 7 96))"));
    same(|write| write.vanished(&some));
    same(|write| write.vanished_earlier(&some));
    let attributes = [ListAttribute::NoSelect, ListAttribute::HasChildren, ListAttribute::Use(SpecialUse::Sent)];
    let entry = ListEntry {
        attributes: &attributes,
        separator: Some('/'),
        name: ListName::Mailbox(&name),
        child_info: &[],
        old_name: None,
    };
    same(|write| write.list(ListKind::List, &entry));
    same(|write| write.list(ListKind::Lsub, &ListEntry { separator: None, attributes: &[], ..entry }));
    same(|write| write.list(ListKind::List, &ListEntry { name: ListName::Root(""), ..entry }));
    same(|write| {
        write.namespace(
            &[Namespace { prefix: "", separator: Some('/') }],
            &[],
            &[Namespace { prefix: "a/", separator: None }],
        )
    });
    let values = [
        StatusValue::Messages(1),
        StatusValue::UidNext(Uid::MAX),
        StatusValue::UidValidity(uid_validity),
        StatusValue::Unseen(0),
        StatusValue::Deleted(2),
        StatusValue::Size(10),
        StatusValue::HighestModSeq(ModSeq(9)),
    ];
    same(|write| write.status(&name, &values));
}

#[test]
fn fetch_responses_are_read_as_they_are_meant() {
    let fields = SectionText::HeaderFields(vec!["From".into(), "To".into()]);
    let envelope = b"(NIL \"x\" NIL NIL NIL NIL NIL NIL NIL \"<a@b>\")";
    let structure = b"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 12 1)";
    same(|write| {
        let mut fetch = write.fetch(SeqNum::MIN);
        fetch.uid(Uid::MIN);
        fetch.flags(Flags::ALL, &[], true);
        fetch.internal_date(InternalDate::new(837_596_665, -420));
        fetch.rfc822_size(44_827);
        fetch.modseq(ModSeq(65_402));
        fetch.envelope(envelope);
        fetch.body_structure(structure);
        fetch.body(structure);
        fetch.section(&Section { part: vec![1, 2], text: fields }, Some(0), b"From: \"a\"\r\n\r\n");
        fetch.section(&Section { part: vec![3], text: SectionText::Mime }, None, b"");
        fetch.section_nil(&Section { part: vec![9], text: SectionText::Whole }, None);
        fetch.rfc822_header_literal(2);
        fetch.octets(b"\r\n");
        fetch.binary_size(&[1], 9);
        fetch.binary_literal(&[1], None, 3, LiteralForm::Literal8);
        fetch.octets(b"a\0b");
        fetch.end();
    });
}

//! Every response, byte for byte.

use paquebot_protocol::response::{
    Code, ESearch, ListAttribute, ListEntry, ListName, LiteralForm, Mode, Namespace, ResponseWriter, StatusValue,
};
use paquebot_protocol::{ListKind, NumberKind, Section, SectionText, SequenceSet, Tag};
use paquebot_types::{
    EmailId, Flags, InternalDate, Keyword, MailboxName, ModSeq, SeqNum, SpecialUse, ThreadId, Uid, UidSet, UidValidity,
};

const UTF8: Mode = Mode { utf8: true, rev2: false };

fn written(mode: Mode, write: impl FnOnce(&mut ResponseWriter<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut ResponseWriter::new(&mut out, mode));
    String::from_utf8(out).unwrap()
}

fn plain(write: impl FnOnce(&mut ResponseWriter<'_>)) -> String {
    written(Mode::default(), write)
}

fn tag() -> Tag {
    Tag::new(b"A1").unwrap()
}

fn uid(uid: u32) -> Uid {
    Uid::new(uid).unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|&number| uid(number)).collect()
}

fn name(name: &str) -> MailboxName {
    MailboxName::new(name).unwrap()
}

#[test]
fn status_responses() {
    assert_eq!(plain(|write| write.ok(&tag(), None, "NOOP completed")), "A1 OK NOOP completed\r\n");
    assert_eq!(
        plain(|write| write.no(&tag(), Some(Code::TryCreate), "no such mailbox")),
        "A1 NO [TRYCREATE] no such mailbox\r\n"
    );
    assert_eq!(
        plain(|write| write.bad(Some(&tag()), None, "FETCH: expected a space at byte 7")),
        "A1 BAD FETCH: expected a space at byte 7\r\n"
    );
    assert_eq!(plain(|write| write.bad(None, None, "no tag")), "* BAD no tag\r\n");
    assert_eq!(plain(|write| write.untagged_ok(Some(Code::Closed), "")), "* OK [CLOSED] Done\r\n");
    assert_eq!(plain(|write| write.untagged_no(None, "low disk")), "* NO low disk\r\n");
    assert_eq!(plain(|write| write.preauth(None, "hello")), "* PREAUTH hello\r\n");
    assert_eq!(plain(|write| write.bye(Some(Code::Unavailable), "going down")), "* BYE [UNAVAILABLE] going down\r\n");
    assert_eq!(plain(|write| write.continuation("idling")), "+ idling\r\n");
    assert_eq!(plain(|write| write.challenge(b"")), "+ \r\n");
    assert_eq!(plain(|write| write.challenge(b"r=x")), "+ cj14\r\n");
}

#[test]
fn codes() {
    let code = |code: Code<'_>| {
        let line = plain(|write| write.untagged_ok(Some(code), "x"));
        assert!(line.starts_with(&format!("* OK [{}", code.name())));
        line.strip_prefix("* OK [").unwrap().strip_suffix("] x\r\n").unwrap().to_owned()
    };
    let uid_validity = UidValidity::new(38_505).unwrap();
    let keywords = [Keyword::new("$Junk").unwrap()];
    let seq_nums: SequenceSet = [7, 9].into_iter().collect();
    for (value, expected) in [
        (Code::Alert, "ALERT"),
        (Code::AlreadyExists, "ALREADYEXISTS"),
        (Code::AppendUid { uid_validity, uids: &uids(&[3955]) }, "APPENDUID 38505 3955"),
        (Code::AuthenticationFailed, "AUTHENTICATIONFAILED"),
        (Code::AuthorizationFailed, "AUTHORIZATIONFAILED"),
        (Code::BadCharset(&[]), "BADCHARSET"),
        (Code::BadCharset(&["US-ASCII", "UTF-8"]), "BADCHARSET (US-ASCII UTF-8)"),
        (Code::Cannot, "CANNOT"),
        (Code::Capability(&["IMAP4rev1", "IDLE"]), "CAPABILITY IMAP4rev1 IDLE"),
        (Code::ClientBug, "CLIENTBUG"),
        (Code::CompressionActive, "COMPRESSIONACTIVE"),
        (Code::ContactAdmin, "CONTACTADMIN"),
        (
            Code::CopyUid { uid_validity, from: &uids(&[304, 319, 320]), to: &uids(&[3956, 3957, 3958]) },
            "COPYUID 38505 304,319:320 3956:3958",
        ),
        (Code::Corruption, "CORRUPTION"),
        (Code::Expired, "EXPIRED"),
        (Code::ExpungeIssued, "EXPUNGEISSUED"),
        (Code::HasChildren, "HASCHILDREN"),
        (Code::HighestModSeq(ModSeq(715_194_045_007)), "HIGHESTMODSEQ 715194045007"),
        (Code::InUse, "INUSE"),
        (Code::Limit, "LIMIT"),
        (Code::MailboxId("F2212ea87-6097-4256-9d51-71338625"), "MAILBOXID (F2212ea87-6097-4256-9d51-71338625)"),
        (Code::Modified(&seq_nums), "MODIFIED 7,9"),
        (Code::NoModSeq, "NOMODSEQ"),
        (Code::NonExistent, "NONEXISTENT"),
        (Code::NoPerm, "NOPERM"),
        (Code::NotSaved, "NOTSAVED"),
        (Code::OverQuota, "OVERQUOTA"),
        (Code::Parse, "PARSE"),
        (
            Code::PermanentFlags { flags: Flags::DELETED.union(Flags::SEEN), keywords: &keywords, new_keywords: true },
            "PERMANENTFLAGS (\\Deleted \\Seen $Junk \\*)",
        ),
        (Code::PermanentFlags { flags: Flags::NONE, keywords: &[], new_keywords: false }, "PERMANENTFLAGS ()"),
        (Code::PrivacyRequired, "PRIVACYREQUIRED"),
        (Code::ReadOnly, "READ-ONLY"),
        (Code::ReadWrite, "READ-WRITE"),
        (Code::ServerBug, "SERVERBUG"),
        (Code::TooBig, "TOOBIG"),
        (Code::UidNext(uid(4392)), "UIDNEXT 4392"),
        (Code::UidNotSticky, "UIDNOTSTICKY"),
        (Code::UidValidity(UidValidity::MAX), "UIDVALIDITY 4294967295"),
        (Code::UnknownCte, "UNKNOWN-CTE"),
        (Code::Unseen(SeqNum::MIN), "UNSEEN 1"),
        (Code::UseAttr, "USEATTR"),
    ] {
        assert_eq!(code(value), expected);
    }
}

#[test]
fn data_of_one_line() {
    assert_eq!(plain(|write| write.capability(["IMAP4rev1", "IMAP4rev2"])), "* CAPABILITY IMAP4rev1 IMAP4rev2\r\n");
    assert_eq!(plain(|write| write.enabled(["CONDSTORE", "QRESYNC"])), "* ENABLED CONDSTORE QRESYNC\r\n");
    assert_eq!(plain(|write| write.enabled([])), "* ENABLED\r\n");
    assert_eq!(
        plain(|write| write.id(&[("name", Some("Paquebot")), ("x", None)])),
        "* ID (\"name\" \"Paquebot\" \"x\" NIL)\r\n"
    );
    assert_eq!(plain(|write| write.id(&[])), "* ID NIL\r\n");
    assert_eq!(
        plain(|write| write.flags(Flags::ALL, &[Keyword::new("a").unwrap()])),
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft a)\r\n"
    );
    assert_eq!(plain(|write| write.exists(23)), "* 23 EXISTS\r\n");
    assert_eq!(plain(|write| write.recent(0)), "* 0 RECENT\r\n");
    assert_eq!(plain(|write| write.expunge(SeqNum::new(44).unwrap())), "* 44 EXPUNGE\r\n");
    assert_eq!(
        plain(|write| write.vanished(&uids(&[405, 407, 410, 425, 426, 427]))),
        "* VANISHED 405,407,410,425:427\r\n"
    );
    assert_eq!(plain(|write| write.vanished_earlier(&uids(&[1]))), "* VANISHED (EARLIER) 1\r\n");
    assert_eq!(plain(|write| write.vanished(&UidSet::new())), "");
}

#[test]
fn list() {
    let entry = |attributes, text| ListEntry {
        attributes,
        separator: Some('/'),
        name: ListName::Root(text),
        child_info: &[],
        old_name: None,
    };
    let line = |kind, entry: &ListEntry<'_>| plain(|write| write.list(kind, entry));
    assert_eq!(line(ListKind::List, &entry(&[ListAttribute::NoSelect], "")), "* LIST (\\Noselect) \"/\" \"\"\r\n");
    let inbox = name("INBOX");
    let attributes = [ListAttribute::HasNoChildren, ListAttribute::Subscribed, ListAttribute::Use(SpecialUse::Sent)];
    let flat = ListEntry { separator: None, name: ListName::Mailbox(&inbox), ..entry(&attributes, "") };
    assert_eq!(line(ListKind::Lsub, &flat), "* LSUB (\\HasNoChildren \\Subscribed \\Sent) NIL INBOX\r\n");
    let spaced = name("a \"b\"");
    let quoted = ListEntry { name: ListName::Mailbox(&spaced), ..entry(&[], "") };
    assert_eq!(line(ListKind::Xlist, &quoted), "* XLIST () \"/\" \"a \\\"b\\\"\"\r\n");
    let (foo, old) = (name("Foo"), name("O&\u{e9}"));
    let extended = ListEntry {
        name: ListName::Mailbox(&foo),
        child_info: &["SUBSCRIBED"],
        old_name: Some(&old),
        ..entry(&[], "")
    };
    assert_eq!(
        line(ListKind::List, &extended),
        "* LIST () \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (O&-&AOk-))\r\n"
    );
    assert_eq!(
        written(UTF8, |write| write.list(ListKind::List, &extended)),
        "* LIST () \"/\" Foo (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (\"O&\u{e9}\"))\r\n"
    );
    let only_old = ListEntry { child_info: &[], ..extended };
    assert_eq!(line(ListKind::List, &only_old), "* LIST () \"/\" Foo (\"OLDNAME\" (O&-&AOk-))\r\n");
}

#[test]
fn namespace_and_status() {
    let slash = |prefix| Namespace { prefix, separator: Some('/') };
    assert_eq!(plain(|write| write.namespace(&[slash("")], &[], &[])), "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
    let line = plain(|write| {
        write.namespace(&[slash("")], &[slash("~")], &[slash("Old/"), Namespace { prefix: "\u{e9}", separator: None }])
    });
    assert_eq!(line, "* NAMESPACE ((\"\" \"/\")) ((\"~\" \"/\")) ((\"Old/\" \"/\")(\"&AOk-\" NIL))\r\n");
    let values = [
        StatusValue::Messages(231),
        StatusValue::Recent(0),
        StatusValue::UidNext(uid(44_292)),
        StatusValue::UidValidity(UidValidity::MIN),
        StatusValue::Unseen(5),
        StatusValue::Deleted(3),
        StatusValue::Size(44_421_000_000),
        StatusValue::HighestModSeq(ModSeq(7_011_231_777)),
        StatusValue::MailboxId("M1"),
        StatusValue::AppendLimit(Some(257_890)),
        StatusValue::AppendLimit(None),
    ];
    let expected = "* STATUS \"a b\" (MESSAGES 231 RECENT 0 UIDNEXT 44292 UIDVALIDITY 1 UNSEEN 5 DELETED 3 SIZE 44421000000 HIGHESTMODSEQ 7011231777 \
        MAILBOXID (M1) APPENDLIMIT 257890 APPENDLIMIT NIL)\r\n";
    assert_eq!(plain(|write| write.status(&name("a b"), &values)), expected);
}

#[test]
fn searches() {
    assert_eq!(plain(|write| write.search([2, 84, 882], None)), "* SEARCH 2 84 882\r\n");
    assert_eq!(plain(|write| write.search([], None)), "* SEARCH\r\n");
    assert_eq!(plain(|write| write.search([2], Some(ModSeq(917_162_500)))), "* SEARCH 2 (MODSEQ 917162500)\r\n");
    assert_eq!(plain(|write| write.sort([5, 3, 4], None)), "* SORT 5 3 4\r\n");
    assert_eq!(plain(|write| write.sort([2, 1], Some(ModSeq(917)))), "* SORT 2 1 (MODSEQ 917)\r\n");
    assert_eq!(plain(|write| write.thread(b"(2)(3 6 (4 23)(44 7 96))")), "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n");
    assert_eq!(plain(|write| write.thread(b"")), "* THREAD\r\n");
    let tag = tag();
    let nothing = ESearch::new(&tag, NumberKind::SeqNum);
    assert_eq!(plain(|write| write.esearch(&nothing)), "* ESEARCH (TAG \"A1\")\r\n");
    let set: SequenceSet = [2, 10, 11].into_iter().collect();
    let full = ESearch {
        kind: NumberKind::Uid,
        min: Some(2),
        max: Some(11),
        count: Some(3),
        all: Some(&set),
        modseq: Some(ModSeq(7)),
        ..nothing
    };
    assert_eq!(
        plain(|write| write.esearch(&full)),
        "* ESEARCH (TAG \"A1\") UID MIN 2 MAX 11 COUNT 3 ALL 2,10:11 MODSEQ 7\r\n"
    );
    let sorted = ESearch { all_sorted: Some(&[5, 6, 3, 2, 9]), ..nothing };
    assert_eq!(plain(|write| write.esearch(&sorted)), "* ESEARCH (TAG \"A1\") ALL 5:6,3,2,9\r\n");
    let empty = ESearch { all: Some(&SequenceSet::new()), all_sorted: Some(&[]), count: Some(0), ..nothing };
    assert_eq!(plain(|write| write.esearch(&empty)), "* ESEARCH (TAG \"A1\") COUNT 0\r\n");
}

#[test]
fn fetch_items_come_in_the_order_of_the_calls() {
    let line = plain(|write| {
        let mut fetch = write.fetch(SeqNum::new(12).unwrap());
        fetch.uid(uid(4_827_313));
        fetch.flags(Flags::SEEN, &[Keyword::new("$x").unwrap()], true);
        fetch.internal_date(InternalDate::new(837_596_665, -420));
        fetch.rfc822_size(4286);
        fetch.modseq(ModSeq(624_140_003));
        fetch.email_id(&EmailId([0xab; 16]));
        fetch.thread_id(Some(&ThreadId([1; 16])));
        fetch.thread_id(None);
        fetch.save_date(None);
        fetch.save_date(Some(InternalDate::utc(0)));
        fetch.preview(Some("Hi \"all\""));
        fetch.preview(None);
        fetch.envelope(b"(NIL)");
        fetch.body(b"(\"TEXT\")");
        fetch.body_structure(b"(\"TEXT\" 1)");
        fetch.binary_size(&[1, 2], 7);
        fetch.end();
    });
    let expected = "* 12 FETCH (UID 4827313 FLAGS (\\Seen $x \\Recent) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 MODSEQ (624140003) \
        EMAILID (Eabababababababababababababababab) THREADID (T01010101010101010101010101010101) THREADID NIL SAVEDATE NIL \
        SAVEDATE \" 1-Jan-1970 00:00:00 +0000\" PREVIEW \"Hi \\\"all\\\"\" PREVIEW NIL ENVELOPE (NIL) BODY (\"TEXT\") BODYSTRUCTURE (\"TEXT\" 1) \
        BINARY.SIZE[1.2] 7)\r\n";
    assert_eq!(line, expected);
}

#[test]
fn sections_are_told_as_they_were_asked_for() {
    let section = |part: &[u32], text| {
        let section = Section { part: part.to_vec(), text };
        let line = plain(|write| {
            let mut fetch = write.fetch(SeqNum::MIN);
            fetch.section(&section, None, b"ab");
            fetch.end();
        });
        line.strip_prefix("* 1 FETCH (").unwrap().strip_suffix(" {2}\r\nab)\r\n").unwrap().to_owned()
    };
    let fields = vec!["Date".into(), "a b".into()];
    assert_eq!(section(&[], SectionText::Whole), "BODY[]");
    assert_eq!(section(&[1, 2], SectionText::Whole), "BODY[1.2]");
    assert_eq!(section(&[], SectionText::Header), "BODY[HEADER]");
    assert_eq!(section(&[3], SectionText::Text), "BODY[3.TEXT]");
    assert_eq!(section(&[3], SectionText::Mime), "BODY[3.MIME]");
    assert_eq!(section(&[], SectionText::HeaderFields(fields.clone())), "BODY[HEADER.FIELDS (Date \"a b\")]");
    assert_eq!(section(&[4], SectionText::HeaderFieldsNot(fields)), "BODY[4.HEADER.FIELDS.NOT (Date \"a b\")]");
}

#[test]
fn bodies_are_literals_that_may_be_streamed() {
    let whole = Section::default();
    let mut out = Vec::new();
    let mut write = ResponseWriter::new(&mut out, Mode::default());
    let mut fetch = write.fetch(SeqNum::MIN);
    fetch.section_literal(&whole, Some(5), 6);
    fetch.octets(b"abc");
    let pause = fetch.pause();
    assert_eq!(std::mem::take(&mut out), b"* 1 FETCH (BODY[]<5> {6}\r\nabc");
    let mut write = ResponseWriter::new(&mut out, Mode::default());
    let mut fetch = write.resume(pause);
    fetch.octets(b"def");
    fetch.section_literal(&whole, Some(9), 0);
    fetch.section_nil(&Section { part: vec![9], text: SectionText::Whole }, None);
    fetch.rfc822_literal(1);
    fetch.octets(b"x");
    fetch.rfc822_header_literal(0);
    fetch.rfc822_text_literal(1);
    fetch.octets(b"y");
    fetch.binary_literal(&[1], None, 2, LiteralForm::Literal8);
    fetch.octets(b"\0z");
    fetch.binary_literal(&[], Some(0), 1, LiteralForm::Literal);
    fetch.octets(b"z");
    fetch.binary_nil(&[2], None);
    fetch.end();
    let expected = "def BODY[]<9> \"\" BODY[9] NIL RFC822 {1}\r\nx RFC822.HEADER \"\" RFC822.TEXT {1}\r\ny BINARY[1] ~{2}\r\n\0z BINARY[]<0> {1}\r\nz BINARY[2] NIL)\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn previews_follow_the_sessions_mode() {
    let preview = |mode| {
        written(mode, |write| {
            let mut fetch = write.fetch(SeqNum::MIN);
            fetch.preview(Some("\u{e9}"));
            fetch.end();
        })
    };
    assert_eq!(preview(Mode::default()), "* 1 FETCH (PREVIEW {2}\r\n\u{e9})\r\n");
    assert_eq!(preview(UTF8), "* 1 FETCH (PREVIEW \"\u{e9}\")\r\n");
}

#[test]
fn rev2_knows_no_recent() {
    let rev2 = Mode { utf8: true, rev2: true };
    let line = written(rev2, |write| {
        write.recent(3);
        let mut fetch = write.fetch(SeqNum::MIN);
        fetch.flags(Flags::NONE, &[], true);
        fetch.end();
    });
    assert_eq!(line, "* 1 FETCH (FLAGS ())\r\n");
}

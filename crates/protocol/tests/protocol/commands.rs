//! Every command but LIST, FETCH, SEARCH and APPEND, which have files of their own.

use paquebot_protocol::command::{
    Access, Authenticate, Copy, Create, Login, Password, QResync, SaslLine, Select, SeqMatch, Status, Store,
    StoreAction, parse_sasl_line,
};
use paquebot_protocol::{Command, InvalidMailbox, MessageSet, Messages, NumberKind, SequenceSet, StatusItem, parse};
use paquebot_types::{Flags, Keyword, MailboxNameError, ModSeq, SpecialUse, Uid, UidSet, UidValidity};

use crate::{command, command_utf8, mailbox};

fn set(numbers: &[(u32, u32)]) -> SequenceSet {
    let mut set = SequenceSet::new();
    numbers.iter().for_each(|&(a, b)| set.insert(a, b));
    set
}

fn messages(kind: NumberKind, numbers: &[(u32, u32)]) -> Messages {
    Messages { kind, set: MessageSet::Numbers(set(numbers)) }
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().filter_map(|&number| Uid::new(number)).collect()
}

fn password(bytes: &[u8]) -> Password {
    Password::new(bytes.to_vec())
}

#[test]
fn commands_without_arguments() {
    let all = [
        ("CAPABILITY", Command::Capability),
        ("noop", Command::Noop),
        ("Logout", Command::Logout),
        ("STARTTLS", Command::StartTls),
        ("NAMESPACE", Command::Namespace),
        ("IDLE", Command::Idle),
        ("UNAUTHENTICATE", Command::Unauthenticate),
        ("CHECK", Command::Check),
        ("CLOSE", Command::Close),
        ("UNSELECT", Command::Unselect),
        ("EXPUNGE", Command::Expunge(None)),
        ("COMPRESS DEFLATE", Command::Compress),
        ("compress deflate", Command::Compress),
    ];
    for (line, expected) in all {
        assert_eq!(command(line), expected);
        assert_eq!(command(&format!("{line} ")), expected, "one space at the end is let pass");
        assert!(line.to_ascii_uppercase().starts_with(expected.name()));
    }
}

#[test]
fn tags_are_kept_as_written() {
    for tag in ["A001", "a.1", "]", "[x]=/", "123", "~"] {
        assert_eq!(parse(format!("{tag} NOOP").as_bytes(), &Default::default()).unwrap().tag.as_str(), tag);
    }
}

#[test]
fn id() {
    assert_eq!(command("ID NIL"), Command::Id(None));
    assert_eq!(command("id nil"), Command::Id(None));
    assert_eq!(command("ID ()"), Command::Id(Some(vec![])));
    let named = || vec![("name".into(), Some("x".into())), ("version".into(), Some("1.2".into()))];
    assert_eq!(command("ID ( \"name\" \"x\" \"version\" \"1.2\" )"), Command::Id(Some(named())));
    assert_eq!(command("ID (\"name\", \"x\", \"version\", \"1.2\")"), Command::Id(Some(named())));
    assert_eq!(command("ID (\"name\" \"x\" \"version\" 1.2)"), Command::Id(Some(named())));
    let pairs =
        vec![("name".into(), Some("sodr".into())), ("version".into(), Some("19.34".into())), ("vendor".into(), None)];
    assert_eq!(command("ID (\"name\" \"sodr\" \"version\" {5}\r\n19.34 \"vendor\" NIL)"), Command::Id(Some(pairs)));
}

#[test]
fn login_takes_every_kind_of_string() {
    let login = |user: &str, password: &[u8]| {
        Command::Login(Login { user: user.into(), password: Password::new(password.to_vec()) })
    };
    assert_eq!(command("LOGIN SMITH SESAME"), login("SMITH", b"SESAME"));
    assert_eq!(command("LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"), login("FRED FOOBAR", b"fat man"));
    assert_eq!(command("LOGIN {4+}\nFRED \"\""), login("FRED", b""));
    assert_eq!(command(r#"LOGIN "a\"b\\c" "x]y""#), login("a\"b\\c", b"x]y"));
    assert_eq!(command("LOGIN a[] x]"), login("a[]", b"x]"));
    assert_eq!(command("LOGIN j {2}\r\n\u{e9}"), login("j", "\u{e9}".as_bytes()));
    assert_eq!(command("LOGIN \"j\u{f6}rg\" \"\u{e9}\\\"\""), login("j\u{f6}rg", "\u{e9}\"".as_bytes()));
    assert_eq!(command_utf8("LOGIN \"j\u{f6}rg\" \"\u{e9}\""), login("j\u{f6}rg", "\u{e9}".as_bytes()));
    assert!(!format!("{:?}", command("LOGIN a sesame")).contains("sesame"));
}

#[test]
fn authenticate_and_its_lines() {
    let authenticate = |mechanism: &str, initial: Option<&[u8]>| {
        Command::Authenticate(Authenticate { mechanism: mechanism.into(), initial: initial.map(password) })
    };
    assert_eq!(command("AUTHENTICATE GSSAPI"), authenticate("GSSAPI", None));
    assert_eq!(command("authenticate plain dGVzdAB0ZXN0AHRlc3Q="), authenticate("PLAIN", Some(b"test\0test\0test")));
    assert_eq!(command("AUTHENTICATE \"plain\""), authenticate("PLAIN", None));
    assert_eq!(command("AUTHENTICATE \"PLAIN\" {4+}\r\neg=="), authenticate("PLAIN", Some(b"z")));
    assert_eq!(command("AUTHENTICATE EXTERNAL ="), authenticate("EXTERNAL", Some(b"")));
    assert_eq!(command("AUTHENTICATE SCRAM-SHA-256-PLUS eg=="), authenticate("SCRAM-SHA-256-PLUS", Some(b"z")));
    assert_eq!(parse_sasl_line(b"*"), Some(SaslLine::Cancel));
    assert_eq!(parse_sasl_line(b""), Some(SaslLine::Response(password(b""))));
    assert_eq!(parse_sasl_line(b"dGVzdA=="), Some(SaslLine::Response(password(b"test"))));
    for bad in [b"dGVzdA".as_slice(), b"dGVzdA==\r", b"**", b" dGVzdA==", b"dGV zdA==", b"dGVzdB=="] {
        assert_eq!(parse_sasl_line(bad), None);
    }
}

#[test]
fn enable_folds_names() {
    assert_eq!(
        command("ENABLE condstore X-GOOD-IDEA"),
        Command::Enable(vec!["CONDSTORE".into(), "X-GOOD-IDEA".into()])
    );
    assert_eq!(command("ENABLE UTF8=ACCEPT"), Command::Enable(vec!["UTF8=ACCEPT".into()]));
}

#[test]
fn select_and_examine() {
    let select = |name: &str, access| Select { mailbox: mailbox(name), access, condstore: false, qresync: None };
    assert_eq!(command("SELECT inbox"), Command::Select(select("INBOX", Access::ReadWrite)));
    assert_eq!(command("EXAMINE blurdybloop"), Command::Select(select("blurdybloop", Access::ReadOnly)));
    let condstore = Select { condstore: true, ..select("INBOX", Access::ReadWrite) };
    assert_eq!(command("SELECT INBOX (CONDSTORE)"), Command::Select(condstore));
}

#[test]
fn select_with_qresync() {
    let resync = |known_uids, seq_match| {
        let uid_validity = UidValidity::new(67_890_007).unwrap();
        let qresync = QResync { uid_validity, modseq: ModSeq(90_060_115_194_045_000), known_uids, seq_match };
        let select =
            Select { mailbox: mailbox("INBOX"), access: Access::ReadWrite, condstore: false, qresync: Some(qresync) };
        Command::Select(select)
    };
    // RFC 7162, 3.2.5.
    let known = Some(uids(&[41, 42, 43, 44, 50]));
    assert_eq!(command("SELECT INBOX (QRESYNC (67890007 90060115194045000))"), resync(None, None));
    assert_eq!(command("SELECT INBOX (QRESYNC (67890007 90060115194045000 41:44,50))"), resync(known.clone(), None));
    let pairs = SeqMatch { seq_nums: set(&[(1, 3)]), uids: uids(&[41, 43, 50]) };
    let line = "SELECT INBOX (QRESYNC (67890007 90060115194045000 41:44,50 (1:3 41,43,50)))";
    assert_eq!(command(line), resync(known, Some(pairs.clone())));
    let line = "SELECT INBOX (QRESYNC (67890007 90060115194045000 (1:3 41,43,50)))";
    assert_eq!(command(line), resync(None, Some(pairs)));
    assert!(matches!(
        command("SELECT x (QRESYNC (1 0) CONDSTORE)"),
        Command::Select(Select { condstore: true, qresync: Some(_), .. })
    ));
}

#[test]
fn mailbox_names_that_are_none_are_no_syntax_errors() {
    let name = |line: &str| match command(line) {
        Command::Delete(name) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name("DELETE \"\""), Err(InvalidMailbox::Name(MailboxNameError::Empty)));
    assert_eq!(name("DELETE a//b"), Err(InvalidMailbox::Name(MailboxNameError::EmptyLevel)));
    assert_eq!(name("DELETE ../../etc/passwd"), Err(InvalidMailbox::Name(MailboxNameError::Dots)));
    assert_eq!(name("DELETE {3}\r\na\r\n"), Err(InvalidMailbox::Utf7));
    assert_eq!(name("DELETE \"a*\""), Err(InvalidMailbox::Name(MailboxNameError::Wildcard)));
    assert_eq!(name("DELETE &Jjo!"), Err(InvalidMailbox::Utf7));
    assert_eq!(name("DELETE {2}\r\n\u{e9}"), Err(InvalidMailbox::Utf8));
    assert_eq!(
        name("DELETE ~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        mailbox("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}")
    );
    assert_eq!(command_utf8("DELETE \"R&D/\u{53f0}\""), Command::Delete(mailbox("R&D/\u{53f0}")));
    assert_eq!(command_utf8("DELETE R&D"), Command::Delete(mailbox("R&D")));
}

#[test]
fn create() {
    let create =
        |name: &str| Create { mailbox: mailbox(name), for_children: false, special_use: vec![], unknown_use: None };
    assert_eq!(command("CREATE owatagusiam/blurdybloop"), Command::Create(create("owatagusiam/blurdybloop")));
    assert_eq!(command("CREATE owatagusiam/"), Command::Create(Create { for_children: true, ..create("owatagusiam") }));
    // RFC 6154, 5.2.
    let drafts = Create { special_use: vec![SpecialUse::Drafts], ..create("MySpecial") };
    assert_eq!(command("CREATE MySpecial (USE (\\Drafts))"), Command::Create(drafts));
    let several = Create {
        special_use: vec![SpecialUse::Sent, SpecialUse::Trash],
        unknown_use: Some("\\Foo".into()),
        ..create("x")
    };
    assert_eq!(command("CREATE x (use (\\sent \\Foo \\Trash \\Sent \\Bar))"), Command::Create(several));
    assert_eq!(command("CREATE x (USE ())"), Command::Create(create("x")));
}

#[test]
fn commands_on_mailboxes() {
    assert_eq!(command("DELETE blurdybloop"), Command::Delete(mailbox("blurdybloop")));
    assert_eq!(command("SUBSCRIBE \"#news.comp.mail.mime\""), Command::Subscribe(mailbox("#news.comp.mail.mime")));
    assert_eq!(command("UNSUBSCRIBE #news.comp.mail.mime/"), Command::Unsubscribe(mailbox("#news.comp.mail.mime")));
    let rename = Command::Rename { from: mailbox("INBOX"), to: mailbox("old mail") };
    assert_eq!(command("RENAME INBOX {8}\r\nold mail"), rename);
}

#[test]
fn status() {
    use StatusItem::*;
    let status =
        |name: &str, items: &[StatusItem]| Command::Status(Status { mailbox: mailbox(name), items: items.to_vec() });
    assert_eq!(command("STATUS blurdybloop (UIDNEXT MESSAGES)"), status("blurdybloop", &[UidNext, Messages]));
    let line =
        "STATUS x (messages recent uidnext uidvalidity unseen deleted size highestmodseq mailboxid appendlimit SIZE)";
    let all = [Messages, Recent, UidNext, UidValidity, Unseen, Deleted, Size, HighestModSeq, MailboxId, AppendLimit];
    assert_eq!(command(line), status("x", &all));
}

#[test]
fn store() {
    let store = |messages, action, flags| Store {
        messages,
        unchanged_since: None,
        action,
        silent: false,
        flags,
        keywords: vec![],
    };
    let plain = |numbers: &[(u32, u32)]| messages(NumberKind::SeqNum, numbers);
    let deleted = store(plain(&[(2, 4)]), StoreAction::Add, Flags::DELETED);
    assert_eq!(command("STORE 2:4 +FLAGS (\\Deleted)"), Command::Store(deleted.clone()));
    assert_eq!(command("STORE 2:4 +flags \\deleted"), Command::Store(deleted));
    let both = Flags::SEEN.union(Flags::DRAFT);
    assert_eq!(
        command("STORE 1 -FLAGS \\Seen \\Draft"),
        Command::Store(store(plain(&[(1, 1)]), StoreAction::Remove, both))
    );
    assert_eq!(command("STORE 1 FLAGS ()"), Command::Store(store(plain(&[(1, 1)]), StoreAction::Replace, Flags::NONE)));
    let line = "UID STORE 7,5,6 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Flagged $MDNSent $mdnsent \\Flagged)";
    let silent = Store {
        unchanged_since: Some(ModSeq(12_121_230_045)),
        silent: true,
        keywords: vec![Keyword::new("$MDNSent").unwrap()],
        ..store(messages(NumberKind::Uid, &[(5, 7)]), StoreAction::Add, Flags::FLAGGED)
    };
    assert_eq!(command(line), Command::Store(silent));
    assert!(matches!(
        command("STORE $ (UNCHANGEDSINCE 0) FLAGS.SILENT a"),
        Command::Store(Store { unchanged_since: Some(ModSeq::ZERO), .. })
    ));
}

#[test]
fn copy_move_and_uid_expunge() {
    let copy = |kind, numbers: &[(u32, u32)], to: &str| Copy { messages: messages(kind, numbers), to: mailbox(to) };
    assert_eq!(command("COPY 2:4 MEETING"), Command::Copy(copy(NumberKind::SeqNum, &[(2, 4)], "MEETING")));
    assert_eq!(command("UID COPY 3 \"a b\""), Command::Copy(copy(NumberKind::Uid, &[(3, 3)], "a b")));
    assert_eq!(command("UID MOVE 42:69 foo"), Command::Move(copy(NumberKind::Uid, &[(42, 69)], "foo")));
    assert_eq!(command("MOVE 1 foo/"), Command::Move(copy(NumberKind::SeqNum, &[(1, 1)], "foo")));
    let saved = Copy { messages: Messages { kind: NumberKind::Uid, set: MessageSet::Saved }, to: mailbox("x") };
    assert_eq!(command("UID MOVE $ x"), Command::Move(saved));
    assert_eq!(command("UID EXPUNGE 3000:3002"), Command::Expunge(Some(MessageSet::Numbers(set(&[(3000, 3002)])))));
    assert_eq!(command("UID EXPUNGE $"), Command::Expunge(Some(MessageSet::Saved)));
}

#[test]
fn sets_are_merged_whatever_their_order() {
    let display = |text: &str| match command(&format!("UID EXPUNGE {text}")) {
        Command::Expunge(Some(MessageSet::Numbers(set))) => set.to_string(),
        other => panic!("{other:?}"),
    };
    for (text, merged) in [
        ("1", "1"),
        ("*", "*"),
        ("*:*", "*"),
        ("1:*", "1:*"),
        ("*:4", "4:*"),
        ("4:2", "2:4"),
        ("5,3,4,1:2", "1:5"),
        ("9,*:7,3:*", "9,3:*"),
        ("4294967295", "4294967295"),
        ("1:4294967295,5,7:9", "1:4294967295"),
        ("2,4:7,9,12:*", "2,4:7,9,12:*"),
        ("1,1,1", "1"),
    ] {
        assert_eq!(display(text), merged, "{text}");
    }
}

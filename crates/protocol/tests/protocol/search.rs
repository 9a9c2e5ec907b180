//! SEARCH, SORT and THREAD.

use paquebot_protocol::command::{
    ReturnOptions, Search, SearchKey, Sort, SortCriterion, SortKey, Thread, ThreadAlgorithm,
};
use paquebot_protocol::{Command, Day, MessageSet, NumberKind, ParseContext};
use paquebot_types::{Flags, Keyword, ModSeq};

use crate::{command, command_utf8, error, parsed};

fn search(line: &str) -> Search {
    match command(line) {
        Command::Search(search) => search,
        other => panic!("{other:?}"),
    }
}

fn key(text: &str) -> SearchKey {
    search(&format!("SEARCH {text}")).keys
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

fn text(text: &str) -> Vec<u8> {
    text.into()
}

#[test]
fn keys_without_arguments() {
    use SearchKey::{All, Has, Lacks, New, Old, Recent, SaveDateSupported};
    for (text, expected) in [
        ("ALL", All),
        ("all", All),
        ("ANSWERED", Has(Flags::ANSWERED)),
        ("DELETED", Has(Flags::DELETED)),
        ("DRAFT", Has(Flags::DRAFT)),
        ("FLAGGED", Has(Flags::FLAGGED)),
        ("SEEN", Has(Flags::SEEN)),
        ("UNANSWERED", Lacks(Flags::ANSWERED)),
        ("UNDELETED", Lacks(Flags::DELETED)),
        ("UNDRAFT", Lacks(Flags::DRAFT)),
        ("UNFLAGGED", Lacks(Flags::FLAGGED)),
        ("UNSEEN", Lacks(Flags::SEEN)),
        ("NEW", New),
        ("OLD", Old),
        ("RECENT", Recent),
        ("SAVEDATESUPPORTED", SaveDateSupported),
    ] {
        assert_eq!(key(text), expected);
    }
}

#[test]
fn keys_with_texts() {
    for (line, expected) in [
        ("BCC a", SearchKey::Bcc(text("a"))),
        ("BODY \"a b\"", SearchKey::Body(text("a b"))),
        ("CC {1}\r\nx", SearchKey::Cc(text("x"))),
        ("FROM \"\"", SearchKey::From(text(""))),
        ("SUBJECT {3+}\r\n(x)", SearchKey::Subject(text("(x)"))),
        ("TEXT \"\\\"\"", SearchKey::Text(text("\""))),
        ("TO x]", SearchKey::To(text("x]"))),
        ("HEADER Message-ID <a@b>", SearchKey::Header { name: "Message-ID".into(), text: text("<a@b>") }),
        ("header \"x\" \"\"", SearchKey::Header { name: "x".into(), text: text("") }),
    ] {
        assert_eq!(key(line), expected);
    }
}

#[test]
fn keys_with_dates_and_numbers() {
    let day = Day(8797);
    for (line, expected) in [
        ("BEFORE 1-Feb-1994", SearchKey::Before(day)),
        ("ON \"1-Feb-1994\"", SearchKey::On(day)),
        ("SINCE 01-feb-1994", SearchKey::Since(day)),
        ("SENTBEFORE 1-Feb-1994", SearchKey::SentBefore(day)),
        ("SENTON 1-Feb-1994", SearchKey::SentOn(day)),
        ("SENTSINCE 1-Feb-1994", SearchKey::SentSince(day)),
        ("SAVEDBEFORE 1-Feb-1994", SearchKey::SavedBefore(day)),
        ("SAVEDON 1-Feb-1994", SearchKey::SavedOn(day)),
        ("SAVEDSINCE 1-Feb-1994", SearchKey::SavedSince(day)),
        ("OLDER 604800", SearchKey::Older(604_800)),
        ("YOUNGER 4294967295", SearchKey::Younger(u32::MAX)),
        ("LARGER 9223372036854775807", SearchKey::Larger(i64::MAX as u64)),
        ("SMALLER 0", SearchKey::Smaller(0)),
        ("MODSEQ 620162338", SearchKey::ModSeq(ModSeq(620_162_338))),
        ("MODSEQ \"/flags/\\\\draft\" all 620162338", SearchKey::ModSeq(ModSeq(620_162_338))),
        ("MODSEQ \"/flags/$x\" shared 0", SearchKey::ModSeq(ModSeq::ZERO)),
        ("KEYWORD $Junk", SearchKey::Keyword(Keyword::new("$Junk").unwrap())),
        ("UNKEYWORD x", SearchKey::Unkeyword(Keyword::new("x").unwrap())),
        ("EMAILID M6d99ac3275bb4e", SearchKey::EmailId("M6d99ac3275bb4e".into())),
        ("THREADID T64b478a75b7ea9", SearchKey::ThreadId("T64b478a75b7ea9".into())),
    ] {
        assert_eq!(key(line), expected);
    }
}

#[test]
fn keys_with_sets() {
    let numbers = |key: SearchKey| match key {
        SearchKey::SeqNums(MessageSet::Numbers(set)) => ("seq", set.to_string()),
        SearchKey::Uids(MessageSet::Numbers(set)) => ("uid", set.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(numbers(key("2:4,1")), ("seq", "1:4".into()));
    assert_eq!(numbers(key("*")), ("seq", "*".into()));
    assert_eq!(numbers(key("UID 300:*")), ("uid", "300:*".into()));
    assert_eq!(key("$"), SearchKey::SeqNums(MessageSet::Saved));
    assert_eq!(key("UID $"), SearchKey::Uids(MessageSet::Saved));
}

#[test]
fn keys_within_keys() {
    use SearchKey::{All, And, New, Old, Or, Recent};
    assert_eq!(key("NEW OLD"), And(vec![New, Old]));
    assert_eq!(key("NOT NEW"), not(New));
    assert_eq!(key("NOT NOT NEW"), not(not(New)));
    assert_eq!(key("OR NEW OLD"), Or(vec![New, Old]));
    assert_eq!(key("(NEW)"), New);
    assert_eq!(key("((NEW OLD))"), And(vec![New, Old]));
    assert_eq!(key("NOT (NEW OLD) ALL"), And(vec![not(And(vec![New, Old])), All]));
    assert_eq!(key("OR (NEW OLD) NOT ALL"), Or(vec![And(vec![New, Old]), not(All)]));
    assert_eq!(key("OR OR NEW OLD RECENT ALL"), And(vec![Or(vec![New, Old, Recent]), All]));
    assert_eq!(key("NOT OR NEW OLD ALL"), And(vec![not(Or(vec![New, Old])), All]));
    let Or(keys) = key("OR NEW OR OLD OR RECENT ALL") else { panic!() };
    assert_eq!(keys.len(), 4);
    // RFC 9051, 6.4.4.
    let example = key("FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"");
    let smith = not(SearchKey::From(text("Smith")));
    assert_eq!(example, And(vec![SearchKey::Has(Flags::FLAGGED), SearchKey::Since(Day(8797)), smith]));
}

#[test]
fn charsets_and_return_options() {
    let plain = search("SEARCH CHARSET utf-8 TEXT {12}\r\n\u{43c}\u{430}\u{442}\u{44c}\u{43c}\u{430}");
    assert_eq!((plain.kind, plain.returns, plain.charset.as_deref()), (NumberKind::SeqNum, None, Some("UTF-8")));
    assert_eq!(search("SEARCH CHARSET \"US-ASCII\" ALL").charset.as_deref(), Some("US-ASCII"));
    assert_eq!(search("UID SEARCH ALL").kind, NumberKind::Uid);
    let returns = |options: &str| search(&format!("SEARCH RETURN ({options}) CHARSET X ALL")).returns.unwrap();
    let none = ReturnOptions::default();
    assert_eq!(returns(""), ReturnOptions { all: true, ..none });
    assert_eq!(returns("SAVE"), ReturnOptions { save: true, ..none });
    assert_eq!(returns("MIN MAX COUNT"), ReturnOptions { min: true, max: true, count: true, ..none });
    assert_eq!(returns("all save"), ReturnOptions { all: true, save: true, ..none });
    let Command::Search(utf8) = command_utf8("SEARCH SUBJECT \"\u{43c}\"") else { panic!() };
    assert_eq!(utf8.keys, SearchKey::Subject(text("\u{43c}")));
}

#[test]
fn sort() {
    let criterion = |key, reverse| SortCriterion { key, reverse };
    let sort =
        |criteria, keys| Sort { kind: NumberKind::SeqNum, returns: None, criteria, charset: "UTF-8".into(), keys };
    let subject = sort(vec![criterion(SortKey::Subject, false)], SearchKey::All);
    assert_eq!(command("SORT (SUBJECT) UTF-8 ALL"), Command::Sort(subject));
    let line = "UID SORT RETURN (COUNT) (REVERSE ARRIVAL CC reverse date FROM SIZE TO) \"utf-8\" NEW";
    let criteria = vec![
        criterion(SortKey::Arrival, true),
        criterion(SortKey::Cc, false),
        criterion(SortKey::Date, true),
        criterion(SortKey::From, false),
        criterion(SortKey::Size, false),
        criterion(SortKey::To, false),
    ];
    let returns = Some(ReturnOptions { count: true, ..ReturnOptions::default() });
    assert_eq!(command(line), Command::Sort(Sort { kind: NumberKind::Uid, returns, ..sort(criteria, SearchKey::New) }));
}

#[test]
fn thread() {
    let thread = |kind, algorithm, charset: &str, keys| {
        Command::Thread(Thread { kind, algorithm, charset: charset.into(), keys })
    };
    assert_eq!(
        command("THREAD ORDEREDSUBJECT UTF-8 SINCE 1-Feb-1994"),
        thread(NumberKind::SeqNum, ThreadAlgorithm::OrderedSubject, "UTF-8", SearchKey::Since(Day(8797)))
    );
    assert_eq!(
        command("uid thread references us-ascii all"),
        thread(NumberKind::Uid, ThreadAlgorithm::References, "US-ASCII", SearchKey::All)
    );
}

#[test]
fn depth_and_number_of_keys_are_bounded() {
    let deep = |levels: usize| format!("SEARCH {}ALL", "NOT ".repeat(levels));
    assert!(matches!(command(&deep(50)), Command::Search(_)));
    assert_eq!(error(&deep(51)), (7 + 50 * 4, "SEARCH: more than 50 levels of search keys".into()));
    assert_eq!(error(&deep(8000)).0, 7 + 50 * 4);
    assert_eq!(error(&format!("SEARCH {}", "(".repeat(8000))).0, 57);
    let chain = format!("SEARCH {}ALL", "OR ALL ".repeat(900));
    assert!(matches!(command(&chain), Command::Search(Search { keys: SearchKey::Or(keys), .. }) if keys.len() == 901));
    let left = format!("SEARCH {}ALL{}", "OR ".repeat(900), " ALL".repeat(900));
    assert!(matches!(command(&left), Command::Search(Search { keys: SearchKey::Or(keys), .. }) if keys.len() == 901));
    let many = format!("SEARCH{}", " ALL".repeat(2001));
    assert!(error(&many).1.contains("more than 2000 search keys"));
    assert!(matches!(command(&format!("SEARCH{}", " ALL".repeat(2000))), Command::Search(_)));
    let few = ParseContext { search_keys_max: 3, search_depth_max: 1, ..ParseContext::default() };
    assert!(parsed(b"SEARCH NOT ALL ALL", &few).is_ok());
    assert!(parsed(b"SEARCH NOT (ALL)", &few).is_err());
}

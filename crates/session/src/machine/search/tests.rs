//! The plan against a plain reading of the keys, over a few messages in memory.

use paquebot_message::casemap::Needle;
use paquebot_message::search::{Scope, contains, header_contains};
use paquebot_message::{SummaryRef, parse, summarise};
use paquebot_model::Message;
use paquebot_protocol::command::SearchKey;
use paquebot_protocol::{Day, MessageSet, SequenceSet};
use paquebot_types::{BlobHash, BlobId, Flags, InternalDate, Keyword, ModSeq, SeqNum, ThreadId, Uid, UidSet};
use proptest::prelude::*;

use super::judge::Facts;
use super::plan::{Meaning, Plan};
use crate::machine::bodies::Indexed;

const BODIES: [&str; 4] = [
    "",
    "Subject: hello world\r\nFrom: Ann <ann@x.org>\r\nTo: bob@y.org\r\nDate: 3 Jan 2020 23:30:00 -0800\r\nMessage-ID: <1@x.org>\r\n\r\nthe body of Ann\r\n",
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: bob@y.org\r\nCc: Ann <ann@x.org>\r\nX-Mark: red\r\nDate: not a date\r\n\
     Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 hello\r\n",
    "Subject: \r\nX-Mark: blue\r\nX-Mark: dark red\r\nIn-Reply-To: <1@x.org>\r\nDate: Sat, 4 Jan 2020 00:30:00 +0000\r\n\
     Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/html\r\n\r\ntwo world\r\n--b--\r\n",
];
/// The days of the Date fields of [`BODIES`].
const SENT: [Option<i64>; 4] = [None, Some(18_264), None, Some(18_265)];
const NOW: i64 = 18_266 * 86_400;

#[derive(Debug, Clone)]
struct Case {
    message: Message,
    recent: bool,
    body: usize,
}

fn keywords() -> Vec<Keyword> {
    ["one", "two"].map(|name| Keyword::new(name).unwrap()).to_vec()
}

fn saved() -> UidSet {
    [1, 5, 6].into_iter().filter_map(Uid::new).collect()
}

fn thread_of(body: usize) -> Option<ThreadId> {
    (body != 0).then_some(ThreadId([body as u8; 16]))
}

fn hash_of(body: usize) -> BlobHash {
    BlobHash([body as u8; 32])
}

/// What the keys mean, said as plainly as it can be.
fn is_meant(key: &SearchKey, case: &Case, seq_num: u32, exists: u32, last_uid: u32) -> bool {
    let (message, raw) = (&case.message, BODIES[case.body]);
    let text = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap();
    let header =
        |name: &str, value: &[u8]| header_contains(raw.as_bytes(), name.as_bytes(), &Needle::new(&text(value)));
    let body =
        |scope, value: &[u8]| contains(raw.as_bytes(), &parse(raw.as_bytes()), scope, &Needle::new(&text(value)));
    let again = |key: &SearchKey| is_meant(key, case, seq_num, exists, last_uid);
    let has_keyword = |keyword: &Keyword| {
        let bit = keywords().iter().position(|known| known == keyword);
        bit.is_some_and(|bit| message.keywords() >> bit & 1 == 1)
    };
    let (received, saved_at) = (message.internal_date.local_day(), message.save_date / 86_400);
    let age = NOW - message.internal_date.unix_seconds();
    let is_sent = |test: &dyn Fn(i64) -> bool| SENT[case.body].is_some_and(test);
    match key {
        SearchKey::All | SearchKey::SaveDateSupported => true,
        SearchKey::And(keys) => keys.iter().all(again),
        SearchKey::Or(keys) => keys.iter().any(again),
        SearchKey::Not(key) => !again(key),
        SearchKey::Has(flags) => message.flags.contains(*flags),
        SearchKey::Lacks(flags) => !message.flags.contains(*flags),
        SearchKey::Keyword(keyword) => has_keyword(keyword),
        SearchKey::Unkeyword(keyword) => !has_keyword(keyword),
        SearchKey::Recent => case.recent,
        SearchKey::New => case.recent && !message.flags.contains(Flags::SEEN),
        SearchKey::Old => !case.recent,
        SearchKey::Before(day) => received < day.0,
        SearchKey::On(day) => received == day.0,
        SearchKey::Since(day) => received >= day.0,
        SearchKey::SentBefore(day) => is_sent(&|sent| sent < day.0),
        SearchKey::SentOn(day) => is_sent(&|sent| sent == day.0),
        SearchKey::SentSince(day) => is_sent(&|sent| sent >= day.0),
        SearchKey::SavedBefore(day) => saved_at < day.0,
        SearchKey::SavedOn(day) => saved_at == day.0,
        SearchKey::SavedSince(day) => saved_at >= day.0,
        SearchKey::Older(seconds) => age >= i64::from(*seconds),
        SearchKey::Younger(seconds) => age <= i64::from(*seconds),
        SearchKey::Larger(octets) => raw.len() as u64 > *octets,
        SearchKey::Smaller(octets) => (raw.len() as u64) < *octets,
        SearchKey::Header { name, text } => header(name, text),
        SearchKey::Bcc(text) => header("Bcc", text),
        SearchKey::Cc(text) => header("Cc", text),
        SearchKey::From(text) => header("From", text),
        SearchKey::To(text) => header("To", text),
        SearchKey::Subject(text) => header("Subject", text),
        SearchKey::Body(text) => body(Scope::Body, text),
        SearchKey::Text(text) => body(Scope::Text, text),
        SearchKey::SeqNums(MessageSet::Numbers(set)) => set.contains(seq_num, Some(exists)),
        SearchKey::Uids(MessageSet::Numbers(set)) => set.contains(message.uid.get(), Some(last_uid)),
        SearchKey::SeqNums(MessageSet::Saved) | SearchKey::Uids(MessageSet::Saved) => saved().contains(message.uid),
        SearchKey::ModSeq(modseq) => message.modseq >= *modseq,
        SearchKey::EmailId(id) => *id == hash_of(case.body).email_id().to_string(),
        SearchKey::ThreadId(id) => thread_of(case.body).is_some_and(|thread| *id == thread.to_string()),
    }
}

fn case() -> impl Strategy<Value = Case> {
    let dates = (18_263i64 * 86_400..NOW, -720i16..720, 18_263i64 * 86_400..NOW);
    (0..BODIES.len(), 0u8..32, 0u128..4, dates, 1u64..9, any::<bool>()).prop_map(
        |(body, flags, keywords, (received, zone, saved), modseq, recent)| {
            let date = InternalDate::new(received, zone);
            let mut message = Message::new(Uid::MIN, BlobId::MIN, BODIES[body].len() as u32, date, saved);
            message.flags = Flags::from_bits(flags);
            message.set_keywords(keywords);
            message.modseq = ModSeq(modseq);
            Case { message, recent, body }
        },
    )
}

fn set() -> impl Strategy<Value = MessageSet> {
    let numbers =
        (prop::collection::vec((1u32..9, 1u32..9), 0..3), prop::option::of(1u32..9)).prop_map(|(ranges, open)| {
            let mut set = SequenceSet::new();
            ranges.into_iter().for_each(|(a, b)| set.insert(a, b));
            if let Some(open) = open {
                set.insert_open(open);
            }
            MessageSet::Numbers(set)
        });
    prop_oneof![4 => numbers, 1 => Just(MessageSet::Saved)]
}

fn leaf() -> impl Strategy<Value = SearchKey> {
    let flags = prop::sample::select(Flags::NAMES.map(|(flag, _)| flag).to_vec());
    let text = || {
        let texts =
            ["", "ANN", "hello", "GRÜSSE", "GRÜßE", "world", "red", "<1@x.org>", "café", "ann@x.org", "subject"];
        prop::sample::select(texts.map(|text| text.as_bytes().to_vec()).to_vec())
    };
    let day = || (18_262i64..18_268).prop_map(Day);
    let name = prop::sample::select(vec!["subject", "X-Mark", "Message-ID", "in-reply-to", "Date", "Bcc"]);
    let keyword = || prop::sample::select(["one", "two", "none"].map(|name| Keyword::new(name).unwrap()).to_vec());
    let id =
        prop::sample::select((0..BODIES.len()).map(|body| hash_of(body).email_id().to_string()).collect::<Vec<_>>());
    let thread = prop::sample::select((0..4u8).map(|body| ThreadId([body; 16]).to_string()).collect::<Vec<_>>());
    prop_oneof![
        prop::sample::select(vec![
            SearchKey::All,
            SearchKey::Recent,
            SearchKey::New,
            SearchKey::Old,
            SearchKey::SaveDateSupported,
            SearchKey::And(Vec::new()),
        ]),
        flags.clone().prop_map(SearchKey::Has),
        flags.prop_map(SearchKey::Lacks),
        keyword().prop_map(SearchKey::Keyword),
        keyword().prop_map(SearchKey::Unkeyword),
        (day(), 0..9usize).prop_map(|(day, which)| {
            let keys: [fn(Day) -> SearchKey; 9] = [
                SearchKey::Before,
                SearchKey::On,
                SearchKey::Since,
                SearchKey::SentBefore,
                SearchKey::SentOn,
                SearchKey::SentSince,
                SearchKey::SavedBefore,
                SearchKey::SavedOn,
                SearchKey::SavedSince,
            ];
            keys[which](day)
        }),
        (0u32..300_000, any::<bool>()).prop_map(|(age, older)| if older {
            SearchKey::Older(age)
        } else {
            SearchKey::Younger(age)
        }),
        (0u64..400, any::<bool>()).prop_map(|(size, larger)| if larger {
            SearchKey::Larger(size)
        } else {
            SearchKey::Smaller(size)
        }),
        (name, text()).prop_map(|(name, text)| SearchKey::Header { name: name.into(), text }),
        (text(), 0..5usize).prop_map(|(text, which)| {
            let keys: [fn(Vec<u8>) -> SearchKey; 5] =
                [SearchKey::Bcc, SearchKey::Cc, SearchKey::From, SearchKey::To, SearchKey::Subject];
            keys[which](text)
        }),
        text().prop_map(SearchKey::Body),
        text().prop_map(SearchKey::Text),
        set().prop_map(SearchKey::SeqNums),
        set().prop_map(SearchKey::Uids),
        (1u64..10).prop_map(|modseq| SearchKey::ModSeq(ModSeq(modseq))),
        id.prop_map(SearchKey::EmailId),
        thread.prop_map(SearchKey::ThreadId),
    ]
}

fn keys() -> impl Strategy<Value = SearchKey> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(SearchKey::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(SearchKey::Or),
            inner.prop_map(|key| SearchKey::Not(Box::new(key))),
        ]
    })
}

proptest! {
    /// And what is known early is never taken back when more is read.
    #[test]
    fn a_plan_finds_what_is_meant(
        mut cases in prop::collection::vec((case(), 1u32..3), 1..5),
        keys in keys(),
    ) {
        let mut uid = 0;
        for (case, step) in &mut cases {
            uid += *step;
            case.message.uid = Uid::new(uid).unwrap();
        }
        let (exists, keywords, saved) = (cases.len() as u32, keywords(), saved());
        let meaning = Meaning {
            charset: Some("UTF-8"),
            now: NOW,
            keywords: &keywords,
            exists,
            last_uid: Uid::new(uid),
            saved: &saved,
        };
        let plan = Plan::new(&keys, &meaning);
        for (index, (case, _)) in cases.iter().enumerate() {
            let seq_num = SeqNum::new(index as u32 + 1).unwrap();
            let meant = is_meant(&keys, case, seq_num.get(), exists, uid);
            let raw = BODIES[case.body].as_bytes();
            let structure = parse(raw);
            let summary = summarise(&structure);
            let indexed = Indexed {
                hash: hash_of(case.body),
                thread: thread_of(case.body),
                summary: SummaryRef::new(&summary).unwrap(),
            };
            let header = &raw[..structure.header_length() as usize];
            let found: Vec<Option<bool>> = plan
                .bodies
                .iter()
                .map(|text| Some(contains(raw, &structure, text.scope, &text.needle)))
                .collect();
            let in_view = Facts {
                seq_num,
                message: &case.message,
                recent: case.recent,
                indexed: None,
                header: None,
                known: None,
                found: None,
            };
            let in_index = Facts { indexed: Some(indexed), ..in_view };
            let with_header = Facts { header: Some(header), ..in_index };
            let whole = Facts { found: Some(&found), ..with_header };
            let header_known = plan.know(&with_header);
            let known = Facts { known: Some(&header_known), header: None, ..whole };
            for known in [in_view, in_index, with_header] {
                prop_assert!(plan.judge(&known).is_none_or(|verdict| verdict == meant));
            }
            prop_assert_eq!(plan.judge(&whole), Some(meant));
            prop_assert_eq!(plan.judge(&known), Some(meant));
        }
    }
}

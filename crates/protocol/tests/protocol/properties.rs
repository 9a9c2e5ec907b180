//! What holds for all input.

use paquebot_protocol::command::{AppendForm, parse_append, parse_append_end, parse_append_next, parse_sasl_line};
use paquebot_protocol::response::{Mode, ResponseWriter, write_astring};
use paquebot_protocol::{
    Command, Event, Framer, Limits, ListPattern, ParseContext, SequenceSet, decode_utf7, encode_utf7, parse,
};
use paquebot_types::MailboxName;
use proptest::prelude::*;

use crate::{parsed, utf8};

const LIMITS: Limits = Limits {
    line_bytes: 60,
    literal_bytes: 12,
    literals_bytes: 20,
    literals: 4,
    nonsync_bytes: 10,
    append_bytes: 16,
    drain_bytes: 150,
    append_drain_bytes: 100,
};

/// The events of `input` in pieces, as text, the data of a message joined. `refuse` picks the announcements that are refused.
fn events(input: &[u8], pieces: &[usize], refuse: u8) -> Vec<String> {
    let mut framer = Framer::new(LIMITS);
    let mut all: Vec<String> = Vec::new();
    let mut rest = input;
    let mut sizes = pieces.iter().copied().cycle();
    let mut announced = 0;
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(sizes.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        rest = after;
        loop {
            let (text, is_announcement, is_data) = match framer.next(&mut piece) {
                None => break,
                Some(Event::Fatal(error)) => {
                    all.push(format!("{error:?}"));
                    return all;
                }
                Some(event) => {
                    let announcement = matches!(event, Event::Literal { .. } | Event::Append(_));
                    (format!("{event:?}"), announcement, matches!(event, Event::Data(_)))
                }
            };
            announced += u8::from(is_announcement);
            if is_announcement && refuse != 0 && announced % refuse == 0 {
                framer.refuse();
            }
            match all.last_mut() {
                Some(last) if is_data && last.starts_with("Data(") => {
                    last.truncate(last.len() - 2);
                    *last += ", ";
                    *last += &text["Data([".len()..];
                }
                _ => all.push(text),
            }
        }
        assert!(piece.is_empty());
    }
    all
}

/// Bytes that look like a client's, more or less.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b" ".to_vec()),
        Just(b"a APPEND x ".to_vec()),
        Just(b"a APPEND {1+}\r\nx ".to_vec()),
        Just(b"a LOGIN ".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\\".to_vec()),
        Just(b"GET / HTTP/1.1".to_vec()),
        "[ -~]{0,20}".prop_map(String::into_bytes),
        (0u64..30, "[~]?", "[+]?", prop::bool::weighted(0.9)).prop_map(|(size, tilde, plus, right)| {
            let data = "d".repeat(if right { size as usize } else { 3 });
            format!("{tilde}{{{size}{plus}}}\r\n{data}").into_bytes()
        }),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Commands made of the grammar's words in any order.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "UID ",
        "FETCH ",
        "SEARCH ",
        "STORE ",
        "LIST ",
        "SELECT ",
        "STATUS ",
        "SORT ",
        "THREAD ",
        "ID ",
        "CREATE ",
        "APPEND ",
        "1:* ",
        "1,2 ",
        "$ ",
        "(",
        ")",
        "BODY[",
        "]",
        "HEADER.FIELDS ",
        "<0.1>",
        "FLAGS ",
        "\\Seen ",
        "INBOX ",
        "\"a\" ",
        "\"",
        "{3}\r\nabc",
        "{9}\r\n",
        "NOT ",
        "OR ",
        "ALL ",
        "RETURN ",
        "QRESYNC ",
        "CHARSET ",
        "UTF-8 ",
        "* ",
        "NIL ",
        "MODSEQ ",
        "\\",
        "~",
        "CHANGEDSINCE ",
        "REFERENCES ",
        " ",
        "1-Feb-1994 ",
        "UTF8 (~{3",
        "\u{e9}",
        "PREVIEW (LAZY) ",
        "USE ",
    ]);
    prop::collection::vec(word, 0..20).prop_map(|words| words.concat().into_bytes())
}

/// A plain matcher by recursion, for short patterns.
fn matches_plainly(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], name) => (0..=name.len()).any(|at| matches_plainly(rest, &name[at..])),
        ([b'%', rest @ ..], name) => {
            let end = name.iter().position(|&byte| byte == b'/').unwrap_or(name.len());
            (0..=end).any(|at| matches_plainly(rest, &name[at..]))
        }
        ([byte, rest @ ..], [first, after @ ..]) => byte == first && matches_plainly(rest, after),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(input in stream(), pieces in prop::collection::vec(1usize..9, 1..6), refuse in 0u8..4) {
        prop_assert_eq!(events(&input, &pieces, refuse), events(&input, &[input.len()], refuse));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in words()) {
        for bytes in [&bytes, &text] {
            let _ = parse(bytes, &ParseContext::default());
            for context in [ParseContext::default(), utf8()] {
                if let Err(error) = parsed(bytes, &context) {
                    prop_assert!(error.at <= bytes.len() + 2);
                }
                let _ = parse_append(&[b"a APPEND ", bytes.as_slice()].concat(), &context);
                let _ = parse_append_next(bytes, AppendForm::Utf8, &context);
            }
            let _ = parse_append_end(bytes, AppendForm::Utf8);
            let _ = parse_sasl_line(bytes);
        }
    }

    #[test]
    fn a_set_reads_as_it_is_written(ranges in prop::collection::vec((1u32..40, 1u32..40), 1..12), open in prop::option::of(1u32..40), largest in 0u32..50) {
        let mut set = SequenceSet::new();
        ranges.iter().for_each(|&(a, b)| set.insert(a, b));
        open.iter().for_each(|&from| set.insert_open(from));
        let mut text: Vec<String> = ranges.iter().rev().map(|(a, b)| format!("{a}:{b}")).collect();
        text.extend(open.map(|from| format!("*:{from}")));
        let Ok(Command::Fetch(fetch)) = parsed(format!("FETCH {} UID", text.join(",")).as_bytes(), &ParseContext::default()) else { panic!() };
        prop_assert_eq!(&fetch.messages.set, &paquebot_protocol::MessageSet::Numbers(set.clone()));

        let largest = (largest > 0).then_some(largest);
        let resolved = set.resolve(largest);
        prop_assert!(resolved.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
        for number in 1..60 {
            let plain = ranges.iter().any(|&(a, b)| (a.min(b)..=a.max(b)).contains(&number))
                || open.zip(largest).is_some_and(|(from, last)| (from.min(last)..=from.max(last)).contains(&number));
            prop_assert_eq!(set.contains(number, largest), plain);
            prop_assert_eq!(resolved.iter().any(|range| (range.first..=range.last).contains(&number)), plain);
        }
    }

    #[test]
    fn every_text_has_one_utf7(text in any::<String>(), other in "[ -~]{0,12}") {
        let encoded = encode_utf7(&text).into_owned();
        prop_assert!(encoded.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let decoded = decode_utf7(&encoded);
        prop_assert_eq!(decoded.as_deref(), Some(text.as_str()));
        if let Some(decoded) = decode_utf7(&other) {
            prop_assert_eq!(encode_utf7(&decoded), other.as_str());
        }
    }

    #[test]
    fn patterns_match_as_a_plain_matcher_does(pattern in "[ab/*%]{0,10}", name in "[ab]{1,3}(/[ab]{1,3}){0,3}") {
        let name = MailboxName::new(&name).unwrap();
        prop_assert_eq!(ListPattern::new(&pattern).matches(&name), matches_plainly(pattern.as_bytes(), name.as_str().as_bytes()));
    }

    #[test]
    fn long_patterns_match_as_a_plain_matcher_does(pattern in "[ab/]{50,70}[*%][ab]{0,3}", end in "[ab]{0,4}", cut in 0usize..70) {
        let Ok(name) = MailboxName::new(&format!("{}{end}", &pattern[..pattern.len().min(cut + 10)]).replace(['*', '%'], "b")) else { return Ok(()) };
        prop_assert_eq!(ListPattern::new(&pattern).matches(&name), matches_plainly(pattern.as_bytes(), name.as_str().as_bytes()));
    }

    #[test]
    fn strings_are_read_as_they_were_written(bytes in prop::collection::vec(1u8.., 0..30), text in any::<String>()) {
        let mut line = b"LOGIN u ".to_vec();
        write_astring(&mut line, &bytes, false);
        let Ok(Command::Login(login)) = parsed(&line, &ParseContext::default()) else { panic!("{line:?}") };
        prop_assert_eq!(login.password.as_bytes(), bytes.as_slice());
        prop_assume!(!text.contains('\0'));
        let mut line = b"LOGIN u ".to_vec();
        write_astring(&mut line, text.as_bytes(), true);
        let Ok(Command::Login(login)) = parsed(&line, &utf8()) else { panic!("{line:?}") };
        prop_assert_eq!(login.password.as_bytes(), text.as_bytes());
    }

    #[test]
    fn a_text_is_one_line(text in any::<String>(), utf8 in any::<bool>()) {
        let mut out = Vec::new();
        ResponseWriter::new(&mut out, Mode { utf8, rev2: false }).untagged_ok(None, &text);
        let line = out.strip_suffix(b"\r\n").unwrap();
        prop_assert!(line.len() > "* OK ".len() && !line.starts_with(b"* OK ["));
        prop_assert!(!line.iter().any(|&byte| byte < b' ' || byte == 0x7f || (!utf8 && byte > 0x7e)));
    }
}

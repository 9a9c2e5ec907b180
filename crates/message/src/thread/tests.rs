#![allow(clippy::unwrap_used)]

use super::*;

fn shown(forest: &Forest) -> String {
    let mut out = Vec::new();
    write_threads(forest, &mut out);
    String::from_utf8(out).unwrap()
}

/// A message with id, message id (0 for none), references and subject; its date is its id.
fn message<'a>(id: u32, message_id: u64, references: &'a [u64], subject: &'a str) -> ThreadInput<'a> {
    let base = subject.trim_start_matches("Re: ");
    ThreadInput {
        id,
        message_id: (message_id > 0).then_some(message_id),
        references,
        subject: base.as_bytes(),
        is_reply: base.len() < subject.len(),
        unix_seconds: i64::from(id),
    }
}

#[test]
fn references_make_trees() {
    let cases: [(&str, Vec<ThreadInput<'_>>, &str); 12] = [
        ("none", vec![], ""),
        (
            "a chain",
            vec![message(1, 1, &[], "a"), message(2, 2, &[1], "Re: a"), message(3, 3, &[1, 2], "Re: a")],
            "(1 2 3)",
        ),
        (
            "a fork",
            vec![message(1, 1, &[], "a"), message(2, 2, &[1], "x"), message(3, 3, &[1], "y"), message(4, 4, &[3], "z")],
            "(1 (2)(3 4))",
        ),
        ("a missing parent of two", vec![message(3, 3, &[9], "a"), message(5, 5, &[9], "b")], "((3)(5))"),
        ("a missing parent of one", vec![message(3, 3, &[8, 9], "a")], "(3)"),
        (
            "a missing message between",
            vec![message(1, 1, &[], "a"), message(3, 3, &[1, 9], "b"), message(2, 2, &[1, 9], "c")],
            "(1 (2)(3))",
        ),
        ("a circle", vec![message(1, 1, &[2], "a"), message(2, 2, &[1], "b")], "(2 1)"),
        (
            "a circle with a way in: what closes it has no parent at all",
            vec![message(3, 1, &[], "a"), message(1, 2, &[1, 3], "b"), message(2, 3, &[2], "c")],
            "(2 1)(3)",
        ),
        ("itself", vec![message(1, 1, &[1], "a")], "(1)"),
        ("one id twice", vec![message(1, 1, &[], "a"), message(2, 1, &[], "b"), message(3, 3, &[1], "c")], "(1 3)(2)"),
        ("no ids", vec![message(2, 0, &[], "b"), message(1, 0, &[], "a")], "(1)(2)"),
        ("a parent that comes later", vec![message(1, 3, &[7], "c"), message(2, 7, &[], "b")], "(2 1)"),
    ];
    for (name, messages, expected) in cases {
        assert_eq!(shown(&references(&messages)), expected, "{name}");
    }
}

#[test]
fn threads_of_one_subject_are_joined() {
    let cases: [(&str, Vec<ThreadInput<'_>>, &str); 6] = [
        ("a reply without references", vec![message(1, 1, &[], "a"), message(2, 2, &[], "Re: a")], "(1 2)"),
        ("the reply first", vec![message(1, 1, &[], "Re: a"), message(2, 2, &[], "a")], "(2 1)"),
        (
            "two of their own",
            vec![message(1, 1, &[], "a"), message(2, 2, &[], "a"), message(3, 3, &[], "a")],
            "((1)(2)(3))",
        ),
        ("no subject", vec![message(1, 1, &[], ""), message(2, 2, &[], "")], "(1)(2)"),
        (
            "below a missing parent",
            vec![message(1, 1, &[9], "a"), message(2, 2, &[9], "b"), message(3, 3, &[], "a")],
            "((1)(2)(3))",
        ),
        (
            "two missing parents",
            vec![
                message(1, 1, &[8], "a"),
                message(2, 2, &[8], "b"),
                message(3, 3, &[9], "a"),
                message(4, 4, &[9], "c"),
            ],
            "((1)(2)(3)(4))",
        ),
    ];
    for (name, messages, expected) in cases {
        assert_eq!(shown(&references(&messages)), expected, "{name}");
    }
}

#[test]
fn ordered_subject_groups_by_subject() {
    let messages = [
        message(1, 1, &[], "b"),
        message(2, 2, &[], "a"),
        message(3, 3, &[], "b"),
        message(4, 4, &[], "b"),
        message(5, 5, &[], "a"),
    ];
    assert_eq!(shown(&ordered_subject(&messages)), "(1 (3)(4))(2 5)");
    assert_eq!(shown(&ordered_subject(&[])), "");
}

#[test]
fn hostile_depth_and_width_take_ordinary_time() {
    let ids: Vec<u64> = (0..100_000).collect();
    let chain: Vec<_> = (1..100_000).map(|n| message(n, u64::from(n), &ids[n as usize - 1..n as usize], "a")).collect();
    let reversed: Vec<_> = chain.iter().rev().copied().collect();
    assert!(shown(&references(&chain)).starts_with("(1 2 3 "));
    assert!(shown(&references(&reversed)).starts_with("(1 2 3 "));
    // Each refers to a long chain of messages that do not exist.
    let missing: Vec<_> =
        (1..2_000).map(|n| message(n, 1_000_000 + u64::from(n), &ids[..100 + n as usize % 900], "x")).collect();
    assert_eq!(shown(&references(&missing)).matches(|c: char| c.is_ascii_digit()).count(), 6_889);
}

proptest::proptest! {
    #[test]
    fn every_message_comes_once(links in proptest::collection::vec((0u64..12, proptest::collection::vec(0u64..14, 0..5), 0u8..4), 0..40)) {
        let messages: Vec<_> = links
            .iter()
            .enumerate()
            .map(|(index, (id, references, subject))| message(index as u32 + 1, *id, references, ["", "a", "Re: a", "b"][usize::from(*subject)]))
            .collect();
        for forest in [references(&messages), ordered_subject(&messages)] {
            let text = shown(&forest);
            let mut found: Vec<u32> = text.split(['(', ')', ' ']).filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect();
            found.sort_unstable();
            proptest::prop_assert_eq!(found, (1..=messages.len() as u32).collect::<Vec<_>>());
            proptest::prop_assert!(!text.contains("()") && !text.contains("( ") && !text.contains(" )"));
        }
    }
}

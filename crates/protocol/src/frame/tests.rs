use super::*;

/// An event without its borrow, small data joined.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Command(String),
    Literal(String, u64),
    Append { head: String, first: bool, size: u64, synchronizing: bool, too_big: bool },
    Data(String),
    DataEnd,
    AppendEnd(String),
    Refused,
    Line(String),
    Bad(Option<String>, FrameError),
    Fatal(FatalError),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn seen(event: Event<'_>) -> Seen {
    match event {
        Event::Command(bytes) => Seen::Command(text(bytes)),
        Event::Literal { head, size } => Seen::Literal(text(head), size),
        Event::Append(AppendStart { head, first, size, synchronizing, too_big }) => {
            Seen::Append { head: text(head), first, size, synchronizing, too_big }
        }
        Event::Data(bytes) => Seen::Data(text(bytes)),
        Event::DataEnd => Seen::DataEnd,
        Event::AppendEnd(bytes) => Seen::AppendEnd(text(bytes)),
        Event::Refused => Seen::Refused,
        Event::Line(bytes) => Seen::Line(text(bytes)),
        Event::Bad { tag, error } => Seen::Bad(tag.map(|tag| tag.to_string()), error),
        Event::Fatal(error) => Seen::Fatal(error),
    }
}

/// Feeds `input` in pieces of `chunk` octets; `refuse` says of which events the framer is told so.
fn feed(framer: &mut Framer, input: &[u8], chunk: usize, refuse: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for mut piece in input.chunks(chunk) {
        while let Some(event) = framer.next(&mut piece) {
            let event = seen(event);
            if refuse(&event) {
                framer.refuse();
            }
            let fatal = matches!(event, Seen::Fatal(_));
            match (all.last_mut(), event) {
                (Some(Seen::Data(before)), Seen::Data(more)) => before.push_str(&more),
                (_, event) => all.push(event),
            }
            if fatal {
                return all;
            }
        }
        assert!(piece.is_empty(), "the framer takes all there is before it asks for more");
    }
    all
}

fn small() -> Limits {
    Limits {
        line_bytes: 40,
        literal_bytes: 10,
        literals_bytes: 15,
        literals: 3,
        nonsync_bytes: u64::MAX,
        append_bytes: 20,
        drain_bytes: 100,
        append_drain_bytes: 60,
    }
}

/// The events for `input` in one piece, in single octets and in sevens, which must be the same.
fn all_ways(limits: Limits, input: &[u8], refuse: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    let whole = feed(&mut Framer::new(limits), input, input.len().max(1), &refuse);
    for chunk in [1, 2, 7] {
        assert_eq!(
            feed(&mut Framer::new(limits), input, chunk, &refuse),
            whole,
            "in pieces of {chunk}: {}",
            text(input)
        );
    }
    whole
}

fn accept(_: &Seen) -> bool {
    false
}

fn command(text: &str) -> Seen {
    Seen::Command(text.into())
}

fn append(head: &str, first: bool, size: u64, synchronizing: bool) -> Seen {
    Seen::Append { head: head.into(), first, size, synchronizing, too_big: false }
}

fn bad(tag: &str, error: FrameError) -> Seen {
    Seen::Bad(Some(tag.into()), error)
}

#[test]
fn lines_end_in_crlf_or_lf() {
    let events = all_ways(small(), b"a NOOP\r\nb NOOP\n\r\nc NO\rOP\r\n", accept);
    assert_eq!(events, [command("a NOOP"), command("b NOOP"), command(""), command("c NO\rOP")]);
}

#[test]
fn literals_stay_with_their_command() {
    let events = all_ways(small(), b"a LOGIN {3}\r\njoe {4+}\r\n\r\n{9\r\nb NOOP\r\n", accept);
    let login = "a LOGIN {3}\r\njoe {4+}\r\n\r\n{9";
    assert_eq!(events, [Seen::Literal("a LOGIN {3}".into(), 3), command(login), command("b NOOP")]);
    let events = all_ways(small(), b"a X {0}\r\n\r\nb X {0+}\r\n y\r\n", accept);
    assert_eq!(events, [Seen::Literal("a X {0}".into(), 0), command("a X {0}\r\n"), command("b X {0+}\r\n y")]);
}

#[test]
fn a_literal_can_be_refused_before_it_is_sent() {
    let events = all_ways(small(), b"a LOGIN {3}\r\nb NOOP\r\n", |event| matches!(event, Seen::Literal(..)));
    assert_eq!(events, [Seen::Literal("a LOGIN {3}".into(), 3), Seen::Refused, command("b NOOP")]);
}

#[test]
fn an_appended_message_passes_through() {
    let events = all_ways(small(), b"a APPEND x (\\Seen) {5}\r\nab\r\nc\r\nb NOOP\r\n", accept);
    let head = "a APPEND x (\\Seen) {5}";
    let data = Seen::Data("ab\r\nc".into());
    assert_eq!(
        events,
        [append(head, true, 5, true), data, Seen::DataEnd, Seen::AppendEnd("".into()), command("b NOOP")]
    );
}

#[test]
fn data_is_lent_from_the_input() {
    let mut framer = Framer::new(Limits::AFTER_LOGIN);
    let mut input: &[u8] = b"a append x ~{6+}\r\nabc";
    assert!(matches!(framer.next(&mut input), Some(Event::Append(_))));
    let at = input.as_ptr();
    assert!(matches!(framer.next(&mut input), Some(Event::Data(data)) if data.as_ptr() == at && data == b"abc"));
    assert_eq!(framer.next(&mut input), None);
    assert_eq!(framer.buffer.capacity(), 0);
}

#[test]
fn a_mailbox_name_may_be_a_literal_of_its_own() {
    let events = all_ways(small(), b"a APPEND {1}\r\nx {2+}\r\nhi\r\n", accept);
    let start = Seen::Literal("a APPEND {1}".into(), 1);
    let head = "a APPEND {1}\r\nx {2+}";
    assert_eq!(
        events,
        [start, append(head, true, 2, false), Seen::Data("hi".into()), Seen::DataEnd, Seen::AppendEnd("".into())]
    );
}

#[test]
fn several_messages_follow_one_another() {
    let events = all_ways(small(), b"a APPEND x {2+}\r\nhi (\\Seen) {0}\r\n UTF8 (~{1+}\r\nz)\r\nb NOOP\r\n", accept);
    assert_eq!(
        events,
        [
            append("a APPEND x {2+}", true, 2, false),
            Seen::Data("hi".into()),
            Seen::DataEnd,
            append(" (\\Seen) {0}", false, 0, true),
            Seen::DataEnd,
            append(" UTF8 (~{1+}", false, 1, false),
            Seen::Data("z".into()),
            Seen::DataEnd,
            Seen::AppendEnd(")".into()),
            command("b NOOP"),
        ]
    );
}

#[test]
fn a_refused_append_is_read_to_its_end() {
    let refuse = |event: &Seen| matches!(event, Seen::Append { .. });
    let events = all_ways(small(), b"a APPEND x {5}\r\nb NOOP\r\n", refuse);
    assert_eq!(events, [append("a APPEND x {5}", true, 5, true), Seen::Refused, command("b NOOP")]);
    let events = all_ways(small(), b"a APPEND x {5+}\r\nb NO\n {3+}\r\nc X {5}\r\nb NOOP\r\n", refuse);
    assert_eq!(events, [append("a APPEND x {5+}", true, 5, false), Seen::Refused, command("b NOOP")]);
}

#[test]
fn an_append_can_be_refused_in_its_midst_and_after_its_data() {
    for chunk in [1, 3, 100] {
        let mut framer = Framer::new(small());
        let events =
            feed(&mut framer, b"a APPEND x {5+}\r\nabcde\r\nb NOOP\r\n", chunk, |event| matches!(event, Seen::Data(_)));
        assert_eq!(events[2..], [Seen::Refused, command("b NOOP")]);
    }
    let events = all_ways(small(), b"a APPEND x {1+}\r\na {3+}\r\nb X\r\nb NOOP\r\n", |event| *event == Seen::DataEnd);
    assert_eq!(events[2..], [Seen::DataEnd, Seen::Refused, command("b NOOP")]);
}

#[test]
fn a_message_over_the_limit_counts_as_refused() {
    let events =
        all_ways(small(), b"a APPEND x {21}\r\nb APPEND x {21+}\r\n012345678901234567890\r\nc NOOP\r\n", accept);
    assert!(matches!(
        &events[..],
        [
            Seen::Append { too_big: true, .. },
            Seen::Refused,
            Seen::Append { too_big: true, .. },
            Seen::Refused,
            Seen::Command(_)
        ]
    ));
    let events = all_ways(small(), b"a APPEND x {61+}\r\n", accept);
    assert_eq!(events[1..], [Seen::Fatal(FatalError::TooMuch)]);
}

#[test]
fn literals_over_a_limit_are_refused_before_the_continuation() {
    let big = FrameError::LiteralTooBig { max: 10 };
    assert_eq!(all_ways(small(), b"a X {11}\r\nb NOOP\r\n", accept), [bad("a", big), command("b NOOP")]);
    assert_eq!(
        all_ways(small(), b"a X {11+}\r\nb 34567\r\n01 y\r\nb NOOP\r\n", accept),
        [bad("a", big), command("b NOOP")]
    );
    assert_eq!(all_ways(small(), b"a X {4294967295+}\r\n", accept), [Seen::Fatal(FatalError::TooMuch)]);
    for size in ["4294967295", "9223372036854775808", "99999999999999999999"] {
        assert_eq!(all_ways(small(), format!("a X {{{size}}}\r\n").as_bytes(), accept), [bad("a", big)]);
    }
    assert_eq!(all_ways(small(), b"a X {99999999999999999999+}\r\n", accept), [Seen::Fatal(FatalError::TooMuch)]);
    let sum = FrameError::LiteralsTooBig { max: 15 };
    let events = all_ways(small(), b"a X {9+}\r\n012345678 {9+}\r\n012345678\r\nb NOOP\r\n", accept);
    assert_eq!(events, [bad("a", sum), command("b NOOP")]);
    let many = FrameError::TooManyLiterals { max: 3 };
    let events = all_ways(small(), b"a X{1+}\r\n1{1+}\r\n2{1+}\r\n3{1+}\r\n4\r\nb NOOP\r\n", accept);
    assert_eq!(events, [bad("a", many), command("b NOOP")]);
}

#[test]
fn literal_minus_has_large_ones_wait() {
    let limits = Limits { nonsync_bytes: 4, ..small() };
    let events = all_ways(limits, b"a X {5+}\r\n01234\r\nb X {4+}\r\n0123\r\nc X {5}\r\n01234\r\n", accept);
    let waiting = Seen::Literal("c X {5}".into(), 5);
    let expected = [
        bad("a", FrameError::NonSyncTooBig { max: 4 }),
        command("b X {4+}\r\n0123"),
        waiting,
        command("c X {5}\r\n01234"),
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_announces_nothing_is_the_parsers_to_judge() {
    for line in ["a X {-1}", "a X {}", "a X \"{5}\"", "a X \"abc {5}", "a X {1 }", "a X {5+} "] {
        assert_eq!(all_ways(small(), format!("{line}\r\n").as_bytes(), accept), [command(line)]);
    }
}

#[test]
fn a_line_too_long_is_read_to_its_end_with_the_literals_it_announces() {
    let error = FrameError::LineTooLong { max: 40 };
    let exact = format!("a {}", "x".repeat(38));
    assert_eq!(all_ways(small(), format!("{exact}\r\n").as_bytes(), accept), [command(&exact)]);
    assert_eq!(
        all_ways(small(), format!("{exact}x\r\nb NOOP\r\n").as_bytes(), accept),
        [bad("a", error), command("b NOOP")]
    );
    let literal = format!("{exact} {{8+}}\r\nb NOOP\r\n y\r\nc NOOP\r\n");
    assert_eq!(all_ways(small(), literal.as_bytes(), accept), [bad("a", error), command("c NOOP")]);
    // The limit lies within the announcement.
    let within = format!("{} {{8+}}\r\nb NOOP\r\n y\r\nc NOOP\r\n", &exact[..37]);
    assert_eq!(all_ways(small(), within.as_bytes(), accept), [bad("a", error), command("c NOOP")]);
    let sync = format!("{exact} {{8}}\r\nb NOOP\r\n");
    assert_eq!(all_ways(small(), sync.as_bytes(), accept), [bad("a", error), command("b NOOP")]);
    let endless = all_ways(small(), "a".repeat(200).as_bytes(), accept);
    assert_eq!(endless, [Seen::Fatal(FatalError::TooMuch)]);
    let no_tag = "(".repeat(50) + "\r\n";
    assert_eq!(all_ways(small(), no_tag.as_bytes(), accept), [Seen::Bad(None, error)]);
    // Text on both sides of literals is one command's text.
    let parts = "a X234567890 {1+}\r\nx 234567890123456789012345\r\nb NOOP\r\n";
    assert_eq!(all_ways(small(), parts.as_bytes(), accept), [bad("a", error), command("b NOOP")]);
}

#[test]
fn memory_follows_what_was_sent_not_what_was_announced() {
    let mut framer = Framer::new(Limits { literal_bytes: 1 << 40, literals_bytes: 1 << 40, ..Limits::AFTER_LOGIN });
    assert_eq!(feed(&mut framer, b"a X {1000000000000+}\r\nabc", 5, accept), []);
    assert!(framer.buffer.capacity() < 100);
}

#[test]
fn memory_before_login_stays_small() {
    let mut framer = Framer::new(Limits::BEFORE_LOGIN);
    let mut fed = 0;
    let fatal = loop {
        let mut input = [b'('; 1000].as_slice();
        match framer.next(&mut input) {
            None => fed += 1000,
            Some(event) => break seen(event),
        }
        assert!(framer.buffer.capacity() <= 16 << 10 && fed <= 70_000);
    };
    assert_eq!(fatal, Seen::Fatal(FatalError::TooMuch));
    assert_eq!(framer.next(&mut b"a NOOP\r\n".as_slice()), Some(Event::Fatal(FatalError::TooMuch)));
}

#[test]
fn nothing_is_held_between_commands() {
    let mut framer = Framer::new(Limits::AFTER_LOGIN);
    let events = feed(&mut framer, b"a X {3+}\r\nabc\r\nb NOOP\r\n", 1, accept);
    assert_eq!(events.len(), 2);
    assert!(framer.is_between_commands());
    assert_eq!(framer.next(&mut [].as_slice()), None);
    assert_eq!((framer.buffer.capacity(), framer.is_between_commands()), (0, true));
    assert_eq!(feed(&mut framer, b"c", 1, accept), []);
    assert!(!framer.is_between_commands());
}

#[test]
fn a_raw_line_is_no_command_and_the_next_one_is() {
    for chunk in [1, 3, 100] {
        let mut framer = Framer::new(small());
        assert_eq!(feed(&mut framer, b"a IDLE\r\n", chunk, accept), [command("a IDLE")]);
        framer.expect_line();
        let events = feed(&mut framer, b"DONE\r\nb X {1+}\r\nx\r\n", chunk, accept);
        assert_eq!(events, [Seen::Line("DONE".into()), command("b X {1+}\r\nx")]);
        framer.expect_line();
        let events = feed(&mut framer, b"{5+}\r\nc NOOP\r\n", chunk, accept);
        assert_eq!(events, [Seen::Line("{5+}".into()), command("c NOOP")]);
        framer.expect_line();
        let events = feed(&mut framer, &[b'x'; 50], chunk, accept);
        assert_eq!(events, [Seen::Fatal(FatalError::LineTooLong { max: 40 })]);
    }
}

#[test]
fn other_protocols_are_told_apart() {
    let http = [Seen::Fatal(FatalError::Http)];
    assert_eq!(all_ways(small(), b"GET / HTTP/1.1\r\nHost: x\r\n", accept), http);
    assert_eq!(all_ways(small(), b"POST /a HTTP/1.0\n", accept), http);
    assert_eq!(all_ways(small(), b"GET NOOP\r\n", accept), [command("GET NOOP")]);
    assert_eq!(all_ways(small(), b"a NOOP\r\nGET / HTTP/1.1\r\n", accept)[1..], [command("GET / HTTP/1.1")]);
    assert_eq!(all_ways(small(), b"\x16\x03\x01\x02\x00\x01", accept), [Seen::Fatal(FatalError::Tls)]);
}

#[test]
fn limits_change_between_commands() {
    let mut framer = Framer::new(Limits { line_bytes: 10, ..Limits::BEFORE_LOGIN });
    framer.set_limits(Limits::AFTER_LOGIN);
    let line = format!("a X {}", "x".repeat(60_000));
    assert_eq!(feed(&mut framer, format!("{line}\r\n").as_bytes(), 4096, accept), [command(&line)]);
}

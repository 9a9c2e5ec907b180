use super::*;
use proptest::prelude::*;

fn machine() -> Machine<String> {
    let rules = Rules {
        host_name: "mail.example".into(),
        message_bytes_max: 1000,
        recipients_max: 3,
        bad_commands_max: 3,
        passed_on: false,
    };
    Machine::new(rules)
}

/// Sends lines, accepts every recipient that begins with `b`, and gives the codes of the answers.
fn talk(machine: &mut Machine<String>, lines: &[&str]) -> Vec<String> {
    let lines = lines.iter().map(|line| match machine.line(line.as_bytes()) {
        Action::Reply(reply) => reply.code().to_string(),
        Action::Close(reply) => format!("close {}", reply.code()),
        Action::Recipient { address, .. } if address.local().starts_with('b') => {
            machine.accept(address.to_string());
            "250".into()
        }
        Action::Recipient { .. } => "550".into(),
        Action::Data => "354".into(),
        Action::Chunk { octets, last } => format!("take {octets}{}", if last { " last" } else { "" }),
        Action::Skip { octets, reply } => format!("skip {octets} {}", reply.code()),
    });
    lines.collect()
}

const BEGIN: [&str; 3] = ["LHLO x", "MAIL FROM:<a@b>", "RCPT TO:<bob@x>"];

#[test]
fn commands_come_in_order() {
    let table: [(&[&str], &[&str]); 12] = [
        (&["MAIL FROM:<>", "RCPT TO:<bob>", "DATA", "BDAT 3"], &["503", "503", "503", "skip 3 503"]),
        (&["LHLO x", "RCPT TO:<bob>", "DATA", "BDAT 3 LAST"], &["250", "503", "503", "skip 3 503"]),
        (&["LHLO x", "MAIL FROM:<>", "MAIL FROM:<>", "DATA"], &["250", "250", "503", "503"]),
        (&["LHLO x", "MAIL FROM:<>", "RCPT TO:<who>", "DATA"], &["250", "250", "550", "503"]),
        (&["LHLO x", "MAIL FROM:<>", "RCPT TO:<who>", "RCPT TO:<bob>", "DATA"], &["250", "250", "550", "250", "354"]),
        (&["LHLO x", "MAIL FROM:<>", "RSET", "MAIL FROM:<>"], &["250", "250", "250", "250"]),
        (&["LHLO x", "MAIL FROM:<>", "LHLO x", "RCPT TO:<bob>"], &["250", "250", "250", "503"]),
        (&["LHLO x", "MAIL FROM:<> SIZE=1001", "RCPT TO:<bob>"], &["250", "552", "503"]),
        (&["LHLO x", "MAIL FROM:<> SIZE=1000", "RCPT TO:<bob>"], &["250", "250", "250"]),
        (&["LHLO x", "MAIL FROM:<>", "RCPT TO:<bé>"], &["250", "250", "553"]),
        (&["LHLO x", "MAIL FROM:<> SMTPUTF8", "RCPT TO:<bé>"], &["250", "250", "250"]),
        (
            &["NOOP", "RSET", "HELP", "VRFY x", "EXPN x", "EHLO x", "QUIT"],
            &["250", "250", "214", "252", "502", "500", "close 221"],
        ),
    ];
    for (lines, codes) in table {
        assert_eq!(talk(&mut machine(), lines), codes, "{lines:?}");
    }
}

#[test]
fn recipients_have_a_bound() {
    let mut machine = machine();
    talk(&mut machine, &BEGIN);
    for code in ["250", "250", "452", "452"] {
        assert_eq!(talk(&mut machine, &["RCPT TO:<b@x>"]), [code]);
    }
    assert_eq!(machine.end_message().unwrap().recipients.len(), 3);
}

#[test]
fn a_message_by_chunks_lasts_until_its_last_or_rset() {
    let mut machine = machine();
    talk(&mut machine, &BEGIN);
    let codes = talk(&mut machine, &["BDAT 5", "RCPT TO:<bob>", "MAIL FROM:<>", "DATA", "NOOP", "BDAT 0 LAST"]);
    assert_eq!(codes, ["take 5", "503", "503", "503", "250", "take 0 last"]);
    assert!(machine.is_in_chunks());
    assert_eq!(machine.end_message().unwrap().recipients, ["bob@x"]);
    assert!(!machine.is_in_chunks() && machine.transaction().is_none());

    talk(&mut machine, &BEGIN[1..]);
    assert_eq!(talk(&mut machine, &["BDAT 5"]), ["take 5"]);
    machine.chunk_failed();
    assert_eq!(talk(&mut machine, &["BDAT 7", "BDAT 1 LAST", "DATA"]), ["skip 7 503", "skip 1 503", "503"]);
    assert_eq!(talk(&mut machine, &["RSET", "MAIL FROM:<>", "RCPT TO:<bob>", "BDAT 2 LAST"])[3], "take 2 last");
}

#[test]
fn another_protocol_is_cut_at_its_first_line() {
    for line in ["POST / HTTP/1.1", "GET / HTTP/1.0", "\u{16}\u{3}\u{1}", "", "a1 LOGIN bob secret"] {
        assert_eq!(talk(&mut machine(), &[line]), ["close 500"], "{line:?}");
    }
    assert_eq!(talk(&mut machine(), &["EHLO x", "what", "LHLO x"]), ["500", "500", "250"]);
}

#[test]
fn bad_commands_in_a_row_are_counted() {
    let mut machine = machine();
    assert_eq!(talk(&mut machine, &["NOOP", "x", "x", "NOOP", "x", "MAIL", "x"]).last().unwrap(), "close 421");
    // What is out of order is not misunderstood: a client that pipelines has its recipients refused after its sender.
    let mut machine = self::machine();
    assert_eq!(talk(&mut machine, &["LHLO x", "RCPT TO:<b>", "RCPT TO:<b>", "RCPT TO:<b>", "RCPT TO:<b>"])[4], "503");
}

proptest! {
    #[test]
    fn a_message_is_taken_only_for_accepted_recipients(
        lines in prop::collection::vec(prop::sample::select(vec![
            "LHLO x", "MAIL FROM:<>", "RCPT TO:<bob>", "RCPT TO:<who>", "DATA", "BDAT 1", "BDAT 1 LAST", "RSET", "NOOP", "MAIL FROM:<> SIZE=9999",
        ]), 0..30),
    ) {
        let mut machine = machine();
        for line in lines {
            let answer = talk(&mut machine, &[line]);
            if answer[0] == "354" || answer[0].starts_with("take") {
                let transaction = machine.transaction().unwrap();
                prop_assert!((1..=3).contains(&transaction.recipients.len()));
                if answer[0] != "take 1" {
                    machine.end_message();
                }
            }
        }
    }
}

//! What comes by LMTP and wants to be two messages, or too many.

use paquebot_testkit::LmtpAddress;

use crate::attack::{Raw, Stage};

/// A connection that has said LHLO.
fn lmtp(stage: &Stage) -> Raw {
    let LmtpAddress::Tcp(address) = stage.server.addresses().lmtp else { panic!("LMTP is on TCP here") };
    let mut raw = Raw::connect(address);
    raw.until("\r\n");
    raw.send(b"LHLO x\r\n");
    raw.until("250 ");
    raw.until("\r\n");
    raw
}

fn reply(raw: &mut Raw, command: &str) -> String {
    raw.send(format!("{command}\r\n").as_bytes());
    raw.until("\r\n")
}

/// Only CRLF.CRLF ends a message: whatever looks like it to another server is part of it, and the commands behind are too.
#[test]
fn no_second_message_is_smuggled_in_one() {
    let stage = Stage::new();
    for end in ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\n.\r", "\r\n\0.\r\n", "\r\r\n.\r\r\n"] {
        let mut raw = lmtp(&stage);
        assert!(reply(&mut raw, "MAIL FROM:<a@x>").starts_with("250"));
        assert!(reply(&mut raw, "RCPT TO:<bert>").starts_with("250"));
        assert!(reply(&mut raw, "DATA").starts_with("354"));
        let smuggled = "MAIL FROM:<admin@x>\r\nRCPT TO:<bert>\r\nDATA\r\nsmuggled\r\n.\r\n";
        raw.send(format!("Subject: one\r\n\r\nfirst{end}{smuggled}").as_bytes());
        assert!(raw.until("\r\n").starts_with(['2', '5']), "{end:?}");
        raw.send(b"QUIT\r\n");
        let rest = raw.rest();
        assert!(!rest.contains("354") && rest.matches("250").count() == 0, "{end:?}: {rest}");
    }
    let mut bert = stage.bert();
    bert.command("SELECT INBOX");
    assert!(!bert.command("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Return-Path)])").contains("admin@x"));
    stage.judge();
}

#[test]
fn recipients_are_bounded_and_exact() {
    let stage = Stage::new();
    let mut raw = lmtp(&stage);
    assert!(reply(&mut raw, "MAIL FROM:<>").starts_with("250"));
    let odd = [
        "<\"\"@x>",
        "<>",
        "<@>",
        "<bert@x",
        "bert@x>",
        "<bert+../../x@>",
        "<\"be\rrt\"@x>",
        "<%u@%{env:HOME}>",
        "<@a,@b:>",
    ];
    for address in odd {
        let answer = reply(&mut raw, &format!("RCPT TO:{address}"));
        assert!(answer.starts_with('5'), "{address}: {answer}");
        // Too many mistakes end a connection.
        raw = lmtp(&stage);
        reply(&mut raw, "MAIL FROM:<>");
    }
    let mut taken = 0;
    for _ in 0..5_000 {
        let answer = reply(&mut raw, "RCPT TO:<bert@x>");
        if !answer.starts_with("250") {
            assert!(answer.is_empty() || answer.starts_with(['4', '5']), "{answer}");
            break;
        }
        taken += 1;
    }
    assert!((100..5_000).contains(&taken), "{taken} recipients were taken");
    // The detail is a mailbox's name and no path.
    let mut raw = lmtp(&stage);
    reply(&mut raw, "MAIL FROM:<>");
    reply(&mut raw, "RCPT TO:<\"bert+../../../../tmp/x\"@x>");
    reply(&mut raw, "DATA");
    raw.send(b"Subject: path\r\n\r\n.\r\n");
    raw.until("\r\n");
    assert!(!stage.bert().command("LIST \"\" *").contains(".."));
    stage.judge();
}

#[test]
fn a_line_without_end_is_cut() {
    let stage = Stage::new();
    let mut raw = lmtp(&stage);
    raw.give_up_writing_after(std::time::Duration::from_secs(5));
    let piece = vec![b'a'; 1 << 20];
    let taken = (0..64).take_while(|_| raw.send(&piece)).count();
    assert!(taken < 64, "the server reads a command of {taken} MB");
    stage.judge();
}

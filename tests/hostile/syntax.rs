//! Commands that are too long, too deep or too odd.

use crate::attack::Stage;

#[test]
fn nothing_is_kept_of_what_comes_before_login() {
    let stage = Stage::new();
    let mut parentheses = stage.stranger();
    parentheses.send(b"a ID ");
    parentheses.send("(".repeat(1_000_000).as_bytes());
    parentheses.send(b"\r\n");
    assert!(!parentheses.rest().contains("a OK"));
    let mut endless = stage.stranger();
    endless.send(&vec![b'x'; 1 << 20]);
    assert!(endless.rest().contains("BYE"));
    for _ in 0..200 {
        let mut aborted = stage.stranger();
        aborted.send(b"a AUTHENTICATE SCRAM-SHA-256\r\n");
        aborted.until("+ ");
        aborted.send(b"*\r\n");
        assert!(aborted.until("a BAD").ends_with("a BAD"));
    }
    stage.judge();
}

#[test]
fn literals_are_not_believed() {
    let stage = Stage::new();
    for size in ["4294967295", "4294967296", "99999999999999999999", "-1", "", "1x", "18446744073709551615"] {
        let mut raw = stage.bert();
        let answer = raw.command(&format!("SELECT {{{size}}}"));
        assert!(answer.contains("x1 BAD") && !answer.contains("+ "), "{size}: {answer}");
        let mut append = stage.bert();
        append.send(format!("x1 APPEND INBOX {{{size}}}\r\n").as_bytes());
        let answer = append.until("\r\n");
        assert!(answer.starts_with("x1 NO [TOOBIG]") || answer.starts_with("x1 BAD"), "{size}: {answer}");
    }
    let mut drained = stage.bert();
    drained.send(b"x1 APPEND INBOX {2147483647+}\r\n");
    let piece = vec![b'y'; 1 << 20];
    let taken = (0..400).take_while(|_| drained.send(&piece)).count();
    assert!(taken < 400, "the server reads for ever what it refuses");
    let mut many = stage.bert();
    many.send(b"x1 LIST \"\" (");
    for _ in 0..100_000 {
        if !many.send(b"{1+}\r\na ") {
            break;
        }
    }
    many.send(b")\r\n");
    assert!(!many.until("\r\n").contains("x1 OK"));
    stage.judge();
}

#[test]
fn numbers_and_sets_are_bounded() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("SELECT INBOX");
    for bad in
        ["UID FETCH 4294967297 FLAGS", "FETCH 0 FLAGS", "UID FETCH 1:4294967296 FLAGS", "FETCH 1 BODY[]<4294967296.1>"]
    {
        assert!(raw.command(bad).contains("x1 BAD"), "{bad}");
    }
    let many = vec!["1:4294967295"; 5_000].join(",");
    let answer = raw.command(&format!("UID FETCH {} FLAGS", &many[..60_000]));
    assert!(answer.contains("x1 OK") || answer.contains("x1 BAD"), "{answer}");
    assert!(raw.command("UID FETCH 1:* BODY[]<4294967295.4294967295>").contains("x1 OK"));
    assert!(raw.lives());
    stage.judge();
}

#[test]
fn nesting_is_bounded() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("SELECT INBOX");
    assert!(raw.command(&format!("SEARCH {}ALL", "NOT ".repeat(8_000))).contains("x1 BAD"));
    assert!(raw.command(&format!("SEARCH {}ALL{}", "(".repeat(8_000), ")".repeat(8_000))).contains("x1 BAD"));
    assert!(raw.command(&format!("SEARCH {}ALL ALL", "OR ".repeat(8_000))).contains("x1 BAD"));
    let multiparts: String =
        (0..5_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(3_000);
    for message in [multiparts, messages] {
        raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
        assert!(raw.until("x1 OK").ends_with("x1 OK"));
        raw.until("\r\n");
    }
    let answer = raw.command("FETCH 1:* (BODYSTRUCTURE ENVELOPE PREVIEW BODY.PEEK[1.1.1.1])");
    assert!(answer.contains("x1 OK") && answer.contains("BODYSTRUCTURE"));
    stage.judge();
}

#[test]
fn headers_that_blow_up_take_ordinary_time() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("SELECT INBOX");
    let addresses = format!("To: {}\r\n\r\n", vec!["a@b.example"; 50_000].join(", "));
    let long = format!("Subject: {}\r\n\r\n", "x".repeat(4 << 20));
    let many: String = (0..100_000).map(|n| format!("X-{n}: y\r\n")).collect::<String>() + "\r\n";
    let pieces: String = (0..20_000).map(|n| format!("; name*{n}*=a")).collect();
    let parameters = format!("Content-Type: text/plain{pieces}\r\n\r\n");
    for message in [addresses, long, many, parameters] {
        raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()).as_bytes());
        assert!(raw.until("x1 OK").ends_with("x1 OK"));
        raw.until("\r\n");
    }
    assert!(raw.command("FETCH 1:* (ENVELOPE BODYSTRUCTURE)").contains("x1 OK"));
    assert!(raw.command("SEARCH TO a@b.example").contains("* SEARCH 1\r\n"));
    stage.judge();
}

#[test]
fn odd_syntax_gets_an_answer() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("SELECT INBOX");
    let headers = [
        "From: (comment \\",
        "From: :;",
        "From: <>",
        "To: \"",
        "Date: ,",
        "Subject: =?utf-8?B?",
        "Subject: \u{c3}",
        "References: <<<>>>",
        "Content-Type: /;=\"\\",
    ];
    for header in headers {
        raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n{header}\r\n", header.len()).as_bytes());
        assert!(raw.until("x1 OK").ends_with("x1 OK"), "{header}");
        raw.until("\r\n");
    }
    let all = "FETCH 1:* (ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[HEADER.FIELDS (From To Date Subject)])";
    assert!(raw.command(all).contains("x1 OK"));
    for sort in ["SORT (SUBJECT FROM TO DATE) UTF-8 ALL", "THREAD REFERENCES UTF-8 ALL", "SEARCH CHARSET UTF-8 TEXT x"]
    {
        assert!(raw.command(sort).contains("x1 OK"), "{sort}");
    }
    for odd in [
        "LIST \"\" \"",
        "FETCH 1 BODY[",
        "STORE 1 FLAGS (\\",
        "SEARCH HEADER",
        "STATUS INBOX (",
        "FETCH",
        "UID",
        "UID UID UID",
        "SEARCH ()",
    ] {
        assert!(raw.command(odd).contains("x1 BAD"), "{odd}");
    }
    stage.judge();
}

#[test]
fn patterns_and_keywords_take_linear_time() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command(&format!("CREATE {}", "a".repeat(200)));
    let pattern = format!("{}b", "*a".repeat(100));
    assert!(raw.command(&format!("LIST \"\" \"{pattern}\"")).contains("x1 OK"));
    raw.command("SELECT INBOX");
    raw.send(b"x1 APPEND INBOX {1+}\r\nx\r\n");
    raw.until("x1 OK");
    let mut limited = false;
    for group in 0..50 {
        let keywords: Vec<String> = (0..100).map(|n| format!("k{group}-{n}")).collect();
        limited |= raw.command(&format!("STORE 1 +FLAGS ({})", keywords.join(" "))).contains("x1 NO [LIMIT]");
    }
    assert!(limited, "5,000 keywords were taken");
    stage.judge();
}

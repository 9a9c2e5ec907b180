//! Who somebody is, and what is left of it.

use std::time::{Duration, Instant};

use crate::attack::{Raw, Stage};

/// `AUTHENTICATE PLAIN` with these octets.
fn plain(stage: &Stage, message: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in message.as_bytes().chunks(3) {
        let bits = chunk.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..4 {
            let symbol = DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char;
            encoded.push(if digit <= chunk.len() { symbol } else { '=' });
        }
    }
    // An empty message is written so (RFC 4959, 3).
    let encoded = if encoded.is_empty() { "=" } else { &encoded };
    stage.stranger().command(&format!("AUTHENTICATE PLAIN {encoded}"))
}

#[test]
fn sasl_messages_are_exact() {
    let curve = "{ free = 1000, first = \"1ms\", most = \"1ms\" }";
    let at_once = format!("auth.delay.address = {curve}\nauth.delay.pair = {curve}\nauth.delay.account = {curve}\n");
    let stage = Stage::with_settings(&at_once);
    assert!(plain(&stage, "\0bert\0secret").contains("x1 OK"));
    assert!(plain(&stage, "bert\0bert\0secret").contains("x1 OK"));
    for message in [
        "root\0bert\0secret",
        "bert",
        "bert\0secret",
        "\0bert\0secret\0",
        "\0bert\0secret\0x",
        "\0\0secret",
        "\0bert\0",
        "",
    ] {
        let answer = plain(&stage, message);
        assert!(answer.contains("x1 NO") || answer.contains("x1 BAD"), "{message:?}: {answer}");
    }
    for broken in ["AUTHENTICATE PLAIN ====", "AUTHENTICATE PLAIN !", "AUTHENTICATE PLAIN YQ", "AUTHENTICATE NOSUCH"] {
        let answer = stage.stranger().command(broken);
        assert!(answer.contains("x1 NO") || answer.contains("x1 BAD"), "{broken}: {answer}");
    }
    stage.judge();
}

#[test]
fn a_wrong_user_and_a_wrong_password_are_told_the_same() {
    let stage = Stage::new();
    let wrong_password = stage.stranger().command("LOGIN bert wrong");
    let wrong_user = stage.stranger().command("LOGIN nobody wrong");
    assert!(wrong_password.contains("x1 NO [AUTHENTICATIONFAILED]"));
    assert_eq!(wrong_password, wrong_user);
    stage.judge();
}

/// Somebody guesses from one address; the owner comes from another.
#[test]
fn the_owner_gets_in_while_somebody_guesses() {
    let stage = Stage::new();
    let mut guessers: Vec<Raw> = (0..4).map(|_| Raw::connect_from([127, 0, 0, 3], stage.imap())).collect();
    for raw in &mut guessers {
        raw.until("\r\n");
        for guess in 0..5 {
            raw.send(format!("g{guess} LOGIN bert guess{guess}\r\n").as_bytes());
        }
    }
    let begun = Instant::now();
    let mut owner = Raw::connect_from([127, 0, 0, 2], stage.imap());
    owner.until("\r\n");
    assert!(owner.command("LOGIN bert secret").contains("x1 OK"));
    assert!(begun.elapsed() < Duration::from_secs(10), "the owner waited {:?}", begun.elapsed());
    drop(guessers);
    stage.judge();
}

#[test]
fn nothing_is_left_of_a_user_who_has_gone() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    raw.command("CREATE private");
    raw.command("SELECT private");
    raw.command("ENABLE QRESYNC");
    assert!(raw.command("UNAUTHENTICATE").contains("x1 OK"));
    for command in ["SELECT private", "FETCH 1 FLAGS", "LIST \"\" *", "SEARCH ALL", "EXPUNGE"] {
        assert!(raw.command(command).contains("x1 BAD"), "{command}");
    }
    assert!(raw.command("LOGIN anna secret").contains("x1 OK"));
    assert!(raw.command("FETCH 1 FLAGS").contains("x1 BAD"), "nothing is selected");
    assert!(raw.command("SELECT private").contains("x1 NO"));
    assert!(!raw.command("LIST \"\" *").contains("private"));
    raw.send(b"x1 LOGOUT\r\nx2 SELECT INBOX\r\n");
    assert!(!raw.rest().contains("x2 OK"));
    stage.judge();
}

#[test]
fn what_is_pipelined_behind_starttls_is_dropped() {
    let stage = Stage::new();
    for injected in ["x2 LOGIN bert secret\r\n", "x2 LOGIN {4+}\r\nbe", "x2 NOOP\r\n"] {
        let mut raw = stage.stranger();
        raw.send(format!("x1 STARTTLS\r\n{injected}").as_bytes());
        let answer = raw.until("x1 OK") + &raw.until("\r\n");
        assert!(answer.contains("x1 OK"));
        // The server waits for a handshake now, and what it got is none.
        raw.send(b"x3 NOOP\r\n");
        let rest = raw.rest();
        assert!(!rest.contains("x2 ") && !rest.contains("x3 "), "{rest}");
    }
    stage.judge();
}

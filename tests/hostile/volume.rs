//! A lot of mail at once.

use crate::attack::Stage;

#[test]
fn a_message_of_100_megabytes_comes_and_goes() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    const PIECES: usize = 100;
    let piece = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(1 << 14);
    raw.send(format!("x1 APPEND INBOX {{{}+}}\r\n", PIECES * piece.len()).as_bytes());
    for _ in 0..PIECES {
        assert!(raw.send(&piece));
    }
    raw.send(b"\r\n");
    assert!(raw.until("x1 OK").ends_with("x1 OK"));
    raw.until("\r\n");
    raw.command("SELECT INBOX");
    raw.send(b"x1 FETCH 1 BODY.PEEK[]\r\n");
    let announced = raw.until("}\r\n");
    assert!(announced.ends_with(&format!("{{{}}}\r\n", PIECES * piece.len())), "{announced}");
    assert!(raw.take(PIECES * piece.len(), &piece), "what came back is not what was sent");
    assert!(raw.until("x1 OK").ends_with("x1 OK"));
    stage.judge();
}

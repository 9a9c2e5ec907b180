//! Bodies of every size, and damaged ones.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::Server;

/// Turns one bit of the last place in the store's files where `text` is. Gives whether there was one.
pub fn damage(folder: &Path, text: &str) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if damage_file(&path, text.as_bytes()) {
                return true;
            }
        }
    }
    false
}

fn damage_file(path: &PathBuf, text: &[u8]) -> bool {
    use std::os::unix::fs::FileExt as _;
    let bytes = fs::read(path).unwrap();
    let Some(at) = bytes.windows(text.len()).rposition(|window| window == text) else { return false };
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    true
}

/// Text in lines, `bytes` of it or a little more, different everywhere.
pub fn text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 40);
    let mut line = 0u32;
    while text.len() < bytes {
        line += 1;
        text.push_str(&format!("line {line} of some text, {}\r\n", line.wrapping_mul(2_654_435_761)));
    }
    text
}

#[tokio::test]
async fn a_damaged_message_fails_by_itself() {
    let server = Server::start().await;
    let mut client = server.select().await;
    // What is to be damaged lies behind what PREVIEW shows, which the index has too.
    let body = |number: u32| format!("{} this is number {number}", "x".repeat(300));
    for number in 1..=3 {
        client.append("INBOX", &format!("Subject: message {number}\r\n\r\n{}", body(number))).await;
    }
    assert!(damage(server.data(), "this is number 2"));
    let fetch = client.fails("FETCH 1:3 (BODY.PEEK[TEXT])", "NO [SERVERBUG] ").await;
    let told = |number: u32| format!("* {number} FETCH (BODY[TEXT] {{317}}\r\n{})", body(number));
    assert_eq!(fetch.untagged, [told(1), told(3)]);
    // What the index has is told, whether it was asked for before or after what fails.
    let fetch = client.fails("FETCH 2 (UID BODY.PEEK[] RFC822.SIZE)", "NO [SERVERBUG] ").await;
    assert_eq!(fetch.untagged, ["* 2 FETCH (UID 2 RFC822.SIZE 339)"]);
    let fetch =
        client.fails("FETCH 2 (BODY.PEEK[HEADER.FIELDS (X)] BINARY.SIZE[1] BODY.PEEK[9])", "NO [SERVERBUG] ").await;
    assert_eq!(fetch.untagged, ["* 2 FETCH (BINARY.SIZE[1] 317 BODY[9] NIL)"]);
    assert!(client.ok("FETCH 2 (ENVELOPE)").await.has_any("message 2"));
    let search = client.ok("SEARCH BODY number").await;
    assert!(search.has("* SEARCH 1 3") && search.has_any("* NO [CORRUPTION] 1 "), "{search:?}");
    assert_eq!(client.ok("SEARCH SUBJECT message").await.untagged, ["* SEARCH 1 2 3"]);
    assert!(client.ok("NOOP").await.untagged.is_empty());
}

#[tokio::test]
async fn a_large_damaged_message_is_never_sent_to_its_end() {
    let server = Server::start().await;
    let mut client = server.select().await;
    client.append("INBOX", &format!("\r\n{}the end", text(400_000))).await;
    assert!(damage(server.data(), "the end"));
    client.start("FETCH 1 (BODY.PEEK[])").await;
    let lines = client.ends().await;
    assert!(lines.iter().all(|line| !line.contains("the end") && !line.starts_with('t')), "{}", lines.len());
    assert!(
        server.select().await.ok("FETCH 1 (BODY.PEEK[1]<0.10>)").await.has("* 1 FETCH (BODY[1]<0> {10}\r\nline 1 of )")
    );
}

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    let server = Server::start().await;
    let mut client = server.select().await;
    for bytes in [1, 32 << 10, 64 << 10, 65 << 10, 300_000, 1_500_000] {
        let body = text(bytes);
        let message = format!("Subject: x\r\n\r\n{body}");
        client.append("INBOX", &message).await;
        let fetch = client.ok("FETCH * (RFC822.SIZE BODY.PEEK[] BODY.PEEK[TEXT])").await;
        let (size, body_size) = (message.len(), body.len());
        let expected =
            format!("(RFC822.SIZE {size} BODY[] {{{size}}}\r\n{message} BODY[TEXT] {{{body_size}}}\r\n{body})");
        assert!(fetch.untagged.len() == 1 && fetch.untagged[0].ends_with(&expected), "{bytes}");
        let from = body_size / 2;
        let part = &body[from..body_size.min(from + 70_000)];
        let fetch = client.ok(&format!("FETCH * (BODY.PEEK[1]<{from}.70000>)")).await;
        assert!(fetch.has_any(&format!("(BODY[1]<{from}> {{{}}}\r\n{part})", part.len())), "{bytes}");
    }
}

#[tokio::test]
async fn large_parts_are_decoded_as_small_ones_are() {
    let server = Server::start().await;
    let mut client = server.select().await;
    for bytes in [1_000, 700_000] {
        let body = text(bytes);
        let encoded = STANDARD.encode(&body);
        let lines: Vec<&str> =
            (0..encoded.len()).step_by(76).map(|at| &encoded[at..encoded.len().min(at + 76)]).collect();
        let message = format!("Content-Transfer-Encoding: base64\r\n\r\n{}\r\n", lines.join("\r\n"));
        client.append("INBOX", &message).await;
        let size = body.len();
        let fetch = client.ok("FETCH * (BINARY.SIZE[1] BINARY.PEEK[1])").await;
        let expected = format!("(BINARY.SIZE[1] {size} BINARY[1] {{{size}}}\r\n{body})");
        assert!(fetch.untagged.len() == 1 && fetch.untagged[0].ends_with(&expected), "{bytes}");
        let from = size - 500;
        let fetch = client.ok(&format!("FETCH * (BINARY.PEEK[1]<{from}.400>)")).await;
        assert!(fetch.has_any(&format!("(BINARY[1]<{from}> {{400}}\r\n{})", &body[from..from + 400])), "{bytes}");
        let fetch = client.ok(&format!("FETCH * (BINARY.PEEK[1]<{size}.400>)")).await;
        assert!(fetch.has_any(&format!("(BINARY[1]<{size}> \"\")")), "{bytes}");
        // The last line is found though it is read in pieces and encoded.
        let last = body.trim_end().rsplit("\r\n").next().unwrap().to_uppercase();
        assert_eq!(client.ok(&format!("SEARCH * BODY \"{last}\"")).await.untagged.len(), 1);
        assert!(client.ok(&format!("SEARCH * BODY \"{last}\"")).await.untagged[0] != "* SEARCH");
        assert_eq!(client.ok("SEARCH * BODY \"not in it\"").await.untagged, ["* SEARCH"]);
    }
}

#[tokio::test]
async fn a_large_header_is_picked_from_as_a_small_one_is() {
    let server = Server::start().await;
    let mut client = server.select().await;
    for fields in [10, 20_000] {
        let others: String = (0..fields).map(|number| format!("X-Other: {number} {}\r\n", "o".repeat(20))).collect();
        client.append("INBOX", &format!("X-Mark: one\r\n{others}x-mark: two\r\n\tfolded\r\n\r\nbody")).await;
        let fetch = client.ok("FETCH * (BODY.PEEK[HEADER.FIELDS (X-Mark)])").await;
        let picked = "X-Mark: one\r\nx-mark: two\r\n\tfolded\r\n\r\n";
        let expected = format!("(BODY[HEADER.FIELDS (X-Mark)] {{{}}}\r\n{picked})", picked.len());
        assert!(fetch.has_any(&expected), "{fields}");
        let fetch = client.ok("FETCH * (BODY.PEEK[HEADER.FIELDS.NOT (X-Mark)]<0.2000000>)").await;
        let size = others.len() + 2;
        let expected = format!("(BODY[HEADER.FIELDS.NOT (X-Mark)]<0> {{{size}}}\r\n{others}\r\n)");
        assert!(fetch.untagged[0].ends_with(&expected), "{fields}");
    }
}

#[tokio::test]
async fn messages_of_very_many_or_very_deep_parts_are_served() {
    let server = Server::start().await;
    let mut client = server.select().await;
    let wide = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\nContent-Type: text/plain\r\n\r\npart\r\n".repeat(12_000)
    );
    let deep = format!("{}innermost", "Content-Type: message/rfc822\r\n\r\n".repeat(3_000));
    let nested: String = (0..1_000)
        .map(|number| format!("Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n"))
        .collect();
    for message in [wide, deep, nested] {
        client.append("INBOX", &message).await;
        let fetch = client.ok("FETCH * (BODY.PEEK[] BODYSTRUCTURE BODY ENVELOPE PREVIEW)").await;
        let whole = format!("(BODY[] {{{}}}\r\n{message} BODYSTRUCTURE (", message.len());
        assert!(fetch.untagged.len() == 1 && fetch.has_any(&whole), "{}", message.len());
        let structure = fetch.untagged[0].split_once(" BODYSTRUCTURE ").unwrap().1;
        // The last one closes the FETCH.
        assert_eq!(structure.matches('(').count() + 1, structure.matches(')').count());
        let path = vec!["1"; 128].join(".");
        assert!(client.ok(&format!("FETCH * (BODY.PEEK[{path}])")).await.untagged[0].ends_with(" NIL)"));
        assert_eq!(client.ok("SEARCH * TEXT \"not in it\"").await.untagged, ["* SEARCH"]);
    }
    let fetch = client.ok("FETCH 1 (BODY.PEEK[9000] BODY.PEEK[12001] BINARY.SIZE[1])").await;
    assert_eq!(fetch.untagged, ["* 1 FETCH (BODY[9000] {4}\r\npart BODY[12001] NIL BINARY.SIZE[1] 4)"]);
}

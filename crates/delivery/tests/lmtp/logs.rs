//! What is logged: who got what, under the session's id, and nothing of a message.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Server, config};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn lines_bear_the_session_and_no_content() {
    let server = Server::start(config()).await;
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let mut client = server.hello().await;
    client
        .talk(&[
            ("MAIL FROM:<carl@example.net>", "250"),
            ("RCPT TO:<anna+Junk>", "250"),
            ("RCPT TO:<who>", "550"),
            ("DATA", "354"),
            ("Subject: topsecret\r\n\r\ntopsecret\r\n.", "250"),
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<anna>", "250"),
        ])
        .await;
    *server.log.fault.lock().unwrap() = Some(paquebot_log::AppendError::Full);
    client.talk(&[("BDAT 11 LAST\r\ntopsecret", "452"), ("topsecret", "500"), ("QUIT", "221")]).await;
    client.expect_end().await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("topsecret"), "{text}");
    assert!(text.contains(" delivered to=anna+Junk account=\"anna\" mailbox=Junk uid=1 "), "{text}");
    assert!(text.contains("there is no such user to=\"who\""), "{text}");
    assert!(text.contains("ERROR") && text.contains("the disk is full"), "{text}");
    let own: Vec<&str> = text.lines().filter(|line| line.contains("paquebot_delivery")).collect();
    assert!(own.len() >= 5 && own.iter().all(|line| line.contains("lmtp{session=")), "{text}");
}

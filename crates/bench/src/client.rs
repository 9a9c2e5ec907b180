//! An IMAP client that knows as much of the protocol as a load needs (RFC 9051).

use std::sync::Arc;

use rustls::ClientConfig;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::options::Tls;

/// One connection, and what it was told of the selected mailbox.
pub struct Client {
    connection: Connection,
    tag: u64,
    /// Literals need not be waited with (RFC 7888): up to this many bytes.
    literal_plus_max: usize,
    /// One APPEND may bring several messages (RFC 3502).
    pub many_at_once: bool,
    /// Messages in the selected mailbox, as the server has told so far.
    pub exists: u32,
    /// The response read last, its literals left out.
    text: Vec<u8>,
}

impl Client {
    /// Connects, in TLS if so asked, and takes the greeting.
    pub async fn connect(address: &str, tls: Tls, config: &Arc<ClientConfig>) -> Result<Self, ClientError> {
        let mut connection = Connection::tcp(address).await?;
        if tls == Tls::Implicit {
            connection = connection.encrypt(address, config.clone()).await?;
        }
        let mut client = Self::greeted(connection).await?;
        if tls == Tls::Starttls {
            client.command("STARTTLS", "STARTTLS").await?;
            client.connection = client.connection.encrypt(address, config.clone()).await?;
        }
        Ok(client)
    }

    /// Takes the greeting of a fresh connection.
    async fn greeted(connection: Connection) -> Result<Self, ClientError> {
        let mut client =
            Self { connection, tag: 0, literal_plus_max: 0, many_at_once: false, exists: 0, text: Vec::new() };
        client.response().await?;
        match client.text.starts_with(b"* OK") || client.text.starts_with(b"* PREAUTH") {
            true => Ok(client),
            false => Err(refused("greeting", client.text.strip_prefix(b"* ").unwrap_or(&client.text))),
        }
    }

    pub async fn login(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        self.command("LOGIN", &format!("LOGIN {} {}", quoted(user), quoted(password))).await?;
        let (mut literal_plus_max, mut many_at_once) = (0, false);
        self.command_seen("CAPABILITY", "CAPABILITY", |text| {
            if let Some(list) = text.strip_prefix(b"* CAPABILITY ") {
                let has = |name: &[u8]| list.split(|byte| *byte == b' ').any(|word| word.eq_ignore_ascii_case(name));
                many_at_once = has(b"MULTIAPPEND");
                literal_plus_max = if has(b"LITERAL+") {
                    usize::MAX
                } else if has(b"LITERAL-") || has(b"IMAP4rev2") {
                    4096
                } else {
                    0
                };
            }
        })
        .await?;
        (self.literal_plus_max, self.many_at_once) = (literal_plus_max, many_at_once);
        Ok(())
    }

    /// Makes a mailbox; one that is there is as good.
    pub async fn create(&mut self, mailbox: &str) -> Result<(), ClientError> {
        match self.command("CREATE", &format!("CREATE {}", quoted(mailbox))).await {
            Err(ClientError::Refused { answer, .. }) if answer.starts_with("NO") => Ok(()),
            result => result,
        }
    }

    pub async fn select(&mut self, mailbox: &str) -> Result<(), ClientError> {
        self.exists = 0;
        self.command("SELECT", &format!("SELECT {}", quoted(mailbox))).await
    }

    pub async fn append(&mut self, mailbox: &str, message: &[u8]) -> Result<(), ClientError> {
        self.start_append(mailbox, message).await?;
        self.finish("APPEND", |_| ()).await
    }

    /// Sends an APPEND to its last byte; [`Client::finish`] takes the answer.
    pub async fn start_append(&mut self, mailbox: &str, message: &[u8]) -> Result<(), ClientError> {
        let tag = self.next_tag();
        self.start_message(format!("{tag} APPEND {}", quoted(mailbox)).into_bytes(), message, b"\r\n").await
    }

    /// Appends all of them by one command: more than one only if `many_at_once`.
    pub async fn append_all(&mut self, mailbox: &str, messages: &[Vec<u8>]) -> Result<(), ClientError> {
        let mut before = format!("{} APPEND {}", self.next_tag(), quoted(mailbox)).into_bytes();
        for (message, left) in messages.iter().zip((0..messages.len()).rev()) {
            self.start_message(std::mem::take(&mut before), message, if left == 0 { b"\r\n" } else { b"" }).await?;
        }
        self.finish("APPEND", |_| ()).await
    }

    /// Sends what stands before a message, the message as a literal, and what comes after.
    async fn start_message(&mut self, mut bytes: Vec<u8>, message: &[u8], after: &[u8]) -> Result<(), ClientError> {
        let plus = if message.len() <= self.literal_plus_max { "+" } else { "" };
        bytes.extend_from_slice(format!(" {{{}{plus}}}\r\n", message.len()).as_bytes());
        if plus.is_empty() {
            self.connection.write(&bytes).await?;
            self.continuation("APPEND").await?;
            bytes.clear();
        }
        bytes.reserve(message.len() + after.len());
        bytes.extend_from_slice(message);
        bytes.extend_from_slice(after);
        self.connection.write(&bytes).await
    }

    /// Starts IDLE (RFC 2177); [`Client::told_exists`] then waits.
    pub async fn idle(&mut self) -> Result<(), ClientError> {
        let tag = self.next_tag();
        self.connection.write(format!("{tag} IDLE\r\n").as_bytes()).await?;
        self.continuation("IDLE").await
    }

    /// Waits until the server tells, unasked, how many messages there are.
    pub async fn told_exists(&mut self) -> Result<u32, ClientError> {
        loop {
            self.response().await?;
            if let Some((count, b"EXISTS")) = numbered(&self.text) {
                return Ok(count);
            }
            if self.text.starts_with(b"* BYE") {
                return Err(refused("IDLE", &self.text[2..]));
            }
        }
    }

    /// Sends a command and waits for its tagged OK. `name` stands for it in errors.
    pub async fn command(&mut self, name: &'static str, command: &str) -> Result<(), ClientError> {
        self.command_seen(name, command, |_| ()).await
    }

    /// The same, and shows each untagged response, its literals left out.
    pub async fn command_seen(
        &mut self,
        name: &'static str,
        command: &str,
        see: impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        let tag = self.next_tag();
        self.connection.write(format!("{tag} {command}\r\n").as_bytes()).await?;
        self.finish(name, see).await
    }

    /// Waits for the tagged response to the command sent last.
    pub async fn finish(&mut self, name: &'static str, mut see: impl FnMut(&[u8])) -> Result<(), ClientError> {
        let tag = tag_text(self.tag);
        let mut bye = None;
        loop {
            match self.response().await {
                Err(ClientError::Closed) if bye.is_some() => return Err(bye.unwrap_or(ClientError::Closed)),
                result => result?,
            }
            if let Some(answer) = self.text.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
                return if starts_with_word(answer, b"OK") { Ok(()) } else { Err(refused(name, answer)) };
            }
            if self.text.starts_with(b"* BYE") && name != "LOGOUT" {
                bye = Some(refused(name, &self.text[2..]));
            }
            self.hear();
            see(&self.text);
        }
    }

    /// Follows the number of messages (RFC 9051, 7.4.1 and 7.5.1).
    fn hear(&mut self) {
        match numbered(&self.text) {
            Some((count, b"EXISTS")) => self.exists = count,
            Some((_, b"EXPUNGE")) => self.exists = self.exists.saturating_sub(1),
            _ => {}
        }
    }

    /// Waits for the continuation request; a tagged answer is the command's refusal.
    async fn continuation(&mut self, name: &'static str) -> Result<(), ClientError> {
        let tag = tag_text(self.tag);
        loop {
            self.response().await?;
            if self.text.starts_with(b"+") {
                return Ok(());
            }
            if let Some(answer) = self.text.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
                return Err(refused(name, answer));
            }
            if self.text.starts_with(b"* BYE") {
                return Err(refused(name, &self.text[2..]));
            }
            self.hear();
        }
    }

    /// Reads the next response, literals and all, into `text`.
    async fn response(&mut self) -> Result<(), ClientError> {
        self.text.clear();
        loop {
            self.connection.line(&mut self.text).await?;
            match literal_after(&self.text) {
                Some(bytes) => self.connection.skip(bytes).await?,
                None => return Ok(()),
            }
        }
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        tag_text(self.tag)
    }

    /// Bytes sent and received since the last time.
    pub fn take_counts(&mut self) -> (u64, u64) {
        self.connection.take_counts()
    }
}

fn tag_text(tag: u64) -> String {
    format!("a{tag}")
}

/// The size of the literal that a line ends in, if it does. The text of a status response may look like one and holds none.
fn literal_after(text: &[u8]) -> Option<u64> {
    let head = text.strip_suffix(b"}")?;
    let rest = text.strip_prefix(b"* ")?;
    if [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"].iter().any(|word| starts_with_word(rest, word)) {
        return None;
    }
    let at = memchr::memrchr(b'{', head)?;
    std::str::from_utf8(&head[at + 1..]).ok()?.parse().ok()
}

fn starts_with_word(text: &[u8], word: &[u8]) -> bool {
    text.strip_prefix(word).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b' '))
}

/// `* 23 EXISTS` and the like: the number and the word after it.
fn numbered(text: &[u8]) -> Option<(u32, &[u8])> {
    let mut words = text.strip_prefix(b"* ")?.splitn(3, |byte| *byte == b' ');
    let number = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    Some((number, words.next()?))
}

fn refused(command: &'static str, answer: &[u8]) -> ClientError {
    ClientError::Refused { command, answer: String::from_utf8_lossy(answer).into_owned() }
}

/// A quoted string of printable ASCII, as the options have been checked to be.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Reads what a server sends, a few bytes at a time, as responses.
    async fn responses(sent: &[u8], chunk: usize) -> Vec<String> {
        let (mut server, client) = tokio::io::duplex(chunk);
        let connection = Connection::new(client);
        let mut client =
            Client { connection, tag: 0, literal_plus_max: 0, many_at_once: false, exists: 0, text: vec![] };
        let sent = sent.to_vec();
        let sending = tokio::spawn(async move {
            server.write_all(&sent).await.unwrap();
        });
        let mut found = Vec::new();
        while client.response().await.is_ok() {
            found.push(String::from_utf8_lossy(&client.text).into_owned());
        }
        sending.await.unwrap();
        found
    }

    #[tokio::test]
    async fn literals_belong_to_their_response() {
        let sent = b"* OK hello {5}\r\n* 1 FETCH (BODY[] {12}\r\na1 OK no\r\n{3 UID 7 BODY[1] {0}\r\n)\r\na1 OK done\r\n+ \r\n\
            * 2 FETCH (BODY[] \"{5}\")\r\n* 3 FETCH (BINARY[1] ~{3}\r\n\r\n* FLAGS ())\r\n";
        for chunk in [1, 2, 7, 4096] {
            assert_eq!(
                responses(sent, chunk).await,
                [
                    "* OK hello {5}",
                    "* 1 FETCH (BODY[] {12} UID 7 BODY[1] {0})",
                    "a1 OK done",
                    "+ ",
                    "* 2 FETCH (BODY[] \"{5}\")",
                    "* 3 FETCH (BINARY[1] ~{3} FLAGS ())",
                ]
            );
        }
    }

    #[tokio::test]
    async fn large_literals_pass_through_a_small_buffer() {
        let mut sent = b"* 1 FETCH (BODY[] {300000}\r\n".to_vec();
        sent.extend(vec![b'x'; 300_000]);
        sent.extend_from_slice(b")\r\na1 OK\r\n");
        assert_eq!(responses(&sent, 1 << 16).await, ["* 1 FETCH (BODY[] {300000})", "a1 OK"]);
    }

    #[test]
    fn numbers_and_words_are_told_apart() {
        assert_eq!(numbered(b"* 23 EXISTS"), Some((23, &b"EXISTS"[..])));
        assert_eq!(numbered(b"* 23 FETCH (UID 1)"), Some((23, &b"FETCH"[..])));
        for other in [&b"* SEARCH 23"[..], b"* OK 23 EXISTS", b"a1 OK", b"* 99999999999 EXISTS", b"* 5"] {
            assert_eq!(numbered(other), None);
        }
    }

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}

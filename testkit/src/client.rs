//! A blocking IMAP client that interprets as little as it can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::client_stream::Stream;
use crate::response::{Response, literal_size};
use crate::strict;

/// No answer within this time is a failure: far more than any takes, even beside other tests on a small machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A connection. Every response that it reads is also read by a strict parser that is not ours; what that refuses is an error.
pub struct Client {
    stream: Stream,
    unread: Vec<u8>,
    next_tag: u32,
    judge: bool,
    /// Whether the server has enabled UTF-8 in quoted strings.
    utf8: bool,
}

/// What a command came to.
#[derive(Debug)]
pub struct Answer {
    /// Without continuations.
    pub untagged: Vec<Response>,
    /// What follows the tag: `OK [READ-WRITE] ...`.
    pub tagged: String,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// The answer, or an error that shows it, unless it is OK.
    pub fn ok(self) -> Result<Answer> {
        ensure!(self.is_ok(), "the answer is {}", self.tagged);
        Ok(self)
    }

    /// The octets of all literals in it, in order: the messages, after a FETCH of BODY[].
    pub fn literals(&self) -> Vec<Vec<u8>> {
        self.untagged.iter().flat_map(Response::literals).map(<[u8]>::to_vec).collect()
    }
}

impl Client {
    /// Connects; gives the greeting too.
    pub fn connect(address: SocketAddr) -> Result<(Client, Response)> {
        Client::over(Stream::Plain(dial(address)?))
    }

    /// Connects under TLS from the first byte.
    pub fn connect_tls(address: SocketAddr) -> Result<(Client, Response)> {
        Client::over(Stream::tls(dial(address)?)?)
    }

    fn over(stream: Stream) -> Result<(Client, Response)> {
        let mut client = Client { stream, unread: Vec::new(), next_tag: 1, judge: true, utf8: false };
        let greeting = client.read_unjudged()?.context("closed before the greeting")?;
        judged(&greeting, strict::check_greeting)?;
        Ok((client, greeting))
    }

    /// Goes on under TLS. Nothing may have come after the OK: it would be plain text that passes for protected.
    pub fn start_tls(mut self) -> Result<Client> {
        self.command("STARTTLS")?.ok()?;
        ensure!(self.unread.is_empty(), "octets after the answer to STARTTLS");
        let socket = self.stream.socket().try_clone()?;
        Ok(Client { stream: Stream::tls(socket)?, ..self })
    }

    /// Stops showing responses to the strict parser, for a test that provokes odd ones.
    pub fn without_judge(mut self) -> Client {
        self.judge = false;
        self
    }

    pub fn login(&mut self, account: &str, password: &str) -> Result<()> {
        self.command(&format!("LOGIN {} {}", quoted(account), quoted(password)))?.ok().context("LOGIN").map(drop)
    }

    /// APPENDs a message.
    pub fn append(
        &mut self,
        mailbox: &str,
        flags: &[String],
        internal_date: Option<&str>,
        message: &[u8],
    ) -> Result<Answer> {
        let tag = self.tag();
        let date = internal_date.map(|date| format!(" \"{date}\"")).unwrap_or_default();
        self.send(
            format!("{tag} APPEND {} ({}){date} {{{}}}\r\n", quoted(mailbox), flags.join(" "), message.len())
                .as_bytes(),
        )?;
        self.wait_for_continuation(&tag)?;
        self.send(&[message, b"\r\n"].concat())?;
        self.answer(&tag)
    }

    /// Sends one line with a tag before and CRLF behind, and reads up to the tagged answer, which may be NO or BAD.
    pub fn command(&mut self, line: &str) -> Result<Answer> {
        let tag = self.tag();
        self.send(format!("{tag} {line}\r\n").as_bytes())?;
        self.answer(&tag)
    }

    /// Reads up to the answer with this tag.
    pub fn answer(&mut self, tag: &str) -> Result<Answer> {
        let mut untagged = Vec::new();
        loop {
            let Some(response) = self.read()? else { bail!("closed before the answer to {tag}, after {untagged:?}") };
            if let Some(tagged) = response.after_tag(tag) {
                return Ok(Answer { untagged, tagged: String::from_utf8_lossy(tagged).into_owned() });
            }
            if !response.is_continuation() {
                untagged.push(response);
            }
        }
    }

    /// Reads until the server asks for more; an error if it answers instead.
    pub fn wait_for_continuation(&mut self, tag: &str) -> Result<()> {
        loop {
            let response = self.read()?.context("closed instead of asking for the literal")?;
            if response.is_continuation() {
                return Ok(());
            }
            if response.after_tag(tag).is_some() {
                bail!("instead of asking for the literal: {response}");
            }
        }
    }

    /// A tag that was not used before.
    pub fn tag(&mut self) -> String {
        let tag = format!("t{}", self.next_tag);
        self.next_tag += 1;
        tag
    }

    pub fn send(&mut self, data: &[u8]) -> Result<()> {
        self.stream.write_all(data).context("cannot send")?;
        self.stream.flush().context("cannot send")
    }

    /// The next response; `None` when the server has closed the connection.
    pub fn read(&mut self) -> Result<Option<Response>> {
        let response = self.read_unjudged()?;
        if let Some(response) = &response {
            if response.starts_with("* ENABLED") {
                self.utf8 |= response.contains("UTF8=ACCEPT") || response.contains("IMAP4rev2");
            }
            if self.judge {
                judged(response, |bytes| strict::check_response(bytes, self.utf8))?;
            }
        }
        Ok(response)
    }

    fn read_unjudged(&mut self) -> Result<Option<Response>> {
        let mut response = Vec::new();
        loop {
            let Some(line) = self.line()? else {
                ensure!(response.is_empty(), "closed within a response: {:?}", String::from_utf8_lossy(&response));
                return Ok(None);
            };
            let size = literal_size(&line);
            response.extend(line);
            let Some(size) = size else { break };
            response.extend(b"\r\n");
            response.extend(self.octets(size)?);
        }
        Ok(Some(Response::new(response)))
    }

    /// Up to CRLF, without it.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            let found = self.unread[searched..].windows(2).position(|pair| pair == b"\r\n");
            if let Some(end) = found.map(|end| end + searched) {
                let line = self.unread.drain(..end + 2).take(end).collect();
                return Ok(Some(line));
            }
            searched = self.unread.len().saturating_sub(1);
            if !self.fill()? {
                ensure!(self.unread.is_empty(), "closed within a line: {:?}", String::from_utf8_lossy(&self.unread));
                return Ok(None);
            }
        }
    }

    fn octets(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.unread.len() < count {
            ensure!(self.fill()?, "closed within a literal");
        }
        Ok(self.unread.drain(..count).collect())
    }

    fn fill(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            // A server that closes without TLS's own farewell, or with data unread, has closed all the same.
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset) =>
            {
                0
            }
            Err(error) => return Err(error).context("nothing came"),
        };
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}

fn judged(response: &Response, check: impl Fn(&[u8]) -> Result<(), String>) -> Result<()> {
    check(&[response.bytes(), b"\r\n"].concat()).map_err(|why| anyhow!("a strict parser refuses {response}: {why}"))
}

fn dial(address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.set_write_timeout(Some(ANSWER_LIMIT))?;
    Ok(socket)
}

/// An ASCII text as a quoted string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

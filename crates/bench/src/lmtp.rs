//! An LMTP client (RFC 2033), pipelining where the server can (RFC 2920).

use crate::connection::Connection;
use crate::error::ClientError;
use crate::options::LmtpAddress;

pub struct Lmtp {
    connection: Connection,
    pipelining: bool,
    eight_bit: bool,
}

impl Lmtp {
    pub async fn connect(address: &LmtpAddress) -> Result<Self, ClientError> {
        let connection = match address {
            LmtpAddress::Tcp(address) => Connection::tcp(address).await?,
            LmtpAddress::Unix(path) => Connection::unix(path).await?,
        };
        Self::greeted(connection).await
    }

    async fn greeted(connection: Connection) -> Result<Self, ClientError> {
        let mut lmtp = Self { connection, pipelining: false, eight_bit: false };
        lmtp.expect("greeting", '2').await?;
        lmtp.connection.write(b"LHLO bench.example\r\n").await?;
        for line in lmtp.expect("LHLO", '2').await? {
            let keyword = line.get(4..).unwrap_or_default();
            lmtp.pipelining |= keyword.eq_ignore_ascii_case("PIPELINING");
            lmtp.eight_bit |= keyword.eq_ignore_ascii_case("8BITMIME");
        }
        Ok(lmtp)
    }

    /// Delivers a message to one recipient: done when the server says that it is.
    pub async fn deliver(&mut self, recipient: &str, message: &[u8]) -> Result<(), ClientError> {
        let body = if self.eight_bit { " BODY=8BITMIME" } else { "" };
        let envelope = [
            ("MAIL", format!("MAIL FROM:<bench@bench.example>{body}\r\n"), '2'),
            ("RCPT", format!("RCPT TO:<{recipient}>\r\n"), '2'),
            ("DATA", "DATA\r\n".into(), '3'),
        ];
        if self.pipelining {
            let all: String = envelope.iter().map(|(_, line, _)| line.as_str()).collect();
            self.connection.write(all.as_bytes()).await?;
        }
        let mut refusal = None;
        for (name, line, digit) in &envelope {
            if !self.pipelining {
                self.connection.write(line.as_bytes()).await?;
            }
            let answer = self.expect(name, *digit).await;
            let taken = answer.is_ok();
            match answer {
                Ok(_) => {}
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) if self.pipelining => drop(refusal.get_or_insert(error)),
                Err(error) => {
                    refusal = Some(error);
                    break;
                }
            }
            if *name == "DATA" && self.pipelining && taken && refusal.is_some() {
                // With no recipient DATA must be refused (RFC 2033, 4.2).
                return Err(ClientError::Protocol("DATA was taken without a recipient"));
            }
        }
        if let Some(refusal) = refusal {
            self.connection.write(b"RSET\r\n").await?;
            self.expect("RSET", '2').await?;
            return Err(refusal);
        }
        self.connection.write(&dotted(message)).await?;
        self.expect("message", '2').await.map(drop)
    }

    /// The lines of the next reply, which must begin with this digit.
    async fn expect(&mut self, command: &'static str, digit: char) -> Result<Vec<String>, ClientError> {
        let lines = self.reply().await?;
        match lines.last() {
            Some(last) if last.starts_with(digit) => Ok(lines),
            last => Err(ClientError::Refused { command, answer: last.cloned().unwrap_or_default() }),
        }
    }

    async fn reply(&mut self) -> Result<Vec<String>, ClientError> {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            self.connection.line(&mut line).await?;
            let more = line.get(3) == Some(&b'-');
            if !line.get(..3).is_some_and(|code| code.iter().all(u8::is_ascii_digit)) || lines.len() > 1000 {
                return Err(ClientError::Protocol("no LMTP reply"));
            }
            lines.push(String::from_utf8_lossy(&line).into_owned());
            if !more {
                return Ok(lines);
            }
        }
    }

    /// Bytes sent and received since the last time.
    pub fn take_counts(&mut self) -> (u64, u64) {
        self.connection.take_counts()
    }
}

/// The message as DATA sends it: dots doubled at the start of lines, and the one that ends it (RFC 5321, 4.5.2).
fn dotted(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 5);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_a_line() {
        assert_eq!(dotted(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(dotted(b"a"), b"a\r\n.\r\n");
        assert_eq!(dotted(b""), b".\r\n");
    }
}

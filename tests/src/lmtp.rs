//! Deliveries by LMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Delivers to one recipient: the answer to the message, `250 ...`. An error is a connection that ended, or a refusal before the message.
pub fn deliver(address: SocketAddr, recipient: &str, message: &[u8]) -> Result<String> {
    Sender::connect(address)?.deliver(recipient, message)
}

/// A connection for one delivery after the other.
pub struct Sender {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Sender {
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut sender = Self { reader: BufReader::new(writer.try_clone()?), writer };
        reply(&mut sender.reader)?;
        sender.command("LHLO client.example.org")?;
        Ok(sender)
    }

    pub fn deliver(&mut self, recipient: &str, message: &[u8]) -> Result<String> {
        for command in ["MAIL FROM:<a@example.org>", &format!("RCPT TO:<{recipient}>"), "DATA"] {
            self.command(command)?;
        }
        self.writer.write_all(&[message, b".\r\n"].concat())?;
        reply(&mut self.reader)
    }

    fn command(&mut self, command: &str) -> Result<()> {
        self.writer.write_all(format!("{command}\r\n").as_bytes())?;
        let answer = reply(&mut self.reader)?;
        anyhow::ensure!(answer.starts_with(['2', '3']), "{command}: {answer}");
        Ok(())
    }
}

/// The last line of a reply.
fn reply(reader: &mut impl BufRead) -> Result<String> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let last = line.as_bytes().get(3).context("closed")?;
        if *last == b' ' {
            return Ok(line.trim_end().to_owned());
        }
    }
}

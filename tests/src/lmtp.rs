//! One delivery by LMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

/// Delivers to one recipient: the answer to the message, `250 ...`. An error is a connection that ended, or a refusal before the message.
pub fn deliver(address: SocketAddr, recipient: &str, message: &[u8]) -> Result<String> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone()?), stream);
    reply(&mut reader)?;
    for command in ["LHLO client.example.org", "MAIL FROM:<a@example.org>", &format!("RCPT TO:<{recipient}>"), "DATA"] {
        writer.write_all(format!("{command}\r\n").as_bytes())?;
        let answer = reply(&mut reader)?;
        anyhow::ensure!(answer.starts_with(['2', '3']), "{command}: {answer}");
    }
    writer.write_all(&[message, b".\r\n"].concat())?;
    reply(&mut reader)
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

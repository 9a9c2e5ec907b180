//! A small LMTP server on a UNIX socket or TCP.

use std::sync::{Arc, Mutex};

use paquebot_bench::LmtpAddress;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};

/// Whether the server lets commands come before it has answered those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipelining {
    Yes,
    No,
}

/// Recipients and messages as they came, dots undone.
pub type Deliveries = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

pub async fn serve_tcp(pipelining: Pipelining) -> (LmtpAddress, Deliveries) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = LmtpAddress::Tcp(listener.local_addr().unwrap().to_string());
    let deliveries = Deliveries::default();
    let shared = deliveries.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, pipelining, shared.clone()));
        }
    });
    (address, deliveries)
}

pub fn serve_unix(path: &std::path::Path) -> (LmtpAddress, Deliveries) {
    let listener = UnixListener::bind(path).unwrap();
    let deliveries = Deliveries::default();
    let shared = deliveries.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(session(stream, Pipelining::Yes, shared.clone()));
        }
    });
    (LmtpAddress::Unix(path.into()), deliveries)
}

/// Serves one connection; users that begin with `no` are unknown.
async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: S, pipelining: Pipelining, deliveries: Deliveries) {
    let mut stream = BufReader::new(stream);
    let mut recipient = None;
    let mut answer = "220 ready\r\n".to_string();
    loop {
        if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if !stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
            return;
        }
        if pipelining == Pipelining::No {
            assert!(stream.buffer().is_empty(), "a command came before it was asked for");
        }
        let verb = line.split([' ', '\r']).next().unwrap_or_default();
        answer = match verb {
            "LHLO" if pipelining == Pipelining::Yes => "250-server\r\n250-PIPELINING\r\n250 8BITMIME\r\n".into(),
            "LHLO" => "250 server\r\n".into(),
            "MAIL" | "RSET" => {
                recipient = None;
                "250 2.0.0 fine\r\n".into()
            }
            "RCPT" => {
                let name = line.split(['<', '>']).nth(1).unwrap().to_string();
                if name.starts_with("no") {
                    "550 5.1.1 who?\r\n".into()
                } else {
                    recipient = Some(name);
                    "250 2.1.5 fine\r\n".into()
                }
            }
            "DATA" => match recipient.take() {
                None => "503 5.5.1 nobody\r\n".into(),
                Some(name) => {
                    stream.get_mut().write_all(b"354 go on\r\n").await.unwrap();
                    let message = message(&mut stream).await;
                    deliveries.lock().unwrap().push((name, message));
                    "250 2.0.0 kept\r\n".into()
                }
            },
            _ => "500 5.5.2 what?\r\n".into(),
        };
    }
}

async fn message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await.unwrap();
        match line.strip_prefix(b".") {
            Some(b"\r\n") => return message,
            Some(rest) => message.extend_from_slice(rest),
            None => message.extend_from_slice(&line),
        }
    }
}

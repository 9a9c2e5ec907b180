//! The control socket: a line of JSON in, lines of JSON out, the last of which is the answer.
//!
//! The socket lies in the data directory, whose owner alone may open it: who can talk to it could read the mail as well.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paquebot_mailbox::Service;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::execute::execute;
use crate::request::{Answer, Progress, Request};

/// A request's octets, at most.
const REQUEST_BYTES: u64 = 1 << 20;

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Progress(Progress),
    Answer(Answer),
    Error(String),
}

/// Why a running server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("cannot talk to the running server over {path}", path = .path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the running server ended before it answered")]
    Ended,
    #[error("the running server is of another version: it does not understand this command")]
    Version,
    #[error("{0}")]
    Refused(String),
}

/// Where the socket of a data directory is.
pub fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Listens in a data directory that this process has open. A socket that a killed server left behind is replaced.
pub fn listen(data: &Path) -> io::Result<UnixListener> {
    let path = path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers one connection's requests, one after the other.
pub async fn serve(stream: UnixStream, service: Arc<Service>) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let mut request = String::new();
        match (&mut read).take(REQUEST_BYTES).read_line(&mut request).await {
            Ok(count) if count > 0 => {}
            _ => return,
        }
        let (sender, mut progress) = mpsc::channel(16);
        let outcome = match serde_json::from_str(&request) {
            Ok(request) => {
                let work = execute(&service, request, sender);
                tokio::pin!(work);
                loop {
                    tokio::select! {
                        Some(progress) = progress.recv() => {
                            if send(&mut write, &Line::Progress(progress)).await.is_err() {
                                return;
                            }
                        }
                        outcome = &mut work => break outcome,
                    }
                }
            }
            Err(error) => Err(format!("not a command that this server knows: {error}")),
        };
        let line = outcome.map_or_else(Line::Error, Line::Answer);
        if send(&mut write, &line).await.is_err() {
            return;
        }
    }
}

async fn send(write: &mut (impl AsyncWrite + Unpin), line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

/// Asks the server that has a data directory open; `None` if there is none.
pub async fn ask(
    data: &Path,
    request: &Request,
    mut progress: impl FnMut(Progress),
) -> Result<Option<Answer>, AskError> {
    let path = path(data);
    let failed = |source| AskError::Socket { path: path.clone(), source };
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let (read, mut write) = stream.into_split();
    let text = serde_json::to_string(request).map_err(|error| failed(error.into()))?;
    write.write_all(format!("{text}\n").as_bytes()).await.map_err(failed)?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        match serde_json::from_str(&line).map_err(|_| AskError::Version)? {
            Line::Progress(so_far) => progress(so_far),
            Line::Answer(answer) => return Ok(Some(answer)),
            Line::Error(text) => return Err(AskError::Refused(text)),
        }
    }
    Err(AskError::Ended)
}

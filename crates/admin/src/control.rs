//! The control socket: a line of JSON in, lines of JSON out, the last of which is the answer. Octets of a message follow the line that counts them.
//!
//! The socket lies in the data directory, whose owner alone may open it: who can talk to it could read the mail as well.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paquebot_mailbox::Service;
use paquebot_types::Uid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::connection::{AskError, Connection};
use crate::execute::execute;
use crate::http::Source;
use crate::outgoing;
use crate::request::{Answer, Head, Progress, Request, Status};

const NAME: &str = "control.sock";
/// The longest name of a socket, `sun_path` without its NUL.
const SOCKET_PATH_BYTES: usize = 107;
/// A request's octets, at most.
pub const REQUEST_BYTES: u64 = 1 << 20;

/// One line of an answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    Progress(Progress),
    /// A message: so many octets follow the line.
    Message {
        head: Head,
        octets: u64,
    },
    /// A message that cannot be read, and why.
    Unreadable {
        uid: Uid,
        why: String,
    },
    Answer(Answer),
    Error(String),
}

/// Where the socket of a data directory is.
pub fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// Listens in a data directory that this process has open. A socket that a killed server left behind is replaced.
pub fn listen(data: &Path) -> io::Result<UnixListener> {
    let path = path(data);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = reach(data, |path| std::os::unix::net::UnixListener::bind(path))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// A socket's address has room for few bytes, and a data directory may lie deeper: then it goes by the directory's open file.
fn reach<T>(data: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = path(data);
    if path.as_os_str().len() <= SOCKET_PATH_BYTES {
        return call(&path);
    }
    let directory = std::fs::File::open(data)?;
    call(Path::new(&format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd())))
}

pub(crate) fn connect(data: &Path) -> io::Result<UnixStream> {
    let stream = reach(data, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Whether a server has this data directory open and answers on its socket.
pub fn is_answered(data: &Path) -> bool {
    reach(data, |path| std::os::unix::net::UnixStream::connect(path)).is_ok()
}

/// Answers one connection's requests, one after the other.
pub async fn serve(stream: UnixStream, service: Arc<Service>, source: Arc<dyn Source>) {
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
            Ok(Request::Cluster(request)) => match source.cluster() {
                Some(cluster) => cluster.command(request).await,
                None => Err("this server is one machine, and no node of a cluster".into()),
            },
            Ok(Request::Messages(wanted)) => match outgoing::send(&service, &wanted, &mut write).await {
                Ok(outcome) => outcome,
                Err(_) => return,
            },
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
        let line = match outcome {
            Ok(Answer::Status(status)) => Line::Answer(Answer::Status(Status {
                failure: source.failure(),
                running: Some(source.running()),
                ..status
            })),
            Ok(answer) => Line::Answer(answer),
            Err(error) => Line::Error(error),
        };
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
pub async fn ask(data: &Path, request: &Request, progress: impl FnMut(Progress)) -> Result<Option<Answer>, AskError> {
    match Connection::open(data).await? {
        Some(mut connection) => connection.ask(request, progress).await.map(Some),
        None => Ok(None),
    }
}

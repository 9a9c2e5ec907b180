//! `paquebot serve` as a child process: started, heard, ended.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, kill_process, kill_process_group};

use crate::process::pid;

/// A start on a machine that runs other tests beside it takes longer than one alone, but not this long.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Where a server listens, as its start-up lines said.
#[derive(Debug, Clone)]
pub struct Addresses {
    pub imap: SocketAddr,
    pub imaps: SocketAddr,
    pub lmtp: LmtpAddress,
    /// If it has said one: most tests don't need it.
    pub admin: Option<SocketAddr>,
}

#[derive(Debug, Clone)]
pub enum LmtpAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A server's process. Dropped, it is killed with whatever it has started.
pub struct Running {
    child: Child,
    addresses: Addresses,
    log: Arc<Mutex<String>>,
    ended: bool,
}

impl Running {
    /// Starts it in a process group of its own, and returns once it said `ready`.
    pub fn start(mut serve: Command) -> Result<Running> {
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = serve.spawn().with_context(|| format!("cannot start {serve:?}"))?;
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::channel();
        // Nobody waits for these threads: what the server has started may hold its pipes open for longer than the server lives.
        follow(child.stdout.take().context("no standard output")?, log.clone(), Some(sender));
        let errors = follow(child.stderr.take().context("no standard error")?, log.clone(), None);
        match read_addresses(&lines) {
            Ok(addresses) => Ok(Running { child, addresses, log, ended: false }),
            Err(error) => {
                let status = end(&mut child);
                // All that it said, now that its whole group is gone.
                let _ = errors.join();
                let said = log.lock().map(|log| log.clone()).unwrap_or_default();
                Err(error.context(format!("the server did not start ({status}); it said:\n{said}")))
            }
        }
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// All that it wrote.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGSTOP or SIGCONT, say: what it goes on from.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(pid(&self.child)?, signal).context("cannot send a signal")
    }

    /// Ends it by SIGTERM, after which it must exit with 0, or by SIGKILL.
    pub fn end_by(mut self, signal: Signal) -> Result<()> {
        self.signal(signal)?;
        let status = self.wait(STOP_LIMIT)?;
        let as_told = if signal == Signal::KILL { status.signal() == Some(9) } else { status.code() == Some(0) };
        ensure!(as_told, "after {signal:?} the server ended with {status}; it said:\n{}", self.log());
        Ok(())
    }

    /// Until it has ended of itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if began.elapsed() > limit {
                bail!("the server did not end within {limit:?}; it said:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it had started and left behind when it ended is not its own any more.
        if !self.ended {
            end(&mut self.child);
        }
        if thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

/// Kills a server with whatever it has started. Gives how it ended, by this or before.
fn end(child: &mut Child) -> String {
    if let Ok(id) = pid(child) {
        let _ = kill_process_group(id, Signal::KILL);
    }
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

/// Copies a stream into the log, and its lines to whoever waits for the start.
fn follow(
    stream: impl Read + Send + 'static,
    log: Arc<Mutex<String>>,
    lines: Option<mpsc::Sender<String>>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
                log.push('\n');
            }
            if let Some(lines) = &lines {
                // Once the start is over nobody listens, and that is fine.
                let _ = lines.send(line);
            }
        }
    })
}

fn read_addresses(lines: &mpsc::Receiver<String>) -> Result<Addresses> {
    let (mut imap, mut imaps, mut lmtp, mut admin) = (None, None, None, None);
    loop {
        let line = lines.recv_timeout(START_LIMIT).context("no line `ready`")?;
        let (what, address) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match what {
            "ready" => break,
            "imap" => imap = Some(parse(address)?),
            "imaps" => imaps = Some(parse(address)?),
            "admin" => admin = Some(parse(address)?),
            "lmtp" => {
                lmtp = Some(match address.strip_prefix("unix:") {
                    Some(path) => LmtpAddress::Unix(path.into()),
                    None => LmtpAddress::Tcp(parse(address)?),
                });
            }
            _ => {}
        }
    }
    let missing = "ready, but no line told the address of";
    Ok(Addresses {
        imap: imap.with_context(|| format!("{missing} imap"))?,
        imaps: imaps.with_context(|| format!("{missing} imaps"))?,
        lmtp: lmtp.with_context(|| format!("{missing} lmtp"))?,
        admin,
    })
}

fn parse(address: &str) -> Result<SocketAddr> {
    address.parse().with_context(|| format!("{address:?} is no address"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    fn read(lines: &[&str]) -> Result<Addresses> {
        let (sender, receiver) = mpsc::channel();
        lines.iter().for_each(|line| sender.send((*line).to_owned()).unwrap());
        drop(sender);
        read_addresses(&receiver)
    }

    #[test]
    fn start_up_lines_give_the_addresses() {
        let addresses =
            read(&["imap 127.0.0.1:1143", "imaps 127.0.0.1:1993", "lmtp unix:/run/l", "admin 127.0.0.1:1080", "ready"])
                .unwrap();
        assert_eq!(addresses.imap.port(), 1143);
        assert!(matches!(addresses.lmtp, LmtpAddress::Unix(path) if path == Path::new("/run/l")));
    }

    #[test]
    fn a_start_without_ready_is_an_error() {
        assert!(read(&["imap 127.0.0.1:1143"]).is_err());
        assert!(read(&["ready"]).unwrap_err().to_string().contains("imap"));
    }
}

//! The built server as a child process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Finished, pid, run};
use crate::server_binary::paquebot;
use crate::{Client, Response};

/// A start on a machine that runs other tests beside it takes longer than one alone, but not this long.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The accounts that are made before the start.
    pub accounts: Vec<Account>,
    /// More lines of configuration, each a whole key: `limits.sessions = 3`.
    pub settings: String,
    /// LMTP on a UNIX socket rather than on a port.
    pub lmtp_socket: bool,
    /// The pair that the server makes for itself, rather than one under an authority that clients are given.
    pub own_certificate: bool,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub password: String,
}

impl Options {
    pub fn with_account(name: &str, password: &str) -> Options {
        Options::default().and_account(name, password)
    }

    pub fn and_account(mut self, name: &str, password: &str) -> Options {
        self.accounts.push(Account { name: name.to_owned(), password: password.to_owned() });
        self
    }
}

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

/// A running server with a data directory of its own. Dropped, it is killed and its data removed.
pub struct Server {
    options: Options,
    folder: TempDir,
    certificates: Certificates,
    running: Option<Running>,
}

struct Running {
    child: Child,
    addresses: Addresses,
    log: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Makes a data directory and the accounts, starts `paquebot serve`, and returns once it said `ready`.
    pub fn start(options: Options) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("paquebot-").tempdir()?;
        let certificates = Certificates::make(folder.path())?;
        let mut server = Server { options, folder, certificates, running: None };
        server.write_configuration()?;
        for account in server.options.accounts.clone() {
            server.add_account(&account.name, &account.password)?;
        }
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after it was stopped or killed, on the same data.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the server runs already");
        let mut serve = self.command(&["serve"])?;
        serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = serve.spawn().with_context(|| format!("cannot start {serve:?}"))?;

        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let readers = vec![follow(stdout, log.clone(), Some(sender)), follow(stderr, log.clone(), None)];
        match read_addresses(&lines) {
            Ok(addresses) => {
                self.running = Some(Running { child, addresses, log, readers });
                Ok(())
            }
            Err(error) => {
                let status = end(&mut child);
                readers.into_iter().for_each(|reader| drop(reader.join()));
                let said = log.lock().map(|log| log.clone()).unwrap_or_default();
                Err(error.context(format!("the server did not start ({status}); it said:\n{said}")))
            }
        }
    }

    /// Ends it by SIGTERM and returns once it is gone; an error unless it exits with 0.
    pub fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    /// As [`Server::stop`], to be started again.
    pub fn terminate(&mut self) -> Result<()> {
        let status = self.signal(Signal::TERM)?;
        ensure!(status.code() == Some(0), "after SIGTERM the server ended with {status}");
        Ok(())
    }

    /// Ends it by SIGKILL, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        let status = self.signal(Signal::KILL)?;
        ensure!(status.signal() == Some(9), "after SIGKILL the server ended with {status}");
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<ExitStatus> {
        let Running { mut child, log, readers, .. } = self.running.take().context("the server does not run")?;
        let id = pid(&child)?;
        kill_process(id, signal)?;
        let (ended, end) = mpsc::channel();
        thread::spawn(move || ended.send(child.wait()));
        let status = match end.recv_timeout(STOP_LIMIT) {
            Ok(status) => status?,
            Err(_) => {
                let _ = kill_process(id, Signal::KILL);
                let said = log.lock().map(|log| log.clone()).unwrap_or_default();
                bail!("the server did not end within {STOP_LIMIT:?}; it said:\n{said}");
            }
        };
        readers.into_iter().for_each(|reader| drop(reader.join()));
        Ok(status)
    }

    /// Makes an account with `paquebot user add`, before the start or while it serves.
    pub fn add_account(&self, name: &str, password: &str) -> Result<()> {
        let mut add = self.command(&["user", "add", name, "--password-stdin"])?;
        run(&mut add, format!("{password}\n").as_bytes(), COMMAND_LIMIT)?.success().map(drop)
    }

    /// Runs `paquebot check` over the data; an error with what it found unless all is well.
    pub fn check(&self) -> Result<()> {
        self.run(&["check"])?.success().map(drop)
    }

    /// Runs `paquebot <arguments> --config <this server's>`.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        run(&mut self.command(arguments)?, b"", COMMAND_LIMIT)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(paquebot()?);
        command.args(arguments).arg("--config").arg(self.configuration());
        command.current_dir(self.folder.path()).env("NO_COLOR", "1");
        Ok(command)
    }

    /// Where it listens. Panics when it does not run.
    pub fn addresses(&self) -> &Addresses {
        &self.running.as_ref().expect("the server runs").addresses
    }

    /// The authority that its certificate is under, PEM.
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that is removed with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("paquebot.toml")
    }

    /// All that it wrote since it was started.
    pub fn log(&self) -> String {
        self.running.as_ref().and_then(|running| running.log.lock().ok().map(|log| log.clone())).unwrap_or_default()
    }

    /// The process id, to look at its memory.
    pub fn process_id(&self) -> u32 {
        self.running.as_ref().expect("the server runs").child.id()
    }

    /// A plain-text connection on which `account` has logged in.
    pub fn client(&self, account: &str) -> Result<Client> {
        let mut client = self.stranger()?;
        client.login(account, self.password(account)?)?;
        Ok(client)
    }

    /// A plain-text connection on which nobody has logged in; the greeting has been read.
    pub fn stranger(&self) -> Result<Client> {
        let (client, greeting) = Client::connect(self.addresses().imap)?;
        expect_greeting(&greeting)?;
        Ok(client)
    }

    /// A connection under TLS on which `account` has logged in.
    pub fn tls_client(&self, account: &str) -> Result<Client> {
        let (mut client, greeting) = Client::connect_tls(self.addresses().imaps)?;
        expect_greeting(&greeting)?;
        client.login(account, self.password(account)?)?;
        Ok(client)
    }

    pub fn password(&self, account: &str) -> Result<&str> {
        let found = self.options.accounts.iter().find(|known| known.name == account);
        found
            .map(|known| known.password.as_str())
            .with_context(|| format!("no account {account:?} among the server's options"))
    }

    fn write_configuration(&self) -> Result<()> {
        let Certificates { certificate, key, .. } = &self.certificates;
        let lmtp = if self.options.lmtp_socket {
            format!("unix:{}", self.folder.path().join("lmtp").display())
        } else {
            "127.0.0.1:0".to_owned()
        };
        let tls = if self.options.own_certificate {
            String::new()
        } else {
            format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")
        };
        let text = format!(
            "data = {:?}\n{}\n\n[listen]\nimap = [\"127.0.0.1:0\"]\nimaps = [\"127.0.0.1:0\"]\nlmtp = [{lmtp:?}]\nadmin = [\"127.0.0.1:0\"]\n\n{tls}",
            self.data(),
            self.options.settings
        );
        fs::write(self.configuration(), text).context("cannot write the configuration")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            end(&mut running.child);
            running.readers.into_iter().for_each(|reader| drop(reader.join()));
            if thread::panicking() {
                eprintln!("--- the server's log\n{}", running.log.lock().map(|log| log.clone()).unwrap_or_default());
            }
        }
    }
}

/// Kills a server with whatever it has started, so that the pipes end. Gives how it ended, by this or before.
fn end(child: &mut Child) -> String {
    if let Ok(id) = pid(child) {
        let _ = kill_process_group(id, Signal::KILL);
    }
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}

fn expect_greeting(greeting: &Response) -> Result<()> {
    ensure!(greeting.starts_with("* OK"), "the greeting is {greeting}");
    Ok(())
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

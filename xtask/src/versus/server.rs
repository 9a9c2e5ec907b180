//! A server as it runs: in a mount namespace where its packages lie over the machine's, and in a process namespace that ends with it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::output_of;
use crate::versus::packages::Tree;

/// Where a server finds its store, whatever the folder is really called: a user without rights may not pass through that.
pub const STORE: &str = "/run/store";
/// As whom peers keep mail, and the users that they want to find.
pub const USER_IDS: [(&str, u32); 4] = [("versus", 4903), ("dovecot", 4904), ("dovenull", 4905), ("cyrus", 4906)];
/// Users `u1` to this one, all with one password.
pub const USERS: u32 = 100;
pub const PASSWORD: &str = "versus";

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(1);

/// What a server is, as data.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// Without spaces and capitals, for files.
    pub short: &'static str,
    /// Debian's packages, the one it is named for first; none for Paquebot.
    pub packages: &'static [&'static str],
    pub lmtp: bool,
    /// What a mailbox's name begins with that is not INBOX.
    pub prefix: &'static str,
    /// What it has flushed when it says OK, as it is configured here.
    pub promise: &'static str,
    /// Writes its configuration; the last lines of the shell script that starts it.
    pub configure: fn(&Place) -> Result<String>,
}

/// The folder and ports of one server.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its store and configuration: [`STORE`] for itself.
    pub folder: PathBuf,
    pub tree: Option<Tree>,
    /// Paquebot's program, as this checkout builds it.
    pub paquebot: PathBuf,
    pub imap: u16,
    pub imaps: u16,
    pub lmtp: u16,
}

/// A server, whether it runs or not. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    pub kind: &'static Kind,
    pub place: Place,
    script: String,
    child: Option<Child>,
}

/// What the kernel is asked about while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch<'a> {
    Nothing,
    /// Every flush, to a file.
    Flushes(&'a Path),
}

impl Server {
    /// Makes its folder anew and configures it.
    pub fn set_up(kind: &'static Kind, mut place: Place, certificate: &Path) -> Result<Self> {
        if place.folder.exists() {
            fs::remove_dir_all(&place.folder).with_context(|| format!("cannot remove {}", place.folder.display()))?;
        }
        fs::create_dir_all(place.folder.join("etc"))?;
        [place.imap, place.imaps, place.lmtp] = free_ports()?;
        for name in ["tls.crt", "tls.key"] {
            fs::copy(certificate.join(name), place.folder.join(name))?;
        }
        write_user_ids(&place.folder.join("etc"))?;
        let users: String = (1..=USERS).map(|n| format!("u{n}:{{PLAIN}}{PASSWORD}\n")).collect();
        fs::write(place.folder.join("users"), users)?;
        let start = (kind.configure)(&place)?;
        let script = format!("{}{start}\n", prelude(&place));
        Ok(Self { kind, place, script, child: None })
    }

    /// The process above all of the server's.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Starts it; gives how long it took until it greeted.
    pub fn start(&mut self, watch: Watch<'_>) -> Result<Duration> {
        let mut command = Command::new("setpriv");
        // It ends with us, however we end.
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Watch::Flushes(file) = watch {
            let calls = "trace=fsync,fdatasync,sync,syncfs,msync,sync_file_range";
            command.args(["strace", "--follow-forks", "--seccomp-bpf", "-qq", "--signal=none", "-e", calls, "-o"]);
            command.arg(file).args(["setpriv", "--pdeathsig", "KILL", "--"]);
        }
        command.args([
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-euc",
            &self.script,
        ]);
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let start = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        self.child = Some(child.context("cannot start setpriv, of util-linux")?);
        self.wait_for(self.place.imap, "* OK")?;
        let took = start.elapsed();
        if self.kind.lmtp {
            self.wait_for(self.place.lmtp, "220")?;
        }
        Ok(took)
    }

    /// Ends it as a service manager would, and waits until it is gone.
    pub fn stop(&mut self) -> Result<()> {
        self.signal("-TERM")
    }

    /// Ends all its processes at once.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("-KILL")
    }

    fn signal(&mut self, signal: &str) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // The process namespace's first one: all others end with it.
        if let Some(first) = first_of_namespace(child.id()) {
            output_of(Command::new("kill").args([signal, &first.to_string()]))?;
        }
        let deadline = Instant::now() + STOP;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                eprintln!("versus: {} does not end when told to", self.kind.name);
                child.kill()?;
                child.wait()?;
                break;
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn wait_for(&mut self, port: u16, greeting: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if greets(port, greeting) {
                return Ok(());
            }
            let ended = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || Instant::now() > deadline {
                bail!("{} does not start; what it says is in {}", self.kind.name, self.log().display());
            }
            thread::sleep(POLL);
        }
    }

    fn log(&self) -> PathBuf {
        self.place.folder.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("versus: {}: {error:#}", self.kind.name);
        }
    }
}

/// Mounts what only the server sees.
fn prelude(place: &Place) -> String {
    let store = place.folder.display();
    let mut script = format!("mount -t tmpfs -o mode=755 tmpfs /run\nmkdir {STORE}\nmount --bind '{store}' {STORE}\n");
    if let Some(Tree { root, .. }) = &place.tree {
        let root = root.display();
        script.push_str(&format!("mount -t overlay -o 'lowerdir={store}/etc:{root}/etc:/etc' overlay /etc\n"));
        script.push_str(&format!("mount -t overlay -o 'lowerdir={root}/usr:/usr' overlay /usr\n"));
    }
    script
}

/// The machine's users and groups, and those that peers want.
fn write_user_ids(etc: &Path) -> Result<()> {
    for (file, is_user) in [("passwd", true), ("group", false)] {
        let mut text = fs::read_to_string(Path::new("/etc").join(file))?;
        for (name, id) in USER_IDS {
            if !text.lines().any(|line| line.split(':').next() == Some(name)) {
                text.push_str(&match is_user {
                    true => format!("{name}:x:{id}:{id}::{STORE}:/usr/sbin/nologin\n"),
                    false => format!("{name}:x:{id}:\n"),
                });
            }
        }
        fs::write(etc.join(file), text)?;
    }
    Ok(())
}

/// The id that a user has where the server runs, and their group's.
pub fn ids_of(place: &Place, user: &str) -> Result<(u32, u32)> {
    let passwd = fs::read_to_string(place.folder.join("etc/passwd"))?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.with_context(|| format!("there is no user {user}"))
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until all are known, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn greets(port: u16, greeting: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut line = String::new();
    let heard = stream.set_read_timeout(Some(START)).is_ok() && BufReader::new(&stream).read_line(&mut line).is_ok();
    // So that it is not a client that broke off.
    let goodbye: &[u8] = if greeting == "220" { b"QUIT\r\n" } else { b"x LOGOUT\r\n" };
    let _ = stream.write_all(goodbye);
    heard && line.starts_with(greeting)
}

/// Below `pid` the child of `unshare`, which is process 1 for the server.
fn first_of_namespace(pid: u32) -> Option<u32> {
    let mut pid = pid;
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        if inner.split_whitespace().count() > 1 {
            return Some(pid);
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        pid = children.split_whitespace().next()?.parse().ok()?;
    }
}

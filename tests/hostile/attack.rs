//! A server under attack, and the neighbour who should not notice.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use paquebot_testkit::{Options, Server};
use socket2::{Domain, Socket, Type};

/// The longest that the neighbour may wait for an answer: others wait less than a second, on a machine that has other work too.
const NEIGHBOUR: Duration = Duration::from_secs(1);
/// How much memory an attack may cost the server, in KiB, beyond what a login's hash takes and gives back.
const MEMORY_KIB: u64 = 64 << 10;
/// Nothing here waits for longer than this.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Stage {
    pub server: Server,
    before_kib: u64,
    over: Arc<AtomicBool>,
    neighbour: Option<JoinHandle<Duration>>,
}

impl Stage {
    /// Starts a server with the accounts `anna` and `bert`, whose passwords are `secret`, and the neighbour `anna`.
    pub fn new() -> Self {
        Self::with_settings("")
    }

    pub fn with_settings(settings: &str) -> Self {
        let mut options = Options::with_account("anna", "secret").and_account("bert", "secret");
        options.settings = settings.into();
        let server = Server::start(options).unwrap();
        let mut client = server.client("anna").unwrap();
        client.command("SELECT INBOX").unwrap().ok().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let neighbour = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                client.command("NOOP").unwrap().ok().unwrap();
                longest = longest.max(asked.elapsed());
            }
            longest
        });
        let before_kib = resident_kib(server.process_id());
        Self { server, before_kib, over, neighbour: Some(neighbour) }
    }

    pub fn imap(&self) -> SocketAddr {
        self.server.addresses().imap
    }

    /// A raw connection that has read the greeting.
    pub fn stranger(&self) -> Raw {
        let mut raw = Raw::connect(self.imap());
        raw.until("\r\n");
        raw
    }

    /// A raw connection logged in as `bert`.
    pub fn bert(&self) -> Raw {
        let mut raw = self.stranger();
        raw.command("LOGIN bert secret");
        raw
    }

    /// Ends the attack, and judges what it cost.
    pub fn judge(mut self) {
        let cost_kib = resident_kib(self.server.process_id()).saturating_sub(self.before_kib);
        self.over.store(true, Ordering::Relaxed);
        let longest = self.neighbour.take().unwrap().join().expect("the neighbour was served throughout");
        println!("memory: {cost_kib} KiB more; the neighbour waited {longest:?} at most");
        assert!(cost_kib < MEMORY_KIB, "the attack cost {cost_kib} KiB of memory");
        assert!(longest < NEIGHBOUR, "the neighbour waited {longest:?}");
        self.server.client("anna").unwrap().command("NOOP").unwrap().ok().unwrap();
        self.server.stop().unwrap();
    }
}

/// What the process has in memory of its own, not counting files.
pub fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A connection without manners.
pub struct Raw {
    socket: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// From another address of this machine.
    pub fn connect_from(own: [u8; 4], address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self { socket, seen: Vec::new() }
    }

    /// Sends as much as the server takes; whether that was all.
    pub fn send(&mut self, octets: &[u8]) -> bool {
        self.socket.write_all(octets).is_ok()
    }

    /// Reads until this comes, or the server has closed; gives what was read.
    pub fn until(&mut self, text: &str) -> String {
        let begun = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            if let Some(at) = self.seen.windows(text.len()).position(|window| window == text.as_bytes()) {
                let rest = self.seen.split_off(at + text.len());
                let read = std::mem::replace(&mut self.seen, rest);
                return String::from_utf8_lossy(&read).into_owned();
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.seen.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came for {PATIENCE:?}"),
                // Reset: the server closed with something unread.
                Err(_) => break,
            }
            assert!(begun.elapsed() < PATIENCE * 2, "{text:?} did not come");
        }
        String::from_utf8_lossy(&std::mem::take(&mut self.seen)).into_owned()
    }

    /// What comes until the server closes.
    pub fn rest(&mut self) -> String {
        self.until("\u{0}\u{0}no server says this")
    }

    /// Sends a command and gives its tagged answer, with whatever came before it.
    pub fn command(&mut self, command: &str) -> String {
        self.send(format!("x1 {command}\r\n").as_bytes());
        let before = self.until("x1 ");
        before + &self.until("\r\n")
    }

    pub fn give_up_writing_after(&mut self, time: Duration) {
        self.socket.set_write_timeout(Some(time)).unwrap();
    }

    /// Reads so many octets; whether they are this piece again and again.
    pub fn take(&mut self, count: usize, piece: &[u8]) -> bool {
        let mut buffer = vec![0; piece.len()];
        let (mut at, mut same) = (0, true);
        while at < count {
            let wanted = (count - at).min(piece.len() - at % piece.len());
            let got = if self.seen.is_empty() {
                self.socket.read(&mut buffer[..wanted]).unwrap()
            } else {
                let got = wanted.min(self.seen.len());
                buffer[..got].copy_from_slice(&self.seen[..got]);
                self.seen.drain(..got);
                got
            };
            assert!(got > 0, "the server closed in the midst of a message");
            same &= buffer[..got] == piece[at % piece.len()..][..got];
            at += got;
        }
        same
    }

    /// Whether the connection still answers.
    pub fn lives(&mut self) -> bool {
        self.send(b"x2 NOOP\r\n") && self.until("x2 OK").ends_with("x2 OK") && !self.until("\r\n").is_empty()
    }
}

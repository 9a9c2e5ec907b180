//! Real Dovecot and Courier, as `cargo xtask setup` unpacks them: their IMAP processes, which speak on their standard input and output to whoever starts
//! them (PREAUTH), as after a login.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use paquebot_formats::{Owner, Root};

/// Debian's nobody, to whom the store belongs where the tests run as root: Dovecot does not serve root.
const NOBODY: Owner = Owner { user: 65534, group: 65534 };
/// A server that does not answer is ended after so many seconds.
const LIMIT: &str = "120";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dovecot,
    Courier,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Dovecot => "dovecot",
            Self::Courier => "courier",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Dovecot => "usr/lib/dovecot/imap",
            Self::Courier => "usr/bin/imapd",
        }
    }

    /// The name of a mailbox as clients of this server have it.
    pub fn mailbox(self, name: &str) -> String {
        match self {
            Self::Courier if name != "INBOX" => format!("INBOX.{}", name.replace('/', ".")),
            _ => name.to_owned(),
        }
    }

    /// Where the server is unpacked. `None` where it is not and nobody has asked for all tests to run (`CI`).
    pub fn packages(self) -> Option<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.xtask").join(self.folder());
        if let Ok(folder) = folder.canonicalize()
            && folder.join(self.program()).exists()
        {
            return Some(folder);
        }
        let missing = format!("{self:?} is not here: `cargo xtask setup` unpacks it");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("not tried: {missing}");
        None
    }

    /// The maildir at `top`, for the driver.
    pub fn root(self, top: &Path) -> Root {
        give_away(top);
        if self == Self::Courier {
            std::fs::write(top.join("courierimapsubscribed"), "").unwrap();
            give_away(top);
        }
        Root { directory: top.into(), owner: is_root().then_some(NOBODY), ..Root::default() }
    }
}

/// Gives a directory with all in it to who serves it.
pub fn give_away(directory: &Path) {
    if is_root() {
        let owner = format!("{}:{}", NOBODY.user, NOBODY.group);
        let status = Command::new("chown").args(["--recursive", &owner]).arg(directory).status();
        assert!(status.unwrap().success());
    }
}

/// A session.
pub struct Session {
    kind: Kind,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    tag: u32,
}

impl Session {
    pub fn start(kind: Kind, packages: &Path, top: &Path) -> Self {
        let mut command = Command::new("timeout");
        command.arg(LIMIT).arg(packages.join(kind.program())).env_clear().env("HOME", top);
        let libraries = ["usr/lib/dovecot", "usr/lib", "usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"];
        let libraries = libraries.map(|folder| packages.join(folder).display().to_string()).join(":");
        command.env("LD_LIBRARY_PATH", libraries).env("PATH", "/usr/bin:/bin");
        match kind {
            Kind::Dovecot => {
                let metadata = std::fs::metadata(top).unwrap();
                let run = top.join("run").display().to_string();
                let (user, group) = (metadata.uid().to_string(), metadata.gid().to_string());
                let settings = [
                    ("DOVECONF_ENV", "1"),
                    ("USER", "somebody"),
                    ("MAIL_UID", &user),
                    ("MAIL_GID", &group),
                    ("FIRST_VALID_UID", "1"),
                    ("FIRST_VALID_GID", "0"),
                    ("BASE_DIR", &run),
                    ("STATE_DIR", &run),
                    ("SSL", "no"),
                    ("STATS_WRITER_SOCKET_PATH", ""),
                    ("NAMESPACE", "inbox"),
                    ("NAMESPACE/INBOX/INBOX", "yes"),
                    ("NAMESPACE/INBOX/SEPARATOR", "/"),
                ];
                command.envs(settings).env("MAIL_LOCATION", format!("maildir:{}", top.display()));
            }
            Kind::Courier => {
                let settings = [
                    ("AUTHENTICATED", "somebody"),
                    ("IMAP_USELOCKS", "1"),
                    ("IMAP_KEYWORDS", "1"),
                    ("IMAP_ENHANCEDIDLE", "0"),
                    ("IMAP_CAPABILITY", "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE"),
                    ("TCPREMOTEIP", "127.0.0.1"),
                ];
                command.envs(settings).env("MAILDIR", top).arg(top);
            }
        }
        if is_root() {
            command.uid(NOBODY.user).gid(NOBODY.group);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir(top);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut session = Self { kind, child, input, output, tag: 0 };
        let greeting = session.answer("* PREAUTH");
        assert!(greeting.contains("PREAUTH"), "{greeting}");
        session
    }

    /// What is answered, as it came, to a command that must succeed.
    pub fn command(&mut self, text: &str) -> String {
        let tag = self.send(text);
        let answer = self.answer(&format!("{tag} "));
        let last = answer.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("{tag} OK")), "{:?}: {text}: {answer}", self.kind);
        answer
    }

    /// Appends a message with a date, and gives its UID.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> u32 {
        let date = "05-Mar-2007 10:15:30 -0800";
        let tag = self.send(&format!("APPEND \"{mailbox}\" ({flags}) \"{date}\" {{{}}}", message.len()));
        self.answer("+");
        self.write(&format!("{message}\r\n"));
        let answer = self.answer(&format!("{tag} "));
        let code = answer.split("APPENDUID ").nth(1).unwrap_or_else(|| panic!("{answer}")).split(']').next().unwrap();
        code.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The octets of a message.
    pub fn body(&mut self, uid: u32) -> Vec<u8> {
        let tag = self.send(&format!("UID FETCH {uid} BODY.PEEK[]"));
        let mut line = String::new();
        while !line.contains('{') {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0);
        }
        let length = line.trim_end().rsplit('{').next().unwrap().trim_end_matches('}').parse().unwrap();
        let mut octets = vec![0; length];
        self.output.read_exact(&mut octets).unwrap();
        self.answer(&format!("{tag} "));
        octets
    }

    /// UID, flags and keywords sorted, octets, of all messages of the mailbox that is open.
    pub fn messages(&mut self) -> Vec<(u32, Vec<String>, u64)> {
        let answer = self.command("UID FETCH 1:* (FLAGS RFC822.SIZE)");
        let mut messages: Vec<_> = answer.lines().filter(|line| line.contains(" FETCH (")).map(message).collect();
        messages.sort();
        messages
    }

    fn send(&mut self, text: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.write(&format!("{tag} {text}\r\n"));
        tag
    }

    fn write(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Lines up to one that begins so.
    fn answer(&mut self, end: &str) -> String {
        let mut answer = String::new();
        loop {
            let mut line = Vec::new();
            let count = self.output.read_until(b'\n', &mut line).unwrap();
            assert_ne!(count, 0, "{:?} has closed: {answer}", self.kind);
            let line = String::from_utf8_lossy(&line);
            answer.push_str(&line);
            if line.starts_with(end) {
                return answer;
            }
        }
    }

    /// Ends the session as a client does.
    pub fn end(mut self) {
        self.command("LOGOUT");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// `* 3 FETCH (UID 4 FLAGS (\Seen Work) RFC822.SIZE 12)`, in any order.
fn message(line: &str) -> (u32, Vec<String>, u64) {
    let after = |what: &str| line.split(what).nth(1).unwrap_or_else(|| panic!("{line}"));
    let number = |what: &str| {
        let digits: String = after(what).chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap()
    };
    let flags = after("FLAGS (").split(')').next().unwrap();
    let mut flags: Vec<String> =
        flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
    flags.sort();
    (u32::try_from(number("UID ")).unwrap(), flags, number("RFC822.SIZE "))
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

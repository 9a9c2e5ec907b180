//! A real Cyrus of one's own, as `cargo xtask setup` unpacks it: on loopback, with a store in a directory that goes away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use paquebot_formats::{Owner, Root};

/// Debian's nobody, to whom the store belongs where the tests run as root.
const NOBODY: Owner = Owner { user: 65534, group: 65534 };
/// Whatever the server is asked for it has done by then.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Server {
    directory: tempfile::TempDir,
    packages: PathBuf,
    port: u16,
    lmtp: u16,
    master: Option<Child>,
}

impl Server {
    /// A server without mailboxes that does not run yet. `None` where Cyrus is not unpacked and nobody has asked for all tests to run (`CI`).
    pub fn new(options: &str) -> Option<Self> {
        let packages = packages()?;
        let directory = tempfile::tempdir().unwrap();
        let server = Self { directory, packages, port: 0, lmtp: 0, master: None };
        for folder in ["conf", "spool", "run"] {
            std::fs::create_dir(server.path().join(folder)).unwrap();
        }
        let here = server.path().display();
        let (user, group) = match is_root() {
            true => ("nobody".to_owned(), "nogroup".to_owned()),
            false => (own_name("--user"), own_name("--group")),
        };
        let configuration = format!(
            "configdirectory: {here}/conf\npartition-default: {here}/spool\nproc_path: {here}/run/proc\ntemp_path: {here}/run\n\
             cyrus_user: {user}\ncyrus_group: {group}\nadmins: admin\nallowplaintext: yes\nsasl_pwcheck_method: alwaystrue\n\
             sasl_mech_list: PLAIN\nautocreate_quota: -1\nmunge8bit: no\n{options}"
        );
        std::fs::write(server.configuration(), configuration).unwrap();
        server.give_away();
        Some(server)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn configuration(&self) -> PathBuf {
        self.path().join("imapd.conf")
    }

    /// The store for the driver, by the server's own configuration.
    pub fn root(&self, user: &str) -> Root {
        Root { directory: self.configuration(), user: Some(user.into()), ..Root::default() }
    }

    pub fn owner(&self) -> Option<Owner> {
        is_root().then_some(NOBODY)
    }

    /// Gives everything to the server's user.
    pub fn give_away(&self) {
        self.give(self.path());
    }

    pub fn give(&self, directory: &Path) {
        if is_root() {
            let owner = format!("{}:{}", NOBODY.user, NOBODY.group);
            let status = Command::new("chown").args(["--recursive", &owner]).arg(directory).status();
            assert!(status.unwrap().success());
        }
    }

    /// Runs one of the server's tools; gives all that it says.
    pub fn tool(&self, name: &str, arguments: &[&str], input: &[u8]) -> String {
        let mut command = self.command(&self.program(name));
        command.arg("-C").arg(self.configuration()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{name} {arguments:?}: {}: {said}", output.status);
        said
    }

    /// Starts the server, and waits until it answers: on other ports if somebody has taken these in between.
    pub fn start(&mut self) {
        assert!((0..3).any(|_| self.start_on_free_ports()), "cyrus does not answer");
    }

    fn start_on_free_ports(&mut self) -> bool {
        self.stop();
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        [self.port, self.lmtp] = listeners.map(|listener| listener.local_addr().unwrap().port());
        let here = self.path().to_owned();
        let service = |name: &str, program: &str, options: &str, port: u16| {
            let (program, here) = (self.program(program), here.display());
            format!(
                "  {name} cmd=\"{} {options} -C {here}/imapd.conf\" listen=\"127.0.0.1:{port}\" prefork=0\n",
                program.display()
            )
        };
        let services = service("imap", "imapd", "", self.port) + &service("lmtp", "lmtpd", "-a", self.lmtp);
        let services = format!("START {{\n}}\nSERVICES {{\n{services}}}\nEVENTS {{\n}}\n");
        std::fs::write(here.join("cyrus.conf"), services).unwrap();
        let mut command = self.command(&self.program("master"));
        command.arg("-C").arg(here.join("imapd.conf")).arg("-M").arg(here.join("cyrus.conf"));
        command.arg("-p").arg(here.join("run/master.pid"));
        // So that all of it can be ended at once.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.master = Some(command.spawn().unwrap());
        let until = Instant::now() + LIMIT / 3;
        let greets = |port: u16| {
            let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).is_ok() && line.contains("Cyrus")
        };
        while !(greets(self.port) && greets(self.lmtp)) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    fn stop(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        let group = rustix::process::Pid::from_child(&master);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while matches!(master.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = master.wait();
    }

    pub fn client(&self, user: &str) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut client = Client { lines: BufReader::new(stream), tag: 0 };
        let greeting = client.answer("*");
        assert!(greeting.starts_with("* OK"), "{greeting}");
        client.command(&format!("LOGIN {user} secret"));
        client
    }

    /// Delivers a message by LMTP.
    pub fn deliver(&self, to: &str, message: &str) {
        let stream = TcpStream::connect(("127.0.0.1", self.lmtp)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut lines = BufReader::new(stream);
        let mut expect = |text: String, code: &str| {
            lines.get_mut().write_all(text.as_bytes()).unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                assert!(line.starts_with(code), "{text}: {line}");
                if line.as_bytes()[3] == b' ' {
                    return;
                }
            }
        };
        expect(String::new(), "220");
        expect("LHLO localhost\r\n".into(), "250");
        expect("MAIL FROM:<>\r\n".into(), "250");
        expect(format!("RCPT TO:<{to}>\r\n"), "250");
        expect("DATA\r\n".into(), "354");
        expect(format!("{message}.\r\n"), "250");
        expect("QUIT\r\n".into(), "221");
    }

    fn program(&self, name: &str) -> PathBuf {
        self.packages.join("usr/lib/cyrus/bin").join(name)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let libraries = std::fs::read_dir(self.packages.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path());
        let libraries: Vec<String> = libraries
            .filter(|path| path.to_string_lossy().contains("-linux-"))
            .map(|path| path.display().to_string())
            .collect();
        command.env("LD_LIBRARY_PATH", libraries.join(":")).current_dir(self.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A session with the server.
pub struct Client {
    lines: BufReader<TcpStream>,
    tag: u32,
}

impl Client {
    /// What is answered, as it came, to a command that must succeed.
    pub fn command(&mut self, text: &str) -> String {
        let tag = self.send(text);
        let answer = self.answer(&tag);
        let last = answer.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("{tag} OK")), "{text}: {answer}");
        answer
    }

    /// Appends a message with a date, and gives its UID.
    pub fn append(&mut self, mailbox: &str, flags: &str, message: &str) -> u32 {
        let date = "05-Mar-2007 10:15:30 -0800";
        let text = format!("APPEND {mailbox} ({flags}) \"{date}\" {{{}+}}\r\n{message}", message.len());
        let answer = self.command(&text);
        let code = answer.split("APPENDUID ").nth(1).unwrap().split(']').next().unwrap();
        code.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The octets of a message.
    pub fn body(&mut self, uid: u32) -> Vec<u8> {
        let tag = self.send(&format!("UID FETCH {uid} BODY.PEEK[]"));
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).unwrap();
        let told = String::from_utf8(line).unwrap();
        if told.contains("BODY[] \"\"") {
            self.answer(&tag);
            return Vec::new();
        }
        let length = told.trim_end().rsplit('{').next().unwrap().trim_end_matches('}').parse().unwrap();
        let mut octets = vec![0; length];
        self.lines.read_exact(&mut octets).unwrap();
        self.answer(&tag);
        octets
    }

    fn send(&mut self, text: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.lines.get_mut().write_all(format!("{tag} {text}\r\n").as_bytes()).unwrap();
        tag
    }

    fn answer(&mut self, tag: &str) -> String {
        let mut answer = Vec::new();
        loop {
            let start = answer.len();
            let count = self.lines.read_until(b'\n', &mut answer).unwrap();
            assert_ne!(count, 0, "the server has closed: {}", String::from_utf8_lossy(&answer));
            if answer[start..].starts_with(format!("{tag} ").as_bytes()) {
                return String::from_utf8_lossy(&answer).into_owned();
            }
        }
    }
}

/// Where `cargo xtask setup` has unpacked the server.
fn packages() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.xtask/cyrus");
    if let Ok(folder) = folder.canonicalize()
        && folder.join("usr/lib/cyrus/bin/master").exists()
    {
        return Some(folder);
    }
    let missing = "Cyrus is not here: `cargo xtask setup` unpacks it";
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    eprintln!("not tried: {missing}");
    None
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn own_name(of: &str) -> String {
    let output = Command::new("id").arg(of).arg("--name").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

//! Postfix delivers over LMTP: a whole instance of its own, on loopback, with its own configuration and queue.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use paquebot_testkit::{Client, LmtpAddress, Options, process, sha256_hex};

use crate::stage::{LIMIT, PASSWORD, Stage, behind_trace, messages};

const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// A running Postfix. Dropped, it is stopped.
struct Postfix {
    configuration: PathBuf,
    port: u16,
    master: Child,
}

impl Postfix {
    /// Starts one that hands all mail for example.org to `transport`, and nothing to anybody else.
    fn start(stage: &Stage, transport: &str) -> Result<Postfix> {
        let folder = stage.folder("postfix")?;
        // Postfix's own user must reach the queue below it, and the server's socket.
        for open in [stage.server.folder(), &folder] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755))?;
        }
        let data = stage.folder("postfix/data")?;
        process::run(Command::new("chown").arg("postfix").arg(&data), b"", LIMIT)?.success()?;
        let port = free_port()?;
        let settings = format!(
            "compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmyhostname = mail.example.org\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmydestination =\nmynetworks = 127.0.0.0/8\nalias_maps =\nlocal_recipient_maps =\n\
             virtual_mailbox_domains = example.org\nvirtual_mailbox_maps = static:all\nvirtual_transport = {transport}\n\
             default_transport = error:no mail leaves this test\nmaillog_file = /dev/stdout\nmessage_size_limit = 10000000\n\
             smtpd_recipient_restrictions = permit_mynetworks, reject\n",
            queue = stage.folder("postfix/queue")?.display(),
            data = data.display()
        );
        fs::write(folder.join("main.cf"), settings)?;
        fs::write(folder.join("master.cf"), format!("127.0.0.1:{port} inet n - n - - smtpd\n{SERVICES}"))?;

        let log = fs::File::create(folder.join("log"))?;
        let mut start = Command::new("postfix");
        start.arg("-c").arg(&folder).arg("start-fg").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let master = start.spawn().context("cannot start postfix; `cargo xtask setup` installs it")?;
        Ok(Postfix { configuration: folder, port, master })
    }

    /// Hands it a sample for these recipients, as a program on the same machine would.
    fn send(&self, stage: &Stage, file: &str, recipients: &[&str]) -> Result<()> {
        let sample = stage.sample(file)?;
        let mut curl = Command::new("curl");
        // It may still be starting: curl tries again until it listens.
        curl.args(["--silent", "--show-error", "--retry", "60", "--retry-connrefused", "--retry-delay", "1"]);
        curl.args(["--mail-from", "bob@example.org"]);
        curl.args(recipients.iter().flat_map(|recipient| ["--mail-rcpt", recipient]));
        curl.arg("--upload-file")
            .arg(stage.samples_path(sample))
            .arg(format!("smtp://127.0.0.1:{}/client.example.org", self.port));
        process::run(&mut curl, b"", LIMIT)?.success().with_context(|| self.log()).map(drop)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.configuration.join("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let mut stop = Command::new("postfix");
        stop.arg("-c").arg(&self.configuration).arg("stop");
        let stopped = process::run(&mut stop, b"", Duration::from_secs(60));
        if !stopped.is_ok_and(|stopped| stopped.status.success()) {
            let _ = self.master.kill();
        }
        let _ = self.master.wait();
    }
}

/// A port that nobody has just now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits, in IDLE, until the selected mailbox has this many messages.
fn wait_for(client: &mut Client, count: usize, postfix: &Postfix) -> Result<()> {
    let exists = format!("* {count} EXISTS");
    if client.command("NOOP")?.ok()?.untagged.iter().any(|response| response.starts_with(&exists)) {
        return Ok(());
    }
    let tag = client.tag();
    client.send(format!("{tag} IDLE\r\n").as_bytes())?;
    client.wait_for_continuation(&tag)?;
    while !client.read().with_context(|| postfix.log())?.context("closed while idle")?.starts_with(&exists) {}
    client.send(b"DONE\r\n")?;
    client.answer(&tag)?.ok().map(drop)
}

fn delivers(lmtp_socket: bool) -> Result<()> {
    let mut options = Options::with_account("alice", PASSWORD).and_account("bob", PASSWORD);
    options.lmtp_socket = lmtp_socket;
    let stage = Stage::empty(options)?;
    let transport = match &stage.server.addresses().lmtp {
        LmtpAddress::Tcp(address) => format!("lmtp:inet:{address}"),
        LmtpAddress::Unix(path) => format!("lmtp:unix:{}", path.display()),
    };
    let postfix = Postfix::start(&stage, &transport)?;
    let (mut alice, mut bob) = (stage.client()?, stage.server.client("bob")?);
    alice.command("CREATE Boats")?.ok()?;
    alice.command("SELECT INBOX")?.ok()?;
    bob.command("SELECT INBOX")?.ok()?;

    // One message for two recipients, then every sample of the inbox for one; 8-bit and long lines among them.
    postfix.send(&stage, "nihongo/001.eml", &["alice@example.org", "bob@example.org"])?;
    wait_for(&mut alice, 1, &postfix)?;
    wait_for(&mut bob, 1, &postfix)?;
    let files: Vec<String> = (1..=29).map(|number| format!("inbox/{number:03}.eml")).collect();
    for file in &files {
        postfix.send(&stage, file, &["alice@example.org"])?;
    }
    wait_for(&mut alice, 30, &postfix)?;

    let mut checker = stage.client()?;
    let delivered = messages(&mut checker, "INBOX")?;
    for message in &delivered {
        let head = String::from_utf8_lossy(&message[..message.len().min(300)]).into_owned();
        ensure!(head.starts_with("Return-Path: <bob@example.org>\r\n"), "no return path: {head}");
        ensure!(head.contains("Delivered-To: alice"), "no recipient: {head}");
    }
    let mut hashes: Vec<_> = delivered.iter().map(|message| sha256_hex(behind_trace(message))).collect();
    hashes.sort();
    let mut expected = vec![stage.sample("nihongo/001.eml")?.sha256.clone()];
    expected.extend(stage.samples.of("INBOX").map(|message| message.sha256.clone()));
    expected.sort();
    ensure!(hashes == expected, "alice's mail is not what was sent");

    // A detail names a mailbox; an unknown one goes to INBOX.
    alice.command("SELECT Boats")?.ok()?;
    postfix.send(&stage, "inbox/011.eml", &["alice+Boats@example.org"])?;
    wait_for(&mut alice, 1, &postfix)?;
    alice.command("SELECT INBOX")?.ok()?;
    postfix.send(&stage, "inbox/011.eml", &["alice+nothing-of-that-name@example.org"])?;
    wait_for(&mut alice, 31, &postfix)?;

    // An unknown recipient: Postfix tells the sender, in our words.
    postfix.send(&stage, "inbox/001.eml", &["nobody@example.org"])?;
    wait_for(&mut bob, 2, &postfix)?;
    let bounce = messages(&mut stage.server.client("bob")?, "INBOX")?.pop().context("bob's INBOX is empty")?;
    let bounce = String::from_utf8_lossy(&bounce).into_owned();
    ensure!(bounce.contains("Status: 5.1.1") && bounce.contains("550"), "the bounce does not say why: {bounce}");

    drop((alice, bob, checker, postfix));
    stage.server.stop()
}

#[test]
fn postfix_delivers_over_tcp() -> Result<()> {
    delivers(false)
}

#[test]
fn postfix_delivers_over_a_socket() -> Result<()> {
    delivers(true)
}

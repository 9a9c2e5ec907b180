//! `cargo xtask cluster`: three nodes with managed etcd on this machine, to look at, connect to and kill.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, find, output_of, run, target_folder};
use crate::setup;

const NODES: [&str; 3] = ["a", "b", "c"];
/// Each node's ports are the usual ones, and so much higher that a server beside them is not in the way; and then so much for each node.
const FIRST: u16 = 10_000;
const STEP: u16 = 1000;
const START: Duration = Duration::from_secs(60);

struct Node {
    name: &'static str,
    folder: PathBuf,
    imap: u16,
    lmtp: u16,
    process: Option<Child>,
    /// What it says.
    lines: Option<BufReader<ChildStdout>>,
}

/// Builds the server in release, makes a cluster with an account `demo`, and serves until Ctrl-C. The data stays for the next time.
pub fn start() -> Result<()> {
    if find("etcd").is_none() {
        setup::run()?;
    }
    let server = server()?;
    let folder = target_folder()?.join("cluster");
    // One that was begun and not finished is of no use.
    let made = folder.join("made");
    let fresh = !made.exists();
    if fresh && folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let mut nodes = Vec::new();
    for (name, number) in NODES.into_iter().zip(0..) {
        nodes.push(Node::make(name, number, &folder)?);
    }
    if fresh {
        output_of(&mut nodes[0].command(&server, &["cluster", "init"]))?;
        nodes[0].serve(&server)?;
        for number in 1..nodes.len() {
            let token = output_of(&mut nodes[0].command(&server, &["cluster", "token"]))?;
            output_of(&mut nodes[number].command(&server, &["cluster", "join", token.trim()]))?;
            nodes[number].serve(&server)?;
        }
        nodes[0].add_user(&server)?;
        fs::write(made, "")?;
    } else {
        // Side by side: without a second one the first has no quorum.
        nodes.iter_mut().try_for_each(|node| node.start(&server))?;
        nodes.iter_mut().try_for_each(Node::wait)?;
    }
    println!("\nThree nodes serve. Log in anywhere as `demo` with password `demo`:\n");
    for node in &nodes {
        let process = node.process.as_ref().map_or(0, Child::id);
        println!(
            "  {}  imap 127.0.0.1:{}  lmtp 127.0.0.1:{}  process {process}  {}",
            node.name,
            node.imap,
            node.lmtp,
            node.configuration().display()
        );
    }
    println!(
        "\n  {} cluster status --config {}\n\nKill one (kill -9) and go on at another. Ctrl-C ends all; `rm -r {}` forgets them.",
        server.display(),
        nodes[0].configuration().display(),
        folder.display()
    );
    // Ctrl-C reaches the nodes as it reaches us: this waits for whatever comes to them.
    for node in &mut nodes {
        if let Some(mut process) = node.process.take() {
            println!("node {} ended: {}", node.name, process.wait()?);
        }
    }
    Ok(())
}

/// The one that `PAQUEBOT_BIN` names, or a fresh one.
fn server() -> Result<PathBuf> {
    if let Some(server) = std::env::var_os("PAQUEBOT_BIN") {
        return Ok(server.into());
    }
    run(cargo().args(["build", "--release", "--package", "paquebot"]))?;
    Ok(target_folder()?.join("release/paquebot"))
}

impl Node {
    fn make(name: &'static str, number: u16, folder: &Path) -> Result<Node> {
        let port = |usual: u16| FIRST + usual + number * STEP;
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let (imap, lmtp) = (port(1143), port(1024));
        let text = format!(
            "data = {:?}\n\n[listen]\nimap = [\"127.0.0.1:{imap}\"]\nimaps = [\"127.0.0.1:{}\"]\nlmtp = [\"127.0.0.1:{lmtp}\"]\n\
             admin = [\"127.0.0.1:{}\"]\n\n[cluster]\nnode = {name:?}\netcd = \"managed\"\npeer = \"127.0.0.1:{}\"\n\
             etcd_client_port = {}\netcd_peer_port = {}\n",
            folder.join("data"),
            port(1993),
            port(1080),
            port(7143),
            port(7144),
            port(7145),
        );
        let node = Node { name, folder, imap, lmtp, process: None, lines: None };
        fs::write(node.configuration(), text)?;
        Ok(node)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("paquebot.toml")
    }

    fn command(&self, server: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(server);
        command.args(arguments).arg("--config").arg(self.configuration());
        command
    }

    /// Starts it; it ends with us, however we end. What it logs goes to a file.
    fn start(&mut self, server: &Path) -> Result<()> {
        let serve = self.command(server, &["serve"]);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(serve.get_program()).args(serve.get_args());
        let log = fs::File::create(self.log())?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().context("cannot start the server")?;
        self.lines = child.stdout.take().map(BufReader::new);
        self.process = Some(child);
        Ok(())
    }

    /// Until it says that it is ready.
    fn wait(&mut self) -> Result<()> {
        let lines = self.lines.take().context("the server was not started")?.lines();
        let (sender, ready) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line == "ready") {
                let _ = sender.send(line);
            }
        });
        ready.recv_timeout(START).map(drop).with_context(|| {
            let said = fs::read_to_string(self.log()).unwrap_or_default();
            let last = said.lines().last().unwrap_or_default().to_owned();
            format!("node {} is not ready; {} ends with: {last}", self.name, self.log().display())
        })
    }

    fn serve(&mut self, server: &Path) -> Result<()> {
        self.start(server)?;
        self.wait()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn add_user(&self, server: &Path) -> Result<()> {
        let mut add = self.command(server, &["user", "add", "demo", "--password-stdin"]);
        let mut child = add.stdin(Stdio::piped()).spawn()?;
        child.stdin.take().context("no standard input")?.write_all(b"demo\n")?;
        if !child.wait()?.success() {
            bail!("the account `demo` could not be made");
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

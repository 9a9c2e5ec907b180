//! `cargo xtask cluster`: three nodes with managed etcd on this machine, to look at, connect to and kill.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, find, output_of, run, target_folder};
use crate::setup;

const NODES: [&str; 3] = ["a", "b", "c"];
/// Each node's ports are these, so much higher than the node's before.
const STEP: u16 = 1000;
const START: Duration = Duration::from_secs(60);

struct Node {
    name: &'static str,
    folder: PathBuf,
    imap: u16,
    lmtp: u16,
    process: Option<Child>,
}

/// Builds the server in release, makes a cluster with an account `demo`, and serves until Ctrl-C. The data stays for the next time.
pub fn start() -> Result<()> {
    if find("etcd").is_none() {
        setup::run()?;
    }
    run(cargo().args(["build", "--release", "--package", "paquebot"]))?;
    let server = target_folder()?.join("release/paquebot");
    let folder = target_folder()?.join("cluster");
    let mut nodes = Vec::new();
    for (name, number) in NODES.into_iter().zip(0..) {
        nodes.push(Node::make(name, number, &folder)?);
    }
    let fresh = !nodes[0].folder.join("data").exists();
    if fresh {
        output_of(&mut nodes[0].command(&server, &["cluster", "init"]))?;
        nodes[0].serve(&server)?;
        for number in 1..nodes.len() {
            let token = output_of(&mut nodes[0].command(&server, &["cluster", "token"]))?;
            output_of(&mut nodes[number].command(&server, &["cluster", "join", token.trim()]))?;
            nodes[number].serve(&server)?;
        }
        nodes[0].add_user(&server)?;
    } else {
        // Side by side: without a second one the first has no quorum.
        let server = &server;
        thread::scope(|scope| {
            let starts: Vec<_> = nodes.iter_mut().map(|node| scope.spawn(move || node.serve(server))).collect();
            starts.into_iter().try_for_each(|start| start.join().expect("a start does not panic"))
        })?;
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

impl Node {
    fn make(name: &'static str, number: u16, folder: &Path) -> Result<Node> {
        let port = |first: u16| first + number * STEP;
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
        let node = Node { name, folder, imap, lmtp, process: None };
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

    /// Until it says that it is ready.
    fn serve(&mut self, server: &Path) -> Result<()> {
        let mut child =
            self.command(server, &["serve"]).stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let (sender, ready) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line == "ready") {
                let _ = sender.send(line);
            }
        });
        let started = ready.recv_timeout(START);
        self.process = Some(child);
        match started {
            Ok(_) => Ok(()),
            Err(_) => bail!("node {} is not ready after {START:?}", self.name),
        }
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

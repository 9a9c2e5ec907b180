//! A `paquebot` that runs until it is told to stop, for tests that the kit's server does not fit.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use paquebot_testkit::process::{Finished, pid, run};
use rustix::process::{Signal, kill_process};

pub const BINARY: &str = env!("CARGO_BIN_EXE_paquebot");
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command in `folder` to its end.
pub fn paquebot(folder: &Path, arguments: &[&str], input: &str) -> Finished {
    let mut command = Command::new(BINARY);
    run(command.current_dir(folder).args(arguments), input.as_bytes(), LIMIT).unwrap()
}

pub struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it printed up to `ready`.
    pub lines: Vec<String>,
}

impl Running {
    /// Starts it and waits for `ready`.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.current_dir(folder).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, output, lines: Vec::new() };
        loop {
            let line = running.line().expect("it ended before it was ready");
            let is_ready = line == "ready";
            running.lines.push(line);
            if is_ready {
                return running;
            }
        }
    }

    /// The next line that it prints; `None` once it has ended.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.output.read_line(&mut line).unwrap();
        (count > 0).then(|| line.trim_end().to_owned())
    }

    /// Where it listens for this.
    pub fn address(&self, kind: &str) -> SocketAddr {
        let mut found = self.lines.iter().filter_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
        found.next().unwrap().parse().unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child).unwrap(), signal).unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Starting the process, and starting it again.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use crate::settings::{Beginning, Settings, SettingsError};

/// Before the process is started again: at first and at most. One that has run for long begins anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
const LONG: Duration = Duration::from_secs(60);
/// How long the process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
/// Between looks at a process.
const LOOK: Duration = Duration::from_millis(20);
/// Lines of etcd's log that are passed on in a minute, at most.
const LINES: u32 = 60;

/// Why no etcd is started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{program} cannot be started: install etcd (Debian's etcd-server), or say `etcd_program` in the configuration's [cluster]"
    )]
    Program { program: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot start the thread that looks after etcd")]
    Thread(#[source] std::io::Error),
}

/// How the process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Running {
        process: u32,
    },
    /// It ended, and is started again soon; the last that it said.
    Ended {
        why: String,
    },
    Stopped,
}

/// An etcd that runs. Dropped, it is ended.
#[derive(Debug)]
pub struct Managed {
    stop: Arc<Mutex<bool>>,
    state: watch::Receiver<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Managed {
    /// Starts the member and keeps it running. [`Settings::begin`] came before.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let beginning = settings.beginning()?;
        let beginning = beginning.ok_or_else(|| SettingsError::Beginning(settings.directory.clone()))?;
        let version =
            Command::new(&settings.program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.map_err(|source| StartError::Program { program: settings.program.clone(), source })?;
        let stop = Arc::new(Mutex::new(false));
        let (sender, state) = watch::channel(State::Stopped);
        let stopped = stop.clone();
        // The kernel ends the process with the thread that made it, so it has one that lives as long as this.
        let thread = std::thread::Builder::new().name("etcd".into());
        let thread =
            thread.spawn(move || supervise(&settings, &beginning, &stopped, &sender)).map_err(StartError::Thread)?;
        Ok(Self { stop, state, thread: Some(thread) })
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Ends the process, and returns when it has ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *self.stop.lock() = true;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looked after etcd has panicked");
        }
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        self.end();
    }
}

fn supervise(settings: &Settings, beginning: &Beginning, stop: &Mutex<bool>, state: &watch::Sender<State>) {
    let mut pause = PAUSES.0;
    while !*stop.lock() {
        let began = Instant::now();
        let why = match spawn(settings, beginning) {
            Ok(child) => {
                state.send_replace(State::Running { process: child.id() });
                watch(child, stop)
            }
            Err(error) => Some(format!("it cannot be started: {error}")),
        };
        let Some(why) = why else { break };
        tracing::error!(why, "etcd has ended; it is started again");
        state.send_replace(State::Ended { why });
        if began.elapsed() > LONG {
            pause = PAUSES.0;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !*stop.lock() {
            std::thread::sleep(LOOK);
        }
        pause = (pause * 2).min(PAUSES.1);
    }
    state.send_replace(State::Stopped);
}

fn spawn(settings: &Settings, beginning: &Beginning) -> std::io::Result<Child> {
    // `setpriv` asks the kernel to end it with us, however we end: a member that nobody looks after would keep the next one from its ports.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(&settings.program).args(settings.arguments(beginning));
    // What the environment says of etcd is meant for another one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
}

/// Waits for the process to end; what it said last, or `None` when it was told to stop.
fn watch(mut child: Child, stop: &Mutex<bool>) -> Option<String> {
    let last = Arc::new(Mutex::new(String::new()));
    let log = child.stderr.take().map(|stderr| {
        let last = last.clone();
        std::thread::spawn(move || pass_on(stderr, &last))
    });
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status.to_string()),
            Err(error) => break Some(error.to_string()),
            Ok(None) if *stop.lock() => {
                end(&mut child);
                break None;
            }
            Ok(None) => std::thread::sleep(LOOK),
        }
    };
    if let Some(log) = log {
        let _ = log.join();
    }
    ended.map(|status| format!("{status}: {}", last.lock()))
}

fn end(child: &mut Child) {
    if let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::TERM);
    }
    let until = Instant::now() + GRACE;
    while Instant::now() < until {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            _ => return,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Etcd's warnings are ours, but not more of them than anybody reads.
fn pass_on(stderr: ChildStderr, last: &Mutex<String>) {
    let (mut minute, mut lines) = (Instant::now(), 0);
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if minute.elapsed() > Duration::from_secs(60) {
            (minute, lines) = (Instant::now(), 0);
        }
        lines += 1;
        if lines <= LINES {
            tracing::warn!(target: "etcd", "{line}");
        }
        *last.lock() = line;
    }
}

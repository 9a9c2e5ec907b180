//! Other programs, run to their end with a limit in time: none may hang a test.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use std::os::unix::process::CommandExt as _;

/// What a program did.
pub struct Finished {
    shown: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Its standard output if it succeeded, else an error with all that it said.
    pub fn success(self) -> Result<String> {
        if self.status.success() { Ok(self.stdout) } else { bail!("{self}") }
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}\n--- its output\n{}\n--- its errors\n{}",
            self.shown, self.status, self.stdout, self.stderr
        )
    }
}

/// Runs `command` to its end, with `input` as its standard input. After `limit` it is killed, with all its children, and that is an error.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Finished> {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {shown}; `cargo xtask setup` installs what tests need"))?;
    let group = pid(&child)?;

    let mut stdin = child.stdin.take().context("no standard input")?;
    let input = input.to_vec();
    // A program that ends without reading its input is no failure of ours.
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().context("no standard output")?);
    let stderr = collect(child.stderr.take().context("no standard error")?);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait()));

    let status = end.recv_timeout(limit);
    // Whatever it left running goes with it, so that the pipes end.
    let _ = kill_process_group(group, Signal::KILL);
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    let _ = feeding.join();
    match status {
        Ok(status) => Ok(Finished { shown, status: status?, stdout, stderr }),
        Err(_) => bail!("{shown}: not done after {limit:?}\n--- its output\n{stdout}\n--- its errors\n{stderr}"),
    }
}

/// The process id of a child that has not been waited for.
pub fn pid(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process id that is none")
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut data = Vec::new();
        let _ = stream.read_to_end(&mut data);
        String::from_utf8_lossy(&data).into_owned()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_program_is_fed_and_heard() {
        assert_eq!(
            run(&mut Command::new("cat"), b"hello", Duration::from_secs(10)).unwrap().success().unwrap(),
            "hello"
        );
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let mut hanging = Command::new("sh");
        hanging.args(["-c", "echo started; sleep 1000 & sleep 1000"]);
        let error = run(&mut hanging, b"", Duration::from_millis(300)).err().unwrap().to_string();
        assert!(error.contains("not done after") && error.contains("started"), "{error}");
    }

    #[test]
    fn a_missing_program_names_the_setup() {
        let error =
            run(&mut Command::new("paquebot-no-such-program"), b"", Duration::from_secs(1)).err().unwrap().to_string();
        assert!(error.contains("cargo xtask setup"), "{error}");
    }
}

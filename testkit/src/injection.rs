//! A process whose system calls go otherwise than it thinks: a disk that fails, or is slow.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, kill_process};

use crate::process::pid;

const LIMIT: Duration = Duration::from_secs(20);

/// While it lives, something happens to each of some system calls of a process.
pub struct Injection(Child);

impl Injection {
    /// Every flush fails with EIO.
    pub fn failing_flushes(process: u32) -> Result<Injection> {
        Injection::into(process, "error=EIO")
    }

    /// Every flush takes so much longer.
    pub fn slow_flushes(process: u32, by: Duration) -> Result<Injection> {
        Injection::into(process, &format!("delay_enter={}", by.as_micros()))
    }

    fn into(process: u32, what: &str) -> Result<Injection> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e"]);
        strace.arg(format!("inject=fdatasync,fsync:{what}")).arg("-p").arg(process.to_string());
        strace.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = strace.spawn().context("cannot start strace; `cargo xtask setup` installs it")?;
        let said = BufReader::new(child.stderr.take().context("no standard error")?);
        // Its output must go somewhere, or it waits.
        thread::spawn(move || said.split(b'\n').map_while(Result::ok).for_each(drop));
        let injection = Injection(child);
        let began = Instant::now();
        while !all_traced(process)? {
            ensure!(began.elapsed() < LIMIT, "strace does not trace process {process}");
            thread::yield_now();
        }
        Ok(injection)
    }
}

/// Whether each thread of the process is traced.
fn all_traced(process: u32) -> Result<bool> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        if tracer.is_some_and(|tracer| tracer.trim() == "0") {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Drop for Injection {
    fn drop(&mut self) {
        // strace lets go of the process when it is asked to end.
        if let Ok(id) = pid(&self.0) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

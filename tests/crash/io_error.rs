//! The disk says that it could not flush: then nobody knows what is on it, so nobody is told anything.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use paquebot_testkit::process::pid;
use paquebot_testkit::{Options, Server};
use rustix::process::{Signal, kill_process};

use paquebot_tests::message::{message, token_of};

const LIMIT: Duration = Duration::from_secs(20);

/// While it lives, every flush of the server fails with EIO.
struct FailingFlushes(Child);

impl FailingFlushes {
    fn of(server: &Server) -> Result<Self> {
        let process = server.process_id();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO", "-p"]);
        strace.arg(process.to_string()).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = strace.spawn().context("cannot start strace; `cargo xtask setup` installs it")?;
        let mut said = BufReader::new(child.stderr.take().context("no standard error")?);
        thread::spawn(move || {
            let mut line = String::new();
            while said.read_line(&mut line).is_ok_and(|count| count > 0) {
                print!("strace: {line}");
                line.clear();
            }
        });
        let failing = Self(child);
        let began = Instant::now();
        while !all_traced(process)? {
            ensure!(began.elapsed() < LIMIT, "strace does not trace the server");
            thread::yield_now();
        }
        Ok(failing)
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

impl Drop for FailingFlushes {
    fn drop(&mut self) {
        // strace lets go of the server when it is asked to end.
        if let Ok(id) = pid(&self.0) {
            let _ = kill_process(id, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn a_flush_that_fails_is_neither_ok_nor_no() -> Result<()> {
    let mut server = Server::start(Options::with_account("alice", "secret"))?;
    let mut client = server.client("alice")?;
    for token in 1..=5 {
        client.append("INBOX", &[], None, &message(token))?.ok()?;
    }
    let mut flags = server.client("alice")?;
    flags.command("SELECT INBOX")?.ok()?;

    let failing = FailingFlushes::of(&server)?;
    let answer = client.append("INBOX", &[], None, &message(6));
    ensure!(answer.is_err(), "after a flush that failed the client was told {answer:?}");
    // What was not proposed may be refused; it may not be acknowledged.
    let answer = flags.command("STORE 1 +FLAGS (\\Flagged)");
    ensure!(answer.as_ref().map_or(true, |answer| !answer.is_ok()), "a change after it was told {answer:?}");
    drop(failing);
    server.kill().ok();

    server.check()?;
    server.start_again()?;
    let mut client = server.client("alice")?;
    client.command("SELECT INBOX")?.ok()?;
    let bodies = client.command("FETCH 1:* (BODY.PEEK[])")?.ok()?.literals();
    let tokens: Vec<u64> = bodies.iter().filter_map(|body| token_of(body).ok()).collect();
    ensure!(tokens == [1, 2, 3, 4, 5] || tokens == [1, 2, 3, 4, 5, 6], "after the start there are {tokens:?}");
    client.append("INBOX", &[], None, &message(7))?.ok()?;
    server.stop()
}

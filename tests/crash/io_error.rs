//! The disk says that it could not flush: then nobody knows what is on it, so nobody is told anything.

use anyhow::{Result, ensure};
use paquebot_testkit::{Injection, Options, Server};
use paquebot_tests::message::{message, token_of};

#[test]
fn a_flush_that_fails_is_neither_ok_nor_no() -> Result<()> {
    let mut server = Server::start(Options::with_account("alice", "secret"))?;
    let mut client = server.client("alice")?;
    for token in 1..=5 {
        client.append("INBOX", &[], None, &message(token))?.ok()?;
    }
    let mut flags = server.client("alice")?;
    flags.command("SELECT INBOX")?.ok()?;

    let failing = Injection::failing_flushes(server.process_id())?;
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

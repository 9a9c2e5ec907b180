//! A disk without room: refusals that say so, and everything as before once there is room again.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use paquebot_testkit::process::run;
use paquebot_testkit::{Client, LmtpAddress, Options, Server};

use paquebot_tests::lmtp;
use paquebot_tests::message::token_of;

/// The server reserves some 100 MB as it starts; the rest is taken by a file.
const DISK: &str = "192m";
const LIMIT: Duration = Duration::from_secs(30);

/// A disk of its own over a folder, for as long as it lives.
struct Disk(PathBuf);

impl Disk {
    /// What is in the folder goes onto the disk.
    fn over(folder: &Path) -> Result<Disk> {
        let kept = folder.with_extension("kept");
        fs::rename(folder, &kept)?;
        fs::create_dir(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK},mode=700"), "tmpfs"]).arg(folder);
        run(&mut mount, b"", LIMIT)?.success().context("this test mounts a small disk: run it as root")?;
        let disk = Disk(folder.to_owned());
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(kept.join(".")).arg(folder);
        run(&mut copy, b"", LIMIT)?.success()?;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.0), b"", LIMIT);
    }
}

/// Writes a file that leaves no room.
fn fill(path: &Path) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let piece = vec![b'x'; 64 << 10];
    loop {
        match file.write_all(&piece) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).context("cannot fill the disk"),
        }
    }
}

/// A message of some 15 kB that says who it is; tokens are found that make long ones.
fn long_messages() -> impl Iterator<Item = (u64, Vec<u8>)> {
    (1..).map(|token| (token, paquebot_tests::message::message(token))).filter(|(_, octets)| octets.len() > 10_000)
}

fn fetch_tokens(client: &mut Client) -> Result<Vec<u64>> {
    client.command("SELECT INBOX")?.ok()?;
    let bodies = client.command("UID FETCH 1:* (BODY.PEEK[])")?.ok()?.literals();
    bodies.iter().map(|body| token_of(body).map_err(anyhow::Error::msg)).collect()
}

#[test]
fn a_full_disk_refuses_mail_and_loses_none() -> Result<()> {
    let mut server = Server::start(Options::with_account("alice", "secret"))?;
    server.terminate()?;
    let _disk = Disk::over(&server.data())?;
    server.start_again()?;
    let filler = server.data().join("filler");

    let mut client = server.client("alice")?;
    let (mut kept, mut refusal) = (Vec::new(), None);
    let mut messages = long_messages();
    for (token, message) in messages.by_ref().take(3000) {
        if kept.len() == 20 {
            fill(&filler)?;
        }
        let answer = client.append("INBOX", &[], None, &message)?;
        if !answer.is_ok() {
            refusal = Some(answer.tagged);
            break;
        }
        kept.push(token);
    }
    println!("{} messages were taken, of which {} by a full disk", kept.len(), kept.len().saturating_sub(20));
    let refusal = refusal.context("the disk was never full")?;
    ensure!(refusal.starts_with("NO [OVERQUOTA]"), "the answer on a full disk is {refusal}");
    let LmtpAddress::Tcp(address) = server.addresses().lmtp else { bail!("LMTP is on TCP here") };
    let (_, message) = messages.next().context("no more messages")?;
    let delivery = lmtp::deliver(address, "alice@example.org", &message);
    let told = delivery.unwrap_or_else(|refused| refused.to_string());
    ensure!(told.contains("452"), "a delivery to a full disk is answered by {told}");

    // Reading goes on, and so does making room.
    ensure!(fetch_tokens(&mut client)? == kept, "not what was acknowledged");
    client.command("STORE 1:5 +FLAGS.SILENT (\\Deleted)")?.ok()?;
    client.command("EXPUNGE")?.ok()?;
    kept.drain(..5);

    fs::remove_file(&filler)?;
    for (token, message) in messages.by_ref().take(3) {
        client.append("INBOX", &[], None, &message)?.ok()?;
        kept.push(token);
    }
    let (token, message) = messages.next().context("no more messages")?;
    let told = lmtp::deliver(address, "alice@example.org", &message)?;
    ensure!(told.starts_with("250"), "with room again a delivery is answered by {told}");
    kept.push(token);
    ensure!(fetch_tokens(&mut client)? == kept, "after the disk was full: not what was acknowledged");

    server.kill()?;
    server.check()?;
    server.start_again()?;
    ensure!(fetch_tokens(&mut server.client("alice")?)? == kept, "after a crash: not what was acknowledged");
    server.stop()
}

//! Commands about users and mail: sent to the server that runs, or carried out here.

pub mod cluster;
pub mod undelete;
pub mod user;

use std::io::IsTerminal as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use paquebot_admin::{Answer, Progress, Request, Running, control, execute};
use paquebot_config::Config;
use paquebot_mailbox::Service;
use tokio::sync::mpsc;

use crate::{cli, node, privileges};

/// Has a command carried out by whoever has the data directory open: the server that runs, or else this process.
pub async fn ask(config: &Config, request: Request) -> anyhow::Result<Answer> {
    let mut answers = ask_all(config, vec![request]).await?;
    answers.pop().context("there is no answer")
}

/// The same for several, the data directory being opened once.
pub async fn ask_all(config: &Config, requests: Vec<Request>) -> anyhow::Result<Vec<Answer>> {
    let bar = Bar::default();
    if control::is_answered(&config.data) {
        let mut answers = Vec::new();
        for request in requests {
            let answer = control::ask(&config.data, &request, |progress| bar.show(progress)).await?;
            answers.push(answer.context("the server has stopped")?);
        }
        return Ok(answers);
    }
    if config.cluster.is_on() {
        bail!("this is a node of a cluster: start its server (`paquebot serve`), which carries the command out");
    }
    privileges::drop_root(config)?;
    let service = node::start(config).await?;
    let answers = carry_out(&service, requests, &bar).await;
    node::stop(service).await?;
    answers
}

async fn carry_out(service: &Arc<Service>, requests: Vec<Request>, bar: &Bar) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for request in requests {
        let (sender, mut progress) = mpsc::channel(16);
        let work = execute(service, request, sender);
        tokio::pin!(work);
        let answer = loop {
            tokio::select! {
                Some(progress) = progress.recv() => bar.show(progress),
                answer = &mut work => break answer,
            }
        };
        answers.push(answer.map_err(|error| anyhow!(error))?);
    }
    Ok(answers)
}

/// How far a long command is: a bar on a terminal, now and then a line elsewhere.
#[derive(Default)]
struct Bar {
    bar: std::cell::OnceCell<ProgressBar>,
    told_percent: std::cell::Cell<u64>,
}

impl Bar {
    fn show(&self, Progress { done, total }: Progress) {
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_init(|| {
                let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
                ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            });
            bar.set_length(total.max(done));
            bar.set_position(done);
        } else {
            let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100) / 10 * 10;
            if percent > self.told_percent.get() {
                self.told_percent.set(percent);
                eprintln!("{percent} %");
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

/// The answer belongs to another command: the server that answered is not of this version.
fn unexpected(answer: &Answer) -> anyhow::Error {
    anyhow!("the running server gave an answer of another kind ({answer:?}): it is of another version")
}

pub async fn check(config: &Config, options: cli::Output) -> anyhow::Result<ExitCode> {
    let checked = match ask(config, Request::Check).await? {
        Answer::Checked(checked) => checked,
        other => bail!(unexpected(&other)),
    };
    if options.json {
        println!("{}", serde_json::to_string(&checked)?);
    } else {
        for problem in &checked.problems {
            println!("{problem}");
        }
        let found = match checked.problems.len() {
            0 => "nothing is wrong".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        println!(
            "{} packs, {} records, {} bodies, {} bytes: {found}",
            checked.packs, checked.records, checked.bodies, checked.bytes
        );
        if checked.elsewhere > 0 {
            println!("{} packs are in S3 alone, and what is in them was not read", checked.elsewhere);
        }
        if checked.wanted > 0 {
            println!("{} bodies are still to come from other nodes", checked.wanted);
        }
    }
    Ok(ExitCode::from(u8::from(!checked.problems.is_empty())))
}

pub async fn backup(config: &Config, directory: PathBuf) -> anyhow::Result<()> {
    // The server's working directory is another.
    let directory = std::path::absolute(&directory).with_context(|| format!("cannot find {}", directory.display()))?;
    match ask(config, Request::Backup { directory: directory.clone() }).await? {
        Answer::BackedUp { packs, bytes, wanted } => {
            copy_beside(&config.data, &directory)?;
            println!("{packs} packs, {bytes} bytes are in {}", directory.display());
            if wanted > 0 {
                println!(
                    "{wanted} bodies are not in the copy: this node is still getting them from others; back up again once it has"
                );
            }
            Ok(())
        }
        other => bail!(unexpected(&other)),
    }
}

/// What the server keeps beside the store, for the copy to serve as the same server. The files stay for their owner alone.
fn copy_beside(data: &Path, directory: &Path) -> anyhow::Result<()> {
    let owner = directory.metadata().with_context(|| format!("cannot look at {}", directory.display()))?;
    for name in ["secret", "tls.key", "tls.crt"] {
        let (from, to) = (data.join(name), directory.join(name));
        if !from.exists() {
            continue;
        }
        let copied = std::fs::copy(&from, &to).and_then(|_| {
            // Root may have asked a server that is somebody else.
            let (uid, gid) = (owner.uid(), owner.gid());
            if to.metadata()?.uid() != uid { chown(&to, Some(uid), Some(gid)) } else { Ok(()) }
        });
        copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

pub async fn status(config: &Config, options: cli::Output) -> anyhow::Result<()> {
    let answer = ask(config, Request::Status).await?;
    let Answer::Status(status) = answer else { bail!(unexpected(&answer)) };
    if options.json {
        println!("{}", serde_json::to_string(&status)?);
        return Ok(());
    }
    println!("Paquebot {}, store {}, {} users", status.version, status.store, status.users);
    match &status.running {
        Some(Running { process, uptime_seconds, listening, imap_sessions }) => {
            println!("running as process {process} for {uptime_seconds} s, {imap_sessions} IMAP sessions");
            listening.iter().for_each(|line| println!("  {line}"));
        }
        None => println!("no server runs"),
    }
    if let Some(why) = &status.failure {
        println!("it takes no changes: {why}");
    }
    Ok(())
}

//! One measurement: `paquebot bench` at one server, and what its report says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::output_of;
use crate::versus::results::Sample;
use crate::versus::rows::Load;
use crate::versus::server::{PASSWORD, Server};

/// The load generator, and how long a run is.
#[derive(Debug, Clone)]
pub struct Driver {
    pub paquebot: PathBuf,
    pub seconds: u32,
    pub quick: bool,
    /// For scripts.
    pub folder: PathBuf,
}

/// A mailbox for a script.
#[derive(Debug, Clone, Copy)]
pub struct Mailbox<'a> {
    pub user: &'a str,
    pub name: &'a str,
    /// How many messages it is filled with, unless it has them.
    pub messages: u32,
    /// All of one size, or as mail is.
    pub size: Option<u32>,
}

impl Driver {
    /// Keeps a load up.
    pub fn load(&self, server: &Server, load: &Load) -> Result<Sample> {
        let messages = if self.quick { load.messages.0 } else { load.messages.1 };
        let mut words: Vec<String> = load.arguments.split(' ').map(str::to_owned).collect();
        words.extend([format!("--users=u%d:{}", load.users), format!("--messages={messages}")]);
        words.extend([format!("--seconds={}", self.seconds), format!("--mailbox={}bench", server.kind.prefix)]);
        let report = self.bench(server, &words, load.arguments.contains("--tls"))?;
        let operations = number(&report, "/operations").unwrap_or(0.0).max(1.0);
        let seconds = number(&report, "/seconds").unwrap_or(0.0);
        Ok(Sample {
            rate: number(&report, "/operations_per_second").context("a report without a rate")?,
            cpu_us: number(&report, "/server/cpu_us_per_operation"),
            written: number(&report, "/server/written_bytes").map(|bytes| bytes / operations),
            bytes_a_second: number(&report, "/bytes_received").map(|bytes| bytes / seconds),
            memory: number(&report, "/server/proportional_bytes_after"),
            driver: number(&report, "/client_cpu_seconds").unwrap_or(0.0) / seconds,
            errors: errors(&report, server),
        })
    }

    /// Holds connections in IDLE; their memory is that of one.
    pub fn idle(&self, server: &Server, connections: u32, tls: bool) -> Result<Sample> {
        let mut words = vec!["idle".to_owned(), format!("--connections={connections}"), "--users=u%d:100".into()];
        words.extend([
            "--seconds=1".to_owned(),
            "--timeout=30".into(),
            format!("--mailbox={}bench", server.kind.prefix),
        ]);
        if tls {
            words.push("--tls=implicit".into());
        }
        let report = self.bench(server, &words, tls)?;
        Ok(Sample {
            memory: number(&report, "/idle/proportional_bytes_per_connection"),
            errors: errors(&report, server),
            ..Sample::default()
        })
    }

    /// Does a script once; gives its steps by name. A step that the server refuses is missing.
    pub fn script(&self, server: &Server, mailbox: Mailbox<'_>, script: &str) -> Result<Vec<(String, Sample)>> {
        let file = self.folder.join("script");
        fs::write(&file, script.replace("{prefix}", server.kind.prefix))?;
        let mut words = vec!["script".to_owned(), format!("--script={}", file.display())];
        words.extend([format!("--user={}", mailbox.user), format!("--mailbox={}{}", server.kind.prefix, mailbox.name)]);
        words.extend([format!("--messages={}", mailbox.messages), "--timeout=600".into()]);
        words.extend(mailbox.size.map(|size| format!("--size={size}")));
        let report = self.bench(server, &words, false)?;
        let busy = number(&report, "/client_cpu_seconds").unwrap_or(0.0) / number(&report, "/seconds").unwrap_or(1.0);
        let steps = report.pointer("/steps").and_then(Value::as_array).context("a report without steps")?;
        steps
            .iter()
            .map(|step| Ok((step["name"].as_str().unwrap_or_default().to_owned(), of_step(step, busy)?)))
            .collect()
    }

    fn bench(&self, server: &Server, words: &[String], tls: bool) -> Result<Value> {
        let mut command = Command::new(&self.paquebot);
        let port = if tls { server.place.imaps } else { server.place.imap };
        command.arg("bench").args(words).arg(format!("--imap=127.0.0.1:{port}"));
        command.arg(format!("--lmtp=127.0.0.1:{}", server.place.lmtp)).arg(format!("--password={PASSWORD}"));
        command.arg(format!("--server-pid={}", server.pid())).arg("--json");
        // What others left to be written is not to be waited for here.
        flush(&server.place.folder)?;
        let report = output_of(&mut command).with_context(|| format!("at {}", server.kind.name))?;
        serde_json::from_str(&report).context("the load generator's report cannot be understood")
    }
}

fn of_step(step: &Value, busy: f64) -> Result<Sample> {
    let commands = number(step, "/commands").context("a step without commands")?;
    let seconds = number(step, "/seconds").context("a step without its time")?;
    let each = |name: &str| number(step, name).map(|all| all / commands);
    Ok(Sample {
        rate: commands / seconds,
        cpu_us: each("/cpu_seconds").map(|seconds| seconds * 1e6),
        written: each("/written_bytes"),
        bytes_a_second: number(step, "/bytes_received").map(|bytes| bytes / seconds),
        memory: None,
        driver: busy,
        errors: 0,
    })
}

/// Refusals are said, since what was refused was not measured.
fn errors(report: &Value, server: &Server) -> u64 {
    let Some(errors) = report["errors"].as_object() else { return 0 };
    for (what, count) in errors {
        eprintln!("versus: {}: {count} times {what}", server.kind.name);
    }
    errors.values().filter_map(Value::as_u64).sum()
}

fn number(report: &Value, pointer: &str) -> Option<f64> {
    report.pointer(pointer)?.as_f64()
}

fn flush(folder: &Path) -> Result<()> {
    output_of(Command::new("sync").arg("--file-system").arg(folder)).map(drop)
}

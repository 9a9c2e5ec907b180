//! A second client, of another language and library: are the answers the same everywhere, and does the load generator cost a server what it costs?

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::output_of;
use crate::versus::drive::Driver;
use crate::versus::server::{PASSWORD, Server};

const SCRIPT: &str = include_str!("check.py");
/// A user who does nothing else.
const USER: &str = "u99";

/// What the second client saw of a server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub answers: BTreeMap<String, String>,
    /// The server's CPU time for a STORE of one flag.
    pub store_cpu_us: f64,
    pub store_us: f64,
}

/// Has the second client at a server.
pub fn see(server: &Server, driver: &Driver) -> Result<Seen> {
    let file = driver.folder.join("check.py");
    fs::write(&file, SCRIPT)?;
    let lmtp = if server.kind.lmtp { server.place.lmtp } else { 0 };
    let mut command = Command::new("python3");
    command.arg(&file).args([server.place.imap.to_string(), lmtp.to_string(), USER.into(), PASSWORD.into()]);
    let text = output_of(command.args([&server.pid().to_string(), server.kind.prefix]))?;
    let report: Value = serde_json::from_str(&text).context("the second client's report cannot be understood")?;
    let answers = report["answers"].as_object().context("a report without answers")?;
    Ok(Seen {
        answers: answers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().into()))
            .collect(),
        store_cpu_us: report["store_cpu_us"].as_f64().unwrap_or_default(),
        store_us: report["store_us"].as_f64().unwrap_or_default(),
    })
}

/// What a server answered otherwise than the first, by name.
pub fn differences(first: &Seen, other: &Seen) -> Vec<String> {
    let differs = |name: &&String| first.answers.get(*name).is_some_and(|answer| other.answers[*name] != *answer);
    other.answers.keys().filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_both_were_asked_can_differ() {
        let seen = |answers: &[(&str, &str)]| Seen {
            answers: answers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Seen::default()
        };
        let first = seen(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(differences(&first, &seen(&[("a", "1"), ("b", "9"), ("d", "4")])), ["b"]);
    }
}

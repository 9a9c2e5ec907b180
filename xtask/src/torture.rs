//! `cargo xtask torture`: three nodes and three etcds, with clients at work, and every fault that one machine can be given.

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo};
use crate::{setup, test};

const USAGE: &str = "cargo xtask torture --minutes N [--seed S] [--etcd managed|existing]";

/// Runs it for so many minutes. The seeds are printed; a round is told again by its seed.
pub fn run(arguments: &[String]) -> Result<()> {
    let (mut minutes, mut seed, mut etcd) = (None, None, "managed".to_owned());
    let mut arguments = arguments.iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} has no value\n\n  {USAGE}"))?;
        match name.as_str() {
            "--minutes" => minutes = Some(number(value)?),
            "--seed" => seed = Some(number(value)?),
            "--etcd" => etcd.clone_from(value),
            other => bail!("there is no {other:?}\n\n  {USAGE}"),
        }
    }
    let minutes = minutes.with_context(|| format!("for how long?\n\n  {USAGE}"))?;
    let name = match etcd.as_str() {
        "managed" => "torture::every_promise_holds_with_managed_etcd",
        "existing" => "torture::every_promise_holds_with_an_etcd_that_was_there",
        other => bail!("etcd is managed or existing, not {other:?}\n\n  {USAGE}"),
    };
    setup::run()?;
    let mut tests = cargo();
    tests.env("PAQUEBOT_BIN", test::server()?).env("PAQUEBOT_TORTURE_MINUTES", minutes.to_string());
    if let Some(seed) = seed {
        tests.env("PAQUEBOT_SEED", seed.to_string());
    }
    tests.args(["test", "--package", "paquebot-tests", "--test", "cluster", "--", "--exact", name, "--nocapture"]);
    process::run(&mut tests)
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("{text:?} is no number\n\n  {USAGE}"))
}

//! The chores of a checkout, as `cargo xtask <chore>`.
//!
//! Knows the tools around the project (cargo, apt, pip, npm), never the server's crates: it is built first, and must build in seconds.

use anyhow::{Result, bail};

mod cluster;
mod demo;
mod licences;
mod lint;
mod process;
mod samples;
mod setup;
mod test;
mod torture;
mod versus;

const USAGE: &str = "\
cargo xtask <chore> [arguments]

  setup            installs what the tests need: Debian packages, a Python venv, npm packages (as root, or says what to run)
  test [args]      setup, then every test; the arguments go to the test runner (a test's name, say)
  demo [args]      builds the server in release and starts it with sample mail; the arguments go to `paquebot demo`
  cluster          builds the server in release and starts three nodes of it with etcd, until Ctrl-C
  torture --minutes N [--seed S] [--etcd managed|existing]
                   three nodes whose machines are killed, frozen, emptied and cut off (as root), and every promise checked
  versus [--quick] Paquebot beside Dovecot, Cyrus and Courier, driven alike (as root): writes docs/benchmarks.md; `versus --help` has the options
  lint             format, clippy, the licences of all dependencies
  samples [--write]  makes the sample mail anew and compares it with samples/, or writes it there";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((chore, rest)) = arguments.split_first() else { bail!("which chore?\n\n{USAGE}") };
    match chore.as_str() {
        "setup" => setup::run(),
        "test" => test::run(rest),
        "demo" => demo::run(rest),
        "cluster" => cluster::start(),
        "torture" => torture::run(rest),
        "versus" => versus::run(rest),
        "lint" => lint::run(),
        "samples" => samples::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no chore {other:?}\n\n{USAGE}"),
    }
}

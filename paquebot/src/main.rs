//! The binary: arguments, configuration, wiring.
//!
//! The allocator is the system's. With mimalloc 2 an idle connection cost 2 KiB more (5.9 for 4.0 in plain text, 13.3 for 11.5 under TLS 1.3), and
//! a mixed load took no less of the processor.

mod cli;
mod cluster;
mod command;
mod demo;
mod doctor;
mod listen;
mod metrics;
mod node;
mod privileges;
mod serve;
mod tls;
mod upkeep;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use paquebot_config::{Config, Log, LogFormat, LogLevel};
use rustix::fs::Mode;

/// Exit codes: 0 done, 1 failed, 2 misused.
fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first == paquebot_formats::SESSION_LOCK_ARGUMENT) {
        return hold_session_lock(&words.collect::<Vec<_>>());
    }
    let arguments = cli::Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("paquebot: {error:#}");
            let misused =
                error.chain().any(|cause| matches!(cause.downcast_ref(), Some(paquebot_bench::BenchError::Misused(_))));
            ExitCode::from(if misused { 2 } else { 1 })
        }
    }
}

/// What `serve` starts, as this program again, for each mbox or MMDF file that a session changes: not for people, so not in the command line's grammar. It
/// is done before there are threads, because it changes its user and blocks signals.
fn hold_session_lock(words: &[OsString]) -> ExitCode {
    match paquebot_formats::run_session_lock_helper(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paquebot: cannot hold a session lock: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: cli::Arguments) -> anyhow::Result<ExitCode> {
    // Mail is nobody's business: no file of ours is for others, unless it says so.
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let config = Config::load(arguments.config.as_deref())?;
    match arguments.command {
        cli::Command::Serve => {
            log(config.log.level, config.log.format);
            block_on(serve::serve(config))?;
        }
        cli::Command::Demo(options) => {
            log(LogLevel::Warn, Log::default().format);
            block_on(demo::demo(config, options))?;
        }
        // The load generator has a runtime of its own.
        cli::Command::Bench(options) => paquebot_bench::run(&options)?,
        cli::Command::Doctor(options) => return doctor::run(&options),
        cli::Command::User(user) => block_on(command::user::run(&config, user))?,
        cli::Command::Check(options) => return block_on(command::check(&config, options)),
        cli::Command::Backup { directory } => block_on(command::backup(&config, directory))?,
        cli::Command::Undelete(options) => block_on(command::undelete::run(&config, options))?,
        cli::Command::Status(options) => block_on(command::status(&config, options))?,
        cli::Command::Cluster(command) => block_on(command::cluster::run(&config, command))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A thread that still reads, for a check that nobody waits for any more, does not hold the end up.
    runtime.shutdown_background();
    done
}

/// Logs go to standard error; standard output is for what scripts read.
fn log(level: LogLevel, format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::new(level.name());
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_env_filter(filter);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

//! The binary: arguments, configuration, wiring.

mod cli;
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

use std::process::ExitCode;

use clap::Parser as _;
use paquebot_config::{Config, Log, LogFormat, LogLevel};

/// Exit codes: 0 done, 1 failed, 2 misused.
fn main() -> ExitCode {
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

fn run(arguments: cli::Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref())?;
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match arguments.command {
        cli::Command::Serve => {
            log(config.log.level, config.log.format);
            runtime()?.block_on(serve::serve(config))?;
        }
        cli::Command::Demo(options) => {
            log(LogLevel::Warn, Log::default().format);
            runtime()?.block_on(demo::demo(config, options))?;
        }
        // The load generator has a runtime of its own.
        cli::Command::Bench(options) => paquebot_bench::run(&options)?,
        cli::Command::Doctor { directory } => return doctor::run(&directory),
        cli::Command::User(user) => runtime()?.block_on(command::user::run(&config, user))?,
        cli::Command::Check(options) => return runtime()?.block_on(command::check(&config, options)),
        cli::Command::Backup { directory } => runtime()?.block_on(command::backup(&config, directory))?,
        cli::Command::Undelete(options) => runtime()?.block_on(command::undelete::run(&config, options))?,
        cli::Command::Status(options) => runtime()?.block_on(command::status(&config, options))?,
    }
    Ok(ExitCode::SUCCESS)
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

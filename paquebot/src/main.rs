//! The binary: arguments, configuration, wiring.

mod cli;
mod config;
mod node;
mod serve;
mod tls;
mod user;

use std::process::ExitCode;

use clap::Parser as _;

/// Exit codes: 0 done, 1 failed, 2 misused (clap's own).
fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paquebot: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: cli::Arguments) -> anyhow::Result<()> {
    if let cli::Command::Bench(options) = &arguments.command {
        return Ok(paquebot_bench::run(options)?);
    }
    let config = config::Config::load(arguments.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.command {
        cli::Command::Serve => {
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_env_filter(tracing_subscriber::EnvFilter::new(&config.log.level))
                .init();
            runtime.block_on(serve::serve(config))
        }
        cli::Command::Bench(_) => Ok(()),
        cli::Command::User(command) => runtime.block_on(user::run(&config, command)),
    }
}

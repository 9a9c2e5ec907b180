//! The binary: arguments, configuration, wiring.

mod cli;
mod config;
mod demo;
mod listen;
mod node;
mod serve;
mod tls;
mod upkeep;
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
    let config = config::Config::load(arguments.config.as_deref())?;
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match arguments.command {
        cli::Command::Serve => {
            log(&config.log.level);
            runtime()?.block_on(serve::serve(config))
        }
        cli::Command::Demo(options) => {
            log("warn");
            runtime()?.block_on(demo::demo(config, options))
        }
        // The load generator has a runtime of its own.
        cli::Command::Bench(options) => Ok(paquebot_bench::run(&options)?),
        cli::Command::User(command) => runtime()?.block_on(user::run(&config, command)),
    }
}

/// Logs go to standard error; standard output is for what scripts read.
fn log(level: &str) {
    let filter = tracing_subscriber::EnvFilter::new(level);
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_env_filter(filter).init();
}

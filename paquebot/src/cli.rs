//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// An IMAP server that replicates: one binary for one machine or many.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file; without it every key has its default.
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves mail until SIGTERM.
    Serve,
    /// Serves sample mail of an account `demo` with password `demo`, to try a mail client with.
    Demo(Demo),
    /// Measures an IMAP or LMTP server, this or another.
    Bench(Box<paquebot_bench::Options>),
    /// Adds, lists, changes and removes users.
    #[command(subcommand)]
    User(User),
}

#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where the demo's mail is kept; without it in a temporary directory, which is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Adds a user; the password is read from standard input.
    Add {
        name: String,
        /// Reads the password from standard input, without a prompt: its first line.
        #[arg(long)]
        password_stdin: bool,
    },
}

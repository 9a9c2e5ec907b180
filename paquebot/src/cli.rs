//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An IMAP server that replicates: one binary for one machine or many.
///
/// Commands about users and mail work while the server runs, and also when it does not. Exit codes: 0 done, 1 failed, 2 misused.
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
    /// Serves mail until SIGTERM or SIGINT.
    ///
    /// Prints a line for each address once it accepts connections, then `ready`. Logs go to standard error.
    Serve,
    /// Serves sample mail of an account `demo` with password `demo`, to try a mail client with.
    Demo(Demo),
    /// Adds, lists, changes and removes users.
    #[command(subcommand)]
    User(User),
    /// Brings back expunged messages and deleted mailboxes, for as long as they are kept.
    Undelete(Undelete),
    /// Proves every checksum, hash, counter and invariant of the store.
    Check(Output),
    /// Copies the store, consistently, to a directory that opens as a data directory.
    Backup {
        /// Where to; it must be empty or not there.
        directory: PathBuf,
    },
    /// Says whether a directory can hold mail: its file system's type, and the operations that must be atomic there, tried.
    Doctor(Doctor),
    /// Says how the server is.
    Status(Output),
    /// Makes a cluster, joins one, and looks after it.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Measures an IMAP or LMTP server, this or another.
    Bench(Box<paquebot_bench::Options>),
}

#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Makes a cluster of which this machine is the first node.
    Init(Init),
    /// Makes a token with which another machine joins; a node of the cluster must run here.
    Token {
        /// How long the token is good, in hours.
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8760))]
        hours: u64,
    },
    /// Makes this machine a node of a cluster.
    Join(Join),
    /// Says how the cluster is: nodes, etcd, shards, and how far behind this node is.
    Status(Output),
    /// Has this node hand over what it hosts; then it is none any more, and its server can be stopped.
    Leave,
    /// Takes a node whose machine is gone for good out of the cluster.
    Remove { node: String },
    /// Moves a shard to other nodes, or an account to another shard.
    #[command(subcommand)]
    Move(Move),
}

#[derive(Debug, Args)]
pub struct Init {
    /// Takes the mail of this data directory, of a server that is one machine and does not run, into the cluster. It may be the configured one.
    #[arg(long, value_name = "DIR")]
    pub from_data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Join {
    /// What `paquebot cluster token` printed on a node of the cluster.
    pub token: String,
    /// This machine takes the place of a node whose machine is gone for good.
    #[arg(long, value_name = "NODE")]
    pub replace: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Move {
    /// Moves a shard to these nodes, which keep it whoever comes and goes.
    Shard {
        shard: u16,
        #[arg(required = true, value_name = "NODE")]
        nodes: Vec<String>,
    },
    /// Moves a user's account to another shard.
    Account { user: String, shard: u16 },
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Where the demo's mail is kept; without it in a temporary directory, which is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    pub directory: PathBuf,
    /// Tries to lock a file that another process may have locked; what that process starts to see whether it is kept out.
    #[arg(long, hide = true)]
    pub try_lock: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Output {
    /// Writes one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Adds a user; asks for the password.
    Add(NewPassword),
    /// Lists the users with how much mail they have.
    List(Output),
    /// Changes a user's password.
    Passwd(NewPassword),
    /// Removes a user. The mail stays, and is there again when the user is added again.
    Remove { name: String },
    /// Adds the users of a Dovecot passwd-file, their password hashes as they are.
    ///
    /// Passwords in plain text are hashed. Users who cannot be taken are named, and the others are taken.
    Import(Import),
}

#[derive(Debug, Args)]
pub struct Import {
    pub file: PathBuf,
    /// The scheme of passwords that name none.
    #[arg(long, value_name = "SCHEME", default_value = "CRYPT")]
    pub scheme: String,
    /// Replaces the passwords of users that there are already.
    #[arg(long)]
    pub replace: bool,
}

#[derive(Debug, Args)]
pub struct NewPassword {
    pub name: String,
    /// Reads the password from standard input, its first line. So it is also when standard input is no terminal.
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Debug, Args)]
pub struct Undelete {
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// One mailbox; without it all.
    #[arg(long, value_name = "NAME")]
    pub mailbox: Option<String>,
    /// Only what went at or after this time: 2026-11-24, 2026-11-24T18:30:00Z, or so long ago: 90m, 2h, 3d.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Lists what can come back, and changes nothing.
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub output: Output,
}

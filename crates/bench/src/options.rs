//! What is asked for.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::BenchError;

/// What each connection does, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// APPEND of messages to the mailbox
    Append,
    /// LMTP delivery, one recipient a message
    Deliver,
    /// FETCH of whole messages, of envelopes by the page, of all flags
    Fetch,
    /// STORE of flags and keywords, one message at a time
    Store,
    /// SEARCH by flags, dates, headers and text
    Search,
    /// Connections in IDLE: their memory, and how soon they hear of a new message
    Idle,
    /// What mail clients do all day, in proportion
    Mixed,
    /// Connect, log in, select, log out
    Login,
    /// The commands of a file, on one connection, each timed by itself
    Script,
}

/// The name as the command line has it.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        clap::ValueEnum::to_possible_value(self).map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tls {
    None,
    Implicit,
    Starttls,
}

// Not a doc comment: clap would take it for the description of the command that the options belong to.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What each connection does
    #[arg(value_enum)]
    pub work: Work,
    /// The IMAP server
    #[arg(long, value_name = "HOST:PORT")]
    pub imap: Option<String>,
    /// How IMAP connections are encrypted; any certificate is taken
    #[arg(long, value_enum, default_value = "none")]
    pub tls: Tls,
    /// The LMTP server, for `deliver`
    #[arg(long, value_name = "HOST:PORT|unix:PATH")]
    pub lmtp: Option<LmtpAddress>,
    /// Who logs in, or gets the mail; connections take turns
    #[arg(long, value_name = "USER,...", value_delimiter = ',', conflicts_with = "users")]
    pub user: Vec<String>,
    /// The same, as a pattern and a count: `user%d@example.org:100` is user1 to user100
    #[arg(long, value_name = "PATTERN:N")]
    pub users: Option<UserPattern>,
    /// Everybody's password
    #[arg(long)]
    pub password: Option<String>,
    /// Added to recipients that have no domain
    #[arg(long)]
    pub domain: Option<String>,
    /// The mailbox to work in, made and filled if need be; append, idle and mixed add their name to it
    #[arg(long, default_value = "bench")]
    pub mailbox: String,
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub connections: u32,
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// The same seed makes the same messages and choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The size of every message; without it sizes are log-normal around 6 KB
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub size: Option<u32>,
    /// The largest message, where sizes differ
    #[arg(long, value_name = "BYTES", default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1000..))]
    pub size_max: u32,
    /// How many messages the mailbox is filled with before fetch, store, search, mixed, login and script
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub messages: u32,
    /// What `script` sends: lines of `name | times | command`; docs/benchmarks.md tells more
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// How often the script is done
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rounds: u32,
    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Threads of the load generator; more than one only if one is too slow
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// The server's process: its CPU time and memory are reported, children included
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Who takes part, at least one.
    pub fn user_names(&self) -> Vec<String> {
        match &self.users {
            Some(pattern) => pattern.names(),
            None => self.user.clone(),
        }
    }

    /// What clap cannot see: which options each work needs.
    pub fn check(&self) -> Result<(), BenchError> {
        let misused = |what: &str| Err(BenchError::Misused(what.into()));
        let users = self.user_names();
        if users.is_empty() {
            return misused("--user or --users must say who takes part");
        }
        let mut texts = users.iter().chain(&self.password).chain(&self.domain).chain([&self.mailbox]);
        if texts.any(|text| text.is_empty() || text.contains(|c: char| c.is_control() || !c.is_ascii())) {
            return misused("users, password, domain and mailbox must be printable ASCII and not empty");
        }
        if self.work == Work::Deliver {
            return if self.lmtp.is_none() { misused("`deliver` needs --lmtp") } else { Ok(()) };
        }
        if self.imap.is_none() || self.password.is_none() {
            return misused("--imap and --password are needed");
        }
        if self.work == Work::Script && self.script.is_none() {
            return misused("`script` needs --script");
        }
        Ok(())
    }
}

/// Where LMTP is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpAddress {
    Tcp(String),
    Unix(PathBuf),
}

impl FromStr for LmtpAddress {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp(text.into()),
        })
    }
}

/// `user%d:N`: names from 1 to N.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPattern {
    before: String,
    after: String,
    count: u32,
}

impl FromStr for UserPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.rsplit_once(':').and_then(|(name, count)| Some((name.split_once("%d")?, count.parse().ok()?)));
        match parts {
            Some(((before, after), count @ 1..=1_000_000)) => {
                Ok(Self { before: before.into(), after: after.into(), count })
            }
            _ => Err("a pattern is like user%d@example.org:100".into()),
        }
    }
}

impl UserPattern {
    fn names(&self) -> Vec<String> {
        (1..=self.count).map(|n| format!("{}{n}{}", self.before, self.after)).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.options)
    }

    #[test]
    fn a_pattern_makes_users() {
        let options = parse("bench login --imap h:1 --password p --users u%d@x:3").unwrap();
        assert_eq!(options.user_names(), ["u1@x", "u2@x", "u3@x"]);
        assert!(options.check().is_ok());
        for bad in ["u:3", "u%d", "u%d:0", "u%d:x", ""] {
            assert!(bad.parse::<UserPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn users_come_as_a_list() {
        let options = parse("bench deliver --lmtp unix:/run/lmtp --user a,b").unwrap();
        assert_eq!(options.user_names(), ["a", "b"]);
        assert_eq!(options.lmtp, Some(LmtpAddress::Unix("/run/lmtp".into())));
        assert!(options.check().is_ok());
    }

    #[test]
    fn what_is_missing_is_said() {
        for line in [
            "bench append --user a --password p",
            "bench append --imap h:1 --user a",
            "bench script --imap h:1 --user a --password p",
            "bench append --imap h:1 --password p",
            "bench deliver --imap h:1 --password p --user a",
            "bench append --imap h:1 --password p --user ä",
        ] {
            assert!(parse(line).unwrap().check().is_err(), "{line}");
        }
        assert!(parse("bench nothing").is_err());
        assert!(parse("bench append --user a --users u%d:3").is_err());
    }
}

//! What a client may do, and for how long.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use paquebot_auth::SessionLimitSettings;
use paquebot_session::Config;
use serde::{Deserialize, Serialize};

use crate::network::NetworkText;
use crate::value::{size, time};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// IMAP sessions in all.
    pub sessions: NonZeroU32,
    /// From an IPv4 address or an IPv6 /64.
    pub sessions_per_address: NonZeroU32,
    pub sessions_per_account: NonZeroU32,
    /// Networks whose addresses have no bound of their own.
    pub unlimited_networks: Vec<NetworkText>,

    /// From the connection to the end of a login.
    #[serde(with = "time")]
    pub login_time: Duration,
    /// Without a command, after login.
    #[serde(with = "time")]
    pub idle_time: Duration,
    /// Between two pieces of a command that has begun.
    #[serde(with = "time")]
    pub command_time: Duration,
    /// For a client to take 64 KiB.
    #[serde(with = "time")]
    pub write_time: Duration,
    /// Between two signs of life in IDLE.
    #[serde(with = "time")]
    pub keepalive: Duration,
    /// For sessions to end once the server is told to stop.
    #[serde(with = "time")]
    pub stop_time: Duration,

    /// BADs in a row, then BYE.
    pub bad_commands: NonZeroU32,
    /// Logins that may fail on one connection.
    pub failed_logins: NonZeroU32,
    /// Elements of one set of message numbers.
    pub set_elements: NonZeroUsize,
    /// NOT and parentheses within one another in SEARCH.
    pub search_depth: NonZeroUsize,

    /// One message of an APPEND: APPENDLIMIT.
    #[serde(with = "size")]
    pub message: u64,
    /// A command's text outside its literals.
    #[serde(with = "size")]
    pub line: usize,
    #[serde(with = "size")]
    pub line_before_login: usize,
    /// One literal of a command.
    #[serde(with = "size")]
    pub literal: u64,
    #[serde(with = "size")]
    pub literal_before_login: u64,
    /// All literals of one command together.
    #[serde(with = "size")]
    pub literals_total: u64,
    #[serde(with = "size")]
    pub literals_total_before_login: u64,
    /// How many literals one command may have.
    pub literals: usize,
    pub literals_before_login: usize,
    /// What of a refused command is read and thrown away before the connection is cut.
    #[serde(with = "size")]
    pub drain: u64,
    #[serde(with = "size")]
    pub drain_before_login: u64,
    /// The same for the messages of a refused APPEND.
    #[serde(with = "size")]
    pub message_drain: u64,
    #[serde(with = "size")]
    pub message_drain_before_login: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let SessionLimitSettings { total, per_address, per_account, unbounded: _ } = SessionLimitSettings::default();
        let session = Config::default();
        let (before, after) = (session.limits_before_login, session.limits);
        let network = |text: &str| NetworkText::try_from(text.to_owned()).expect("it is a network");
        Self {
            sessions: nonzero(total),
            sessions_per_address: nonzero(per_address),
            sessions_per_account: nonzero(per_account),
            unlimited_networks: vec![network("127.0.0.0/8"), network("::1/128")],
            login_time: session.login_timeout,
            idle_time: session.idle_timeout,
            command_time: session.command_timeout,
            write_time: session.write_timeout,
            keepalive: session.keepalive,
            stop_time: Duration::from_secs(10),
            bad_commands: nonzero(session.bad_commands_max),
            failed_logins: nonzero(session.failed_logins_max),
            set_elements: NonZeroUsize::new(session.set_elements_max).unwrap_or(NonZeroUsize::MIN),
            search_depth: NonZeroUsize::new(session.search_depth_max).unwrap_or(NonZeroUsize::MIN),
            message: after.append_bytes,
            line: after.line_bytes,
            line_before_login: before.line_bytes,
            literal: after.literal_bytes,
            literal_before_login: before.literal_bytes,
            literals_total: after.literals_bytes,
            literals_total_before_login: before.literals_bytes,
            literals: after.literals,
            literals_before_login: before.literals,
            drain: after.drain_bytes,
            drain_before_login: before.drain_bytes,
            message_drain: after.append_drain_bytes,
            message_drain_before_login: before.append_drain_bytes,
        }
    }
}

fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

//! What a client may do, and for how long.

use std::time::Duration;

use paquebot_protocol::Limits;

/// The bounds of a session. All of them are for operators to change.
#[derive(Debug, Clone)]
pub struct Config {
    /// The bounds on what is sent before login.
    pub limits_before_login: Limits,
    /// The bounds on what is sent after login; its `append_bytes` is APPENDLIMIT.
    pub limits: Limits,
    /// Elements of one set of message numbers.
    pub set_elements_max: usize,
    /// NOT and parentheses within one another in SEARCH.
    pub search_depth_max: usize,
    /// Commands in a row that get BAD before the connection is cut.
    pub bad_commands_max: u32,
    /// Logins that may fail on one connection.
    pub failed_logins_max: u32,
    /// From the connection to the end of a login.
    pub login_timeout: Duration,
    /// Without a command, after login. RFC 9051, 5.4 wants 30 minutes at least.
    pub idle_timeout: Duration,
    /// Between two pieces of a command that has begun.
    pub command_timeout: Duration,
    /// For the client to take 64 KiB.
    pub write_timeout: Duration,
    /// Between two signs of life in IDLE: routers forget a connection that is silent for longer.
    pub keepalive: Duration,
    /// Whether a password may be sent without TLS from another machine.
    pub plain_login: bool,
    /// Whether the server offers COMPRESS=DEFLATE, at some 300 KiB a session.
    pub compress: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits_before_login: Limits::BEFORE_LOGIN,
            limits: Limits::AFTER_LOGIN,
            set_elements_max: 10_000,
            search_depth_max: 50,
            bad_commands_max: 20,
            failed_logins_max: 10,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30 * 60),
            command_timeout: Duration::from_secs(5 * 60),
            write_timeout: Duration::from_secs(2 * 60),
            keepalive: Duration::from_secs(2 * 60),
            plain_login: false,
            compress: true,
        }
    }
}

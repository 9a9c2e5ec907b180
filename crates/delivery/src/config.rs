//! What can be chosen about delivery.

use std::time::Duration;

/// The bounds of LMTP sessions, and how addresses become users. All of it is for operators to change.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the server calls itself in its greeting and in Received.
    pub host_name: String,
    /// A message's octets, at most: SIZE (RFC 1870).
    pub message_bytes_max: u64,
    /// Of a message that is too large, what is read and thrown away beyond that before the connection is cut.
    pub drain_bytes_max: u64,
    /// Recipients of one transaction. RFC 5321, 4.5.3.1.8 asks for 100 at least.
    pub recipients_max: usize,
    /// Connections at one time.
    pub connections_max: usize,
    /// Commands in a row that are not understood before the connection is cut.
    pub bad_commands_max: u32,
    /// From one command's answer to the end of the next command's line (RFC 5321, 4.5.3.2.7 asks for 5 minutes).
    pub command_timeout: Duration,
    /// Between two pieces of a message.
    pub data_timeout: Duration,
    /// For a whole message, or a whole chunk of one: a client that drips cannot stay for ever.
    pub message_timeout: Duration,
    /// For the client to take what is being sent to it.
    pub write_timeout: Duration,
    pub addresses: Addresses,
}

/// How a recipient's address becomes a user's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The characters that part a user's name from the detail after it: `bob+lists@example.org` goes into bob's mailbox `lists` if there
    /// is one. The first of them in the address counts. Empty: there are no details.
    pub delimiters: String,
    pub local_users: LocalUsers,
}

/// For which domains an address is that of a user whose name has no domain. The full address is always tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalUsers {
    /// For all: what domains come here is for the mail server before this one to say.
    AnyDomain,
    /// For these, in lower case, and for addresses without a domain.
    Domains(Vec<String>),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host_name: "localhost".into(),
            message_bytes_max: 128 << 20,
            drain_bytes_max: 256 << 20,
            recipients_max: 1000,
            connections_max: 100,
            bad_commands_max: 20,
            command_timeout: Duration::from_secs(5 * 60),
            data_timeout: Duration::from_secs(3 * 60),
            message_timeout: Duration::from_secs(60 * 60),
            write_timeout: Duration::from_secs(5 * 60),
            addresses: Addresses::default(),
        }
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self { delimiters: "+".into(), local_users: LocalUsers::AnyDomain }
    }
}

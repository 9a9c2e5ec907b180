//! Delivery by LMTP.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use paquebot_delivery::Config;
use serde::{Deserialize, Serialize};

use crate::value::{size, time};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// What the server calls itself; without it, the machine's name.
    pub host_name: Option<String>,
    /// The characters that part a user's name from the detail after it: `bob+lists@example.org`. Empty: there are no details.
    pub detail_delimiters: String,
    /// For which domains an address is that of a user whose name has no domain; empty: for all.
    pub local_domains: Vec<String>,
    /// A message: SIZE.
    #[serde(with = "size")]
    pub message: u64,
    /// Of a message that is too large, what is read and thrown away beyond that before the connection is cut.
    #[serde(with = "size")]
    pub drain: u64,
    /// Recipients of one transaction.
    pub recipients: NonZeroUsize,
    /// Connections at one time.
    pub connections: NonZeroUsize,
    /// Commands in a row that are not understood before the connection is cut.
    pub bad_commands: NonZeroU32,
    /// From one command's answer to the end of the next command.
    #[serde(with = "time")]
    pub command_time: Duration,
    /// Between two pieces of a message.
    #[serde(with = "time")]
    pub data_time: Duration,
    /// For a whole message.
    #[serde(with = "time")]
    pub message_time: Duration,
    /// For the client to take what is sent to it.
    #[serde(with = "time")]
    pub write_time: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        let config = Config::default();
        Self {
            host_name: None,
            detail_delimiters: config.addresses.delimiters,
            local_domains: Vec::new(),
            message: config.message_bytes_max,
            drain: config.drain_bytes_max,
            recipients: NonZeroUsize::new(config.recipients_max).unwrap_or(NonZeroUsize::MIN),
            connections: NonZeroUsize::new(config.connections_max).unwrap_or(NonZeroUsize::MIN),
            bad_commands: NonZeroU32::new(config.bad_commands_max).unwrap_or(NonZeroU32::MIN),
            command_time: config.command_timeout,
            data_time: config.data_timeout,
            message_time: config.message_timeout,
            write_time: config.write_timeout,
        }
    }
}

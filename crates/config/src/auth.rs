//! Who may log in, and how long guessing takes.

use std::path::PathBuf;
use std::time::Duration;

use paquebot_auth::{AuthenticatorSettings, Curve, Scheme, ThrottleSettings};
use serde::{Deserialize, Serialize};

use crate::network::NetworkText;
use crate::value::time;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// A file in Dovecot's passwd-file syntax, beside the accounts made by `paquebot user add`.
    pub passwd_file: Option<PathBuf>,
    /// The scheme of its passwords without `{SCHEME}`.
    pub passwd_scheme: String,
    /// Whether a password is taken without TLS from another machine.
    pub plain_login: bool,
    /// Passwords that are hashed at once; 0 is half of the cores.
    pub parallel_hashes: usize,
    /// How long a right password is remembered, so that a client's next connection costs no hash.
    #[serde(with = "time")]
    pub remember: Duration,
    /// How many are.
    pub remembered: usize,
    /// The SCRAM iterations that are shown of users who do not exist.
    pub scram_iterations: u32,
    pub delay: Delay,
}

/// The delay that grows with failed logins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delay {
    /// For failures of one address, whatever the account.
    pub address: DelayCurve,
    /// For failures of one address at one account.
    pub pair: DelayCurve,
    /// For failures at one account, from wherever.
    pub account: DelayCurve,
    /// In which time a count halves.
    #[serde(with = "time")]
    pub half_life: Duration,
    /// Networks whose addresses are many people's, like a webmail's: failures count for the account alone.
    pub shared: Vec<NetworkText>,
    /// How many addresses, accounts and pairs are remembered, of each.
    pub entries: usize,
}

/// None for the first `free` failures, then `first`, doubled with each more, up to `most`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayCurve {
    pub free: u32,
    #[serde(with = "time")]
    pub first: Duration,
    #[serde(with = "time")]
    pub most: Duration,
}

impl Default for Auth {
    fn default() -> Self {
        let AuthenticatorSettings { cache_for, cache_entries, scram_iterations, .. } = AuthenticatorSettings::default();
        Self {
            passwd_file: None,
            passwd_scheme: Scheme::Crypt.name().into(),
            plain_login: paquebot_session::Config::default().plain_login,
            parallel_hashes: 0,
            remember: cache_for,
            remembered: cache_entries,
            scram_iterations,
            delay: Delay::default(),
        }
    }
}

impl Default for Delay {
    fn default() -> Self {
        let ThrottleSettings { address, pair, account, half_life, shared: _, entries_max } =
            ThrottleSettings::default();
        Self {
            address: address.into(),
            pair: pair.into(),
            account: account.into(),
            half_life,
            shared: Vec::new(),
            entries: entries_max,
        }
    }
}

impl From<Curve> for DelayCurve {
    fn from(Curve { free, first, most }: Curve) -> Self {
        Self { free, first, most }
    }
}

impl From<&DelayCurve> for Curve {
    fn from(DelayCurve { free, first, most }: &DelayCurve) -> Self {
        Self { free: *free, first: *first, most: *most }
    }
}

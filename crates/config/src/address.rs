//! Where a server listens, as the configuration says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `host:port`, `[::1]:port`, or `unix:/path`. The port 0 is one that the system chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ListenAddress {
    /// A host, which may be a name, and its port.
    Tcp(String),
    Unix(PathBuf),
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address; it is like \"127.0.0.1:143\", \"[::1]:143\" or \"unix:/run/paquebot/lmtp.sock\"")]
pub struct AddressError(String);

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(AddressError(text.into())) } else { Ok(Self::Unix(path.into())) };
        }
        let parts = text.rsplit_once(':').filter(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            !host.is_empty() && (bracketed || !host.contains(':')) && digits && port.parse::<u16>().is_ok()
        });
        if parts.is_some() { Ok(Self::Tcp(text.into())) } else { Err(AddressError(text.into())) }
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in ["127.0.0.1:1143", "[::1]:0", "mail.example.org:993", "unix:/run/lmtp", "unix:lmtp.sock"] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "143", ":143", "::1:143", "h:", "h:65536", "h:+1", "h:imap", "unix:"] {
            assert_eq!(bad.parse::<ListenAddress>(), Err(AddressError(bad.into())));
        }
    }
}

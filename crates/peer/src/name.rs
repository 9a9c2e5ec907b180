//! What nodes are called, and how their certificates say it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a node's certificate has after the node's name.
const DOMAIN: &str = ".paquebot.cluster";

/// A node's name: one label of a host name, in small letters (RFC 1123, 2.1), so that a certificate can bear it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

/// The text is no node's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node's name has 1 to 63 small letters, digits and hyphens, and neither begins nor ends with a hyphen: {0:?} does not fit"
)]
pub struct NodeNameError(String);

impl NodeName {
    pub fn new(name: &str) -> Result<Self, NodeNameError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edge = name.starts_with('-') || name.ends_with('-');
        if edge || name.is_empty() || name.len() > 63 || !name.bytes().all(fits) {
            return Err(NodeNameError(name.chars().take(80).collect()));
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject alternative name in the node's certificate: `a.paquebot.cluster` for node `a`. It is in no DNS.
    pub fn certificate_name(&self) -> String {
        format!("{self}{DOMAIN}")
    }

    /// The node that a certificate's name speaks of; `None` for any other kind of name.
    pub(crate) fn from_certificate_name(name: &str) -> Option<Self> {
        Self::new(name.strip_suffix(DOMAIN)?).ok()
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeName({self})")
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0.as_ref().into()
    }
}

impl TryFrom<String> for NodeName {
    type Error = NodeNameError;

    fn try_from(name: String) -> Result<Self, NodeNameError> {
        Self::new(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label() {
        for good in ["a", "node-1", "7", &"x".repeat(63)] {
            let name = NodeName::new(good).unwrap();
            assert_eq!(NodeName::from_certificate_name(&name.certificate_name()), Some(name));
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "ä", "a\n", &"x".repeat(64)] {
            assert!(NodeName::new(bad).is_err(), "{bad:?}");
        }
        for other in
            ["a", "a.paquebot.cluster.example.org", "a.b.paquebot.cluster", ".paquebot.cluster", "*.paquebot.cluster"]
        {
            assert_eq!(NodeName::from_certificate_name(other), None, "{other:?}");
        }
    }
}

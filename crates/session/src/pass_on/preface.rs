//! What the node that was connected to knows of a connection that it passes on.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The first octet of an encoded preface. Another version is refused, and its connection with it: a version is written once all nodes
/// read it.
const VERSION: u8 = 1;

/// The longest preface that is looked at: a login and a tag are shorter.
const BYTES_MAX: usize = 16 << 10;

/// What the node that was connected to knows of a connection that it passes on, beside its octets.
///
/// It is sent to nodes only that are trusted as this one: who may send one is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preface {
    /// The client's address, for limits and logs; `None` if it is not known.
    pub client: Option<IpAddr>,
    /// Whether the client's connection is under TLS.
    pub tls: bool,
    /// Who has logged in.
    pub login: String,
    /// The tag of the command that logged in, which is still to be answered.
    pub tag: String,
}

/// The octets are no preface that this node can read.
#[derive(Debug, thiserror::Error)]
pub enum PrefaceError {
    #[error("the preface of a passed-on connection is of version {0}, which this server does not know: upgrade it")]
    Version(u8),
    #[error("the preface of a passed-on connection is damaged")]
    Damaged,
}

impl Preface {
    pub fn encode(&self) -> Vec<u8> {
        // Writing to memory what has no map and no unsized number cannot fail.
        postcard::to_extend(self, vec![VERSION]).expect("a preface can be encoded")
    }

    /// The opposite of [`Self::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, PrefaceError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) if bytes.len() <= BYTES_MAX => match postcard::take_from_bytes(rest) {
                Ok((preface, [])) => Ok(preface),
                _ => Err(PrefaceError::Damaged),
            },
            Some((&version, _)) if version != VERSION => Err(PrefaceError::Version(version)),
            _ => Err(PrefaceError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_preface_goes_there_and_back(
            client: Option<IpAddr>, tls: bool, login in "\\PC{0,60}", tag in "[a-z0-9]{1,9}", cut: prop::sample::Index,
        ) {
            let preface = Preface { client, tls, login, tag };
            let bytes = preface.encode();
            prop_assert_eq!(Preface::decode(&bytes).unwrap(), preface);
            prop_assert!(Preface::decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(Preface::decode(&[bytes.as_slice(), b"x"].concat()).is_err());
        }

        #[test]
        fn no_octets_make_it_panic(bytes: Vec<u8>) {
            let _ = Preface::decode(&bytes);
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        assert!(matches!(Preface::decode(&[2, 0, 0]), Err(PrefaceError::Version(2))));
    }
}

//! What a connection's first node tells the one that it passes the connection on to.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The version of the encoding that this build writes. Every older one is read.
const PREFACE_VERSION: u8 = 1;

/// What a preface takes on the wire, at most.
pub(crate) const PREFACE_BYTES_MAX: usize = 1 << 20;

/// A connection that is passed on, as its first node knows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preface {
    /// The client's address, and the one that it came to.
    pub client: SocketAddr,
    pub local: SocketAddr,
    /// The client's connection is under TLS: the first node's matter, like compression.
    pub tls: bool,
    pub compressed: bool,
    /// Who logged in; empty for LMTP, whose clients do not.
    pub login: String,
    /// What the client has said to be enabled (RFC 5161), by name.
    pub enabled: Vec<String>,
    /// The tag of the command that authenticated, which the second node answers.
    pub tag: Vec<u8>,
    /// What the client has sent since and the first node has read already.
    pub pending: Vec<u8>,
    /// More that the two ends agree on, in their own encoding.
    pub more: Vec<u8>,
}

/// The bytes are no preface that this build can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    #[error("the preface has version {0}, and this build reads up to {PREFACE_VERSION}: upgrade this node")]
    NewerVersion(u8),
    #[error("the preface is damaged")]
    Damaged,
    #[error("the preface has more than {PREFACE_BYTES_MAX} bytes")]
    TooLarge,
}

impl Preface {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, PrefaceError> {
        let bytes = postcard::to_extend(self, vec![PREFACE_VERSION]).map_err(|_| PrefaceError::Damaged)?;
        if bytes.len() > PREFACE_BYTES_MAX { Err(PrefaceError::TooLarge) } else { Ok(bytes) }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, PrefaceError> {
        match bytes.split_first() {
            Some((&PREFACE_VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((preface, [])) => Ok(preface),
                _ => Err(PrefaceError::Damaged),
            },
            Some((&version, _)) if version > PREFACE_VERSION => Err(PrefaceError::NewerVersion(version)),
            _ => Err(PrefaceError::Damaged),
        }
    }
}

/// Without what the client sent, which may be secret.
impl std::fmt::Debug for Preface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, local, tls, compressed, enabled, .. } = self;
        f.debug_struct("Preface")
            .field("client", client)
            .field("local", local)
            .field("tls", tls)
            .field("compressed", compressed)
            .field("enabled", enabled)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preface() -> Preface {
        Preface {
            client: "[2001:db8::1]:50000".parse().unwrap(),
            local: "192.0.2.1:993".parse().unwrap(),
            tls: true,
            compressed: false,
            login: "ada".into(),
            enabled: vec!["CONDSTORE".into()],
            tag: b"a1".to_vec(),
            pending: b"a2 SELECT INBOX\r\n".to_vec(),
            more: Vec::new(),
        }
    }

    #[test]
    fn it_goes_there_and_back() {
        assert_eq!(Preface::decode(&preface().encode().unwrap()), Ok(preface()));
    }

    #[test]
    fn what_is_no_preface_is_refused() {
        let good = preface().encode().unwrap();
        assert_eq!(Preface::decode(&[]), Err(PrefaceError::Damaged));
        for len in 1..good.len() {
            assert_eq!(Preface::decode(&good[..len]), Err(PrefaceError::Damaged), "{len}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(Preface::decode(&longer), Err(PrefaceError::Damaged));
        assert_eq!(Preface::decode(&[9, 0]), Err(PrefaceError::NewerVersion(9)));
        let large = Preface { pending: vec![0; PREFACE_BYTES_MAX], ..preface() };
        assert_eq!(large.encode(), Err(PrefaceError::TooLarge));
    }
}

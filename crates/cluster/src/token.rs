//! Tokens: with one a machine joins, once.
//!
//! The text is `paquebot-` and, in base64, the cluster, its authority's fingerprint, a secret, where nodes are reached, and a checksum. etcd has the
//! secret's hash only, under a lease.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paquebot_log_etcd::ClusterId;
use paquebot_peer::Fingerprint;

use crate::identity::{hex, random};

const START: &str = "paquebot-";
const SUM_BYTES: usize = 4;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub cluster: ClusterId,
    pub authority: Fingerprint,
    pub secret: [u8; 16],
    /// `host:port` of nodes that are asked in turn.
    pub peers: Vec<String>,
}

/// The text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "this is no token: one begins with `{START}`, and `paquebot cluster token` on a node of the cluster makes it"
    )]
    NoToken,
    #[error("the token is not whole, or was mistyped: copy all of it again")]
    Damaged,
    #[error("the token is of a newer version than this program")]
    Newer,
}

impl Token {
    pub fn new(cluster: ClusterId, authority: Fingerprint, peers: Vec<String>) -> Self {
        Self { cluster, authority, secret: random(), peers }
    }

    pub fn hash(&self) -> String {
        hash(&self.secret)
    }

    pub fn encode(&self) -> String {
        let mut bytes = vec![1];
        bytes.extend(self.cluster.0);
        bytes.extend(self.authority.0);
        bytes.extend(self.secret);
        bytes.extend(self.peers.join(" ").bytes());
        bytes.extend(sum(&bytes));
        format!("{START}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let text = text.trim().strip_prefix(START).ok_or(TokenError::NoToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Damaged)?;
        let (said, found) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(TokenError::Damaged)?;
        if sum(said) != *found {
            return Err(TokenError::Damaged);
        }
        let (version, rest) = said.split_first().ok_or(TokenError::Damaged)?;
        if *version != 1 {
            return Err(TokenError::Newer);
        }
        let (cluster, rest) = rest.split_first_chunk::<16>().ok_or(TokenError::Damaged)?;
        let (authority, rest) = rest.split_first_chunk::<32>().ok_or(TokenError::Damaged)?;
        let (secret, peers) = rest.split_first_chunk::<16>().ok_or(TokenError::Damaged)?;
        let peers = std::str::from_utf8(peers).map_err(|_| TokenError::Damaged)?;
        let peers = peers.split(' ').filter(|peer| !peer.is_empty()).map(str::to_owned).collect();
        Ok(Self { cluster: ClusterId(*cluster), authority: Fingerprint(*authority), secret: *secret, peers })
    }
}

/// By which etcd knows a token.
pub fn hash(secret: &[u8]) -> String {
    hex(blake3::hash(secret).as_bytes())
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    blake3::hash(bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_there_and_back() {
        let peers = vec!["10.0.0.1:7143".into(), "[fd00::1]:7143".into()];
        let token = Token::new(ClusterId([7; 16]), Fingerprint([9; 32]), peers);
        let text = token.encode();
        assert_eq!(Token::decode(&format!(" {text}\n")), Ok(token));
        assert_eq!(Token::decode("7143"), Err(TokenError::NoToken));
        assert_eq!(Token::decode(START), Err(TokenError::Damaged));
        assert_eq!(Token::decode(&text[..text.len() - 1]), Err(TokenError::Damaged));
        for at in START.len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Token::decode(std::str::from_utf8(&wrong).unwrap()), Err(TokenError::Damaged), "{at}");
        }
    }
}

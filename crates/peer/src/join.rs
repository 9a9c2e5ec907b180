//! Becoming a node: the one thing that needs no certificate.

use serde::{Deserialize, Serialize};

use crate::name::NodeName;

/// What a machine that has a token asks for.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The token's secret.
    pub token: Vec<u8>,
    /// What the node will be called, and where its peers will reach it.
    pub node: NodeName,
    pub address: String,
    /// Its version, for people.
    pub software: String,
    /// A PKCS #10 request for a certificate, in DER.
    pub signing_request: Vec<u8>,
    /// More that the two ends agree on, in their own encoding.
    pub more: Vec<u8>,
}

/// The node is one of the cluster from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Its certificate, and those that its peers' certificates are signed by, in PEM.
    pub certificate: String,
    pub authority: String,
    /// More that the two ends agree on, in their own encoding.
    pub more: Vec<u8>,
}

/// The cluster's answer to a machine that wants to join: no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum JoinRefusal {
    #[error("the token is not, or no longer, good: `paquebot cluster token` on a node of the cluster makes a new one")]
    WrongToken,
    #[error("{0}")]
    Other(String),
}

/// Without the token's secret.
impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, address, software, .. } = self;
        f.debug_struct("JoinRequest")
            .field("node", node)
            .field("address", address)
            .field("software", software)
            .finish_non_exhaustive()
    }
}

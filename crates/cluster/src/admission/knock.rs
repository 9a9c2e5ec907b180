//! The machine's side: asking to be let in.

use std::path::Path;

use paquebot_etcd::Beginning;
use paquebot_peer::{Authority, Identity as PeerIdentity, JoinError, JoinRequest, NodeName, Tls, Welcome, join};

use super::{Ask, FORM, Given};
use crate::authority::{CertificateError, make_key, request};
use crate::identity::{Identity, IdentityError, Keys, NodeFile, hex};
use crate::token::{Token, TokenError};

/// What the machine is to be.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub node: NodeName,
    /// Where other nodes will reach it: `host:port`.
    pub address: String,
    /// The newest format of records that it reads, and its version, for people.
    pub reads: u8,
    pub software: String,
    /// The node whose machine is gone for good, and which it replaces.
    pub replaces: Option<NodeName>,
    /// Where a member of etcd on this machine would be reached (`https://host:port`): by clients, and by the other members.
    pub etcd: Option<(String, String)>,
}

/// The machine is a node.
#[derive(Debug)]
pub struct Admitted {
    pub identity: Identity,
    /// How this node's own member of etcd begins, if it is to run one.
    pub etcd: Option<Beginning>,
}

#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the token names no node to ask")]
    NoPeers,
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("what {0} answered cannot be used: {1}")]
    Answer(String, String),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Asks the nodes that the token names, in turn, to let this machine in, and makes the data directory a node's.
pub async fn knock(data: &Path, token: &str, candidate: &Candidate) -> Result<Admitted, AdmissionError> {
    let token = Token::decode(token)?;
    Identity::refuse_if_there(data)?;
    let mut file = NodeFile::new(token.cluster, candidate.node.clone());
    let key = make_key()?;
    let ask = Ask {
        form: FORM,
        cluster: token.cluster.0,
        attempt: attempt(&token, candidate),
        store: file.store.clone(),
        reads: candidate.reads,
        replaces: candidate.replaces.clone(),
        etcd: candidate.etcd.clone(),
    };
    let more = postcard::to_stdvec(&ask).map_err(|error| CertificateError::of(&error))?;
    let request = JoinRequest {
        token: token.secret.to_vec(),
        node: candidate.node.clone(),
        address: candidate.address.clone(),
        software: candidate.software.clone(),
        signing_request: request(&candidate.node, &key)?,
        more,
    };
    let (peer, welcome) = ask_in_turn(&token, &request).await?;
    let unusable = |error: &dyn std::fmt::Display| AdmissionError::Answer(peer.clone(), error.to_string());
    if welcome.more.first() != Some(&FORM) {
        return Err(unusable(&"its program is of another version"));
    }
    let given: Given = postcard::from_bytes(&welcome.more).map_err(|error| unusable(&error))?;
    prove(&token, &welcome, &key).map_err(|error| unusable(&error))?;
    file.peers = given.peers;
    file.etcd = given.etcd;
    file.certificate_until = given.certificate_until;
    let keys = Keys {
        authority: welcome.authority,
        authority_key: given.authority_key,
        certificate: welcome.certificate,
        key,
    };
    let identity = Identity::make(data, file, &keys)?;
    let etcd = given.etcd_start.map(|(token, members)| Beginning::Joined { token, members });
    Ok(Admitted { identity, etcd })
}

/// The next node is asked only if it is sure that the one before has done nothing.
async fn ask_in_turn(token: &Token, request: &JoinRequest) -> Result<(String, Welcome), AdmissionError> {
    let mut last = AdmissionError::NoPeers;
    for peer in &token.peers {
        match join(peer, token.authority, request).await {
            Ok(welcome) => return Ok((peer.clone(), welcome)),
            Err(error @ (JoinError::Unreachable { .. } | JoinError::Stranger { .. })) => last = error.into(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(last)
}

/// That the certificate fits the key, and its authority is the token's.
fn prove(token: &Token, welcome: &Welcome, key: &str) -> Result<(), String> {
    let authority = Authority::from_pem(welcome.authority.as_bytes()).map_err(|error| error.to_string())?;
    if authority.fingerprint() != token.authority {
        return Err("its authority is not the token's".into());
    }
    let identity = PeerIdentity::from_pem(welcome.certificate.as_bytes(), key.as_bytes());
    Tls::new(identity.map_err(|error| error.to_string())?, &authority).map_err(|error| error.to_string())?;
    Ok(())
}

/// The same each time that this machine asks with this token, though it keeps nothing between.
fn attempt(token: &Token, candidate: &Candidate) -> String {
    let said = format!("{} {} {}", hex(&token.secret), candidate.node, candidate.address);
    hex(&blake3::hash(said.as_bytes()).as_bytes()[..16])
}

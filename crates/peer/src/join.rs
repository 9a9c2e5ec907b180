//! Becoming a node: the one thing that needs no certificate.

use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::identity::Fingerprint;
use crate::name::NodeName;
use crate::tls::{cause, joining};

/// What a request and an answer take on the wire, at most.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 << 10;
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;

/// For a connection, and for the answer: wrong tokens before this one delay it.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(75);

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

/// Why a machine has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("the cluster cannot be reached at {address}: {why}")]
    Unreachable { address: String, why: String },
    /// Who answers does not belong to the cluster that the token is for.
    #[error(
        "who answers at {address} is no node of the cluster that the token is for: compare the address, and the token's cluster"
    )]
    Stranger { address: String },
    /// The request left, and no answer came: the node may be a member already.
    #[error("no answer from {address}: {why}; try again")]
    NoAnswer { address: String, why: String },
    #[error(transparent)]
    Refused(JoinRefusal),
}

/// Asks the node at `address` (`host:port`) to let this machine into its cluster. It must prove by a certificate that it belongs to the
/// authority with that fingerprint.
pub async fn join(address: &str, authority: Fingerprint, request: &JoinRequest) -> Result<Welcome, JoinError> {
    let unreachable = |why: String| JoinError::Unreachable { address: address.into(), why };
    let no_answer = |why: String| JoinError::NoAnswer { address: address.into(), why };
    let mut bytes = postcard::to_extend(request, vec![0; 4]).map_err(|error| unreachable(error.to_string()))?;
    let len = u32::try_from(bytes.len() - 4).ok().filter(|len| *len as usize <= REQUEST_BYTES_MAX);
    let len = len.ok_or_else(|| unreachable("the request is too large".into()))?;
    bytes[..4].copy_from_slice(&len.to_be_bytes());

    let config = joining(authority).map_err(|error| unreachable(error.to_string()))?;
    let name = ServerName::try_from("join.paquebot.cluster").map_err(|error| unreachable(error.to_string()))?;
    let connect = async {
        let socket = TcpStream::connect(address).await?;
        TlsConnector::from(config).connect(name, socket).await
    };
    let mut stream = match timeout(CONNECT, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if matches!(cause(&error), Some(rustls::Error::InvalidCertificate(_))) => {
            return Err(JoinError::Stranger { address: address.into() });
        }
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable(format!("no answer for {} s", CONNECT.as_secs()))),
    };
    let ask = async {
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let len = stream.read_u32().await?;
        let mut answer = Vec::new();
        (&mut stream).take(u64::from(len).min(ANSWER_BYTES_MAX as u64)).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = match timeout(ANSWER, ask).await {
        Ok(answer) => answer.map_err(|error| no_answer(error.to_string()))?,
        Err(_) => return Err(no_answer(format!("nothing for {} s", ANSWER.as_secs()))),
    };
    let decided: Result<Welcome, JoinRefusal> = postcard::from_bytes(&answer)
        .map_err(|_| no_answer("what came cannot be read: is it of another version?".into()))?;
    decided.map_err(JoinError::Refused)
}

//! Tokens in etcd: `token/HASH` while one is good, `token-used/HASH` for a while after it was taken.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use paquebot_log_etcd::ClusterId;
use paquebot_peer::{Fingerprint, NodeName};

use crate::registry::{Member, Registry, RegistryError};
use crate::token::Token;

/// How long a token is good if nobody says otherwise.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long it is known who took one.
const REMEMBER: Duration = Duration::from_secs(30 * 86_400);

/// How it is with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Good,
    /// Taken by this node in this attempt.
    Taken {
        node: String,
        attempt: String,
    },
    /// Never made, or its time is over.
    Unknown,
}

/// Makes a token that is good for `lifetime`; `peers` are where nodes are reached.
pub async fn make_token(
    registry: &Registry,
    cluster: ClusterId,
    authority: Fingerprint,
    peers: Vec<String>,
    lifetime: Duration,
) -> Result<Token, RegistryError> {
    let token = Token::new(cluster, authority, peers);
    let mut client = registry.client();
    let lease = client.lease_grant(seconds(lifetime), None).await?.id();
    let options = PutOptions::new().with_lease(lease);
    client.put(registry.key(&format!("token/{}", token.hash())), "", Some(options)).await?;
    Ok(token)
}

pub(super) async fn state(registry: &Registry, hash: &str) -> Result<State, RegistryError> {
    let mut client = registry.client();
    if !client.get(registry.key(&format!("token/{hash}")), None).await?.kvs().is_empty() {
        return Ok(State::Good);
    }
    let used = client.get(registry.key(&format!("token-used/{hash}")), None).await?;
    let taken = used.kvs().first().and_then(|kv| kv.value_str().ok()?.split_once(' '));
    Ok(taken.map_or(State::Unknown, |(node, attempt)| State::Taken { node: node.into(), attempt: attempt.into() }))
}

/// What a machine that joins becomes, and what stood in its place.
pub(super) struct Place<'a> {
    pub node: &'a NodeName,
    pub attempt: &'a str,
    pub member: &'a Member,
    /// When the member of this name was last changed; 0 if there is none.
    pub revision: i64,
}

/// When the member of this name was last changed; 0 if there is none.
pub(super) async fn revision(registry: &Registry, node: &NodeName) -> Result<i64, RegistryError> {
    let found = registry.client().get(registry.key(&format!("member/{node}")), None).await?;
    Ok(found.kvs().first().map_or(0, |kv| kv.mod_revision()))
}

/// Takes the token and makes the member, both or neither. Of two who try with one token, or under one name, one does. Whether it was done.
pub(super) async fn take(registry: &Registry, hash: &str, place: &Place<'_>) -> Result<bool, RegistryError> {
    let mut client = registry.client();
    let lease = client.lease_grant(seconds(REMEMBER), None).await?.id();
    let (good, used) = (registry.key(&format!("token/{hash}")), registry.key(&format!("token-used/{hash}")));
    let member = registry.key(&format!("member/{}", place.node));
    let text = serde_json::to_vec(place.member).map_err(|_| RegistryError::Damaged(member.clone()))?;
    let as_it_was = [
        Compare::create_revision(good.as_str(), CompareOp::Greater, 0),
        Compare::mod_revision(member.as_str(), CompareOp::Equal, place.revision),
    ];
    let note = PutOptions::new().with_lease(lease);
    let then = [
        TxnOp::delete(good, None),
        TxnOp::put(used, format!("{} {}", place.node, place.attempt), Some(note)),
        TxnOp::put(member, text, None),
    ];
    Ok(client.txn(Txn::new().when(as_it_was).and_then(then)).await?.succeeded())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX).max(1)
}

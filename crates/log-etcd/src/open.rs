//! Whose keys are these? Asked before anything else is done.

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse};

use crate::error::OpenError;
use crate::health::{self, Health};
use crate::keys::{Identity, identity_value, parse_identity};
use crate::link::{Link, get};
use crate::read::send;
use crate::version;

/// Makes sure that there is an etcd that can be used.
pub async fn reach(link: &Link) -> Result<Health, OpenError> {
    if link.options.endpoints.is_empty() {
        return Err(OpenError::NoEndpoints);
    }
    let health = health::look(link).await;
    let mut last_failure = None;
    let mut reached = false;
    for member in &health.members {
        let state = match &member.state {
            Ok(state) => state,
            Err(failure) => {
                last_failure = Some(failure.clone());
                continue;
            }
        };
        reached = true;
        if let Some(why) = version::refusal(&state.version) {
            return Err(OpenError::Version { endpoint: member.endpoint.clone(), version: state.version.clone(), why });
        }
    }
    match (reached, last_failure) {
        (false, Some(failure)) => Err(OpenError::Unreachable(failure)),
        _ => Ok(health),
    }
}

/// The keys must be this cluster's.
pub async fn verify(link: &Link) -> Result<(), OpenError> {
    let (key, prefix) = (link.keys.cluster(), link.options.prefix.clone());
    let answer = link.persist(link.options.deadline, |client| get(client, key.clone())).await?;
    match answer.kvs().first().map(|kv| parse_identity(kv.value())) {
        None => Err(OpenError::NoCluster { prefix }),
        Some(Identity::Other) => Err(OpenError::NotOurs { prefix }),
        Some(Identity::Cluster(found)) if found != link.options.cluster => {
            Err(OpenError::OtherCluster { prefix, found, expected: link.options.cluster })
        }
        Some(Identity::Cluster(_)) => Ok(()),
    }
}

/// Takes the prefix for this cluster, unless it has keys already. Done twice it is done once.
pub async fn make(link: &Link) -> Result<(), OpenError> {
    let key = link.keys.cluster();
    // No key at all: the range has no key that was ever made.
    let free = Compare::create_revision(link.keys.all(), CompareOp::Equal, 0).with_prefix();
    let put = TxnOp::put(key.as_str(), identity_value(link.options.cluster), None);
    let get = TxnOp::get(key.as_str(), None);
    let others = TxnOp::get(link.keys.all(), Some(GetOptions::new().with_prefix().with_count_only()));
    let txn = Txn::new().when([free]).and_then([put]).or_else([get, others]);
    let response = link.persist(link.options.deadline, |client| send(client, txn.clone())).await?;
    if response.succeeded() {
        return Ok(());
    }
    match response.op_responses().first() {
        Some(TxnOpResponse::Get(answer)) if answer.kvs().is_empty() => {
            Err(OpenError::NotOurs { prefix: link.options.prefix.clone() })
        }
        _ => verify(link).await,
    }
}

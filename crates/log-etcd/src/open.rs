//! Whose keys are these? Asked before anything else is done.

use paquebot_types::{Sequence, ShardId};

use crate::error::OpenError;
use crate::health::{self, Health};
use crate::keys::{Base, Identity, identity_value, parse_identity, unfinished_value};
use crate::kv::{Condition, Op, Txn};
use crate::link::Link;
use crate::version;

/// Operations in a transaction, at most, as etcd is set unless it is told otherwise.
const OPERATIONS: usize = 128;

/// Makes sure that there is an etcd that can be used.
pub async fn reach(link: &Link) -> Result<Health, OpenError> {
    if link.endpoints().is_empty() {
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
        (false, Some(failure)) => Err(OpenError::unreachable(failure)),
        _ => Ok(health),
    }
}

/// Makes sure that there is an etcd that can be used, and that its keys are this cluster's.
pub async fn know(link: &Link) -> Result<Health, OpenError> {
    let health = reach(link).await?;
    verify(link).await?;
    Ok(health)
}

/// The keys must be this cluster's.
async fn verify(link: &Link) -> Result<(), OpenError> {
    let prefix = || link.options.prefix.clone();
    match identity(link).await? {
        None => Err(OpenError::NoCluster { prefix: prefix() }),
        Some(Identity::Other) => Err(OpenError::NotOurs { prefix: prefix() }),
        Some(Identity::Cluster(found) | Identity::Unfinished(found)) if found != link.options.cluster => {
            Err(OpenError::OtherCluster { prefix: prefix(), found, expected: link.options.cluster })
        }
        Some(Identity::Unfinished(_)) => Err(OpenError::Unfinished { prefix: prefix() }),
        Some(Identity::Cluster(_)) => Ok(()),
    }
}

async fn identity(link: &Link) -> Result<Option<Identity>, OpenError> {
    let look = Txn::reading(vec![Op::Get(link.keys.cluster())]);
    let answer = link.persist(link.options.deadline, &look).await?;
    Ok(answer.pair(0).map(|pair| parse_identity(&pair.value)))
}

/// Takes the prefix for this cluster, unless it has keys already, and puts the bases. Done twice it is done once, and where it was interrupted it
/// goes on: nobody uses the keys before all are there.
pub async fn make(link: &Link, bases: &[(ShardId, Sequence)]) -> Result<(), OpenError> {
    take(link).await?;
    match verify(link).await {
        Err(OpenError::Unfinished { .. }) => {}
        finished => return finished,
    }
    let bases: Vec<Op> = bases
        .iter()
        .filter(|(_, sequence)| *sequence > Sequence::ZERO)
        .map(|(shard, Sequence(count))| {
            Op::Put(link.keys.base(*shard), Base { count: *count, revision: 0 }.encode().into())
        })
        .collect();
    let key = link.keys.cluster();
    let finish = Op::Put(key.clone(), identity_value(link.options.cluster).into());
    for puts in bases.chunks(OPERATIONS).chain([&[finish][..]]) {
        let unfinished = Condition::Holds(key.clone(), unfinished_value(link.options.cluster).into());
        let txn = Txn { when: vec![unfinished], then: puts.to_vec(), otherwise: Vec::new() };
        // One that changes nothing meets a cluster that is finished: by an attempt whose answer was lost, or by another process.
        link.persist(link.options.deadline, &txn).await?;
    }
    verify(link).await
}

async fn take(link: &Link) -> Result<(), OpenError> {
    let free = Condition::NoneUnder(link.keys.all());
    let put = Op::Put(link.keys.cluster(), unfinished_value(link.options.cluster).into());
    let txn = Txn { when: vec![free], then: vec![put], otherwise: Vec::new() };
    let answer = link.persist(link.options.deadline, &txn).await?;
    match answer.happened || identity(link).await?.is_some() {
        true => Ok(()),
        false => Err(OpenError::NotOurs { prefix: link.options.prefix.clone() }),
    }
}

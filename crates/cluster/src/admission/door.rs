//! The node's side: who may come in.

use std::collections::BTreeSet;
use std::time::Duration;

use paquebot_etcd::members::{self, Known};
use paquebot_log_etcd::ClusterId;
use paquebot_peer::{JoinRefusal, JoinRequest, NodeName, Welcome};
use tokio::time::{Instant, sleep};

use super::tokens::{self, State};
use super::{Ask, ETCD_MEMBERS, FORM, Given};
use crate::authority::CertificateAuthority;
use crate::identity::Keys;
use crate::placement::{Place, Table};
use crate::registry::{Etcd, Member, Registry, View};
use crate::token;

/// How long a machine is tried to be let in, and the time between attempts.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(250);

/// Lets machines in.
pub struct Door {
    cluster: ClusterId,
    keys: Keys,
    authority: CertificateAuthority,
    registry: Registry,
    /// Where the members of an etcd that the operator runs are reached; `None` for one that nodes run.
    given: Option<Vec<String>>,
}

impl Door {
    pub fn new(
        cluster: ClusterId,
        keys: Keys,
        registry: Registry,
        given: Option<Vec<String>>,
    ) -> Result<Self, crate::authority::CertificateError> {
        let authority = CertificateAuthority::from_pem(&keys.authority, &keys.authority_key)?;
        Ok(Self { cluster, keys, authority, registry, given })
    }

    /// Makes a machine that has a good token a node. While etcd does not answer, or one of its members is away, it is tried again: whatever was done by then
    /// is not done twice.
    pub async fn admit(&self, request: JoinRequest) -> Result<Welcome, JoinRefusal> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.attempt(&request).await {
                Ok(welcome) => return Ok(welcome),
                Err(No::Refused(refusal)) => return Err(refusal),
                Err(No::Failed(why)) if Instant::now() >= end => return Err(JoinRefusal::Other(why)),
                Err(No::Failed(why)) => tracing::debug!(why, "a machine is not let in yet"),
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&self, request: &JoinRequest) -> Result<Welcome, No> {
        let ask = self.understand(request)?;
        let hash = token::hash(&request.token);
        let is_again = match tokens::state(&self.registry, &hash).await.map_err(failed)? {
            State::Good => false,
            State::Taken { node, attempt } if attempt == ask.attempt && node == request.node.as_str() => true,
            State::Taken { node, .. } => {
                return refuse(format!(
                    "the token was used by node {node} already, and is good for one node: `paquebot cluster token` makes another"
                ));
            }
            State::Unknown => return Err(No::Refused(JoinRefusal::WrongToken)),
        };
        // All that may be refused is looked at before the token is spent.
        let certificate =
            self.authority.certify_request(&request.node, host(&request.address), &request.signing_request);
        let certificate = certificate.or_else(|error| refuse(error.to_string()))?;
        let mut member = Member {
            address: request.address.clone(),
            store: ask.store.clone(),
            reads: ask.reads,
            software: request.software.clone(),
            leaving: false,
            etcd: None,
        };
        if !is_again {
            let revision = tokens::revision(&self.registry, &request.node).await.map_err(failed)?;
            look_at(&self.registry.read().await.map_err(failed)?, request, &ask)?;
            let place = tokens::Place { node: &request.node, attempt: &ask.attempt, member: &member, revision };
            if !tokens::take(&self.registry, &hash, &place).await.map_err(failed)? {
                return Err(No::Failed("somebody else has just used the token, or taken the name".into()));
            }
        }
        let remaining = match &ask.replaces {
            Some(replaced) => self.forget(replaced, &request.node).await?,
            None => None,
        };
        let etcd_start = self.add_to_etcd(&request.node, &ask, remaining).await?;
        member.etcd = etcd_start.as_ref().and(ask.etcd).map(|(client, peer)| Etcd { client, peer });
        self.registry.admit(&request.node, &member).await.map_err(failed)?;
        tracing::info!(node = %request.node, address = request.address, "a machine has joined the cluster");
        let view = self.registry.read().await.map_err(failed)?;
        let given = Given {
            form: FORM,
            authority_key: self.keys.authority_key.clone(),
            certificate_until: certificate.until,
            peers: view.members.values().map(|member| member.address.clone()).collect(),
            etcd: self.given.clone().unwrap_or_else(|| view.etcd().into_iter().map(str::to_owned).collect()),
            etcd_start,
        };
        let more = postcard::to_stdvec(&given).map_err(failed)?;
        Ok(Welcome { certificate: certificate.pem, authority: self.keys.authority.clone(), more })
    }

    fn understand(&self, request: &JoinRequest) -> Result<Ask, No> {
        if request.more.first() != Some(&FORM) {
            return refuse("the machine's program is of another version: use that of the cluster's nodes".into());
        }
        let ask: Ask = postcard::from_bytes(&request.more).or_else(|error| refuse(error.to_string()))?;
        if ask.cluster != self.cluster.0 {
            return refuse(format!("the token is for another cluster than {}", self.cluster));
        }
        Ok(ask)
    }

    /// Nothing is expected of a node whose machine is gone any more. Gives the members of an etcd that nodes run without its own.
    async fn forget(&self, replaced: &NodeName, by: &NodeName) -> Result<Option<Vec<Known>>, No> {
        let forget = |table: &Table| {
            let mut table = table.clone();
            for place in table.shards.values_mut().filter(|place| has_another(place, replaced)) {
                place.hosts.remove(replaced);
            }
            table
        };
        self.registry.change_table(forget).await.map_err(failed)?;
        let remaining = match self.given {
            None => Some(members::remove(&mut self.registry.client(), replaced.as_str(), None).await.map_err(failed)?),
            Some(_) => None,
        };
        if replaced != by {
            self.registry.dismiss(replaced).await.map_err(failed)?;
        }
        Ok(remaining)
    }

    /// Adds the machine's member to an etcd that nodes run, if it has not enough. The members are asked for where they are not known: a list that is asked
    /// for just after one was removed may still show that one.
    async fn add_to_etcd(
        &self,
        node: &NodeName,
        ask: &Ask,
        known: Option<Vec<Known>>,
    ) -> Result<Option<(String, Vec<(String, String)>)>, No> {
        let (None, Some((_, peer_url))) = (&self.given, &ask.etcd) else { return Ok(None) };
        let mut client = self.registry.client();
        let known = match known {
            Some(known) => known,
            None => members::list(&mut client).await.map_err(failed)?,
        };
        let is_there = known.iter().any(|member| member.peer_urls.contains(peer_url));
        if known.len() >= ETCD_MEMBERS && !is_there {
            return Ok(None);
        }
        let members = members::add(&mut client, known, node.as_str(), peer_url).await.map_err(failed)?;
        Ok(Some((self.cluster.to_string(), members)))
    }
}

/// Whether the machine may become what it wants to be.
fn look_at(view: &View, request: &JoinRequest, ask: &Ask) -> Result<(), No> {
    let node = &request.node;
    if let Some(replaced) = &ask.replaces {
        if !view.members.contains_key(replaced) {
            return refuse(format!("there is no node {replaced} that could be replaced"));
        }
        if view.alive.contains_key(replaced) {
            return refuse(format!("node {replaced} runs: stop it before it is replaced"));
        }
        refuse_if_last(view, replaced)?;
    }
    if view.members.contains_key(node) && ask.replaces.as_ref() != Some(node) {
        return refuse(format!(
            "there is a node {node} in the cluster already: choose another name; or, if its machine is gone for good, join with `--replace {node}`"
        ));
    }
    Ok(())
}

/// A node that alone has a shard cannot be replaced: with it that mail is gone.
fn refuse_if_last(view: &View, node: &NodeName) -> Result<(), No> {
    let shards = view.table.iter().flat_map(|table| &table.shards);
    let only: BTreeSet<u16> = shards
        .filter(|(_, place)| place.hosts.contains_key(node) && !has_another(place, node))
        .map(|(shard, _)| shard.0)
        .collect();
    match only.first() {
        None => Ok(()),
        Some(first) => refuse(format!(
            "node {node} is the only one that has shard {first} and {} more: what is in its data directory must be brought back",
            only.len() - 1
        )),
    }
}

fn has_another(place: &Place, node: &NodeName) -> bool {
    let mut others = place.hosts.iter().filter(|(host, _)| *host != node);
    others.any(|(_, standing)| *standing != crate::placement::Standing::Joining)
}

/// Of `host:port`.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn refuse<T>(why: String) -> Result<T, No> {
    Err(No::Refused(JoinRefusal::Other(why)))
}

fn failed(error: impl std::fmt::Display) -> No {
    No::Failed(format!("{error}; try again"))
}

/// Why a machine is not let in.
enum No {
    /// It will not be.
    Refused(JoinRefusal),
    /// Not now.
    Failed(String),
}

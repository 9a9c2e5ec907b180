//! Looking after the etcd that nodes run: new members get their vote, and files that are mostly empty their space back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use etcd_client::Client;
use paquebot_etcd::members;
use paquebot_log_etcd::{Options, connect};
use tokio::time::{Instant, sleep, timeout};

/// How often sizes are looked at.
const SIZES: Duration = Duration::from_secs(60);
/// After one member's file was defragmented, before the next.
const BETWEEN: Duration = Duration::from_secs(20);

/// Promotes learners, until it is ended. All nodes do so, and the first is enough.
pub async fn promote(mut client: Client) {
    let mut every = members::PROMOTE_EVERY;
    loop {
        sleep(every).await;
        let learners = members::list(&mut client).await.map(|known| known.iter().any(|member| member.is_learner));
        every = match learners {
            Ok(true) => {
                if let Err(error) = members::promote(&mut client).await {
                    tracing::debug!(%error, "no member of etcd can get its vote now");
                }
                members::PROMOTE_EVERY
            }
            // One that has just come waits for this at most.
            _ => members::PROMOTE_EVERY * 4,
        };
    }
}

/// Defragments this node's own member when it is worth it and nobody else's was shortly before, until it is ended. `own` speaks to this member alone, and
/// `turn` is this node's place among those that run one.
pub async fn defragment(mut own: Client, mut all: Client, turn: u32) {
    sleep(BETWEEN * turn).await;
    loop {
        let began = Instant::now();
        match members::size(&mut own).await {
            Ok(size) if size.is_worth_defragmenting() && all_are_well(&mut all).await => {
                tracing::info!(?size, "the file of etcd's member on this node is defragmented");
                if let Err(error) = members::defragment(&mut own).await {
                    tracing::warn!(%error, "the file of etcd's member on this node cannot be defragmented");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the size of etcd's member on this node is not known now"),
        }
        sleep(SIZES.saturating_sub(began.elapsed())).await;
    }
}

/// Whether the cluster can do without one member for a moment: none is missing or without a vote.
async fn all_are_well(client: &mut Client) -> bool {
    let Ok(known) = members::list(client).await else { return false };
    known.len() == 1 || (known.len() >= 3 && known.iter().all(|member| !member.is_learner && !member.name.is_empty()))
}

/// How often each member is asked whether it is well, and how long it has to answer.
const PROBE: Duration = Duration::from_millis(500);
const PROBE_LIMIT: Duration = Duration::from_millis(1500);

/// Keeps `client` to the members of etcd that are well, until it is ended: those at `endpoints` now, whoever was there when it connected. The client by itself
/// goes on asking a member that is away in its turn, and fails each time.
pub async fn route(client: Client, options: Options, endpoints: impl Fn() -> Vec<String>) {
    let mut in_use: BTreeSet<String> = options.endpoints.iter().cloned().collect();
    let mut probes: BTreeMap<String, Client> = BTreeMap::new();
    loop {
        let wanted: BTreeSet<String> = endpoints().into_iter().collect();
        probes.retain(|endpoint, _| wanted.contains(endpoint));
        let asked = wanted.iter().map(|endpoint| probe(endpoint, probes.get(endpoint).cloned(), &options));
        let answers = futures_util::future::join_all(asked).await;
        let well: BTreeMap<String, Client> = wanted.iter().cloned().zip(answers).filter_map(answered).collect();
        for endpoint in well.keys().filter(|endpoint| !in_use.contains(*endpoint)).cloned().collect::<Vec<_>>() {
            if client.add_endpoint(&endpoint).await.is_ok() {
                tracing::debug!(endpoint, "a member of etcd is asked again");
                in_use.insert(endpoint);
            }
        }
        // Where none is well all are kept: whichever comes back first is the one that answers.
        let unwell = in_use.iter().filter(|endpoint| !well.is_empty() && !well.contains_key(*endpoint));
        for endpoint in unwell.cloned().collect::<Vec<_>>() {
            if client.remove_endpoint(&endpoint).await.is_ok() {
                tracing::debug!(endpoint, "a member of etcd is away, and not asked for now");
                in_use.remove(&endpoint);
            }
        }
        probes = well;
        sleep(PROBE).await;
    }
}

/// Gives a client of this member if it answers and sees a leader.
async fn probe(endpoint: &str, client: Option<Client>, options: &Options) -> Option<Client> {
    let ask = async {
        let mut client = match client {
            Some(client) => client,
            None => connect(&Options { endpoints: vec![endpoint.into()], ..options.clone() }).await.ok()?,
        };
        let status = client.status().await.ok()?;
        (status.leader() != 0 && !status.is_learner()).then_some(client)
    };
    timeout(PROBE_LIMIT, ask).await.ok().flatten()
}

fn answered((endpoint, client): (String, Option<Client>)) -> Option<(String, Client)> {
    Some((endpoint, client?))
}

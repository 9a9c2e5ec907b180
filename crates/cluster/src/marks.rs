//! Comparing replicas: every now and then a shard's log has a mark, and each replica says what it has exactly there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use paquebot_mailbox::Service;
use paquebot_model::{Chain, Op};
use paquebot_peer::NodeName;
use paquebot_replica::{OnMark, Trouble, TroubleKind};
use paquebot_store::ReadTxn;
use paquebot_types::{Sequence, ShardId};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use crate::registry::{Registry, RegistryError, Report};

/// The first format of records that has marks.
const VERSION: u8 = 2;
/// For how long reports can be compared.
const KEEP: Duration = Duration::from_secs(1800);
/// How long after its own report a node looks at the others': they hash at their own speed.
const LOOKS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600)];

/// A shard as it is exactly after a mark.
pub struct Marked {
    shard: ShardId,
    sequence: Sequence,
    chain: Chain,
    rows: ReadTxn,
}

/// What the replica calls, and where it comes out.
pub fn channel() -> (OnMark, mpsc::UnboundedReceiver<Marked>) {
    let (sender, marked) = mpsc::unbounded_channel();
    let on_mark: OnMark = Arc::new(move |shard, sequence, chain, rows| {
        // Nobody listens only when the server stops.
        let _ = sender.send(Marked { shard, sequence, chain, rows });
    });
    (on_mark, marked)
}

/// Hashes what is marked, reports it and compares, one shard after the other, until it is ended.
pub async fn compare(
    node: NodeName,
    registry: Registry,
    mut marked: mpsc::UnboundedReceiver<Marked>,
    troubles: mpsc::UnboundedSender<Trouble>,
) {
    while let Some(Marked { shard, sequence, chain, rows }) = marked.recv().await {
        let hashed = tokio::task::spawn_blocking(move || rows.state_hash(shard)).await;
        let state = match hashed {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => {
                let text = format!("its rows cannot be read: {error}");
                let _ = troubles.send(Trouble { shard, kind: TroubleKind::Damaged, text });
                continue;
            }
            Err(_) => return,
        };
        let report = Report { shard, sequence, chain: hex(&chain.0), state: hex(&state) };
        if let Err(error) = registry.report(&node, &report, KEEP).await {
            tracing::debug!(%shard, %error, "what this node has of a shard cannot be reported now");
            continue;
        }
        let (node, registry, troubles) = (node.clone(), registry.clone(), troubles.clone());
        tokio::spawn(async move {
            for pause in LOOKS {
                sleep(pause).await;
                match look(&node, &registry, &report).await {
                    Ok(Some(text)) => {
                        let _ = troubles.send(Trouble { shard, kind: TroubleKind::Diverged, text });
                        return;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%shard, %error, "reports cannot be compared now"),
                }
            }
        });
    }
}

/// What is wrong with this node's report, by the others'.
async fn look(node: &NodeName, registry: &Registry, own: &Report) -> Result<Option<String>, RegistryError> {
    let reports = registry.reports(own).await?;
    Ok(match judge(own, &reports) {
        Judgement::Equal => None,
        Judgement::Outvoted => Some(format!(
            "at record {} this node has {} and {} others have something else: its copy is damaged",
            own.sequence,
            short(own),
            reports.len() - 1
        )),
        Judgement::Tied => {
            tracing::error!(
                shard = %own.shard, sequence = %own.sequence, %node, reports = ?reports.iter().map(|(node, report)| (node, short(report))).collect::<Vec<_>>(),
                "replicas of a shard differ, and which is right cannot be told by their number: `paquebot check` on each node may tell; move the shard away from the other with \
                 `paquebot cluster move`"
            );
            None
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Equal,
    /// More replicas agree on something else than on this.
    Outvoted,
    Tied,
}

fn judge(own: &Report, reports: &[(NodeName, Report)]) -> Judgement {
    let mut votes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (_, report) in reports {
        *votes.entry((&report.chain, &report.state)).or_default() += 1;
    }
    let ours = votes.remove(&(own.chain.as_str(), own.state.as_str())).unwrap_or(1);
    match votes.values().max() {
        None => Judgement::Equal,
        Some(others) if *others > ours => Judgement::Outvoted,
        Some(others) if *others == ours => Judgement::Tied,
        // The others are told by what they find themselves.
        Some(_) => Judgement::Equal,
    }
}

fn short(report: &Report) -> String {
    let first = |text: &str| text.get(..16).unwrap_or(text).to_owned();
    format!("chain {} and rows {}", first(&report.chain), first(&report.state))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sets marks in the shards that this node is the first host of, where something has changed since the last.
pub async fn set(node: NodeName, service: Arc<Service>, registry: Registry, every: Duration) {
    let mut ticks = interval(every);
    let mut last: HashMap<ShardId, Sequence> = HashMap::new();
    loop {
        ticks.tick().await;
        let view = registry.view();
        if view.record_version(0) < VERSION {
            continue;
        }
        for shard in service.hosted() {
            let hosts = view.hosts(shard);
            let Some(applied) = service.applied(shard) else { continue };
            // The mark itself is a record.
            let unchanged = last.get(&shard).is_some_and(|marked| applied.0 <= marked.0 + 1);
            if applied == Sequence::ZERO || hosts.len() < 2 || hosts.first() != Some(&&node) || unchanged {
                continue;
            }
            match service.change_all(shard, vec![Op::Mark], Vec::new()).await {
                Ok(_) => _ = last.insert(shard, applied),
                Err(error) => tracing::debug!(%shard, %error, "a mark cannot be set now"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(state: &str) -> Report {
        Report { shard: ShardId(1), sequence: Sequence(9), chain: "c".into(), state: state.into() }
    }

    #[test]
    fn the_one_that_differs_is_outvoted_and_the_others_are_not() {
        let name = |name| NodeName::new(name).unwrap();
        let three = [(name("a"), report("x")), (name("b"), report("y")), (name("c"), report("x"))];
        assert_eq!(judge(&report("x"), &three), Judgement::Equal);
        assert_eq!(judge(&report("y"), &three), Judgement::Outvoted);
        assert_eq!(judge(&report("x"), &three[..2]), Judgement::Tied);
        assert_eq!(judge(&report("y"), &three[..2]), Judgement::Tied);
        assert_eq!(judge(&report("x"), &three[..1]), Judgement::Equal);
        assert_eq!(judge(&report("x"), &[]), Judgement::Equal);
    }
}

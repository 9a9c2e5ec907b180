//! Looks after etcd: its versions and sizes, and the history that it keeps.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::link::Link;
use crate::version;

/// Shares of the quota, in percent: at the first the log says so, at the second changes are refused. etcd itself stops at 100, and then does not
/// even take what would make room.
const LOW_PERCENT: u64 = 60;
const FULL_PERCENT: u64 = 80;

/// What is known of etcd.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub members: Vec<Member>,
    /// Why changes are refused; `None` while they are taken.
    pub refusal: Option<String>,
    /// What an operator should see to before changes are refused.
    pub warning: Option<String>,
}

/// A member of the etcd cluster, as it was when it was last looked at.
#[derive(Debug, Clone)]
pub struct Member {
    pub endpoint: String,
    /// `Err` says why it did not answer.
    pub state: Result<MemberState, String>,
}

/// What a member tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberState {
    pub version: String,
    pub is_leader: bool,
    /// The size of its file, by which etcd measures its quota.
    pub file_bytes: u64,
    /// What of the file is in use. The rest can be given back by defragmenting.
    pub used_bytes: u64,
    pub quota_bytes: u64,
    revision: i64,
}

/// Asks every member.
pub async fn look(link: &Link) -> Health {
    let mut members = Vec::new();
    for (number, endpoint) in link.endpoints().into_iter().enumerate() {
        let status = link.ask(number, |kv| kv.status(number)).await;
        let state = status.map_err(|failure| failure.to_string()).map(|status| MemberState {
            version: status.version,
            is_leader: status.is_leader,
            file_bytes: status.file_bytes,
            used_bytes: status.used_bytes,
            quota_bytes: status.quota_bytes.unwrap_or(link.options.quota_bytes),
            revision: status.revision,
        });
        members.push(Member { endpoint, state });
    }
    let full = link.attempt(|kv, member| kv.is_full(member)).await.unwrap_or(false);
    let refusal = members.iter().find_map(|member| refusal(member, full));
    let warning = members.iter().find_map(|member| share(member, LOW_PERCENT));
    Health { members, refusal, warning }
}

fn refusal(member: &Member, full: bool) -> Option<String> {
    let state = member.state.as_ref().ok()?;
    if let Some(why) = version::refusal(&state.version) {
        return Some(format!("{} runs etcd {}: {why}", member.endpoint, state.version));
    }
    if full {
        let how = "raise its --quota-backend-bytes or defragment it, then `etcdctl alarm disarm`";
        return Some(format!("etcd has no space left: {how}"));
    }
    share(member, FULL_PERCENT)
}

/// What there is to say when a member's file takes this share of its quota.
fn share(member: &Member, percent: u64) -> Option<String> {
    let state = member.state.as_ref().ok()?;
    let limit = state.quota_bytes / 100 * percent;
    (state.file_bytes >= limit).then(|| {
        format!(
            "etcd at {} takes {} bytes of its quota of {}, {} of them in use: defragment it, or raise its --quota-backend-bytes",
            member.endpoint, state.file_bytes, state.quota_bytes, state.used_bytes
        )
    })
}

/// Looks until it is ended.
pub async fn run(link: Arc<Link>, health: watch::Sender<Health>) {
    // A revision, and when it was seen.
    let mut noted: Option<(Instant, i64)> = None;
    loop {
        sleep(link.options.look).await;
        let found = look(&link).await;
        let revision = found.members.iter().filter_map(|member| Some(member.state.as_ref().ok()?.revision)).max();
        let before = health.send_replace(found.clone());
        match (&found.refusal, &before.refusal) {
            (Some(why), None) => tracing::error!(why, "changes are refused"),
            (None, Some(_)) => tracing::info!("changes are taken again"),
            _ => {}
        }
        if let (Some(warning), None) = (&found.warning, &before.warning) {
            tracing::warn!(warning, "etcd grows");
        }
        if let (Some(history), Some(revision)) = (link.options.history, revision) {
            match noted {
                None => noted = Some((Instant::now(), revision)),
                Some((at, upto)) if at.elapsed() >= history => {
                    noted = Some((Instant::now(), revision));
                    compact(&link, upto).await;
                }
                Some(_) => {}
            }
        }
    }
}

/// Forgets history before `revision`. Keys stay as they are, ours and others'; every node does this, and the first is enough.
async fn compact(link: &Link, revision: i64) {
    match link.attempt(|kv, member| kv.compact(member, revision)).await {
        Ok(()) | Err(Failure::Compacted(_)) => {}
        Err(failure) => tracing::warn!(%failure, "etcd's history cannot be compacted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(version: &str, file_bytes: u64) -> Member {
        let (version, quota_bytes) = (version.into(), 1000);
        let state = MemberState { version, is_leader: false, file_bytes, used_bytes: 1, quota_bytes, revision: 1 };
        Member { endpoint: "here".into(), state: Ok(state) }
    }

    #[test]
    fn changes_are_refused_long_before_the_quota() {
        assert_eq!(refusal(&member("3.4.23", 799), false), None);
        assert!(refusal(&member("3.4.23", 800), false).is_some());
        assert!(refusal(&member("3.4.23", 0), true).is_some());
        assert!(refusal(&member("3.5.1", 0), false).is_some());
        assert_eq!(
            (share(&member("3.4.23", 599), LOW_PERCENT), share(&member("3.4.23", 600), LOW_PERCENT).is_some()),
            (None, true)
        );
    }
}

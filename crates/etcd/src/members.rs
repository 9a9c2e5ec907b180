//! Who belongs to an etcd cluster. Everything here may be done twice, and by several nodes at a time.

use std::time::Duration;

use etcd_client::{Client, Error, Member, MemberAddOptions};
use tokio::time::{Instant, sleep};

/// How long a member is tried to be added, and the time between attempts.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(250);

/// A member, as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: u64,
    /// Empty until it has started for the first time.
    pub name: String,
    pub peer_urls: Vec<String>,
    /// Empty until it has started for the first time.
    pub client_urls: Vec<String>,
    /// It has no vote yet.
    pub is_learner: bool,
}

impl From<&Member> for Known {
    fn from(member: &Member) -> Self {
        Self {
            id: member.id(),
            name: member.name().into(),
            peer_urls: member.peer_urls().to_vec(),
            client_urls: member.client_urls().to_vec(),
            is_learner: member.is_learner(),
        }
    }
}

/// As the member that is asked knows them: one that is late may still show a member that was removed (etcd 3.4 answers from its own memory).
pub async fn list(client: &mut Client) -> Result<Vec<Known>, Error> {
    Ok(client.member_list().await?.members().iter().map(Known::from).collect())
}

/// Adds a member to those that are `known`, unless it is there, as a learner: it cannot hold the others up. Gives what its etcd has to be started with: every
/// member's name and peer address, `name` being the new one's.
pub async fn add(
    client: &mut Client,
    mut known: Vec<Known>,
    name: &str,
    peer_url: &str,
) -> Result<Vec<(String, String)>, Error> {
    let is_new = |member: &Known| member.peer_urls.iter().any(|url| url == peer_url);
    let until = Instant::now() + PATIENCE;
    while !known.iter().any(is_new) {
        let learner = MemberAddOptions::new().with_is_learner();
        match client.member_add([peer_url], Some(learner)).await {
            // What was decided, where a list could be somebody's who does not know it yet.
            Ok(added) => known = added.member_list().iter().map(Known::from).collect(),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => {
                sleep(PAUSE).await;
                known = list(client).await?;
            }
        }
    }
    let named = known.into_iter().flat_map(|member| {
        let own = if is_new(&member) { name.to_owned() } else { member.name };
        member.peer_urls.into_iter().map(move |url| (own.clone(), url))
    });
    // One that was added and has never started has no name, and takes no part yet.
    Ok(named.filter(|(name, _)| !name.is_empty()).collect())
}

/// Gives learners that have caught up their vote; gives how many it were. Those that have not yet are left for the next time.
pub async fn promote(client: &mut Client) -> Result<usize, Error> {
    let mut promoted = 0;
    for member in list(client).await?.into_iter().filter(|member| member.is_learner && !member.name.is_empty()) {
        match client.member_promote(member.id).await {
            Ok(_) => {
                tracing::info!(member = member.name, "a member of etcd has caught up, and votes from now on");
                promoted += 1;
            }
            Err(error) => tracing::debug!(member = member.name, %error, "a member of etcd has not caught up yet"),
        }
    }
    Ok(promoted)
}

/// Removes the member of this name or peer address, for good. Nothing if there is none. Gives those that remain.
pub async fn remove(client: &mut Client, name: &str, peer_url: Option<&str>) -> Result<Vec<Known>, Error> {
    let (gone, remaining): (Vec<_>, Vec<_>) = list(client).await?.into_iter().partition(|member| {
        let by_address = peer_url.is_some_and(|peer_url| member.peer_urls.iter().any(|url| url == peer_url));
        member.name == name || (member.name.is_empty() && by_address)
    });
    for member in gone {
        let until = Instant::now() + PATIENCE;
        loop {
            match client.member_remove(member.id).await {
                Ok(_) => break,
                // Somebody else has, or it was done before, and who gave the list did not know.
                Err(Error::GRpcStatus(status)) if status.message() == "etcdserver: member not found" => break,
                // A cluster of which a member has just begun, or whose last learner has no vote yet, takes no change of its members for some seconds.
                Err(_) if Instant::now() < until => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(remaining)
}

/// A member's file, and what of it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub file_bytes: u64,
    pub used_bytes: u64,
}

impl Size {
    /// A file that is small is not worth it, nor one that is mostly in use.
    pub fn is_worth_defragmenting(&self) -> bool {
        self.file_bytes > (64 << 20) && self.used_bytes < self.file_bytes / 2
    }
}

/// The size of the one member that this client speaks to.
pub async fn size(client: &mut Client) -> Result<Size, Error> {
    let status = client.status().await?;
    let bytes = |told: i64| u64::try_from(told).unwrap_or(0);
    Ok(Size { file_bytes: bytes(status.db_size()), used_bytes: bytes(status.raft_used_db_size()) })
}

/// Gives the free space of a member's file back. The member answers nobody meanwhile: only one at a time, and only while all others are well.
pub async fn defragment(client: &mut Client) -> Result<(), Error> {
    client.defragment().await.map(drop)
}

/// How often learners are looked for while there are some.
pub const PROMOTE_EVERY: Duration = Duration::from_millis(500);

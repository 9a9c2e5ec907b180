//! Moving an account to another shard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paquebot_blobs::Holders as _;
use paquebot_cluster::{Node, RegisteredHolders};
use paquebot_mailbox::{forget_moved, move_account};
use paquebot_peer::Refusal;
use paquebot_store::{IndexError, Store};
use paquebot_types::{AccountId, ShardId};
use tokio::time::sleep;

/// The kind of the question how many of an account's bodies a node still wants in a shard.
pub const WANTED: &str = "wanted-of-account";

/// Bodies that are looked at, at a time.
const BATCH: usize = 1024;
const LOOK: Duration = Duration::from_millis(500);

/// Moves a login's account, and removes what it leaves behind once every host of the new shard has its bodies.
pub async fn move_to(node: &Arc<Node>, login: &str, to: ShardId) -> Result<(), String> {
    let found = node.service.login(login).map_err(|error| error.to_string())?;
    let found = found.ok_or_else(|| format!("{login}: there is no such user; `paquebot user list` names all"))?;
    let (account, from) = (found.account, found.shard);
    if from == to {
        return Ok(());
    }
    let hosted = node.service.hosted();
    if ![from, to].iter().all(|shard| hosted.contains(shard)) {
        return Err(elsewhere(node, login, from, to));
    }
    move_account(&node.service, login, to).await.map_err(|error| format!("{login}: {error}"))?;
    while wanted_anywhere(node, to, account).await? {
        sleep(LOOK).await;
    }
    forget_moved(&node.service, login, from).await.map_err(|error| format!("{login}: {error}"))
}

/// Where the move can be made.
fn elsewhere(node: &Arc<Node>, login: &str, from: ShardId, to: ShardId) -> String {
    let view = node.registry.view();
    let target = view.hosts(to);
    let both: Vec<String> =
        view.hosts(from).into_iter().filter(|host| target.contains(host)).map(ToString::to_string).collect();
    match both.is_empty() {
        false => format!(
            "{login}: an account is moved by a node that hosts both shards, {from} and {to}: ask on {}",
            both.join(" or ")
        ),
        true => format!(
            "{login}: no node hosts both shards, {from} and {to}: move one of them first, as by `paquebot cluster move shard {to}` to nodes that host {from}"
        ),
    }
}

/// Whether some host of the shard wants bodies of the account. One that does not answer may.
async fn wanted_anywhere(node: &Arc<Node>, shard: ShardId, account: AccountId) -> Result<bool, String> {
    let store = node.service.store().clone();
    let here = tokio::task::spawn_blocking(move || is_wanted(&store, shard, account)).await;
    if here.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? {
        return Ok(true);
    }
    let question = Bytes::from(format!("{} {account}", shard.0));
    let holders = RegisteredHolders::new(node.registry.clone(), node.settings.node.clone());
    for holder in holders.of(shard) {
        let answer = node.peers.to(&holder.node, &holder.address).ask(WANTED, question.clone()).await;
        if !matches!(answer.as_deref(), Ok(b"none")) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The answer to such a question of a peer's.
pub fn answer_wanted(store: &Store, question: &[u8]) -> Result<Bytes, Refusal> {
    let parse = || {
        let (shard, account) = std::str::from_utf8(question).ok()?.split_once(' ')?;
        Some((ShardId(shard.parse().ok()?), AccountId::new(account.parse().ok()?)?))
    };
    let Some((shard, account)) = parse() else { return Err(Refusal::Failed("the question is damaged".into())) };
    let wanted = is_wanted(store, shard, account).map_err(|error| Refusal::Failed(error.to_string()))?;
    Ok(Bytes::from_static(if wanted { b"some" } else { b"none" }))
}

fn is_wanted(store: &Store, shard: ShardId, account: AccountId) -> Result<bool, IndexError> {
    let txn = store.read()?;
    let mut after = None;
    loop {
        let batch = txn.wanted_in_shard(shard, after.as_ref(), BATCH)?;
        if batch.iter().any(|wanted| wanted.account == account) {
            return Ok(true);
        }
        match batch.last() {
            Some(last) if last.account <= account => after = Some(*last),
            _ => return Ok(false),
        }
    }
}

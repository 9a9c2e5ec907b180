//! Moving an account to another shard, by hand.
//!
//! Every step is an op that may be repeated, and where things stand is read from the shards' rows: whoever calls again, on whichever node, goes on where it
//! stopped. The crate `model` says why nothing is lost between (`op/relocate.rs`).

use std::sync::Arc;

use paquebot_model::{
    AccountMove, LoadDigest, LoadedRow, LoadedTo, Login, MoveStage, Op, Outcome, Refusal, Row, Rows, Scan, key,
};
use paquebot_types::{AccountId, ShardId};

use crate::error::{ChangeError, ServiceError};
use crate::service::Service;

/// Octets of values in one record.
const PART_BYTES: usize = 256 << 10;

/// Why an account was not moved. What was done of it stays, and the account takes no changes, until the move is taken up again or given up.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("there is no login {0:?}")]
    NoSuchLogin(String),
    #[error("shard {0} is not on this node: moves are made on a node that has both shards")]
    NotHosted(ShardId),
    #[error("the account is on its way to shard {0} already: finish that move, or give it up")]
    OtherMove(ShardId),
    #[error("what the account left in shard {0} when it went from there is not removed yet; try again later")]
    Departing(ShardId),
    #[error("the account is not in a move that could be given up")]
    NotMoving,
    #[error("the account is in shard {0} already, and only its login is still to be switched: finish the move")]
    Arrived(ShardId),
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<ServiceError> for MoveError {
    fn from(error: ServiceError) -> Self {
        Self::Change(error.into())
    }
}

/// Moves the account of a login into another shard, or goes on with that: UIDs, UIDVALIDITY, mod-sequences, flags, what can be undeleted, subscriptions
/// and remembered deliveries are kept. While it is under way the account can be read and not changed; its sessions are to be ended after it.
///
/// What is left in the source is for [`forget_moved`] to remove, once the bodies are where the account is.
pub async fn move_account(service: &Arc<Service>, login: &str, to: ShardId) -> Result<(), MoveError> {
    let Login { account, shard: from, .. } = login_of(service, login).await?;
    if from == to {
        return Ok(());
    }
    for shard in [from, to] {
        reach(service, shard).await?;
    }
    let number = freeze(service, account, from, to).await?;
    loop {
        let at = match last_move(service, to, account).await? {
            // Somebody has finished this already, or has come as far.
            Some(AccountMove { number: last, stage: MoveStage::Here { .. } }) if last == number => break,
            Some(AccountMove { number: last, stage: MoveStage::Loading { to, .. } }) if last == number => to,
            _ => LoadedTo::START,
        };
        let part = service.blocking(move |service| service.part(from, account, at)).await?;
        if part.rows.is_empty() {
            let digest = service.blocking(move |service| service.load_digest(from, account)).await?;
            service.change(to, Op::Arrive { account, number, digest }, Vec::new()).await?;
            break;
        }
        let Part { after, rows, whole } = part;
        match service.change(to, Op::Load { account, number, from, after, rows, whole }, Vec::new()).await {
            Ok(_) => {}
            // Another driver of this move was further meanwhile: on from where it is.
            Err(ChangeError::Refused(Refusal::WrongRows)) if service.is_past(to, account, number).await? => {}
            Err(error) => return Err(error.into()),
        }
    }
    service.change(ShardId::SYSTEM, Op::SetShard { name: login.into(), account, from, to }, Vec::new()).await?;
    Ok(())
}

/// Gives a move up that has not arrived: the account takes changes again where it was.
pub async fn give_up_move(service: &Arc<Service>, login: &str) -> Result<(), MoveError> {
    let Login { account, shard: from, .. } = login_of(service, login).await?;
    reach(service, from).await?;
    let Some(AccountMove { number, stage: MoveStage::Frozen { to, .. } }) = last_move(service, from, account).await?
    else {
        return Err(MoveError::NotMoving);
    };
    reach(service, to).await?;
    // In this order: once it is forsaken it cannot arrive any more.
    match service.change(to, Op::Forsake { account, number }, Vec::new()).await {
        Ok(_) => {}
        Err(ChangeError::Refused(Refusal::AccountExists)) => return Err(MoveError::Arrived(to)),
        Err(error) => return Err(error.into()),
    }
    service.change(from, Op::Thaw { account, number }, Vec::new()).await?;
    Ok(())
}

/// Removes what an account has left in a shard from which it has moved, if it has. To be called once all nodes that host its new shard have its bodies
/// ([`paquebot_store::ReadTxn::wanted_in_shard`] has none of the account's): until then they are fetched from here.
pub async fn forget_moved(service: &Arc<Service>, login: &str, from: ShardId) -> Result<(), MoveError> {
    let Login { account, shard, .. } = login_of(service, login).await?;
    reach(service, from).await?;
    let number = match last_move(service, from, account).await? {
        Some(AccountMove { number, stage: MoveStage::Frozen { to, .. } | MoveStage::Gone { to } })
            if shard != from && to == shard =>
        {
            number
        }
        _ => return Err(MoveError::NotMoving),
    };
    while let Outcome::Departed { more: true } =
        service.change(from, Op::Depart { account, number }, Vec::new()).await?
    {}
    Ok(())
}

async fn login_of(service: &Arc<Service>, login: &str) -> Result<Login, MoveError> {
    reach(service, ShardId::SYSTEM).await?;
    service.login(login)?.ok_or_else(|| MoveError::NoSuchLogin(login.into()))
}

async fn reach(service: &Arc<Service>, shard: ShardId) -> Result<(), MoveError> {
    if !service.hosted().contains(&shard) {
        return Err(MoveError::NotHosted(shard));
    }
    let unavailable = |error: paquebot_log::LogError| paquebot_replica::ProposeError::Unavailable(error.to_string());
    service.replica().reach_last(shard).await.map_err(|error| ServiceError::from(unavailable(error)))?;
    Ok(())
}

async fn last_move(service: &Arc<Service>, at: ShardId, account: AccountId) -> Result<Option<AccountMove>, MoveError> {
    Ok(service.blocking(move |service| service.last_move(at, account)).await?)
}

/// The number of the move, which has begun when this returns.
async fn freeze(service: &Arc<Service>, account: AccountId, from: ShardId, to: ShardId) -> Result<u64, MoveError> {
    let source = last_move(service, from, account).await?;
    if let Some(AccountMove { number, stage: MoveStage::Frozen { to: other, .. } }) = source {
        return if other == to { Ok(number) } else { Err(MoveError::OtherMove(other)) };
    }
    let target = last_move(service, to, account).await?;
    if let Some(AccountMove { stage: MoveStage::Gone { .. }, .. }) = target
        && !service.blocking(move |service| service.part(to, account, LoadedTo::START)).await?.rows.is_empty()
    {
        return Err(MoveError::Departing(to));
    }
    let number = source.into_iter().chain(target).map(|last| last.number).max().unwrap_or(0).saturating_add(1);
    service.change(from, Op::Freeze { account, number, to }, Vec::new()).await?;
    Ok(number)
}

/// Rows of an account to be loaded.
struct Part {
    after: LoadedTo,
    rows: Vec<LoadedRow>,
    whole: bool,
}

impl Service {
    /// An account's last move to or from a shard.
    pub fn last_move(&self, shard: ShardId, account: AccountId) -> Result<Option<AccountMove>, ServiceError> {
        let key = key::account_move(account);
        match self.store().read()?.rows(shard).get(&key)? {
            Some(row) => AccountMove::decode(&row).map(Some).ok_or(ServiceError::DamagedRow(key)),
            None => Ok(None),
        }
    }

    /// Accounts that are between shards, or have left rows behind, in a hosted shard.
    pub fn moves(&self, shard: ShardId) -> Result<Vec<(AccountId, AccountMove)>, ServiceError> {
        let (from, to) = key::account_moves();
        let mut moves = Vec::new();
        self.store().read()?.rows(shard).scan(&from, &to, &mut |key, value| {
            moves.extend(key::parse_account_move(key).zip(AccountMove::decode(value)));
            Scan::Continue
        })?;
        Ok(moves)
    }

    /// Whether a move has come somewhere, so that its next part can be told.
    async fn is_past(self: &Arc<Self>, to: ShardId, account: AccountId, number: u64) -> Result<bool, ServiceError> {
        let last = self.blocking(move |service| service.last_move(to, account)).await?;
        Ok(last.is_some_and(|last| {
            last.number == number && matches!(last.stage, MoveStage::Here { .. } | MoveStage::Loading { .. })
        }))
    }

    /// The account's next rows after `after`.
    fn part(&self, shard: ShardId, account: AccountId, after: LoadedTo) -> Result<Part, ServiceError> {
        let (first, end) = key::account_rows(account);
        let mut from = first[..key::KIND_AT].to_vec();
        from.extend_from_slice(&after.key);
        let goes_on = after.octets != LoadedTo::WHOLE;
        if !goes_on && !after.key.is_empty() {
            // The next key after this one.
            from.push(0);
        }
        let (mut rows, mut room, mut whole) = (Vec::new(), PART_BYTES, true);
        self.store().read()?.rows(shard).scan(&from, &end, &mut |key, value| {
            let skipped = match rows.is_empty() && goes_on {
                true => usize::try_from(after.octets).unwrap_or(usize::MAX),
                false => 0,
            };
            let left = value.get(skipped..).unwrap_or_default();
            let count = left.len().min(room);
            whole = count == left.len();
            room -= count;
            let row = (key.get(key::KIND_AT..), left.get(..count));
            rows.extend(row.0.zip(row.1).map(|(key, value)| LoadedRow { key: key.to_vec(), value: value.to_vec() }));
            if room == 0 { Scan::Stop } else { Scan::Continue }
        })?;
        Ok(Part { after, rows, whole })
    }

    fn load_digest(&self, shard: ShardId, account: AccountId) -> Result<LoadDigest, ServiceError> {
        let (from, to) = key::account_rows(account);
        let mut digest = LoadDigest::default();
        self.store().read()?.rows(shard).scan(&from, &to, &mut |key, value| {
            digest = digest.extend(key.get(key::KIND_AT..).unwrap_or_default(), value);
            Scan::Continue
        })?;
        Ok(digest)
    }
}

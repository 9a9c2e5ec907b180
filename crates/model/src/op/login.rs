//! Logins, in the system shard.

use paquebot_types::{AccountId, ShardId};

use crate::draft::{ApplyError, Draft};
use crate::key;
use crate::outcome::{Outcome, Refusal};
use crate::row::{Login, Row};

/// Makes a login with an account of its own. One whose name is there is given as it is when no credentials came (somebody whose password is
/// kept elsewhere has logged in again) and refused otherwise. One that was removed comes back, with its mail.
pub fn add(draft: &mut Draft, name: &str, shard: ShardId, credentials: Option<&str>) -> Result<Outcome, ApplyError> {
    let login = match draft.row::<Login>(key::login(name))? {
        Some(login) if login.removed => Login { credentials: credentials.map(Into::into), removed: false, ..login },
        Some(Login { account, shard, .. }) if credentials.is_none() => return Ok(Outcome::Login { account, shard }),
        Some(_) => return Ok(Outcome::Refused(Refusal::LoginExists)),
        None => {
            let last = draft
                .get(&key::last_account())?
                .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
                .map_or(0, u32::from_be_bytes);
            let Some(account) = last.checked_add(1).and_then(AccountId::new) else {
                return Ok(Outcome::Refused(Refusal::NoSuchAccount));
            };
            draft.put(key::last_account(), account.get().to_be_bytes().to_vec());
            let created_ms = draft.time_ms;
            Login {
                name: name.into(),
                account,
                shard,
                credentials: credentials.map(Into::into),
                removed: false,
                created_ms,
            }
        }
    };
    draft.put(key::login(name), login.encode());
    Ok(Outcome::Login { account: login.account, shard: login.shard })
}

pub fn set_credentials(draft: &mut Draft, name: &str, credentials: Option<&str>) -> Result<Outcome, ApplyError> {
    change(draft, name, |login| login.credentials = credentials.map(Into::into))
}

pub fn remove(draft: &mut Draft, name: &str) -> Result<Outcome, ApplyError> {
    change(draft, name, |login| {
        login.removed = true;
        login.credentials = None;
    })
}

/// The account of the login is in another shard. A login that was removed keeps its account, and so has it moved too.
pub fn set_shard(
    draft: &mut Draft,
    name: &str,
    account: AccountId,
    from: ShardId,
    to: ShardId,
) -> Result<Outcome, ApplyError> {
    let Some(login) = draft.row::<Login>(key::login(name))?.filter(|login| login.account == account) else {
        return Ok(Outcome::Refused(Refusal::NoSuchLogin));
    };
    if login.shard != from && login.shard != to {
        return Ok(Outcome::Refused(Refusal::OtherMove));
    }
    draft.put(key::login(name), Login { shard: to, ..login }.encode());
    Ok(Outcome::Moved { account, shard: to })
}

fn change(draft: &mut Draft, name: &str, change: impl FnOnce(&mut Login)) -> Result<Outcome, ApplyError> {
    let Some(mut login) = draft.row::<Login>(key::login(name))?.filter(|login| !login.removed) else {
        return Ok(Outcome::Refused(Refusal::NoSuchLogin));
    };
    change(&mut login);
    draft.put(key::login(name), login.encode());
    Ok(Outcome::Login { account: login.account, shard: login.shard })
}

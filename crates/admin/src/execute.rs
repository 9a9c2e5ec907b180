//! Carrying a command out.

use std::sync::Arc;

use paquebot_mailbox::{ChangeError, Service, ServiceError};
use paquebot_model::{Blob, Refusal, Rows, check_accounts, key};
use paquebot_store::{BlobOf, Checker, ReadRows, ReadTxn};
use paquebot_types::{AccountId, BlobHash, BlobId, MailboxName, ShardId};
use tokio::sync::mpsc;

use crate::request::{Answer, Checked, Fate, Imported, Progress, Request, Status, User};
use crate::{outgoing, recover};

/// Users that are imported at the same time.
const IMPORTED_AT_ONCE: usize = 64;

/// Carries a command out; `progress` hears how far a long one is. An error is for the operator: what, where, and what to do.
pub async fn execute(
    service: &Arc<Service>,
    request: Request,
    progress: mpsc::Sender<Progress>,
) -> Result<Answer, String> {
    match request {
        Request::UserAdd { name, credentials } => {
            match service.add_login(&name, Some(credentials)).await {
                // The node that has the shard makes the account when it is first asked for.
                Ok(_) | Err(ChangeError::Failed(ServiceError::NotHosted(_))) => Ok(Answer::Done),
                Err(error) => Err(told(&name, &error)),
            }
        }
        Request::UserImport { users, replace } => import(service, users, replace).await,
        Request::UserList => users(service).await,
        Request::UserPasswd { name, credentials } => {
            let changed = service.set_credentials(&name, credentials).await;
            changed.map(|()| Answer::Done).map_err(|error| told(&name, &error))
        }
        Request::UserRemove { name } => {
            let removed = service.remove_login(&name).await;
            removed.map(|()| Answer::Done).map_err(|error| told(&name, &error))
        }
        Request::Check => {
            let store = service.store().clone();
            blocking(move || {
                let rows = store.read().map_err(|error| error.to_string())?;
                let report = store
                    .check(&mut Proof { progress, rows })
                    .map_err(|error| format!("the check did not end: {error}"))?;
                let problems = report.problems.iter().map(ToString::to_string).collect();
                let (packs, records, bodies, bytes) = (report.packs, report.records, report.bodies, report.bytes);
                let (wanted, elsewhere) = (report.wanted, report.elsewhere);
                Ok(Answer::Checked(Checked { packs, records, bodies, bytes, wanted, elsewhere, problems }))
            })
            .await
        }
        Request::Backup { directory } => {
            let store = service.store().clone();
            blocking(move || {
                let mut tell = |done, total| {
                    // Whoever does not listen does not hold the copy up.
                    let _ = progress.try_send(Progress { done, total });
                };
                let copied = store.backup(&directory, &mut tell);
                let copied = copied.map_err(|error| format!("cannot back up to {}: {error}", directory.display()))?;
                Ok(Answer::BackedUp { packs: copied.packs, bytes: copied.bytes, wanted: copied.wanted })
            })
            .await
        }
        Request::Recoverable { user, mailbox, since_ms } => {
            let (account, name) = (account(service, &user).await?, mailbox_name(mailbox)?);
            let mailboxes = blocking(move || recover::list(&account, name.as_ref(), since_ms)).await?;
            Ok(Answer::Recoverable { mailboxes })
        }
        Request::Undelete { user, mailbox, since_ms } => {
            let (account, name) = (account(service, &user).await?, mailbox_name(mailbox)?);
            recover::undelete(&account, name.as_ref(), since_ms).await
        }
        Request::Mailboxes { user } => {
            let account = account(service, &user).await?;
            // What other nodes have acknowledged belongs to it.
            account.reach_last().await;
            blocking(move || outgoing::mailboxes(&account)).await
        }
        Request::Messages(_) => Err("messages are sent over a connection".into()),
        Request::Cluster(_) => Err("that is for a node of a cluster that runs".into()),
        Request::Status => {
            let users = service.logins().map_err(|error| error.to_string())?.len() as u64;
            let store = service.store().uuid().iter().map(|byte| format!("{byte:02x}")).collect();
            let (version, failure) = (env!("CARGO_PKG_VERSION").into(), service.failure());
            Ok(Answer::Status(Status { version, store, users, failure, running: None }))
        }
    }
}

fn told(name: &str, error: &ChangeError) -> String {
    format!("{name}: {error}")
}

pub(crate) async fn account(service: &Arc<Service>, user: &str) -> Result<paquebot_mailbox::Account, String> {
    let account = service.account(user).await.map_err(|error| told(user, &error))?;
    account.ok_or_else(|| format!("{user}: there is no such user; `paquebot user list` names all"))
}

fn mailbox_name(name: Option<String>) -> Result<Option<MailboxName>, String> {
    let parse = |name: String| MailboxName::new(&name).map_err(|error| format!("{name}: {error}"));
    name.map(parse).transpose()
}

/// Many at once, so that they share what waiting for the disk costs.
async fn import(service: &Arc<Service>, users: Vec<Imported>, replace: bool) -> Result<Answer, String> {
    let mut fates = Vec::with_capacity(users.len());
    let mut users = users.into_iter();
    loop {
        let some: Vec<_> = users.by_ref().take(IMPORTED_AT_ONCE).collect();
        if some.is_empty() {
            return Ok(Answer::Imported { fates });
        }
        let tasks: Vec<_> =
            some.into_iter().map(|user| tokio::spawn(import_one(service.clone(), user, replace))).collect();
        for task in tasks {
            fates.push(task.await.unwrap_or_else(|error| Fate::Failed(error.to_string())));
        }
    }
}

async fn import_one(service: Arc<Service>, user: Imported, replace: bool) -> Fate {
    let Imported { name, credentials } = user;
    match service.add_login(&name, Some(credentials.clone())).await {
        Ok(_) | Err(ChangeError::Failed(ServiceError::NotHosted(_))) => Fate::Added,
        Err(ChangeError::Refused(Refusal::LoginExists)) if !replace => Fate::Exists,
        Err(ChangeError::Refused(Refusal::LoginExists)) => match service.set_credentials(&name, credentials).await {
            Ok(()) => Fate::Replaced,
            Err(error) => Fate::Failed(error.to_string()),
        },
        Err(error) => Fate::Failed(error.to_string()),
    }
}

/// On a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}

async fn users(service: &Arc<Service>) -> Result<Answer, String> {
    let service = service.clone();
    blocking(move || {
        let mut users = Vec::new();
        for login in service.logins().map_err(|error| error.to_string())? {
            let (messages, bytes) = recover::totals(&service, login.shard, login.account)?;
            users.push(User { name: login.name, has_password: login.credentials.is_some(), messages, bytes });
        }
        Ok(Answer::Users { users })
    })
    .await
}

/// Proves what the store does not know of: the model's invariants, and that each body is the one that its row names.
struct Proof {
    progress: mpsc::Sender<Progress>,
    rows: ReadTxn,
}

impl Checker for Proof {
    fn progress(&mut self, done: u64, total: u64) {
        // Whoever does not listen does not hold the check up.
        let _ = self.progress.try_send(Progress { done, total });
    }

    fn blob_of(&self) -> Option<BlobOf> {
        Some(Blob::named_by)
    }

    fn rows(&mut self, shard: ShardId, rows: &ReadRows) -> Vec<String> {
        if shard == ShardId::SYSTEM {
            return Vec::new();
        }
        match check_accounts(rows) {
            Ok(breaches) => breaches.iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    fn body(&mut self, shard: ShardId, account: AccountId, blob: BlobId, hash: BlobHash, len: u64) -> Option<String> {
        let rows = self.rows.rows(shard);
        // A body whose row is gone was collected after the check began.
        let row = rows.get(&key::blob(account, blob)).ok().flatten()?;
        let is_the_one = Blob::decode(&row).is_some_and(|row| row.hash == hash && u64::from(row.size) == len);
        (!is_the_one).then(|| format!("account {account}: body {blob} is not the one that its row names"))
    }
}

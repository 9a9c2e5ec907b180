//! From an envelope address to the account and the mailbox that it means.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use paquebot_auth::{CredentialSource, SourceError, UserName};
use paquebot_mailbox::{Account, ChangeError, Service, ServiceError};
use paquebot_model::DeliveryKey;
use paquebot_types::{MailboxId, MailboxName, ShardId};

use crate::config::{Addresses, LocalUsers};
use crate::protocol::address::Address;

/// The future of a look-up.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Option<Account>, LookupError>> + Send + 'a>>;

/// Who gets mail here.
pub trait Recipients: Send + Sync {
    /// The account of this user; `None` if there is no such user.
    fn find<'a>(&'a self, user: &'a UserName) -> Lookup<'a>;
}

/// It cannot be told now whether there is such a user.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("cannot open the account")]
    Account(#[from] ChangeError),
    #[error("the server is stopping")]
    Stopping,
}

/// The users whose passwords are kept in the store: those of `paquebot user add`.
pub struct StoredUsers(pub Arc<Service>);

/// The users of another source, a passwd-file say, whether they may log in or not. An account is made when its first mail comes.
pub struct SourceUsers {
    pub service: Arc<Service>,
    pub source: Arc<dyn CredentialSource>,
}

/// The users of several sources; the first that knows a name counts.
pub struct FirstOf(pub Vec<Arc<dyn Recipients>>);

impl Recipients for StoredUsers {
    fn find<'a>(&'a self, user: &'a UserName) -> Lookup<'a> {
        Box::pin(async move {
            let login = self.0.login(user.as_str()).map_err(ChangeError::from)?;
            match login {
                Some(login) if login.credentials.is_some() => Ok(self.0.account(user.as_str()).await?),
                // A login without credentials is what remains of a user of another source, who may be gone from there.
                _ => Ok(None),
            }
        })
    }
}

impl Recipients for SourceUsers {
    fn find<'a>(&'a self, user: &'a UserName) -> Lookup<'a> {
        Box::pin(async move {
            let (source, name) = (self.source.clone(), user.clone());
            // A source may read a disk.
            let found = tokio::task::spawn_blocking(move || source.find(&name)).await;
            match found.map_err(|_| LookupError::Stopping)?? {
                Some(_) => Ok(Some(self.service.account_or_new(user.as_str()).await?)),
                None => Ok(None),
            }
        })
    }
}

impl Recipients for FirstOf {
    fn find<'a>(&'a self, user: &'a UserName) -> Lookup<'a> {
        Box::pin(async move {
            for recipients in &self.0 {
                if let Some(account) = recipients.find(user).await? {
                    return Ok(Some(account));
                }
            }
            Ok(None)
        })
    }
}

/// Where a recipient's account is.
#[derive(Clone)]
pub enum Home {
    Here(Account),
    /// In a shard that other nodes have.
    There(ShardId),
}

/// A recipient that was accepted.
#[derive(Clone)]
pub struct Recipient {
    /// As it was given.
    pub address: Address,
    pub home: Home,
    /// The mailbox that the address's detail names, if it can be a mailbox's name at all.
    pub detail: Option<MailboxName>,
    /// The delivery's key, from another node.
    pub once: Option<DeliveryKey>,
}

impl Recipient {
    /// Looks an address up; `None` if it is no user's.
    pub async fn find(
        recipients: &dyn Recipients,
        addresses: &Addresses,
        address: Address,
    ) -> Result<Option<Self>, LookupError> {
        for (user, detail) in candidates(&address, addresses) {
            let home = match recipients.find(&user).await {
                Ok(Some(account)) => Home::Here(account),
                Ok(None) => continue,
                Err(LookupError::Account(ChangeError::Failed(ServiceError::NotHosted(shard)))) => Home::There(shard),
                Err(error) => return Err(error),
            };
            // What is no name is no mailbox's: `bob+../x` is bob.
            let detail = detail.and_then(|detail| MailboxName::new(detail).ok());
            return Ok(Some(Self { address, home, detail, once: None }));
        }
        Ok(None)
    }

    /// The mailbox to deliver into, as things are now: the one that the detail names, or INBOX. `None` if there is no INBOX.
    pub fn mailbox(&self, account: &Account) -> Result<Option<(MailboxId, MailboxName)>, ServiceError> {
        let reader = account.reader()?;
        for name in self.detail.iter().chain([&MailboxName::inbox()]) {
            if let Some(id) = reader.mailbox_named(name)? {
                return Ok(Some((id, name.clone())));
            }
        }
        Ok(None)
    }
}

/// The users that an address may mean, each with the address's detail, in the order in which they are tried: with the domain before without
/// it, and the whole local part before what stands before the delimiter (a delimiter may be part of a user's name).
fn candidates<'a>(address: &'a Address, addresses: &Addresses) -> Vec<(UserName, Option<&'a str>)> {
    let local = address.local();
    let split = local.find(|c| addresses.delimiters.contains(c)).and_then(|at| {
        let (user, rest) = local.split_at(at);
        let mut detail = rest.chars();
        detail.next().map(|_| (user, Some(detail.as_str())))
    });
    let is_local = match (&addresses.local_users, address.domain()) {
        (_, None) | (LocalUsers::AnyDomain, Some(_)) => true,
        (LocalUsers::Domains(domains), Some(domain)) => domains.iter().any(|local| local.eq_ignore_ascii_case(domain)),
    };
    let mut users = Vec::new();
    for (user, detail) in [Some((local, None)), split].into_iter().flatten() {
        let full = address.domain().map(|domain| format!("{user}@{domain}"));
        let bare = is_local.then(|| user.to_owned());
        // A name that has an @ in itself came in quotes: `"bob@example.org"@elsewhere` is nobody.
        let names = [full, bare].into_iter().flatten().filter(|_| !user.contains('@'));
        users.extend(names.filter_map(|name| Some((UserName::parse(name.as_bytes()).ok()?, detail))));
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, delimiters: &str, local_users: LocalUsers) -> Vec<String> {
        let address = Address::parse_path(path).unwrap().0.unwrap();
        let addresses = Addresses { delimiters: delimiters.into(), local_users };
        let shown = |(user, detail): &(UserName, Option<&str>)| match detail {
            Some(detail) => format!("{user} {detail}"),
            None => user.to_string(),
        };
        candidates(&address, &addresses).iter().map(shown).collect()
    }

    #[test]
    fn an_address_means_these_users_in_this_order() {
        let any = || LocalUsers::AnyDomain;
        let here = || LocalUsers::Domains(vec!["example.org".into()]);
        let table: Vec<(&str, &str, LocalUsers, &[&str])> = vec![
            ("<Bob@Example.ORG>", "+", any(), &["bob@example.org", "bob"]),
            ("<bob>", "+", here(), &["bob"]),
            ("<bob@Example.org>", "+", here(), &["bob@example.org", "bob"]),
            ("<bob@elsewhere.org>", "+", here(), &["bob@elsewhere.org"]),
            ("<Bob+Lists/Rust@x>", "+", any(), &["bob@x Lists/Rust", "bob Lists/Rust"]),
            ("<bob+a+b@x>", "+", here(), &["bob@x a+b"]),
            ("<bob+@x>", "+", here(), &["bob@x "]),
            ("<mary-jane-lists@x>", "-", here(), &["mary-jane-lists@x", "mary@x jane-lists"]),
            ("<bob-a+b@x>", "+-", here(), &["bob@x a+b"]),
            ("<bob+é@x>", "+", here(), &["bob@x é"]),
            ("<bob+a@x>", "", any(), &[]),
            ("<+a@x>", "+", any(), &[]),
            ("<\"bob@example.org\"@x>", "+", any(), &[]),
            ("<\"bob@y+z\"@x>", "+", any(), &[]),
            ("<\"../bob\"@x>", "+", any(), &[]),
            ("<\"%u%{env:HOME}\"@x>", "+", any(), &[]),
            ("<josé@x>", "+", any(), &[]),
            ("<bob@[192.0.2.1]>", "+", any(), &["bob"]),
        ];
        for (path, delimiters, local_users, expected) in table {
            assert_eq!(names(path, delimiters, local_users), expected, "{path}");
        }
    }
}

//! The seam to wherever credentials are kept: the store's accounts, a passwd-file.

use std::net::IpAddr;

use crate::credentials::Credentials;
use crate::network::Network;
use crate::password::Cost;
use crate::user_name::UserName;

/// Where users are looked up.
///
/// Both methods may block on a disk: [`Authenticator`](crate::Authenticator) calls them on a thread for that.
pub trait CredentialSource: Send + Sync {
    /// The user's credentials, or nothing if this source does not know the user.
    ///
    /// Must do the same work for a known and an unknown name, and treat the name as data: never a path, a pattern or a query's text.
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError>;

    /// What checking this source's passwords costs: the distinct values, a handful at most, none if it has no users.
    ///
    /// A failed login takes the work of each of the sources' costs once, whoever it names, so that its time does not tell who exists.
    /// Right for a source whose hashes are all from [`Credentials::create`].
    fn costs(&self) -> Vec<Cost> {
        vec![Cost::MADE_HERE]
    }
}

/// What a source knows of a user.
#[derive(Debug, Clone)]
pub struct Found {
    pub credentials: Credentials,
    pub access: Access,
}

/// From where a user may log in, if at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// No login, whatever the password: a disabled account, or one that only gets mail.
    pub no_login: bool,
    /// The networks from which logins are taken; all if nothing.
    pub allow_nets: Option<Vec<Network>>,
}

impl Access {
    /// Whether a client at `peer` may log in; nothing for `peer` is a local socket.
    pub(crate) fn admits(&self, peer: Option<IpAddr>) -> Result<(), Refusal> {
        if self.no_login {
            return Err(Refusal::Disabled);
        }
        match (&self.allow_nets, peer) {
            (None, _) => Ok(()),
            (Some(networks), Some(peer)) if networks.iter().any(|network| network.contains(peer)) => Ok(()),
            (Some(_), _) => Err(Refusal::Address),
        }
    }
}

/// A source cannot answer now. The login is to be refused with `NO [UNAVAILABLE]`, not as if the password were wrong.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct SourceError {
    /// Which source, and what an operator can do about it.
    pub what: String,
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Why a login was refused. For logs and metrics only: to the client all are one, in words and in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no such user")]
    UnknownUser,
    #[error("wrong password")]
    WrongPassword,
    #[error("the account may not log in")]
    Disabled,
    #[error("the account may not log in from this address")]
    Address,
    #[error("the stored password cannot be used: {0}")]
    UnusableHash(crate::SchemeError),
}

//! The service: who has an account here, and the way into it.

use std::sync::{Arc, OnceLock};

use paquebot_log::{Body, Log, LogError};
use paquebot_model::{Login, Op, Outcome, Refusal, Row, Rows, Scan, key};
use paquebot_replica::{HostError, Replica, StartError};
use paquebot_store::Store;
use paquebot_types::{AccountId, Sequence, ShardId};

use crate::account::Account;
use crate::bodies::BodySource;
use crate::error::{ChangeError, ServiceError};
use crate::foreign::{Foreign, Namespace};
use crate::live::Registry;
use crate::options::ServiceOptions;
use crate::silence::Silence;

/// All mail on this node.
pub struct Service {
    replica: Replica,
    registry: Arc<Registry>,
    options: ServiceOptions,
    body_source: OnceLock<Arc<dyn BodySource>>,
    silence: Silence,
    foreign: Option<Foreign>,
}

impl Service {
    /// Starts to serve what is in the store, following the log.
    pub async fn start(
        store: Arc<Store>,
        log: Arc<dyn Log>,
        node: &str,
        options: ServiceOptions,
    ) -> Result<Arc<Self>, StartError> {
        let foreign = Foreign::new(options.namespaces.clone(), options.side_index.as_deref());
        let registry = Arc::new(Registry::default());
        let watching = registry.clone();
        let watcher = Arc::new(move |shard, sequence, applied: &paquebot_model::Applied| {
            watching.applied(shard, sequence, &applied.changes);
        });
        let replica = Replica::start(store, log, node, &options.hosted, watcher, options.replica.clone()).await?;
        let (body_source, silence) = (OnceLock::new(), Silence::default());
        Ok(Arc::new(Self { replica, registry, options, body_source, silence, foreign }))
    }

    /// Hosts a shard from now on, from where the store is.
    pub async fn host(&self, shard: ShardId) -> Result<(), HostError> {
        self.replica.host(shard).await
    }

    /// Lets go of a shard: its accounts cannot be entered here any more, and whoever has one open is told that it is over. What is on its way comes
    /// to its outcome first. Afterwards the shard's rows may be dropped or replaced.
    pub async fn unhost(&self, shard: ShardId) -> Result<(), HostError> {
        let unhosted = self.replica.unhost(shard).await;
        // Also when the replica has ended: nobody shall see what is not kept up to date.
        self.registry.close(shard);
        unhosted
    }

    /// The hosted shards, ascending: the system shard first.
    pub fn hosted(&self) -> Vec<ShardId> {
        self.replica.hosted()
    }

    /// The hosted shards that may have accounts, ascending.
    pub fn hosted_accounts(&self) -> Vec<ShardId> {
        self.hosted().into_iter().filter(|shard| *shard != ShardId::SYSTEM).collect()
    }

    /// Sets where bodies come from that are not on this machine, or damaged here. The first to do so is heard; without one there is none.
    pub fn set_body_source(&self, source: Arc<dyn BodySource>) {
        if self.body_source.set(source).is_err() {
            tracing::error!("there is a source of bodies already, and it stays");
        }
    }

    pub(crate) fn body_source(&self) -> Option<&Arc<dyn BodySource>> {
        self.body_source.get()
    }

    /// The prefixes below which mailboxes are other servers' files, the longest first.
    pub fn namespaces(&self) -> &[Namespace] {
        self.foreign.as_ref().map_or(&[], Foreign::namespaces)
    }

    pub(crate) fn silence(&self) -> &Silence {
        &self.silence
    }

    pub fn store(&self) -> &Arc<Store> {
        self.replica.store()
    }

    /// Why this node takes no changes any more; `None` while it does.
    pub fn failure(&self) -> Option<String> {
        self.replica.failure()
    }

    /// Why this node does not follow a shard that it hosts; `None` while it does.
    pub fn failure_of(&self, shard: ShardId) -> Option<Arc<str>> {
        self.replica.failure_of(shard)
    }

    /// How far this node has applied a shard; `None` if it does not host it.
    pub fn applied(&self, shard: ShardId) -> Option<Sequence> {
        self.replica.applied(shard)
    }

    /// Waits until this node has everything that any node has acknowledged in a shard.
    pub async fn reach_last(&self, shard: ShardId) -> Result<(), LogError> {
        self.replica.reach_last(shard).await
    }

    /// Resolves once the service has been dropped by everyone and nothing of it uses the store any more. For the first caller.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.replica.ended()
    }

    pub(crate) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Proposes one op; a refusal is an error here.
    pub(crate) async fn change(&self, shard: ShardId, op: Op, bodies: Vec<Body>) -> Result<Outcome, ChangeError> {
        match self.replica.propose(shard, vec![op], bodies).await?.pop() {
            Some(Outcome::Refused(refusal)) => Err(refusal.into()),
            Some(outcome) => Ok(outcome),
            None => Err(ServiceError::Stopping.into()),
        }
    }

    /// Proposes ops of one shard that stay together; gives each one's outcome, refusals included.
    pub async fn change_all(
        &self,
        shard: ShardId,
        ops: Vec<Op>,
        bodies: Vec<Body>,
    ) -> Result<Vec<Outcome>, ChangeError> {
        Ok(self.replica.propose(shard, ops, bodies).await?)
    }

    /// The login of this name, unless there is none or it was removed.
    pub fn login(&self, name: &str) -> Result<Option<Login>, ServiceError> {
        let key = key::login(name);
        match self.store().read()?.rows(ShardId::SYSTEM).get(&key)? {
            Some(bytes) => {
                let login = Login::decode(&bytes).ok_or(ServiceError::DamagedRow(key))?;
                Ok(Some(login).filter(|login| !login.removed))
            }
            None => Ok(None),
        }
    }

    /// Every login by name.
    pub fn logins(&self) -> Result<Vec<Login>, ServiceError> {
        let (from, to) = key::logins();
        let mut logins = Vec::new();
        self.store().read()?.rows(ShardId::SYSTEM).scan(&from, &to, &mut |_, value| {
            logins.extend(Login::decode(value).filter(|login| !login.removed));
            Scan::Continue
        })?;
        Ok(logins)
    }

    /// The account of a login; `None` if there is no such login.
    pub async fn account(self: &Arc<Self>, name: &str) -> Result<Option<Account>, ChangeError> {
        match self.login(name)? {
            Some(login) => self.enter(name, login.shard, login.account).await.map(Some),
            None => Ok(None),
        }
    }

    /// The account of somebody whose password is kept elsewhere (in a passwd-file): made when it is first asked for.
    pub async fn account_or_new(self: &Arc<Self>, name: &str) -> Result<Account, ChangeError> {
        match self.account(name).await? {
            Some(account) => Ok(account),
            None => self.add_login(name, None).await,
        }
    }

    /// Makes a login with its account; [`ServiceError::NotHosted`] when the login is made and its account is for another node to make.
    pub async fn add_login(self: &Arc<Self>, name: &str, credentials: Option<String>) -> Result<Account, ChangeError> {
        let op = Op::AddLogin { name: name.into(), shard: self.options.shard_of_new(name), credentials };
        match self.change(ShardId::SYSTEM, op, Vec::new()).await? {
            Outcome::Login { account, shard } => self.enter(name, shard, account).await,
            _ => Err(Refusal::NoSuchLogin.into()),
        }
    }

    pub async fn set_credentials(&self, name: &str, credentials: String) -> Result<(), ChangeError> {
        let op = Op::SetCredentials { name: name.into(), credentials: Some(credentials) };
        self.change(ShardId::SYSTEM, op, Vec::new()).await.map(drop)
    }

    /// Nobody can log in by this name any more. The mail stays, and is there again when the login is.
    pub async fn remove_login(&self, name: &str) -> Result<(), ChangeError> {
        self.change(ShardId::SYSTEM, Op::RemoveLogin { name: name.into() }, Vec::new()).await.map(drop)
    }

    /// The account, with its mailboxes made if this is the first time: the login and the account are in two shards, and a crash may have come
    /// between them.
    async fn enter(self: &Arc<Self>, name: &str, shard: ShardId, id: AccountId) -> Result<Account, ChangeError> {
        let hosting = self.replica.hosting(shard).ok_or(ServiceError::NotHosted(shard))?;
        let foreign = self.foreign.as_ref().map(|foreign| foreign.user(shard, id, name));
        let account = Account { service: self.clone(), shard, id, name: name.into(), hosting, foreign };
        let there = self.store().read().map_err(ServiceError::from)?.rows(shard).get(&key::account(id));
        if there.map_err(ServiceError::from)?.is_none() {
            let op =
                Op::AddAccount { account: id, name: name.into(), mailboxes: self.options.default_mailboxes.clone() };
            self.change(shard, op, Vec::new()).await?;
        }
        Ok(account)
    }
}

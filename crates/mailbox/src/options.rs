//! What a service may be told when it starts.

use std::path::PathBuf;

use paquebot_types::{MailboxName, ShardId, SpecialUse};

use crate::foreign::Namespace;

/// What a new account gets beside INBOX.
pub type DefaultMailboxes = Vec<(MailboxName, Option<SpecialUse>)>;

/// How a service works. The default is that of one machine.
#[derive(Clone)]
pub struct ServiceOptions {
    /// What a new account gets beside INBOX.
    pub default_mailboxes: DefaultMailboxes,
    /// Shards in which there are accounts, from [`ShardId::FIRST`] on. A new login's account comes to one of them. Fixed when a cluster is made.
    pub account_shards: u16,
    /// Shards that this node hosts from the start.
    pub hosted: Vec<ShardId>,
    pub replica: paquebot_replica::Options,
    /// Prefixes below which mailboxes are other servers' files.
    pub namespaces: Vec<Namespace>,
    /// Where the side index of those mailboxes is kept; without it, in memory.
    pub side_index: Option<PathBuf>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self {
            default_mailboxes: usual_mailboxes(),
            account_shards: 1,
            hosted: vec![ShardId::SYSTEM, ShardId::FIRST],
            replica: paquebot_replica::Options::default(),
            namespaces: Vec::new(),
            side_index: None,
        }
    }
}

impl ServiceOptions {
    /// The shard in which the account of a new login is made. Any node may choose: the system shard's log decides which one it is.
    pub fn shard_of_new(&self, login: &str) -> ShardId {
        let hash = blake3::hash(login.as_bytes());
        let number = hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        let place = u16::try_from(number % u64::from(self.account_shards.max(1))).unwrap_or(0);
        ShardId(ShardId::FIRST.0.saturating_add(place))
    }
}

/// The mailboxes that clients look for: some of them fail when there is no Sent or Trash.
pub fn usual_mailboxes() -> DefaultMailboxes {
    let uses = [
        ("Archive", SpecialUse::Archive),
        ("Drafts", SpecialUse::Drafts),
        ("Junk", SpecialUse::Junk),
        ("Sent", SpecialUse::Sent),
        ("Trash", SpecialUse::Trash),
    ];
    uses.into_iter().filter_map(|(name, special_use)| Some((MailboxName::new(name).ok()?, Some(special_use)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_logins_come_to_all_shards_of_accounts_and_to_no_other() {
        let options = ServiceOptions { account_shards: 16, ..ServiceOptions::default() };
        let mut logins = [0; 16];
        for number in 0..1600 {
            let shard = options.shard_of_new(&format!("user{number}@example.org"));
            logins[usize::from(shard.0 - ShardId::FIRST.0)] += 1;
        }
        assert!(logins.iter().all(|count| (50..150).contains(count)), "{logins:?}");
        assert_eq!(ServiceOptions::default().shard_of_new("anna"), ShardId::FIRST);
    }
}

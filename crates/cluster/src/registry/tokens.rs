//! Tokens, by their hashes: each good once, for as long as its lease.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use super::{Registry, RegistryError};

impl Registry {
    /// Makes a token good for a while.
    pub async fn add_token(&self, hash: &str, good_for: Duration) -> Result<(), RegistryError> {
        let seconds = i64::try_from(good_for.as_secs()).unwrap_or(i64::MAX);
        let lease = self.client().lease_grant(seconds, None).await?;
        self.put(&format!("token/{hash}"), &"good once", Some(lease.id())).await
    }

    /// Uses a token up. Whether it was good.
    pub async fn use_token(&self, hash: &str) -> Result<bool, RegistryError> {
        let key = self.key(&format!("token/{hash}"));
        let there = Compare::create_revision(key.as_str(), CompareOp::Greater, 0);
        let used = Txn::new().when([there]).and_then([TxnOp::delete(key, None)]);
        Ok(self.client().txn(used).await?.succeeded())
    }
}

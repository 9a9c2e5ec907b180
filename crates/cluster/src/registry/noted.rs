//! What of the registry a node keeps on its own disk: without a quorum of etcd it starts with that.

use std::collections::BTreeMap;
use std::sync::Arc;

use etcd_client::Client;
use paquebot_peer::NodeName;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::entries::Member;
use super::view::{self, View};
use super::{Registry, RegistryError};
use crate::placement::Table;

/// The form that this build reads and writes.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Noted {
    form: u32,
    members: BTreeMap<NodeName, Member>,
    table: serde_json::Value,
}

impl View {
    /// The members and the placement, to be kept; `None` while there is no placement.
    pub fn to_note(&self) -> Option<Vec<u8>> {
        let table = serde_json::from_slice(&self.table.as_ref()?.encode()).ok()?;
        serde_json::to_vec(&Noted { form: FORM, members: self.members.clone(), table }).ok()
    }

    /// What was kept; `None` if it cannot be read: then etcd has to be waited for.
    pub fn from_note(note: &[u8]) -> Option<Self> {
        let noted: Noted = serde_json::from_slice(note).ok().filter(|noted: &Noted| noted.form == FORM)?;
        let table = Table::decode(&serde_json::to_vec(&noted.table).ok()?).ok()?;
        Some(Self { members: noted.members, table: Some(table), ..Self::default() })
    }
}

/// A registry that shows what was noted, until etcd is reached.
pub struct Unreached {
    registry: Registry,
    /// `None` once it is followed.
    sender: Option<watch::Sender<Arc<View>>>,
}

impl Unreached {
    /// `client` need not have reached anything.
    pub fn new(client: Client, prefix: &str, noted: View) -> Self {
        let (sender, view) = watch::channel(Arc::new(noted));
        let client = Arc::new(RwLock::new(client));
        Self { registry: Registry { client, prefix: super::slashed(prefix), view }, sender: Some(sender) }
    }

    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Reads what etcd has, by this client, and follows it from now on.
    pub async fn reach(&mut self, client: Client) -> Result<(), RegistryError> {
        let (found, revision) = view::load(&mut client.clone(), &self.registry.prefix).await?;
        if let Some(sender) = self.sender.take() {
            *self.registry.client.write() = client.clone();
            sender.send_replace(Arc::new(found));
            tokio::spawn(view::follow(client, self.registry.prefix.clone(), revision, sender));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_noted_is_found_again_and_what_is_damaged_is_not() {
        let name = |name| NodeName::new(name).unwrap();
        let mut view = View::default();
        assert_eq!(view.to_note(), None, "there is no placement");
        let member = Member {
            address: "10.0.0.1:7143".into(),
            store: "17".into(),
            reads: 2,
            software: "0.1.0".into(),
            leaving: false,
            etcd: None,
        };
        view.members.insert(name("a"), member);
        view.table = Some(Table::first(&name("a"), 16, 3));
        let note = view.to_note().unwrap();
        let found = View::from_note(&note).unwrap();
        assert_eq!((found.members, found.table), (view.members, view.table));
        let newer = String::from_utf8_lossy(&note).replacen("\"form\":1", "\"form\":9", 1).into_bytes();
        assert!(View::from_note(&note[..note.len() - 1]).is_none());
        assert!(View::from_note(&newer).is_none());
    }
}

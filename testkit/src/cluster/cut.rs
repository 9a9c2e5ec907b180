//! Partitions: what one host sends to another and does not arrive.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::ports;

/// One direction between two hosts, or within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub from: usize,
    pub to: usize,
    pub traffic: Traffic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    All,
    /// Between nodes of ours.
    Peers,
    /// Between nodes of ours and etcd.
    EtcdClients,
    /// Between members of etcd.
    EtcdPeers,
}

/// Both directions.
pub fn between(one: usize, two: usize, traffic: Traffic) -> [Cut; 2] {
    [Cut { from: one, to: two, traffic }, Cut { from: two, to: one, traffic }]
}

/// One host from all others.
pub fn alone(host: usize, of: usize, traffic: Traffic) -> Vec<Cut> {
    (0..of).filter(|other| *other != host).flat_map(|other| between(host, other, traffic)).collect()
}

pub(super) const HEAL: &str = "add table inet cut\ndelete table inet cut\n";

impl Cut {
    /// For the receiver's firewall: it has its own table, which is made here if need be.
    pub(super) fn rules(&self, addresses: &[IpAddr]) -> String {
        let mut rules =
            "add table inet cut\nadd chain inet cut input { type filter hook input priority 0; }\n".to_owned();
        let from = if self.from == self.to {
            "iifname \"lo\"".to_owned()
        } else {
            format!("ip saddr {}", addresses[self.from])
        };
        let port = match self.traffic {
            Traffic::All => {
                let _ = writeln!(rules, "add rule inet cut input {from} drop");
                return rules;
            }
            Traffic::Peers => ports::PEER,
            Traffic::EtcdClients => ports::ETCD_CLIENT,
            Traffic::EtcdPeers => ports::ETCD_PEER,
        };
        for end in ["dport", "sport"] {
            let _ = writeln!(rules, "add rule inet cut input {from} tcp {end} {port} drop");
        }
        rules
    }
}

//! Three machines with nodes and etcd, for tests that break them.
//!
//! - [`Hosts`]: the machines, namespaces or loopback addresses; [`Cut`]s between them.
//! - [`Etcds`]: an etcd of the operator's own. A managed one is the nodes' business.
//! - [`Node`]: one node: started, stopped, frozen, killed, emptied, its [`Clock`] moved.
//! - [`Cluster`]: all of them, made as an operator would.

mod clock;
mod cut;
mod etcds;
mod hosts;
mod node;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

pub use clock::Clock;
pub use cut::{Cut, Traffic, alone, between};
pub use etcds::Etcds;
pub use hosts::Hosts;
pub use node::Node;

use crate::certificates::Certificates;
use crate::process::Finished;
use node::Common;

/// Each machine has an address of its own, so the ports are always these.
pub mod ports {
    pub const IMAP: u16 = 1143;
    pub const IMAPS: u16 = 1993;
    pub const LMTP: u16 = 1024;
    pub const ADMIN: u16 = 1080;
    pub const PEER: u16 = 7143;
    pub const ETCD_CLIENT: u16 = 7144;
    pub const ETCD_PEER: u16 = 7145;
}

/// How long a cluster may take to do what it does by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whose etcd it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Etcd {
    /// The first three nodes start and watch their own.
    Managed,
    /// One that was there before.
    Existing,
}

#[derive(Debug, Clone)]
pub struct ClusterOptions {
    pub nodes: usize,
    pub etcd: Etcd,
    /// Whether machines are namespaces, between which connections can be cut. That wants root.
    pub namespaces: bool,
    /// Whether clocks can be moved.
    pub clocks: bool,
    /// More lines of configuration, each a whole key: `limits.sessions = 3`.
    pub settings: String,
    /// More lines of the section `[cluster]`.
    pub cluster: String,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            nodes: 3,
            etcd: Etcd::Managed,
            namespaces: false,
            clocks: false,
            settings: String::new(),
            cluster: "shards = 8\nlease = \"3s\"".to_owned(),
        }
    }
}

/// Nodes named `a`, `b`, `c`, each on its host. Dropped, all ends, and all data is removed.
pub struct Cluster {
    // In this order they are dropped: what runs before what it runs on.
    pub nodes: Vec<Node>,
    pub etcds: Option<Etcds>,
    pub hosts: Hosts,
    options: ClusterOptions,
    certificates: Certificates,
    folder: TempDir,
}

impl Cluster {
    /// Makes the machines, an etcd if it is to exist before, and the nodes' configurations; starts no node.
    pub fn make(options: ClusterOptions) -> Result<Cluster> {
        let folder = tempfile::Builder::new().prefix("paquebot-cluster-").tempdir()?;
        let certificates = Certificates::make(folder.path())?;
        let hosts =
            if options.namespaces { Hosts::in_namespaces(options.nodes)? } else { Hosts::on_loopback(options.nodes) };
        let etcds = match options.etcd {
            Etcd::Existing => Some(Etcds::start(&hosts, folder.path())?),
            Etcd::Managed => None,
        };
        let mut cluster = Cluster { nodes: Vec::new(), etcds, hosts, options, certificates, folder };
        for host in 0..cluster.hosts.count() {
            let node = cluster.make_node(&name_of(host), host)?;
            cluster.nodes.push(node);
        }
        Ok(cluster)
    }

    /// As [`Cluster::make`], then `cluster init` on the first node, `cluster join` on the others, and all serve.
    pub fn start(options: ClusterOptions) -> Result<Cluster> {
        let mut cluster = Cluster::make(options)?;
        cluster.run(0, &["cluster", "init"])?.success().context("cluster init")?;
        cluster.start_node(0)?;
        for node in 1..cluster.nodes.len() {
            cluster.join(node)?;
        }
        Ok(cluster)
    }

    /// A node's folder and configuration, on a host that may have had another.
    pub fn make_node(&self, name: &str, host: usize) -> Result<Node> {
        let etcd = match &self.etcds {
            Some(etcds) => format!("{:?}", etcds.urls()),
            None => "\"managed\"".to_owned(),
        };
        let mut settings = self.options.settings.clone();
        if self.options.namespaces {
            settings.push_str("\nauth.plain_login = true\n");
        }
        let common = Common {
            folder: self.folder.path(),
            certificates: &self.certificates,
            etcd: &etcd,
            settings: &settings,
            cluster: &self.options.cluster,
            clock: self.options.clocks,
        };
        Node::make(name, &self.hosts, host, &common)
    }

    /// A token for one node to join, from a node that runs.
    pub fn token(&self) -> Result<String> {
        let from = self.nodes.iter().position(Node::runs).context("no node runs")?;
        let token = self.run(from, &["cluster", "token"])?.success().context("cluster token")?;
        Ok(token.trim().to_owned())
    }

    /// Joins a node with a fresh token, and starts it.
    pub fn join(&mut self, node: usize) -> Result<()> {
        let token = self.token()?;
        self.run(node, &["cluster", "join", &token])?.success().context("cluster join")?;
        self.start_node(node)
    }

    /// Joins a node in the place of one that is gone, as soon as that is known to be, and starts it.
    pub fn join_in_place_of(&mut self, node: usize, gone: &str) -> Result<()> {
        until(&format!("a machine takes the place of node {gone}"), || {
            let token = self.token()?;
            self.run(node, &["cluster", "join", &token, "--replace", gone])?.success()
        })?;
        self.start_node(node)
    }

    pub fn start_node(&mut self, node: usize) -> Result<()> {
        self.nodes[node].start(&self.hosts).map(drop)
    }

    /// Kills a member of etcd. A managed one is started again by its node.
    pub fn kill_etcd(&mut self, member: usize) -> Result<()> {
        match &mut self.etcds {
            Some(etcds) => etcds.kill(member),
            None if self.nodes[member].etcd().is_some() => self.nodes[member].signal_etcd(Signal::KILL),
            None => Ok(()),
        }
    }

    /// Starts one that was killed, unless its node does that.
    pub fn start_etcd(&mut self, member: usize) -> Result<()> {
        self.etcds.as_mut().map_or(Ok(()), |etcds| etcds.start_again(member))
    }

    /// Freezes it, or lets it go on.
    pub fn signal_etcd(&self, member: usize, signal: Signal) -> Result<()> {
        match &self.etcds {
            Some(etcds) => etcds.signal(member, signal),
            None => self.nodes[member].signal_etcd(signal),
        }
    }

    /// The host of the member of etcd that leads.
    pub fn leader(&self) -> Result<usize> {
        match &self.etcds {
            Some(etcds) => etcds.leader(),
            None => until("etcd has a leader", || {
                let leads = |node: &&Node| node.etcd_leads(&self.hosts).unwrap_or(false);
                Ok(self.nodes.iter().find(leads).context("no member leads")?.host)
            }),
        }
    }

    /// Everything on every machine ends at once.
    pub fn power_cut(&mut self) -> Result<()> {
        self.nodes.iter().try_for_each(|node| if node.runs() { node.signal(Signal::STOP) } else { Ok(()) })?;
        self.nodes.iter_mut().for_each(Node::power_off);
        (0..self.hosts.count()).try_for_each(|member| self.kill_etcd(member))
    }

    /// What was there before comes up again.
    pub fn power_on(&mut self) -> Result<()> {
        for member in 0..self.hosts.count() {
            self.start_etcd(member)?;
        }
        // Side by side: none is ready without a quorum.
        let hosts = &self.hosts;
        std::thread::scope(|scope| {
            let starts: Vec<_> =
                self.nodes.iter_mut().map(|node| scope.spawn(move || node.start(hosts).map(drop))).collect();
            starts.into_iter().try_for_each(|start| start.join().expect("a start does not panic"))
        })
    }

    pub fn run(&self, node: usize, arguments: &[&str]) -> Result<Finished> {
        self.nodes[node].run(&self.hosts, arguments)
    }

    /// Makes an account, with `paquebot user add` on a node that runs, and waits until all that run know it.
    pub fn add_account(&self, name: &str, password: &str) -> Result<()> {
        let on = self.nodes.iter().position(Node::runs).context("no node runs")?;
        let add = ["user", "add", name, "--password-stdin"];
        self.nodes[on].run_with(&self.hosts, &add, &format!("{password}\n"))?.success()?;
        for node in self.nodes.iter().filter(|node| node.runs()) {
            until(&format!("node {} knows {name}", node.name()), || node.client(name, password).map(drop))?;
        }
        Ok(())
    }

    /// `cluster status --json`, as this node has it.
    pub fn status(&self, node: usize) -> Result<serde_json::Value> {
        let text = self.run(node, &["cluster", "status", "--json"])?.success()?;
        serde_json::from_str(&text).with_context(|| format!("cluster status: {text}"))
    }
}

/// Polls until `what` is so; then what the last attempt came to.
pub fn until<T>(what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if began.elapsed() > PATIENCE => {
                return Err(error.context(format!("after {PATIENCE:?} it is not so that {what}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn name_of(host: usize) -> String {
    ["a", "b", "c", "d", "e"].get(host).map_or_else(|| format!("n{host}"), |name| (*name).to_owned())
}

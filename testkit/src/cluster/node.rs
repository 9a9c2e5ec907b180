//! One node of a cluster: a data directory, a configuration, and `paquebot serve`, or not.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::clock::Clock;
use super::hosts::{Hosts, kill_processes_of, processes_of};
use super::ports;
use crate::certificates::Certificates;
use crate::process::{Finished, run};
use crate::running::Running;
use crate::server_binary::paquebot;
use crate::{Addresses, Client};

const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Dropped, it is killed with its etcd.
pub struct Node {
    pub(super) host: usize,
    name: String,
    address: IpAddr,
    folder: PathBuf,
    clock: Option<Clock>,
    running: Option<Running>,
}

/// What all nodes of a cluster have in common.
pub(super) struct Common<'a> {
    pub folder: &'a Path,
    pub certificates: &'a Certificates,
    /// The value of `etcd`.
    pub etcd: &'a str,
    /// More lines of configuration, each a whole key.
    pub settings: &'a str,
    /// More lines of its section `[cluster]`.
    pub cluster: &'a str,
    /// Whether its clock can be moved.
    pub clock: bool,
}

impl Node {
    /// Makes its folder and its configuration.
    pub(super) fn make(name: &str, hosts: &Hosts, host: usize, common: &Common<'_>) -> Result<Node> {
        let (folder, address) = (common.folder.join(format!("node-{name}")), hosts.address(host));
        fs::create_dir_all(&folder)?;
        let clock = common.clock.then(|| Clock::right(folder.join("clock"))).transpose()?;
        let node = Node { host, name: name.to_owned(), address, folder, clock, running: None };
        let at = |port| SocketAddr::new(address, port);
        let Certificates { certificate, key, .. } = common.certificates;
        let text = format!(
            "data = {data:?}\n{settings}\n\n[listen]\nimap = [\"{imap}\"]\nimaps = [\"{imaps}\"]\nlmtp = [\"{lmtp}\"]\nadmin = [\"{admin}\"]\n\n\
             [tls]\ncertificate = {certificate:?}\nkey = {key:?}\n\n\
             [cluster]\nnode = {name:?}\netcd = {etcd}\npeer = \"{peer}\"\n{cluster}\n",
            data = node.data(),
            settings = common.settings,
            imap = at(ports::IMAP),
            imaps = at(ports::IMAPS),
            lmtp = at(ports::LMTP),
            admin = at(ports::ADMIN),
            etcd = common.etcd,
            peer = at(ports::PEER),
            cluster = common.cluster,
        );
        fs::write(node.configuration(), text)?;
        Ok(node)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.join("paquebot.toml")
    }

    pub fn imap(&self) -> SocketAddr {
        SocketAddr::new(self.address, ports::IMAP)
    }

    pub fn lmtp(&self) -> SocketAddr {
        SocketAddr::new(self.address, ports::LMTP)
    }

    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.address, ports::ADMIN)
    }

    /// `paquebot <arguments> --config <this node's>`, to be run on its host.
    pub fn command(&self, hosts: &Hosts, arguments: &[&str]) -> Result<Command> {
        let mut command = hosts.command(self.host, paquebot()?);
        command.args(arguments).arg("--config").arg(self.configuration());
        command.current_dir(&self.folder).env("NO_COLOR", "1");
        if let Some(clock) = &self.clock {
            clock.set(&mut command)?;
        }
        Ok(command)
    }

    pub fn run(&self, hosts: &Hosts, arguments: &[&str]) -> Result<Finished> {
        run(&mut self.command(hosts, arguments)?, b"", COMMAND_LIMIT)
    }

    pub fn run_with(&self, hosts: &Hosts, arguments: &[&str], input: &str) -> Result<Finished> {
        run(&mut self.command(hosts, arguments)?, input.as_bytes(), COMMAND_LIMIT)
    }

    /// Starts it and returns once it said `ready`.
    pub fn start(&mut self, hosts: &Hosts) -> Result<&Addresses> {
        anyhow::ensure!(self.running.is_none(), "node {} runs already", self.name);
        let serve = self.command(hosts, &["serve"])?;
        let running = Running::start(serve).with_context(|| format!("node {}", self.name))?;
        Ok(self.running.insert(running).addresses())
    }

    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    fn running(&self) -> Result<&Running> {
        self.running.as_ref().with_context(|| format!("node {} does not run", self.name))
    }

    pub fn process_id(&self) -> Result<u32> {
        Ok(self.running()?.process_id())
    }

    /// All that it wrote since it was started.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// SIGSTOP, SIGCONT: what it goes on from.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.running()?.signal(signal)
    }

    /// By SIGKILL; what it had started goes on, if it can.
    pub fn kill(&mut self) -> Result<()> {
        self.running()?;
        self.running.take().map_or(Ok(()), |running| running.end_by(Signal::KILL))
    }

    /// By SIGTERM, after which it must exit with 0.
    pub fn terminate(&mut self) -> Result<()> {
        self.running()?;
        self.running.take().map_or(Ok(()), |running| running.end_by(Signal::TERM))
    }

    /// Whatever runs on this machine ends at once.
    pub fn power_off(&mut self) {
        // First: what a supervisor would do to a dead child.
        drop(self.running.take());
        kill_processes_of(&self.folder);
    }

    /// Its disk is empty. It must not run.
    pub fn wipe(&mut self) -> Result<()> {
        anyhow::ensure!(self.running.is_none(), "node {} runs", self.name);
        self.power_off();
        if self.data().exists() {
            fs::remove_dir_all(self.data()).context("cannot wipe the data")?;
        }
        Ok(())
    }

    /// The etcd that it supervises, if one runs.
    pub fn etcd(&self) -> Option<Pid> {
        let ours = processes_of(&self.folder).into_iter();
        ours.into_iter().find(|process| {
            let name = fs::read_to_string(format!("/proc/{}/comm", process.as_raw_nonzero())).unwrap_or_default();
            name.trim() == "etcd"
        })
    }

    /// Whether its etcd leads.
    pub(super) fn etcd_leads(&self, hosts: &Hosts) -> Result<bool> {
        let files = self.data().join("cluster");
        let mut curl = hosts.command(self.host, "curl");
        curl.args(["--silent", "--max-time", "1", "--insecure", "--data", "{}", "--cert"]).arg(files.join("node.crt"));
        curl.arg("--key").arg(files.join("node.key"));
        curl.arg(format!("https://{}/v3/maintenance/status", SocketAddr::new(self.address, ports::ETCD_CLIENT)));
        super::etcds::is_leader(&run(&mut curl, b"", COMMAND_LIMIT)?.success()?)
    }

    pub fn signal_etcd(&self, signal: Signal) -> Result<()> {
        let process = self.etcd().with_context(|| format!("node {} has no etcd", self.name))?;
        kill_process(process, signal).context("cannot send a signal")
    }

    pub fn clock(&self) -> Result<&Clock> {
        self.clock.as_ref().context("this cluster's clocks cannot be moved")
    }

    /// A connection on which `account` has logged in.
    pub fn client(&self, account: &str, password: &str) -> Result<Client> {
        let (mut client, _) = Client::connect(self.imap())?;
        client.login(account, password)?;
        Ok(client)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.power_off();
    }
}

//! An etcd of the operator's own: one member on each host, that the nodes know by its addresses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustix::process::{Signal, kill_process};

use super::hosts::Hosts;
use super::ports;
use crate::process::pid;

/// How long a cluster may take to elect a leader.
const START: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_millis(700);

/// The members. They end when this is dropped.
pub struct Etcds {
    members: Vec<Member>,
}

struct Member {
    command: Box<dyn Fn() -> Command + Send>,
    client: SocketAddr,
    process: Option<Child>,
}

impl Etcds {
    /// Starts one on each host and waits for a leader. `folder` holds their data.
    pub fn start(hosts: &Hosts, folder: &Path) -> Result<Etcds> {
        let url = |host: usize, port| format!("http://{}", SocketAddr::new(hosts.address(host), port));
        let count = hosts.count();
        let cluster: Vec<String> = (0..count).map(|host| format!("m{host}={}", url(host, ports::ETCD_PEER))).collect();
        let members = (0..count).map(|host| {
            let (client, peer) = (url(host, ports::ETCD_CLIENT), url(host, ports::ETCD_PEER));
            let data = folder.join(format!("etcd{host}"));
            let arguments = [
                format!("--name=m{host}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", cluster.join(",")),
                "--heartbeat-interval=50".to_owned(),
                "--election-timeout=500".to_owned(),
                "--pre-vote".to_owned(),
                "--logger=zap".to_owned(),
                "--log-level=fatal".to_owned(),
            ];
            let shape = hosts.command(host, "etcd");
            let words: Vec<_> = std::iter::once(shape.get_program()).chain(shape.get_args()).map(Into::into).collect();
            let words: Vec<std::ffi::OsString> = words;
            let command = move || {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).args(&arguments);
                command
            };
            let client = SocketAddr::new(hosts.address(host), ports::ETCD_CLIENT);
            Member { command: Box::new(command), client, process: None }
        });
        let mut etcds = Etcds { members: members.collect() };
        (0..count).try_for_each(|member| etcds.start_again(member))?;
        etcds.leader()?;
        Ok(etcds)
    }

    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// As a node's configuration has them.
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("http://{}", member.client)).collect()
    }

    pub fn runs(&self, member: usize) -> bool {
        self.members[member].process.is_some()
    }

    /// The member that says that it leads.
    pub fn leader(&self) -> Result<usize> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            let running = self.members.iter().enumerate().filter(|(_, member)| member.process.is_some());
            for (number, member) in running {
                if leads(member.client).unwrap_or(false) {
                    return Ok(number);
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("etcd has no leader after {START:?}")
    }

    /// At once, as when the machine dies.
    pub fn kill(&mut self, member: usize) -> Result<()> {
        if let Some(mut process) = self.members[member].process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    pub fn signal(&self, member: usize, signal: Signal) -> Result<()> {
        let process = self.members[member].process.as_ref().context("the member does not run")?;
        kill_process(pid(process)?, signal).context("cannot send a signal")
    }

    pub fn start_again(&mut self, member: usize) -> Result<()> {
        let member = &mut self.members[member];
        ensure!(member.process.is_none(), "the member runs already");
        let mut command = (member.command)();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn().context("cannot start etcd; `cargo xtask setup` installs it")?;
        member.process = Some(started);
        Ok(())
    }

    /// Makes a key, as somebody else would.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        let request = serde_json::json!({ "key": BASE64_STANDARD.encode(key), "value": BASE64_STANDARD.encode(value) });
        ask(self.members[0].client, "POST /v3/kv/put", &request.to_string()).map(drop)
    }

    /// How many keys there are.
    pub fn keys(&self) -> Result<u64> {
        let all = BASE64_STANDARD.encode([0]);
        let request = serde_json::json!({ "key": all, "range_end": all, "count_only": true });
        let answer = ask(self.members[0].client, "POST /v3/kv/range", &request.to_string())?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        // A count of nothing is left out.
        Ok(answer["count"].as_str().map_or(Ok(0), str::parse)?)
    }

    /// Octets that clients have sent to all members since their start.
    pub fn received_bytes(&self) -> Result<u64> {
        self.members.iter().try_fold(0, |sum, member| {
            let metrics = ask(member.client, "GET /metrics", "")?;
            let name = "etcd_network_client_grpc_received_bytes_total ";
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)).context("no such metric")?;
            Ok(sum + value.parse::<f64>()? as u64)
        })
    }
}

impl Drop for Etcds {
    fn drop(&mut self) {
        for member in 0..self.members.len() {
            let _ = self.kill(member);
        }
    }
}

/// Whether the member at this address leads, by its JSON gateway.
fn leads(address: SocketAddr) -> Result<bool> {
    is_leader(&ask(address, "POST /v3/maintenance/status", "{}")?)
}

/// What an HTTP request of a member comes to.
fn ask(address: SocketAddr, what: &str, body: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let request = format!("{what} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.contains(" 200 "), "{what}: {answer}");
    Ok(body.to_owned())
}

/// What a member's status says of itself.
pub(super) fn is_leader(status: &str) -> Result<bool> {
    let status: serde_json::Value = serde_json::from_str(status)?;
    let leader = status["leader"].as_str().context("no leader")?;
    Ok(leader != "0" && status["header"]["member_id"].as_str() == Some(leader))
}

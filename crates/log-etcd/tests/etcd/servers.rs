//! Real etcd processes, on ports of the loopback interface and in folders of their own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::Client;
use rustix::process::{Pid, Signal, kill_process};

/// How long a cluster may take to elect its first leader.
const START: Duration = Duration::from_secs(20);

/// The members of an etcd cluster. They end, and their folders go, when it is dropped.
pub struct Servers {
    members: Vec<Member>,
    _dir: tempfile::TempDir,
}

struct Member {
    arguments: Vec<String>,
    endpoint: String,
    process: Option<Child>,
}

impl Servers {
    /// Starts so many members and waits for a leader.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[]).await
    }

    pub async fn start_with(count: usize, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // All at once, so that no port is given out twice.
        let ports: Vec<TcpListener> = (0..count * 2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |number: usize| format!("http://{}", ports[number].local_addr().unwrap());
        let cluster: Vec<String> = (0..count).map(|member| format!("m{member}={}", address(member * 2 + 1))).collect();
        let members = (0..count).map(|member| {
            let (client, peer) = (address(member * 2), address(member * 2 + 1));
            let scheme = if more.contains(&"--cert-file") { "https" } else { "http" };
            let client = client.replace("http", scheme);
            let folder = dir.path().join(format!("m{member}")).to_str().unwrap().to_string();
            let named = [
                ("name", format!("m{member}")),
                ("data-dir", folder),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer),
                ("initial-cluster", cluster.join(",")),
                ("heartbeat-interval", "50".into()),
                ("election-timeout", "500".into()),
                ("logger", "zap".into()),
                ("log-level", "fatal".into()),
            ];
            let mut arguments: Vec<String> = named.iter().map(|(name, value)| format!("--{name}={value}")).collect();
            arguments.push("--pre-vote".into());
            arguments.extend(more.iter().map(|argument| argument.to_string()));
            Member { arguments, endpoint: client, process: None }
        });
        let mut servers = Self { members: members.collect(), _dir: dir };
        drop(ports);
        (0..count).for_each(|member| servers.start_again(member));
        if !more.contains(&"--cert-file") {
            servers.leader().await;
        }
        servers
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.endpoint.clone()).collect()
    }

    /// The member that leads, once the members that answer agree on one.
    pub async fn leader(&self) -> usize {
        let until = Instant::now() + START;
        loop {
            for (number, member) in self.members.iter().enumerate().filter(|(_, member)| member.process.is_some()) {
                let asked = async {
                    let mut client = Client::connect([&member.endpoint], None).await?;
                    client.status().await
                };
                if let Ok(Ok(status)) = tokio::time::timeout(Duration::from_millis(500), asked).await
                    && status.leader() != 0
                    && status.header().map(|header| header.member_id()) == Some(status.leader())
                {
                    return number;
                }
            }
            assert!(Instant::now() < until, "etcd has no leader");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client of the test's own.
    pub async fn client(&self) -> Client {
        Client::connect(self.endpoints(), None).await.unwrap()
    }

    /// At once, as when the machine dies.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn freeze(&self, member: usize) {
        self.signal(member, Signal::STOP);
    }

    pub fn thaw(&self, member: usize) {
        self.signal(member, Signal::CONT);
    }

    pub fn start_again(&mut self, member: usize) {
        let member = &mut self.members[member];
        let mut command = Command::new(program());
        command.args(&member.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        member.process = Some(command.spawn().expect("etcd starts"));
    }

    fn signal(&self, member: usize, signal: Signal) {
        let process = self.members[member].process.as_ref().expect("the member runs");
        kill_process(Pid::from_raw(process.id() as i32).unwrap(), signal).unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|member| self.kill(member));
    }
}

fn program() -> &'static Path {
    let found = ["/usr/bin/etcd", "/usr/local/bin/etcd"].iter().map(Path::new).find(|path| path.exists());
    found.expect("there is no etcd: `cargo xtask setup` installs it")
}

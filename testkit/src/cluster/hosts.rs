//! Machines for a cluster on one machine: addresses of the loopback interface, or network namespaces on a bridge.
//!
//! Namespaces have no names: each lives as long as a process that holds it, and that process ends when this one does, however it ends. So nothing
//! is left behind, two runs cannot meet, and the same addresses do for all.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::cut::Cut;
use crate::process::run;

const LIMIT: Duration = Duration::from_secs(20);

/// Holds a namespace until its input ends, and takes along whatever still runs in it.
const HOLD: &str = r#"
ip link set lo up && echo up
cat > /dev/null
mine=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
    id=${process#/proc/}
    [ "$id" = $$ ] || [ "$(readlink "$process/ns/net")" != "$mine" ] || kill -9 "$id"
done 2> /dev/null
"#;

/// So many machines. Dropped, they are gone with all that runs on them.
pub struct Hosts {
    addresses: Vec<IpAddr>,
    network: Option<Network>,
}

struct Network {
    hosts: Vec<Namespace>,
    switch: Namespace,
    /// Where this thread was before.
    outside: File,
}

impl Hosts {
    /// Addresses of the loopback interface that no other test uses. Nothing can be cut between them.
    pub fn on_loopback(count: usize) -> Hosts {
        static TAKEN: AtomicU8 = AtomicU8::new(1);
        let count = u8::try_from(count).expect("some machines");
        let first = TAKEN.fetch_add(count, Ordering::Relaxed);
        let process = std::process::id();
        let (high, low) = (64 + (process / 250 % 60) as u8, (process % 250) as u8);
        let addresses = (first..first + count).map(|host| Ipv4Addr::new(127, high, low, host).into());
        Hosts { addresses: addresses.collect(), network: None }
    }

    /// Namespaces on a bridge, at 10.77.0.1 and on. This thread, and those that it starts from now on, are on the bridge too, and reach nothing else.
    pub fn in_namespaces(count: usize) -> Result<Hosts> {
        ensure!(rustix::process::geteuid().is_root(), "network namespaces want root: run this test as root");
        let outside = File::open("/proc/thread-self/ns/net")?;
        let switch = Namespace::make()?;
        switch.ip(&["link", "add", "bridge", "type", "bridge"])?;
        switch.ip(&["address", "add", "10.77.0.254/24", "dev", "bridge"])?;
        switch.ip(&["link", "set", "bridge", "up"])?;
        let mut hosts = Vec::new();
        let mut addresses = Vec::new();
        for number in 0..count {
            let host = Namespace::make()?;
            let (port, holder) = (format!("host{number}"), host.holder.id().to_string());
            let address = Ipv4Addr::new(10, 77, 0, u8::try_from(number + 1)?);
            switch.ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &holder])?;
            switch.ip(&["link", "set", &port, "master", "bridge", "up"])?;
            host.ip(&["address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            host.ip(&["link", "set", "eth0", "up"])?;
            hosts.push(host);
            addresses.push(address.into());
        }
        move_into_link_name_space(switch.open()?.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(Hosts { addresses, network: Some(Network { hosts, switch, outside }) })
    }

    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    pub fn address(&self, host: usize) -> IpAddr {
        self.addresses[host]
    }

    /// A command that will run there.
    pub fn command(&self, host: usize, program: impl AsRef<Path>) -> Command {
        match &self.network {
            Some(network) => network.hosts[host].command(program.as_ref()),
            None => Command::new(program.as_ref()),
        }
    }

    /// Drops what these cuts name, until they heal.
    pub fn cut(&self, cuts: &[Cut]) -> Result<()> {
        let network = self.network.as_ref().context("nothing can be cut on the loopback interface")?;
        for (number, host) in network.hosts.iter().enumerate() {
            let rules: String =
                cuts.iter().filter(|cut| cut.to == number).map(|cut| cut.rules(&self.addresses)).collect();
            if !rules.is_empty() {
                host.nft(&rules)?;
            }
        }
        Ok(())
    }

    /// Nothing is cut any more.
    pub fn heal(&self) -> Result<()> {
        let hosts = self.network.iter().flat_map(|network| &network.hosts);
        hosts.into_iter().try_for_each(|host| host.nft(super::cut::HEAL))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if let Some(network) = &self.network {
            let _ = move_into_link_name_space(network.outside.as_fd(), Some(LinkNameSpaceType::Network));
            // Named only to say that it goes last, with the bridge.
            let _ = &network.switch;
        }
    }
}

struct Namespace {
    holder: Child,
}

impl Namespace {
    fn make() -> Result<Namespace> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sh", "-c", HOLD]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.process_group(0).spawn().context("cannot start unshare")?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().context("no standard output")?).read_line(&mut said)?;
        if said != "up\n" {
            let _ = holder.wait();
            bail!("no network namespace can be made here: it wants root, and iproute2 (`cargo xtask setup`)");
        }
        Ok(Namespace { holder })
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    fn open(&self) -> Result<File> {
        File::open(self.path()).context("the namespace's holder is gone")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        run(self.command(Path::new("ip")).args(arguments), b"", LIMIT)?.success().map(drop)
    }

    fn nft(&self, rules: &str) -> Result<()> {
        run(self.command(Path::new("nft")).args(["-f", "-"]), rules.as_bytes(), LIMIT)?.success().map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}

/// The processes that were given this folder, or something in it, as an argument.
pub fn processes_of(folder: &Path) -> Vec<Pid> {
    let wanted = folder.to_string_lossy();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let of_folder = numbers.filter(|number| {
        let arguments = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| String::from_utf8_lossy(argument).contains(&*wanted))
    });
    of_folder.filter_map(Pid::from_raw).collect()
}

/// Kills them all, at once and for good.
pub fn kill_processes_of(folder: &Path) {
    for process in processes_of(folder) {
        let _ = kill_process(process, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write as _;
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::*;
    use crate::cluster::cut::Traffic;

    /// Whether what a process there writes comes back.
    fn reaches(from: &Hosts, host: usize, address: SocketAddr) -> bool {
        let script =
            format!("exec 3<>/dev/tcp/{}/{} && echo hello >&3 && read -r -t 2 line <&3", address.ip(), address.port());
        let mut command = from.command(host, "timeout");
        command.args(["2", "bash", "-c", &script]);
        run(&mut command, b"", LIMIT).is_ok_and(|finished| finished.status.success())
    }

    fn echo(address: SocketAddr) {
        let listener = TcpListener::bind(address).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut line = String::new();
                let _ = BufReader::new(&stream).read_line(&mut line);
                let _ = (&stream).write_all(line.as_bytes());
            }
        });
    }

    #[test]
    fn addresses_of_the_loopback_interface_are_different() {
        let (one, two) = (Hosts::on_loopback(2), Hosts::on_loopback(1));
        let all: std::collections::BTreeSet<_> = one.addresses.iter().chain(&two.addresses).collect();
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|address| address.is_loopback()));
    }

    #[test]
    fn namespaces_see_each_other_until_they_are_cut() {
        if !rustix::process::geteuid().is_root() {
            assert!(Hosts::in_namespaces(1).err().unwrap().to_string().contains("root"));
            return;
        }
        let hosts = Hosts::in_namespaces(2).unwrap();
        let outside: SocketAddr = "10.77.0.254:7143".parse().unwrap();
        echo(outside);
        assert!(reaches(&hosts, 0, outside) && reaches(&hosts, 1, outside));

        // A host that listens: from now on this thread is there.
        let network = hosts.network.as_ref().unwrap();
        move_into_link_name_space(network.hosts[0].open().unwrap().as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let (peer, etcd) = ("10.77.0.1:7143".parse().unwrap(), "10.77.0.1:2379".parse().unwrap());
        echo(peer);
        echo(etcd);
        assert!(reaches(&hosts, 1, peer) && reaches(&hosts, 1, etcd));
        hosts.cut(&[Cut { from: 1, to: 0, traffic: Traffic::Peers }]).unwrap();
        assert!(!reaches(&hosts, 1, peer) && reaches(&hosts, 1, etcd));
        hosts.heal().unwrap();
        assert!(reaches(&hosts, 1, peer));
        // One way is enough to stop a conversation.
        hosts.cut(&[Cut { from: 0, to: 1, traffic: Traffic::All }]).unwrap();
        assert!(!reaches(&hosts, 1, peer) && !reaches(&hosts, 1, etcd));
        hosts.heal().unwrap();

        let mut sleeping = hosts.command(1, "sleep").arg("1000").spawn().unwrap();
        let holders: Vec<u32> = network.hosts.iter().map(|host| host.holder.id()).collect();
        drop(hosts);
        assert!(!sleeping.wait().unwrap().success());
        assert!(holders.iter().all(|holder| !Path::new(&format!("/proc/{holder}/ns")).exists()));
    }
}

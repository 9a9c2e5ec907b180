//! What a death costs clients, and what a delivery costs machines.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use paquebot_testkit::cluster::{Cluster, ClusterOptions, Etcd};
use paquebot_testkit::{Client, LmtpAddress, Options, Server};
use paquebot_tests::message::message;
use paquebot_tests::session::PASSWORD;

use crate::support::{PROBE, deliver, start, until_all_take_changes, within};

/// Clients of a node that dies.
const CLIENTS: usize = 9;

/// Each client writes again elsewhere: how long after the kill, sorted.
fn write_elsewhere(cluster: &mut Cluster, victim: usize, with_etcd: bool, first: u64) -> Result<Vec<Duration>> {
    let others: Vec<_> = (0..3).filter(|node| *node != victim).map(|node| cluster.nodes[node].imap()).collect();
    let clients = (0..CLIENTS).map(|_| cluster.nodes[victim].client("alice", PASSWORD)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let writing: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(number, mut client)| {
                let address = others[number % others.len()];
                let mut token = first + number as u64 * 1000;
                scope.spawn(move || {
                    // Until its server dies.
                    loop {
                        token += 1;
                        let written = client.append("INBOX", &[], None, &message(token));
                        if !written.is_ok_and(|answer| answer.is_ok()) {
                            break;
                        }
                        thread::sleep(Duration::from_millis(20));
                    }
                    within(Duration::from_secs(30), || {
                        token += 1;
                        let (mut client, _) = Client::connect(address)?;
                        client.login("alice", PASSWORD)?;
                        client.append("INBOX", &[], None, &message(token))?.ok()
                    })?;
                    anyhow::Ok(Instant::now())
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        let killed = Instant::now();
        cluster.nodes[victim].kill()?;
        if with_etcd {
            cluster.kill_etcd(victim)?;
        }
        let mut took = Vec::new();
        for client in writing {
            took.push(client.join().expect("a client does not panic")?.duration_since(killed));
        }
        took.sort();
        Ok(took)
    })
}

fn median(of: &[Duration]) -> Duration {
    of[of.len() / 2]
}

#[test]
fn clients_of_a_dead_node_write_elsewhere_soon() -> Result<()> {
    let mut cluster = start(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() }, "alice")?;
    cluster.add_account(PROBE, PASSWORD)?;
    let mut all = Vec::new();
    for round in 0..3 {
        let leader = cluster.leader()?;
        let victim = (leader + 1) % 3;
        all.extend(write_elsewhere(&mut cluster, victim, false, 1 + round * 100_000)?);
        cluster.start_node(victim)?;
        until_all_take_changes(&cluster)?;
    }
    all.sort();
    println!("a node killed: its clients wrote elsewhere after {:?} (median), {:?} at most", median(&all), all.last());
    ensure!(median(&all) < Duration::from_secs(2), "{all:?}");

    let mut all = Vec::new();
    for round in 3..6 {
        let victim = cluster.leader()?;
        all.extend(write_elsewhere(&mut cluster, victim, true, 1 + round * 100_000)?);
        cluster.start_etcd(victim)?;
        cluster.start_node(victim)?;
        until_all_take_changes(&cluster)?;
    }
    all.sort();
    println!("with etcd's leader: after {:?} (median), {:?} at most", median(&all), all.last());
    ensure!(median(&all) < Duration::from_secs(4), "{all:?}");
    Ok(())
}

/// Bytes that a process and its children had written to disks.
fn written(process: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{process}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

/// A mail of some 6 KB.
fn six_kilobytes(token: u64) -> Vec<u8> {
    let mut text = format!("From: a@example.org\r\nSubject: {token}\r\n\r\n").into_bytes();
    while text.len() < 6 * 1024 {
        text.extend(format!("{:060}\r\n", token.wrapping_mul(text.len() as u64)).into_bytes());
    }
    text
}

/// Deliveries a second by so many connections at once to these addresses, taking turns, and all their latencies.
fn deliver_for(addresses: &[std::net::SocketAddr], connections: u64, each: u64) -> Result<(f64, Vec<Duration>)> {
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|connection| {
                let address = addresses[connection as usize % addresses.len()];
                scope.spawn(move || {
                    let mut latencies = Vec::new();
                    let mut sender = paquebot_tests::lmtp::Sender::connect(address)?;
                    for number in 0..each {
                        let mail = six_kilobytes(connection * each + number);
                        let began = Instant::now();
                        let answer = sender.deliver("alice@example.org", &mail)?;
                        ensure!(answer.starts_with("250"), "a delivery: {answer}");
                        latencies.push(began.elapsed());
                    }
                    anyhow::Ok(latencies)
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().expect("a sender does not panic")?);
        }
        anyhow::Ok(all)
    })?;
    let mut latencies = latencies;
    latencies.sort();
    Ok((latencies.len() as f64 / began.elapsed().as_secs_f64(), latencies))
}

#[test]
fn what_a_delivery_costs_on_three_nodes() -> Result<()> {
    const CONNECTIONS: u64 = 24;
    const EACH: u64 = 40;
    let server = Server::start(Options::with_account("alice", PASSWORD))?;
    let LmtpAddress::Tcp(lmtp) = server.addresses().lmtp else { anyhow::bail!("LMTP is on TCP here") };
    let (alone, _) = deliver_for(&[lmtp], CONNECTIONS, EACH)?;
    server.stop()?;

    let cluster = start(ClusterOptions { etcd: Etcd::Existing, ..ClusterOptions::default() }, "alice")?;
    ensure!(deliver(&cluster.nodes[0], "alice", 1)?.starts_with("250"), "a delivery");
    let count = CONNECTIONS * EACH;
    let before = cluster.nodes.iter().map(|node| written(node.process_id()?)).collect::<Result<Vec<_>>>()?;
    let etcds = cluster.etcds.as_ref().context("there is an etcd")?;
    let received = etcds.received_bytes()?;
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.lmtp()).collect();
    let (together, latencies) = deliver_for(&addresses, CONNECTIONS, EACH)?;
    let sent = (etcds.received_bytes()? - received) / count;
    // Bodies reach the third machine in their own time.
    thread::sleep(Duration::from_secs(3));
    let after = cluster.nodes.iter().map(|node| written(node.process_id()?)).collect::<Result<Vec<_>>>()?;
    let p99 = latencies[latencies.len() * 99 / 100];
    let bytes: Vec<u64> = before.iter().zip(&after).map(|(before, after)| (after - before) / count).collect();
    println!(
        "deliveries a second: {alone:.0} on one machine, {together:.0} on three nodes ({:.2} of it), p99 {p99:?}; \
         each node wrote {bytes:?} bytes for a message of 6 KB, and etcd was sent {sent}",
        together / alone
    );
    Ok(())
}

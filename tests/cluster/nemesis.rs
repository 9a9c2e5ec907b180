//! What happens to machines, by a seed.

use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use paquebot_testkit::Injection;
use paquebot_testkit::cluster::{Cluster, Cut, Traffic, alone, between, until};
use paquebot_tests::history::{Event, Outcome};
use paquebot_tests::random::Random;
use paquebot_tests::stage::Stage;
use rustix::process::Signal;

use crate::support::until_all_take_changes;

#[derive(Debug, Clone)]
pub enum Fault {
    /// SIGKILL of a node; a managed etcd goes with it.
    KillNode(usize),
    /// SIGKILL of an etcd, of the one that leads in particular.
    KillEtcd(usize),
    KillLeader,
    /// SIGSTOP, for a while.
    FreezeNode(usize),
    FreezeEtcd(usize),
    /// Everything on every machine is killed at once.
    PowerCut,
    /// A node dies and its disk with it.
    Wipe(usize),
    Cut(&'static str, Vec<Cut>),
    /// Each flush of the node waits.
    SlowDisk(usize),
    /// The node's wall clock is wrong by so many seconds.
    Clock(usize, i64),
}

/// A fault, and how long it lasts and the peace after it.
#[derive(Debug, Clone)]
pub struct Step {
    pub fault: Fault,
    pub lasts: Duration,
    pub peace: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { fault, lasts, peace } = self;
        match fault {
            Fault::Cut(name, cuts) => {
                let cuts: Vec<String> =
                    cuts.iter().map(|cut| format!("{}>{} {:?}", cut.from, cut.to, cut.traffic)).collect();
                write!(formatter, "Cut({name}: {})", cuts.join(", "))?;
            }
            other => write!(formatter, "{other:?}")?,
        }
        write!(formatter, " for {} ms, then {} ms of peace", lasts.as_millis(), peace.as_millis())
    }
}

/// What can be done to this cluster.
#[derive(Debug, Clone, Copy)]
pub struct Means {
    pub nodes: usize,
    /// Whether connections can be cut.
    pub cuts: bool,
    pub clocks: bool,
    pub wipes: bool,
}

/// Endless steps; the same seed gives the same.
pub fn schedule(seed: u64, means: Means) -> impl Iterator<Item = Step> {
    let mut random = Random::new(seed ^ 0x6e65_6d65);
    std::iter::repeat_with(move || {
        let fault = fault(&mut random, means);
        let shortest = if matches!(fault, Fault::Wipe(_) | Fault::PowerCut) { 100 } else { 500 };
        Step {
            fault,
            lasts: Duration::from_millis(shortest + random.number() % 5000),
            peace: Duration::from_millis(500 + random.number() % 2000),
        }
    })
}

fn fault(random: &mut Random, means: Means) -> Fault {
    let node = random.below(means.nodes);
    loop {
        return match random.below(100) {
            0..20 => Fault::KillNode(node),
            20..26 => Fault::KillEtcd(node),
            26..38 => Fault::KillLeader,
            38..46 => Fault::FreezeNode(node),
            46..52 => Fault::FreezeEtcd(node),
            52..57 => Fault::PowerCut,
            57..62 if means.wipes => Fault::Wipe(node),
            62..84 if means.cuts => cut(random, node, means.nodes),
            84..91 => Fault::SlowDisk(node),
            91..100 if means.clocks => {
                let by = [-86_400, -3600, -5, 5, 3600, 86_400];
                Fault::Clock(node, by[random.below(by.len())])
            }
            _ => continue,
        };
    }
}

fn cut(random: &mut Random, node: usize, nodes: usize) -> Fault {
    let other = (node + 1 + random.below(nodes - 1)) % nodes;
    match random.below(7) {
        0 => Fault::Cut("a machine alone", alone(node, nodes, Traffic::All)),
        1 => Fault::Cut("two machines", between(node, other, Traffic::All).to_vec()),
        2 => Fault::Cut("one way", vec![Cut { from: node, to: other, traffic: Traffic::All }]),
        3 => Fault::Cut("a node from the other nodes", alone(node, nodes, Traffic::Peers)),
        4 => {
            let mut cuts = alone(node, nodes, Traffic::EtcdClients);
            cuts.push(Cut { from: node, to: node, traffic: Traffic::EtcdClients });
            Fault::Cut("a node from etcd", cuts)
        }
        5 => Fault::Cut("an etcd from the others", alone(node, nodes, Traffic::EtcdPeers)),
        _ => {
            let all = (0..nodes).flat_map(|node| alone(node, nodes, Traffic::EtcdPeers));
            Fault::Cut("all etcds from each other", all.collect())
        }
    }
}

/// Does the steps of which `more` wants another; after each, everything works again, or that is an error.
pub fn torment(
    cluster: &mut Cluster,
    stage: &Stage,
    steps: impl Iterator<Item = Step>,
    more: impl Fn(usize) -> bool,
) -> Result<usize> {
    let mut done = 0;
    for step in steps {
        if !more(done) {
            break;
        }
        println!("{done}: {step}");
        let invoked = stage.recorder.now();
        inject(cluster, &step).with_context(|| format!("step {done}, {step}"))?;
        until_all_take_changes(cluster).with_context(|| format!("after step {done}, {step}"))?;
        stage.recorder.record(usize::MAX, invoked, Outcome::Ok, Event::Fault(step.to_string()));
        thread::sleep(step.peace);
        done += 1;
    }
    Ok(done)
}

/// Does it, waits, and undoes it.
fn inject(cluster: &mut Cluster, step: &Step) -> Result<()> {
    let wait = || thread::sleep(step.lasts);
    match &step.fault {
        Fault::KillNode(node) => {
            cluster.nodes[*node].kill()?;
            wait();
            cluster.start_node(*node)?;
        }
        Fault::KillEtcd(member) => {
            cluster.kill_etcd(*member)?;
            wait();
            cluster.start_etcd(*member)?;
        }
        Fault::KillLeader => {
            let leader = cluster.leader()?;
            cluster.nodes[leader].kill()?;
            cluster.kill_etcd(leader)?;
            wait();
            cluster.start_etcd(leader)?;
            cluster.start_node(leader)?;
        }
        Fault::FreezeNode(node) => {
            cluster.nodes[*node].signal(Signal::STOP)?;
            wait();
            cluster.nodes[*node].signal(Signal::CONT)?;
        }
        Fault::FreezeEtcd(member) => {
            cluster.signal_etcd(*member, Signal::STOP)?;
            wait();
            cluster.signal_etcd(*member, Signal::CONT)?;
        }
        Fault::PowerCut => {
            cluster.power_cut()?;
            wait();
            cluster.power_on()?;
        }
        Fault::Wipe(node) => {
            cluster.nodes[*node].kill()?;
            wait();
            cluster.nodes[*node].wipe()?;
            let name = cluster.nodes[*node].name().to_owned();
            cluster.join_in_place_of(*node, &name)?;
            until("the emptied node is whole", || crate::support::is_whole(cluster, *node))?;
        }
        Fault::Cut(_, cuts) => {
            cluster.hosts.cut(cuts)?;
            wait();
            cluster.hosts.heal()?;
        }
        Fault::SlowDisk(node) => {
            let slow = Injection::slow_flushes(cluster.nodes[*node].process_id()?, Duration::from_millis(60))?;
            wait();
            drop(slow);
        }
        Fault::Clock(node, by) => {
            cluster.nodes[*node].clock()?.shift(*by)?;
            wait();
            cluster.nodes[*node].clock()?.shift(0)?;
        }
    }
    Ok(())
}

#[test]
fn a_seed_is_a_schedule() {
    let means = Means { nodes: 3, cuts: true, clocks: true, wipes: true };
    let shown = |seed| schedule(seed, means).take(200).map(|step| step.to_string()).collect::<Vec<_>>();
    assert_eq!(shown(7), shown(7));
    assert_ne!(shown(7), shown(8));
    let all = shown(7).concat();
    for fault in ["KillNode", "KillEtcd", "KillLeader", "Freeze", "PowerCut", "Wipe", "one way", "SlowDisk", "Clock"] {
        assert!(all.contains(fault), "200 steps without {fault}");
    }
    let none = Means { nodes: 3, cuts: false, clocks: false, wipes: false };
    assert!(schedule(7, none).take(200).all(|step| !matches!(step.fault, Fault::Cut(..) | Fault::Clock(..))));
}

//! Measures two nodes over loopback, both in this process: `cargo run --release -p paquebot-peer --example throughput`.
#![allow(clippy::unwrap_used, dead_code)]

#[path = "../tests/peer/node.rs"]
mod node;

use std::time::{Duration, Instant};

use bytes::Bytes;
use node::{Ca, Node, body, octets, push};
use paquebot_types::ShardId;

const PUSHES: u64 = 20_000;
const AT_ONCE: u64 = 64;

/// What this process has used of its processors.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat.split(' ').skip(13).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

fn say(what: &str, count: f64, begun: (Instant, Duration)) {
    let (took, used) = (begun.0.elapsed(), processor_time() - begun.1);
    let each = used.as_secs_f64() * 1e6 / count;
    println!("{what}: {:.0} a second, {each:.0} us of processor each (both ends)", count / took.as_secs_f64());
}

#[tokio::main]
async fn main() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    peer.ask("who", Bytes::new()).await.unwrap();

    let mail = Bytes::from(octets(6 << 10, 1));
    for bodies in [1, 32] {
        let begun = (Instant::now(), processor_time());
        let workers = (0..AT_ONCE).map(|_| {
            let (peer, mail) = (peer.clone(), mail.clone());
            tokio::spawn(async move {
                for _ in 0..PUSHES / AT_ONCE / bodies {
                    let bodies = (0..bodies).map(|_| body(mail.to_vec())).collect();
                    peer.push(push(1, bodies)).await.unwrap();
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        say(&format!("bodies of 6 KiB pushed, {bodies} in a push, {AT_ONCE} at once"), PUSHES as f64, begun);
        b.host.pushed.lock().clear();
    }

    let begun = Instant::now();
    for n in 0..1000 {
        peer.push(push(1, vec![body(octets(6 << 10, n))])).await.unwrap();
    }
    println!("one push after the other: {:.0} us each", begun.elapsed().as_secs_f64() * 1e3);

    let large = octets(100 << 20, 2);
    let (name, hash) = b.host.add(1, &large[..50 << 20]);
    let begun = (Instant::now(), processor_time());
    peer.fetch_body(name, hash).await.unwrap();
    say("MiB fetched of a large body, to the disk", 50.0, begun);
    let begun = (Instant::now(), processor_time());
    peer.push(push(1, vec![body(large)])).await.unwrap();
    say("MiB pushed of a large body, to the disk", 100.0, begun);

    b.host.chunks.lock().0 = (0..100).map(|n| Bytes::from(octets(1 << 20, n))).collect();
    let begun = (Instant::now(), processor_time());
    let mut snapshot = peer.snapshot(ShardId(3)).await.unwrap();
    while snapshot.next().await.unwrap().is_some() {}
    say("MiB of a snapshot", 100.0, begun);
}

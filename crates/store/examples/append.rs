//! Measures appending and applying: `cargo run --release -p paquebot-store --example append -- DIRECTORY [GROUPS]`.
//!
//! A group has 64 bodies of 6 KB and a record; each message makes five rows of 80 bytes on average. At the end the process leaves
//! without closing the store and a second one is timed as it opens: run the command again on the same directory with 0 groups.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use paquebot_model::RowChange;
use paquebot_store::fs::RealFs;
use paquebot_store::{GroupItem, IndexError, Options, Store};
use paquebot_types::{AccountId, BlobHash, BlobId, Sequence, ShardId};

const BODIES: u64 = 64;
const BODY_BYTES: usize = 6 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("which directory?")?);
    let groups: u64 = arguments.next().map_or(Ok(2000), |groups| groups.parse())?;

    let begun = Instant::now();
    let (store, tail) = Store::open(Arc::new(RealFs), &dir, Options::default())?;
    println!("opened in {:.1?}, a tail of {} groups", begun.elapsed(), tail.groups.len());
    let shard = ShardId(1);
    let first = store.read()?.applied(shard)?.sequence.0 + tail.groups.len() as u64 + 1;
    let account = AccountId::new(1).ok_or("account 0")?;

    let (written, begun) = (written_bytes()?, Instant::now());
    let (mut appending, mut applying, mut slowest) = (0.0, 0.0, 0.0_f64);
    let mut body = vec![b'x'; BODY_BYTES];
    for sequence in first..first + groups {
        let bodies: Vec<(BlobHash, Vec<u8>)> = (0..BODIES)
            .map(|number| {
                body[..8].copy_from_slice(&(sequence * BODIES + number).to_le_bytes());
                (BlobHash(*blake3::hash(&body).as_bytes()), body.clone())
            })
            .collect();
        let record = vec![7; 64 * BODIES as usize];
        let mut items: Vec<GroupItem<'_>> =
            bodies.iter().map(|(hash, bytes)| GroupItem::Body { hash: *hash, bytes }).collect();
        items.push(GroupItem::Record { shard, sequence: Sequence(sequence), bytes: &record });
        let start = Instant::now();
        let appended = store.append_group(&items)?;
        let middle = Instant::now();
        store.write(|txn| {
            for (number, (_, location)) in appended.bodies.iter().enumerate() {
                let message = sequence * BODIES + number as u64;
                let mailbox = message % 1000;
                let changes: Vec<RowChange> = (0..5_u8)
                    .map(|kind| RowChange {
                        key: [&[kind][..], &mailbox.to_be_bytes(), &message.to_be_bytes()].concat(),
                        value: Some(vec![kind; 40 + 20 * usize::from(kind)]),
                    })
                    .collect();
                txn.change(shard, &changes)?;
                let blob = BlobId::new(message).ok_or(IndexError::Failed)?;
                txn.set_location(shard, account, blob, *location)?;
            }
            txn.set_applied(shard, Sequence(sequence), [0; 32])
        })?;
        let end = Instant::now();
        appending += (middle - start).as_secs_f64();
        applying += (end - middle).as_secs_f64();
        slowest = slowest.max((end - start).as_secs_f64());
    }
    let seconds = begun.elapsed().as_secs_f64();
    if groups > 0 {
        let (messages, mail) = (groups * BODIES, (groups * BODIES * BODY_BYTES as u64) as f64);
        println!("{:.0} groups/s, {:.0} messages/s", groups as f64 / seconds, messages as f64 / seconds);
        println!(
            "a group: append {:.2} ms, apply {:.2} ms, slowest {:.0} ms",
            appending * 1e3 / groups as f64,
            applying * 1e3 / groups as f64,
            slowest * 1e3
        );
        println!("{:.3} bytes written per byte of mail", (written_bytes()? - written) as f64 / mail);
    }
    println!("memory: {} MB", resident_bytes()? >> 20);
    // As a crash would leave it: nothing is closed.
    std::mem::forget(store);
    Ok(())
}

fn written_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("no write_bytes")?;
    Ok(line.parse()?)
}

fn resident_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

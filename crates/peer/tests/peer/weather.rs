//! A network that breaks, and peers that stand still.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use paquebot_log::Body;
use paquebot_peer::{Peer, PeerError};
use paquebot_types::ShardId;

use crate::node::{Ca, Node, body, octets, push};
use crate::relay::Relay;

async fn through_relay(ca: &Ca) -> (Node, Node, Relay, Peer) {
    let (a, b) = (Node::start(ca, "a").await, Node::start(ca, "b").await);
    let relay = Relay::to(b.address).await;
    let peer = a.peers.to(&b.name, &relay.address.to_string());
    (a, b, relay, peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_cut_off_goes_on_from_there() {
    let ca = Ca::new();
    let (a, b, relay, peer) = through_relay(&ca).await;
    let large = octets(24 << 20, 1);
    let (name, hash) = b.host.add(1, &large);
    relay.cut_at.store(12 << 20, Ordering::SeqCst);
    let Body::Staged(fetched) = peer.fetch_body(name, hash).await.unwrap() else { panic!("it is large") };
    assert_eq!(a.store.read_body_verified(fetched.location()).unwrap(), large);
    assert_eq!(relay.cut_at.load(Ordering::SeqCst), u64::MAX, "it was cut");
    assert!(relay.connections.load(Ordering::SeqCst) >= 3, "prompt, bulk, and bulk again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_is_cut_off_is_an_error() {
    let ca = Ca::new();
    let (_a, b, relay, peer) = through_relay(&ca).await;
    b.host.chunks.lock().0 = (0..20).map(|n| Bytes::from(octets(1 << 20, n))).collect();
    relay.cut_at.store(9 << 20, Ordering::SeqCst);
    let mut snapshot = peer.snapshot(ShardId(3)).await.unwrap();
    let mut came = 0;
    let error = loop {
        match snapshot.next().await {
            Ok(Some(_)) => came += 1,
            Ok(None) => panic!("a copy that was cut off ended"),
            Err(error) => break error,
        }
    };
    assert!(came < 10, "{came}");
    assert!(matches!(error, PeerError::Broken { .. } | PeerError::Damaged { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stands_still_is_noticed_in_two_seconds() {
    let ca = Ca::new();
    let (_a, _b, relay, peer) = through_relay(&ca).await;
    peer.push(push(1, vec![body(b"before".to_vec())])).await.unwrap();
    relay.freeze();
    let begun = Instant::now();
    let error = peer.push(push(2, vec![body(b"after".to_vec())])).await.unwrap_err();
    let took = begun.elapsed();
    assert!(matches!(error, PeerError::Broken { .. }), "{error}");
    assert!(!error.is_nothing_done(), "it may have arrived");
    assert!(took < Duration::from_millis(2500), "{took:?}");

    relay.thaw();
    let begun = Instant::now();
    while let Err(error) = peer.push(push(3, vec![body(b"again".to_vec())])).await {
        assert!(begun.elapsed() < Duration::from_secs(10), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_there_costs_no_time_again() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    b.stop().await;
    for _ in 0..50 {
        let begun = Instant::now();
        let error = peer.push(push(1, vec![body(b"x".to_vec())])).await.unwrap_err();
        assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_little_and_hinders_nobody() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    b.host.chunks.lock().0 = (0..200).map(|n| Bytes::from(octets(1 << 20, n))).collect();
    let mut unread = a.to(&b).snapshot(ShardId(3)).await.unwrap();
    let first = unread.next().await.unwrap().unwrap();
    assert_eq!(first.len(), 1 << 20);
    // The rest waits, and calls beside it are answered.
    let (name, hash) = b.host.add(1, &octets(1 << 20, 77));
    let begun = Instant::now();
    a.to(&b).fetch_body(name, hash).await.unwrap();
    a.to(&b).push(push(1, vec![body(octets(2 << 20, 78))])).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(unread);
    // One that was broken off is not in the next one's way.
    let mut next = a.to(&b).snapshot(ShardId(3)).await.unwrap();
    assert!(next.next().await.unwrap().is_some());
}

//! What nodes ask of each other when all is well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use paquebot_log::{AppendError, Body};
use paquebot_peer::{JoinError, JoinRefusal, JoinRequest, PREFACE_BYTES_MAX, PeerError, Refusal, join};
use paquebot_types::ShardId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::node::{Ca, HEADER, Node, body, body_name, hash, name, octets, push};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_arrive_with_their_record() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let mut staged = a.store.stage().unwrap();
    let large = octets(5 << 20, 1);
    staged.write(&large).unwrap();
    let small = vec![body(b"one".to_vec()), body(Vec::new()), body(octets(300 << 10, 2))];
    a.to(&b).push(push(1, small)).await.unwrap();
    let mixed = vec![body(b"two".to_vec()), Body::Staged(Arc::new(staged.finish().unwrap()))];
    a.to(&b).push(push(2, mixed)).await.unwrap();

    {
        let pushed = b.host.pushed.lock();
        let (from, first) = &pushed[0];
        assert_eq!((from, first.shard, first.record.0[0], first.after.0), (&name("a"), ShardId(3), 1, 9));
        assert!(matches!(&first.bodies[0], Body::Bytes { bytes, .. } if bytes[..] == *b"one"));
        assert!(matches!(&first.bodies[1], Body::Bytes { bytes, .. } if bytes.is_empty()));
        assert!(matches!(&first.bodies[2], Body::Staged(blob) if blob.len() == 300 << 10));
        assert!(matches!(&pushed[1].1.bodies[1], Body::Staged(blob) if blob.hash() == hash(&large)));
    }

    // Those of several records at once.
    let both =
        [push(3, vec![body(b"three".to_vec())]), push(4, vec![body(b"four".to_vec()), body(Vec::new())])].concat();
    a.to(&b).push(both).await.unwrap();
    let pushed = b.host.pushed.lock();
    let shape = |at: usize| (pushed[at].1.record.0[0], pushed[at].1.bodies.len());
    assert_eq!((shape(2), shape(3)), ((3, 1), (4, 2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_push_says_why() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    *b.host.refusal.lock() = Some(AppendError::Full);
    let error = a.to(&b).push(push(1, vec![body(b"x".to_vec())])).await.unwrap_err();
    assert!(matches!(error, PeerError::Full { .. }), "{error}");
    *b.host.refusal.lock() = Some(AppendError::Unavailable("not hosted".into()));
    let error = a.to(&b).push(push(1, vec![body(b"x".to_vec())])).await.unwrap_err();
    assert_eq!(error.to_string(), "node b refused: not hosted");
    *b.host.refusal.lock() = None;
    let wrong = Body::Bytes { hash: hash(b"other"), bytes: Bytes::from_static(b"x") };
    let error = a.to(&b).push(push(1, vec![wrong])).await.unwrap_err();
    assert!(error.to_string().contains("its hash is"), "{error}");
    assert!(b.host.pushed.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_fetched_and_proved() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let large = octets(20 << 20, 3);
    let (small_name, small_hash) = b.host.add(1, b"a small one");
    let (large_name, large_hash) = b.host.add(2, &large);
    let peer = a.to(&b);
    let fetched = peer.fetch_body(small_name, small_hash).await.unwrap();
    assert!(matches!(fetched, Body::Bytes { bytes, .. } if bytes[..] == *b"a small one"));
    let Body::Staged(fetched) = peer.fetch_body(large_name, large_hash).await.unwrap() else { panic!("it is large") };
    assert_eq!(a.store.read_body_verified(fetched.location()).unwrap(), large);

    for (wrong, right) in [(small_name, large_hash), (large_name, small_hash)] {
        let error = peer.fetch_body(wrong, right).await.unwrap_err();
        assert!(matches!(error, PeerError::Damaged { .. }), "{error}");
    }
    let error = peer.fetch_body(body_name(9), small_hash).await.unwrap_err();
    assert!(matches!(error, PeerError::Refused { refusal: Refusal::NotHere(_), .. }), "{error}");
    assert!(b.host.damaged.lock().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pushes_at_once_arrive() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    let pushes = (0..1000u64).map(|n| {
        let peer = peer.clone();
        tokio::spawn(async move { peer.push(push(7, vec![body(octets(6 << 10, n))])).await })
    });
    for pushed in pushes.collect::<Vec<_>>() {
        pushed.await.unwrap().unwrap();
    }
    let mut hashes: Vec<_> = b.host.pushed.lock().iter().map(|(_, push)| push.bodies[0].hash()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_have_answers() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    let much = Bytes::from(octets(4 << 20, 5));
    assert_eq!(peer.ask("echo", much.clone()).await.unwrap(), much);
    assert_eq!(peer.ask("who", Bytes::new()).await.unwrap(), "a");
    assert_eq!(peer.ask("else", Bytes::new()).await.unwrap_err().to_string(), "node b refused: nobody here knows else");
    assert!(matches!(peer.ask("../x", Bytes::new()).await, Err(PeerError::Here(_))));
    let error = peer.ask("never", Bytes::new()).await.unwrap_err();
    assert!(matches!(error, PeerError::Broken { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_comes_whole_or_not() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let chunks: Vec<_> = (0..20).map(|n| Bytes::from(octets(1 << 20, n))).collect();
    *b.host.chunks.lock() = (chunks.clone(), None);
    // One after the other: a copy that has ended is not in the way of the next.
    for _ in 0..2 {
        let mut snapshot = a.to(&b).snapshot(ShardId(3)).await.unwrap();
        assert_eq!(snapshot.header(), HEADER);
        let mut came = Vec::new();
        while let Some(chunk) = snapshot.next().await.unwrap() {
            came.push(chunk);
        }
        assert_eq!(came, chunks);
        assert_eq!(snapshot.next().await.unwrap(), None);
    }
    b.host.chunks.lock().1 = Some(7);
    let mut snapshot = a.to(&b).snapshot(ShardId(3)).await.unwrap();
    for _ in 0..7 {
        snapshot.next().await.unwrap().unwrap();
    }
    assert_eq!(snapshot.next().await.unwrap_err().to_string(), "node b refused: the disk is broken");
    let error = a.to(&b).snapshot(ShardId(4)).await.err().unwrap();
    assert_eq!(error.to_string(), "node b refused: shard 4 is not hosted here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_passed_on() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    let mut stream = peer.session(b"ada").await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut heard = [0; 12];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"a ada\r\nhello");
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut heard).await.unwrap(), 0);

    let error = peer.session(b"nobody").await.unwrap_err();
    assert_eq!(error.to_string(), "node b refused: nobody is not here");
    let error = peer.lmtp(b"").await.unwrap_err();
    assert!(error.is_nothing_done(), "{error}");
    assert!(matches!(peer.session(&[0; PREFACE_BYTES_MAX + 1]).await, Err(PeerError::Here(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_token_joins() {
    let ca = Ca::new();
    let b = Node::start(&ca, "b").await;
    let address = b.address.to_string();
    let request = |token: &[u8]| JoinRequest {
        token: token.into(),
        node: name("c"),
        address: "192.0.2.3:7143".into(),
        software: "0.1.0".into(),
        signing_request: Vec::new(),
        more: b"more".to_vec(),
    };
    let pin = ca.authority().fingerprint();
    let welcome = join(&address, pin, &request(b"right")).await.unwrap();
    assert_eq!((&welcome.certificate[..], &welcome.more[..]), ("c", &b"more"[..]));
    let error = join(&address, pin, &request(b"wrong")).await.unwrap_err();
    assert!(matches!(error, JoinError::Refused(JoinRefusal::WrongToken)), "{error}");
    let begun = Instant::now();
    let error = join(&address, pin, &request(b"wrong")).await.unwrap_err();
    assert!(matches!(error, JoinError::Refused(JoinRefusal::WrongToken)), "{error}");
    assert!(begun.elapsed() >= Duration::from_millis(500), "wrong tokens slow down");

    let other = Ca::new().authority().fingerprint();
    let error = join(&address, other, &request(b"right")).await.unwrap_err();
    assert!(matches!(error, JoinError::Stranger { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_ends_what_is_under_way() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let peer = a.to(&b);
    peer.ask("who", Bytes::new()).await.unwrap();
    b.stop().await;
    let error = peer.ask("who", Bytes::new()).await.unwrap_err();
    assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
}

#![allow(clippy::unwrap_used)]
use std::future::pending;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// A pump at work between two duplex streams of 1 KiB; gives the client's end and the node's.
fn pumping(
    pending_input: &[u8],
    stop: impl Future<Output = ()> + Send + 'static,
    patience: Duration,
) -> (tokio::io::DuplexStream, tokio::io::DuplexStream, JoinHandle<Pumped>) {
    let (client, mut inner_client) = duplex(1024);
    let (node, mut inner_node) = duplex(1024);
    let pending_input = pending_input.to_vec();
    let pumped =
        tokio::spawn(async move { pump(&mut inner_client, pending_input, &mut inner_node, stop, patience).await });
    (client, node, pumped)
}

#[tokio::test]
async fn octets_go_both_ways_and_what_was_read_before_comes_first() {
    let (client, node, pumped) = pumping(b"pipelined ", pending(), PATIENCE);
    let up: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    let down: Vec<u8> = (0..200_000u32).map(|n| (n / 3) as u8).collect();
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_node, mut to_node) = tokio::io::split(node);
    let (sent_up, sent_down) = (up.clone(), down.clone());
    let writers = tokio::spawn(async move {
        let ups = async {
            to_client.write_all(&sent_up).await.unwrap();
            to_client.shutdown().await.unwrap();
        };
        let downs = async { to_node.write_all(&sent_down).await.unwrap() };
        tokio::join!(ups, downs);
        // The node ends its side after the client has ended its own.
        to_node.shutdown().await.unwrap();
    });
    let (mut got_up, mut got_down) = (Vec::new(), Vec::new());
    let (one, other) = tokio::join!(from_node.read_to_end(&mut got_up), from_client.read_to_end(&mut got_down));
    one.unwrap();
    other.unwrap();
    writers.await.unwrap();
    let pumped = pumped.await.unwrap();
    assert!(matches!(pumped.ended, Ended::Orderly));
    assert_eq!((pumped.from_client, pumped.to_client), (up.len() + 10, down.len()));
    assert!(got_up == [b"pipelined ", up.as_slice()].concat() && got_down == down);
}

#[tokio::test]
async fn a_stop_ends_the_clients_side_and_the_nodes_last_words_arrive() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (mut client, mut node, pumped) = pumping(b"", async move { drop(stopped.await) }, PATIENCE);
    stop.send(()).unwrap();
    assert_eq!(node.read(&mut [0; 9]).await.unwrap(), 0, "the node sees the end");
    node.write_all(b"* BYE\r\n").await.unwrap();
    drop(node);
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "* BYE\r\n");
    assert!(matches!(pumped.await.unwrap().ended, Ended::Orderly));
}

#[tokio::test]
async fn last_words_arrive_from_a_node_that_takes_no_more() {
    let (mut client, mut node, pumped) = pumping(b"", pending(), PATIENCE);
    node.write_all(b"* BYE\r\n").await.unwrap();
    drop(node);
    // The pump may or may not have seen the end yet.
    let _ = client.write_all(b"a NOOP\r\n").await;
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "* BYE\r\n");
    assert!(matches!(pumped.await.unwrap().ended, Ended::Orderly));
}

#[tokio::test]
async fn who_takes_nothing_is_cut() {
    let (client, mut node, pumped) = pumping(b"", pending(), Duration::from_millis(20));
    let writing = tokio::spawn(async move { node.write_all(&[0; 100_000]).await });
    assert!(matches!(pumped.await.unwrap().ended, Ended::Stalled));
    assert!(writing.await.unwrap().is_err());
    drop(client);
}

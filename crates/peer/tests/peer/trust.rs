//! Who is believed, and what is said when one is not.

use bytes::Bytes;
use paquebot_peer::{Identity, IdentityError, PeerError, Tls};

use crate::node::{Ca, Node, name};

/// What a node of one certificate hears from a node of another, by a call and by a passed-on connection alike.
async fn heard(from: &Node, to: &Node, called: &str) -> String {
    let peer = from.peers.to(&name(called), &to.address.to_string());
    let error = peer.ask("who", Bytes::new()).await.unwrap_err();
    assert!(matches!(error, PeerError::Certificate { .. }), "{error}");
    assert!(error.is_nothing_done());
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_clusters_node_is_not_believed() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let (a, b) = (Node::start(&ours, "a").await, Node::start(&theirs, "b").await);
    let text = heard(&a, &b, "b").await;
    assert!(text.contains("the certificate of node b is not of this cluster's authority"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_the_other_does_not_believe_hears_so() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let b = Node::start(&ours, "b").await;
    // It believes our authority, and its own certificate is another's.
    let (certificate, key) = theirs.sign("a.paquebot.cluster", 10);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    let a = Node::with(Tls::new(identity, &ours.authority()).unwrap(), "a").await;
    let text = heard(&a, &b, "b").await;
    assert!(text.contains("node b does not accept this node's certificate"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_at_anothers_address_is_noticed() {
    let ca = Ca::new();
    let (a, b) = (Node::start(&ca, "a").await, Node::start(&ca, "b").await);
    let text = heard(&a, &b, "c").await;
    assert!(text.contains("who answers is not node c but another node: correct the peer addresses"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_named_on_both_sides_and_renewal_helps() {
    let ca = Ca::new();
    let tls = ca.tls("a", -1);
    let (a, b) = (Node::with(tls.clone(), "a").await, Node::start(&ca, "b").await);
    let text = heard(&a, &b, "b").await;
    assert!(text.contains("this node's certificate has expired for node b"), "{text}");
    let text = heard(&b, &a, "a").await;
    assert!(text.contains("the certificate of node a has expired"), "{text}");

    let (certificate, key) = ca.sign("a.paquebot.cluster", 10);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    tls.renew(identity, &ca.authority()).unwrap();
    let (of_a, of_b) = (a.peers.to(&name("b"), &b.address.to_string()), b.peers.to(&name("a"), &a.address.to_string()));
    for (peer, who) in [(of_a, "a"), (of_b, "b")] {
        // The failure before is remembered for a moment.
        let answer = async {
            loop {
                match peer.ask("who", Bytes::new()).await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        };
        assert_eq!(tokio::time::timeout(std::time::Duration::from_secs(10), answer).await.unwrap(), who);
    }
}

#[test]
fn a_certificate_must_name_a_node() {
    let ca = Ca::new();
    let (certificate, key) = ca.sign("mail.example.org", 10);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes());
    assert!(matches!(identity, Err(IdentityError::NoNode)));
    assert!(matches!(Identity::from_pem(b"", key.as_bytes()), Err(IdentityError::NoCertificate)));
    let (certificate, _) = ca.sign("a.paquebot.cluster", 10);
    assert!(matches!(Identity::from_pem(certificate.as_bytes(), b"x"), Err(IdentityError::NoKey)));
    // A key of another certificate.
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
    assert!(matches!(Tls::new(identity, &ca.authority()), Err(IdentityError::Unusable(_))));
}

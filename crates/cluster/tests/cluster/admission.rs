use std::time::Duration;

use paquebot_cluster::admission::{AdmissionError, Admitted, Candidate, TOKEN_LIFETIME, knock, make_token};
use paquebot_cluster::etcd_care;
use paquebot_cluster::identity::{Identity, IdentityError};
use paquebot_cluster::placement::{Presence, Standing};
use paquebot_cluster::token::Token;
use paquebot_etcd::members;
use paquebot_log_etcd::ClusterId;
use paquebot_peer::{Fingerprint, JoinError, JoinRefusal, NodeName};

use crate::node::{Machine, Node, until_ok};

fn name(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn candidate(node: &str, machine: &Machine) -> Candidate {
    Candidate {
        node: name(node),
        address: machine.address.clone(),
        reads: 2,
        software: "test".into(),
        replaces: None,
        etcd: Some(machine.etcd_urls()),
    }
}

async fn token(node: &Node) -> Token {
    let peers = vec!["127.0.0.1:1".into(), node.machine.address.clone()];
    // A member of etcd may be away: then the first attempt can fail.
    until_ok(async || {
        let (cluster, peers) = (node.identity.cluster(), peers.clone());
        let made = make_token(&node.registry, cluster, node.fingerprint(), peers, TOKEN_LIFETIME).await;
        made.map_err(|error| error.to_string())
    })
    .await
}

async fn try_join(token: &Token, candidate: &Candidate, machine: &Machine) -> Result<Admitted, AdmissionError> {
    knock(machine.data.path(), &token.encode(), candidate).await
}

async fn join(first: &Node, node: &str) -> Node {
    let machine = Machine::new();
    let token = token(first).await;
    let admitted = try_join(&token, &candidate(node, &machine), &machine).await.unwrap();
    machine.become_node(admitted).await
}

async fn refusal(token: &Token, candidate: &Candidate) -> String {
    let machine = Machine::new();
    let error = try_join(token, candidate, &machine).await.unwrap_err();
    assert!(matches!(Identity::open(machine.data.path()), Err(IdentityError::None(_))), "nothing is written");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_one_machine() {
    let first = Machine::new().found("a").await;
    let (good, machine) = (token(&first).await, Machine::new());
    let wanted = Candidate { etcd: None, ..candidate("b", &machine) };

    // What is refused costs no token.
    let taken = Candidate { node: name("a"), ..wanted.clone() };
    assert!(refusal(&good, &taken).await.contains("--replace a"));
    let elsewhere = Token { cluster: ClusterId([1; 16]), ..good.clone() };
    assert!(refusal(&elsewhere, &wanted).await.contains("another cluster"));
    let stranger = try_join(&Token { authority: Fingerprint([1; 32]), ..good.clone() }, &wanted, &machine).await;
    assert!(matches!(stranger, Err(AdmissionError::Join(JoinError::Stranger { .. }))), "{stranger:?}");
    let replacing = Candidate { replaces: Some(name("a")), ..wanted.clone() };
    assert!(refusal(&good, &replacing).await.contains("the only one that has shard"));

    let admitted = try_join(&good, &wanted, &machine).await.unwrap();
    assert_eq!(admitted.identity.cluster(), first.identity.cluster());
    first.sees(|view| view.members.contains_key(&name("b"))).await;
    assert!(matches!(
        try_join(&good, &wanted, &machine).await,
        Err(AdmissionError::Identity(IdentityError::There { .. }))
    ));
    // The same machine, whose answer was lost before it was written down.
    let again = Machine::new();
    try_join(&good, &wanted, &again).await.unwrap();

    let other = Candidate { node: name("c"), ..wanted.clone() };
    let used = refusal(&good, &other).await;
    assert!(used.contains("was used by node b already"), "{used}");
    let never = Token { secret: [1; 16], ..good };
    let wrong = try_join(&never, &other, &again).await;
    assert!(matches!(wrong, Err(AdmissionError::Identity(_))), "{wrong:?}");
    let wrong = try_join(&never, &other, &Machine::new()).await;
    assert!(matches!(wrong, Err(AdmissionError::Join(JoinError::Refused(JoinRefusal::WrongToken)))), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_run_an_etcd_and_a_dead_one_is_replaced() {
    let first = Machine::new().found("a").await;
    let care = tokio::spawn(etcd_care::promote(first.registry.client()));
    let mut second = join(&first, "b").await;
    let voters = async |count: usize| {
        let mut client = first.registry.client();
        until_ok(async || {
            let known = members::list(&mut client).await.map_err(|error| error.to_string())?;
            let voting = known.iter().filter(|member| !member.is_learner && !member.name.is_empty()).count();
            (voting == count).then_some(()).ok_or(format!("{known:?}"))
        })
        .await;
    };
    voters(2).await;
    let third = join(&first, "c").await;
    voters(3).await;
    assert!(join(&first, "d").await.etcd.is_none(), "three are enough");

    // All that b should have has been copied by it; then its machine is gone.
    let members = ["a", "b", "c", "d"].map(|node| (name(node), Presence::Here)).into();
    let all_ready = |table: &paquebot_cluster::placement::Table| {
        let mut table = table.next(&members);
        for node in members.keys() {
            let shards: Vec<_> = table.of(node).map(|(shard, _)| shard).collect();
            shards.into_iter().for_each(|shard| table.set_ready(shard, node));
        }
        table.next(&members)
    };
    first.registry.change_table(all_ready).await.unwrap();
    if let Some(etcd) = second.etcd.take() {
        tokio::task::spawn_blocking(move || etcd.stop()).await.unwrap();
    }
    let machine = Machine::new();
    let wanted = Candidate { replaces: Some(name("b")), ..candidate("b", &machine) };
    let admitted = try_join(&token(&third).await, &wanted, &machine).await.unwrap();
    let new = machine.become_node(admitted).await;
    assert!(new.etcd.is_some());
    voters(3).await;
    let address = &new.machine.address;
    first.sees(|view| view.members.get(&name("b")).is_some_and(|member| member.address == *address)).await;
    first.sees(|view| view.table.as_ref().is_some_and(|table| table.is_free_of(&name("b")))).await;
    until_ok(async || {
        let changed = first.registry.change_table(|table| table.next(&members)).await;
        changed.map_err(|error| error.to_string())
    })
    .await;
    first
        .sees(|view| view.table.iter().flat_map(|table| table.of(&name("b")).collect::<Vec<_>>()).next().is_some())
        .await;
    let table = first.registry.view().table.clone().unwrap();
    assert!(table.of(&name("b")).all(|(_, standing)| standing == Standing::Joining), "it copies all anew");
    care.abort();
    tokio::time::timeout(Duration::from_secs(1), care).await.unwrap().ok();
}

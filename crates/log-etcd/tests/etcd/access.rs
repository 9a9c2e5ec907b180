use std::time::Duration;

use etcd_client::{Permission, PermissionType};
use paquebot_log::{AppendError, Log, LogError, suite};
use paquebot_log_etcd::{ClusterId, EtcdLog, Login, OpenError, Options, Tls};
use paquebot_types::Sequence;

use crate::node::{CLUSTER, Node, SHARD, options};
use crate::proxy::Proxy;
use crate::servers::Servers;

async fn refusal(options: Options) -> OpenError {
    Node::try_open(options).await.err().expect("it is refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_cluster_or_of_others_are_refused() {
    let servers = Servers::start(1).await;
    let ours = options(servers.endpoints());
    assert!(matches!(refusal(ours.clone()).await, OpenError::NoCluster { .. }));
    EtcdLog::make_cluster(ours.clone(), &[]).await.unwrap();
    EtcdLog::make_cluster(ours.clone(), &[]).await.expect("done twice it is done once");

    let theirs = Options { cluster: ClusterId([1; 16]), ..ours.clone() };
    let expected = |error: &OpenError| matches!(error, OpenError::OtherCluster { found: CLUSTER, .. });
    let refused = refusal(theirs.clone()).await;
    assert!(expected(&refused), "{refused}");
    assert!(expected(&EtcdLog::make_cluster(theirs, &[]).await.unwrap_err()));

    let mut client = servers.client().await;
    client.put("somebody/key", "1", None).await.unwrap();
    let taken = Options { prefix: "somebody".into(), ..ours.clone() };
    assert!(matches!(EtcdLog::make_cluster(taken, &[]).await, Err(OpenError::NotOurs { .. })));
    client.put("newer/cluster", "paquebot 2 x", None).await.unwrap();
    assert!(matches!(refusal(Options { prefix: "newer".into(), ..ours }).await, OpenError::NotOurs { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_was_made_anew_takes_no_changes() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    servers.client().await.put("paquebot/cluster", "paquebot 1 another", None).await.unwrap();
    let refused = node.log.append(SHARD, suite::numbered(2), Vec::new()).await;
    assert!(matches!(&refused, Err(AppendError::Unavailable(why)) if why.contains("backup")), "{refused:?}");
    assert_eq!(node.log.last(SHARD).await.unwrap(), Sequence(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_somebody_removed_or_made_stop_the_shard() {
    let servers = Servers::start(1).await;
    let node = Node::open(options(servers.endpoints())).await;
    let mut follower = node.follow(Sequence::ZERO).await.unwrap();
    node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap();
    follower.upto(Sequence(1)).await;
    let by_prefix = etcd_client::DeleteOptions::new().with_prefix();
    servers.client().await.delete("paquebot/log/00003/record/", Some(by_prefix)).await.unwrap();
    let told = follower.next().await.err();
    assert!(matches!(told, Some(LogError::Lost(_))), "{told:?}");
    let refused = node.log.append(SHARD, suite::numbered(2), Vec::new()).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");

    let expected: [fn(&LogError) -> bool; 2] =
        [|error| matches!(error, LogError::Damaged(_)), |error| matches!(error, LogError::Newer(200))];
    for (shard, (value, expected)) in
        [&b"\x01not a record"[..], b"\xc8 of a newer build"].into_iter().zip(expected).enumerate()
    {
        let fresh = Node::open(Options { prefix: format!("fresh-{shard}"), ..options(servers.endpoints()) }).await;
        let mut follower = fresh.follow(Sequence::ZERO).await.unwrap();
        let strange = format!("fresh-{shard}/log/00003/record/{}", "0".repeat(32));
        servers.client().await.put(strange, value, None).await.unwrap();
        let told = follower.next().await.err();
        assert!(told.as_ref().is_some_and(expected), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_loses_commits_is_refused_by_its_version() {
    let servers = Servers::start(1).await;
    let version = servers.client().await.status().await.unwrap().version().to_string();
    if version != "3.4.23" {
        // The proxy can only swap what has as many bytes; `version::tests` has the table.
        return;
    }
    let proxy = Proxy::start(&servers.endpoints()[0], Some(("3.4.23", "3.5.02"))).await;
    let refused = EtcdLog::make_cluster(options(vec![proxy.endpoint.clone()]), &[]).await.unwrap_err();
    assert!(matches!(&refused, OpenError::Version { why, .. } if why.contains("3.5.3")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_not_there_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let mut options = options(vec![endpoint.clone()]);
    options.attempt = Duration::from_millis(300);
    let refused = refusal(options).await;
    assert!(matches!(&refused, OpenError::Unreachable(why) if why.contains(&endpoint)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password_are_shown_and_wrong_ones_refused() {
    let servers = Servers::start(1).await;
    let mut client = servers.client().await;
    client.user_add("root", "root's", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.role_add("mail").await.unwrap();
    let all = Permission::new(PermissionType::Readwrite, "paquebot/").with_prefix();
    client.role_grant_permission("mail", all).await.unwrap();
    client.user_add("paquebot", "right", None).await.unwrap();
    client.user_grant_role("paquebot", "mail").await.unwrap();
    client.auth_enable().await.unwrap();

    let with = |password: &str| {
        let login = Some(Login { name: "paquebot".into(), password: password.into() });
        Options { login, ..options(servers.endpoints()) }
    };
    let node = Node::open(with("right")).await;
    assert_eq!(node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap(), Sequence(1));
    node.follow(Sequence::ZERO).await.unwrap().upto(Sequence(1)).await;
    node.log.trim(SHARD, Sequence(1)).await.unwrap();
    let refused = refusal(with("wrong")).await;
    assert!(refused.to_string().contains("authentication failed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_shown_and_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap();
    parameters.extended_key_usages =
        vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = parameters.signed_by(&key, &issuer).unwrap();
    std::fs::write(file("ca.pem"), authority_certificate.pem()).unwrap();
    std::fs::write(file("node.pem"), certificate.pem()).unwrap();
    std::fs::write(file("node.key"), key.serialize_pem()).unwrap();
    let (ca, node, node_key) = (file("ca.pem"), file("node.pem"), file("node.key"));
    let flags = ["--cert-file", &node, "--key-file", &node_key, "--trusted-ca-file", &ca, "--client-cert-auth"]
        .map(|flag| flag);
    let servers = Servers::start_with(1, &flags).await;

    let tls = Tls {
        authority: Some(authority_certificate.pem().into_bytes()),
        client: Some((certificate.pem().into_bytes(), key.serialize_pem().into_bytes())),
        server_name: None,
    };
    let with = |tls: Tls| Options { tls: Some(tls), ..options(servers.endpoints()) };
    while let Err(error) = EtcdLog::make_cluster(with(tls.clone()), &[]).await {
        // It is starting.
        assert!(matches!(error, OpenError::Unreachable(_) | OpenError::Etcd(_)), "{error}");
    }
    let node = Node::open(with(tls.clone())).await;
    assert_eq!(node.log.append(SHARD, suite::numbered(1), Vec::new()).await.unwrap(), Sequence(1));
    let nameless = refusal(with(Tls { client: None, ..tls.clone() })).await;
    assert!(matches!(nameless, OpenError::Unreachable(_)), "{nameless}");
    let unsigned = refusal(with(Tls { authority: None, ..tls })).await;
    assert!(matches!(unsigned, OpenError::Unreachable(_)), "{unsigned}");
}

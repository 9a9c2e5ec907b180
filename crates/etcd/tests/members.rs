//! Members of a real etcd: they come as learners, get a vote, are killed, start again, and go.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use paquebot_etcd::{Addresses, Beginning, Managed, Settings, State, members};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustix::process::{Pid, Signal, kill_process};

const WAIT: Duration = Duration::from_secs(30);

struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let signed = authority.self_signed(&key).unwrap();
        let issuer = Issuer::new(authority, key);
        let mut own = CertificateParams::default();
        own.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let own_key = KeyPair::generate().unwrap();
        let certificate = own.signed_by(&own_key, &issuer).unwrap();
        let write = |name, text: String| std::fs::write(directory.path().join(name), text).unwrap();
        write("ca.pem", signed.pem());
        write("own.pem", certificate.pem());
        write("own.key", own_key.serialize_pem());
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settings(&self, name: &str) -> Settings {
        let ports: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = |port: &TcpListener| {
            let address = port.local_addr().unwrap().to_string();
            Addresses { listen: address.clone(), reached: address }
        };
        Settings {
            program: "etcd".into(),
            directory: self.path(name),
            name: name.into(),
            client: address(&ports[0]),
            peer: address(&ports[1]),
            authority: self.path("ca.pem"),
            certificate: self.path("own.pem"),
            key: self.path("own.key"),
            quota_bytes: 1 << 30,
        }
    }

    async fn client(&self, url: &str) -> Client {
        let read = |path: &Path| std::fs::read(path).unwrap();
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(read(&self.path("ca.pem"))))
            .identity(Identity::from_pem(read(&self.path("own.pem")), read(&self.path("own.key"))));
        Client::connect([url], Some(ConnectOptions::new().with_tls(tls))).await.unwrap()
    }
}

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "it takes too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_as_learners_vote_are_killed_and_go() {
    let machine = Machine::new();
    let first = machine.settings("a");
    first.begin(&Beginning::New { token: "t".into() }).unwrap();
    let one = Managed::start(first.clone()).unwrap();
    let mut client = machine.client(&first.client_url()).await;
    until(async || client.put("key", "value", None).await.ok()).await;

    let second = machine.settings("b");
    let alone = members::list(&mut client).await.unwrap();
    let known = members::add(&mut client, alone.clone(), "b", &second.peer_url()).await.unwrap();
    let again = members::add(&mut client, alone, "b", &second.peer_url()).await.unwrap();
    assert_eq!(known, again, "it is there once, also for one who does not know it yet");
    assert_eq!(known.len(), 2);
    second.begin(&Beginning::Joined { token: "t".into(), members: known }).unwrap();
    let other = Managed::start(second.clone()).unwrap();
    until(async || (members::promote(&mut client).await.ok()? == 1).then_some(())).await;
    let mut beside = machine.client(&second.client_url()).await;
    until(async || beside.get("key", None).await.ok().filter(|found| found.kvs().len() == 1)).await;

    let State::Running { process } = other.state() else { panic!("{:?}", other.state()) };
    kill_process(Pid::from_raw(i32::try_from(process).unwrap()).unwrap(), Signal::KILL).unwrap();
    until(async || (other.state() != State::Running { process }).then_some(())).await;
    until(async || beside.put("key", "after", None).await.ok()).await;
    assert!(matches!(other.state(), State::Running { .. }));
    assert!(!members::size(&mut client).await.unwrap().is_worth_defragmenting());
    members::defragment(&mut beside).await.unwrap();

    let remaining = members::remove(&mut client, "b", None).await.unwrap();
    assert_eq!(remaining.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["a"]);
    other.stop();
    until(async || client.put("key", "alone", None).await.ok()).await;
    assert_eq!(members::list(&mut client).await.unwrap().len(), 1);
    one.stop();
}

#[test]
fn a_member_that_never_began_is_not_started() {
    let machine = Machine::new();
    let error = Managed::start(machine.settings("a")).unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
}

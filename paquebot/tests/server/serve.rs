//! Start, stop, reload, and what others may see.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use paquebot_testkit::{Client, Options, Server};
use rustix::process::Signal;

use crate::process::{Running, paquebot};

const PORTS: &str =
    "listen = { imap = [\"127.0.0.1:0\"], imaps = [\"[::1]:0\"], lmtp = [\"unix:lmtp\"], admin = [\"127.0.0.1:0\"] }\n";

fn configured(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), format!("{PORTS}{more}")).unwrap();
    folder
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_line_for_each_address_then_ready_then_a_clean_end() {
    let folder = configured("");
    let mut server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    let kinds: Vec<&str> = server.lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["imap", "imaps", "lmtp", "admin", "ready"]);
    assert_eq!(server.lines[2], "lmtp unix:lmtp");
    assert!(server.lines[1].starts_with("imaps [::1]:") && !server.lines[1].ends_with(":0"));
    let (mut client, _) = Client::connect(server.address("imap")).unwrap();
    server.signal(Signal::TERM);
    let bye = client.read().unwrap().unwrap();
    assert!(bye.starts_with("* BYE"), "{bye}");
    drop(client);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.line(), None, "nothing else is printed");
    assert!(!folder.path().join("lmtp").exists() && !folder.path().join("paquebot-data/control.sock").exists());
}

#[test]
fn an_interrupt_is_a_clean_end_too() {
    let folder = configured("");
    let mut server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_server_on_the_same_data_says_so() {
    let folder = configured("");
    let _server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    let second = paquebot(folder.path(), &["serve", "-c", "p.toml"], "");
    assert_eq!(second.status.code(), Some(1));
    assert!(second.stderr.contains("a server has this data directory open already"), "{second}");
}

#[test]
fn a_socket_that_a_killed_server_left_behind_is_replaced() {
    let folder = configured("");
    let mut server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    server.signal(Signal::KILL);
    server.wait();
    assert!(folder.path().join("lmtp").exists());
    let server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    assert_eq!(server.lines[2], "lmtp unix:lmtp");
}

#[test]
fn the_data_is_for_its_owner_alone_and_what_is_made_once_stays() {
    let folder = configured("");
    let data = folder.path().join("paquebot-data");
    let made = || ["secret", "tls.key", "tls.crt"].map(|name| fs::read(data.join(name)).unwrap());
    let first = {
        let _server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
        let mode = |name: &str| fs::metadata(data.join(name)).unwrap().permissions().mode() & 0o777;
        for name in [".", "secret", "tls.key", "store", "index.redb", "packs", "control.sock"] {
            assert_eq!(mode(name) & 0o077, 0, "{name}");
        }
        made()
    };
    let _server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    assert_eq!(made(), first);
}

#[test]
fn a_certificate_is_read_again_on_sighup() {
    let folder = configured("tls = { certificate = \"c.pem\", key = \"k.pem\" }\nlog.format = \"json\"\n");
    let certify = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("c.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("k.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    let first = certify();
    let server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    let address = server.address("imaps");
    assert_eq!(shown(address), first);
    let second = certify();
    server.signal(Signal::HUP);
    // The server reads it in its own time, and it must come to be shown.
    while shown(address) != second {
        std::thread::yield_now();
    }
    fs::write(folder.path().join("c.pem"), "nonsense").unwrap();
    server.signal(Signal::HUP);
    assert_eq!(shown(address), second, "one that cannot be read is not taken");
}

/// The certificate that a server shows.
fn shown(address: SocketAddr) -> Vec<u8> {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

    #[derive(Debug)]
    struct Anyone;
    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }

    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(std::sync::Arc::new(Anyone)).with_no_client_auth();
    let mut tls = ClientConnection::new(std::sync::Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    tls.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn monitors_see_numbers_and_no_names() {
    let server = Server::start(Options::with_account("alice", "secret")).unwrap();
    let address = server.addresses().admin.unwrap();
    let mut client = server.client("alice").unwrap();
    client.command("NOOP").unwrap().ok().unwrap();
    let metrics = get(address, "/metrics");
    for line in ["paquebot_imap_sessions 1", "paquebot_imap_logins_total 1", "paquebot_takes_changes 1", "# EOF"] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(get(address, "/readyz").ends_with("\r\n\r\nready\n"));
    let status = get(address, "/status");
    assert!(status.contains("\"imap_sessions\":1"), "{status}");
    assert!(!metrics.contains("alice") && !status.contains("alice"));
}

#[test]
fn a_limit_of_the_configuration_holds() {
    let settings = "limits.sessions_per_account = 2\nauth.remember = \"1h\"".to_owned();
    let server = Server::start(Options { settings, ..Options::with_account("alice", "secret") }).unwrap();
    let _two = [server.client("alice").unwrap(), server.client("alice").unwrap()];
    assert!(server.client("alice").is_err());
}

#[test]
fn the_log_has_sessions_and_neither_passwords_nor_mail() {
    let settings = "log.level = \"trace\"".to_owned();
    let mut server = Server::start(Options { settings, ..Options::with_account("alice", "pass-w0rd") }).unwrap();
    let mut client = server.stranger().unwrap();
    client.login("alice", "wr0ng-one").unwrap_err();
    client.login("alice", "pass-w0rd").unwrap();
    let text = b"Subject: subject-w0rds\r\n\r\nbody-w0rds\r\n";
    client.append("INBOX", &[], None, text).unwrap().ok().unwrap();
    for line in ["SELECT INBOX", "FETCH 1 BODY[]", "SEARCH TEXT search-w0rds"] {
        client.command(line).unwrap().ok().unwrap();
    }
    client.command("LOGOUT").unwrap();
    let log = server.log();
    server.terminate().unwrap();
    assert!(log.contains("session{id=1"), "{log}");
    for secret in ["pass-w0rd", "wr0ng-one", "subject-w0rds", "body-w0rds", "search-w0rds"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 9266), by a client of our own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::client::{Client, tls};
use crate::server::Server;

type Hash = [u8; 32];

fn hmac(key: &[u8], text: &[u8]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn xor(one: Hash, two: Hash) -> Hash {
    std::array::from_fn(|at| one[at] ^ two[at])
}

fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Hash {
    let mut block = hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = block;
    for _ in 1..iterations {
        block = hmac(password, &block);
        sum = xor(sum, block);
    }
    sum
}

/// Runs an exchange; gives the tagged answer. `header` is the GS2 header, `binding` what it binds to.
async fn exchange(client: &mut Client, mechanism: &str, header: &str, binding: &[u8], password: &str) -> String {
    let bare = "n=alice,r=clientnonce";
    client.send(format!("s AUTHENTICATE {mechanism} {}\r\n", STANDARD.encode(format!("{header}{bare}")))).await;
    let first = client.line().await;
    let Some(challenge) = first.strip_prefix("+ ") else { return first };
    let first = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
    let field = |name: &str| first.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
    let (nonce, salt, iterations) = (field("r="), STANDARD.decode(field("s=")).unwrap(), field("i=").parse().unwrap());
    assert!(nonce.starts_with("clientnonce") && nonce.len() > 20);
    let bound = STANDARD.encode([header.as_bytes(), binding].concat());
    let last = format!("c={bound},r={nonce}");
    let text = format!("{bare},{first},{last}");
    let salted = salted(password.as_bytes(), &salt, iterations);
    let client_key = hmac(&salted, b"Client Key");
    let proof = xor(client_key, hmac(&Sha256::digest(client_key), text.as_bytes()));
    client.send(format!("{}\r\n", STANDARD.encode(format!("{last},p={}", STANDARD.encode(proof))))).await;
    let answer = client.line().await;
    let Some(challenge) = answer.strip_prefix("+ ") else { return answer };
    let signature = STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), text.as_bytes()));
    assert_eq!(STANDARD.decode(challenge).unwrap(), format!("v={signature}").as_bytes());
    client.send("\r\n").await;
    client.line().await
}

#[tokio::test]
async fn a_password_need_not_cross_the_wire() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let refused = exchange(&mut client, "SCRAM-SHA-256", "n,,", b"", "wrong").await;
    assert!(refused.starts_with("s NO [AUTHENTICATIONFAILED] "), "{refused}");
    client.fails("AUTHENTICATE SCRAM-SHA-256-PLUS", "NO ").await;
    let done = exchange(&mut client, "SCRAM-SHA-256", "n,,", b"", "secret").await;
    assert!(done.starts_with("s OK [CAPABILITY "), "{done}");
    client.ok("SELECT INBOX").await;
}

#[tokio::test]
async fn an_exchange_is_bound_to_its_connection() {
    let server = Server::start().await;
    let connect = async || {
        let stream = tls(Box::new(TcpStream::connect(server.tls).await.unwrap())).await;
        let connection = stream.get_ref().1;
        let exported = connection.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
        let mut client = Client::over(Box::new(stream));
        client.line().await;
        (client, exported)
    };
    let (mut client, exported) = connect().await;
    let done = exchange(&mut client, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", &exported, "secret").await;
    assert!(done.starts_with("s OK "), "{done}");
    // Someone in between has another connection to each side; and hides from the client that there is a binding.
    let (mut client, _) = connect().await;
    let other = exchange(&mut client, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", &exported, "secret").await;
    assert!(other.starts_with("s NO [AUTHENTICATIONFAILED] "), "{other}");
    let downgraded = exchange(&mut client, "SCRAM-SHA-256", "y,,", b"", "secret").await;
    assert!(downgraded.starts_with("s NO [AUTHENTICATIONFAILED] "), "{downgraded}");
    let unbound = exchange(&mut client, "SCRAM-SHA-256", "n,,", b"", "secret").await;
    assert!(unbound.starts_with("s OK "), "{unbound}");
}

//! What is wrong is said: what, where, and what to do.

use crate::process::paquebot;

fn refused(config: &str, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.toml"), config).unwrap();
    let finished = paquebot(folder.path(), arguments, "");
    (finished.status.code().unwrap(), finished.stderr)
}

#[test]
fn a_wrong_key_names_the_nearest_one() {
    let (code, said) = refused("[listen]\n\nimpas = []\n", &["serve", "--config", "p.toml"]);
    assert_eq!((code, &*said), (1, "paquebot: p.toml, line 3: there is no key `impas`; did you mean `imaps`?\n"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, said) = refused("", &["serve", "--config", "q.toml"]);
    assert_eq!(code, 1);
    assert!(said.starts_with("paquebot: q.toml: cannot be read: No such file"), "{said}");
}

#[test]
fn misuse_has_an_exit_code_of_its_own() {
    for arguments in [&["sreve"][..], &["user"], &["serve", "--port", "3"], &["bench", "append"], &[]] {
        assert_eq!(refused("", arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, said) = refused(&format!("listen.imap = [\"{address}\"]"), &["serve", "--config", "p.toml"]);
    assert_eq!(code, 1);
    assert!(said.contains(&format!("paquebot: cannot listen on {address}: Address already in use")), "{said}");
}

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let config =
        "listen = { imap = [], imaps = [], lmtp = [], admin = [] }\ntls = { certificate = \"c.pem\", key = \"k.pem\" }";
    let (code, said) = refused(config, &["serve", "--config", "p.toml"]);
    assert_eq!(code, 1);
    assert!(said.contains("cannot read the certificate c.pem: "), "{said}");
}

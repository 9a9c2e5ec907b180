#![allow(clippy::unwrap_used)]
use super::*;
use crate::scram_keys::salted_password;

const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

fn answer(password: &str) -> ScramAnswer {
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    ScramAnswer { keys: ScramKeys::derive(&Secret::new(password), salt, 4096), genuine: true, refusal: None }
}

fn both_bindings() -> ChannelBindings {
    ChannelBindings { tls_exporter: Some([7; 32]), tls_server_end_point: Some(vec![9; 48]) }
}

/// The client's side, written from RFC 5802, 3.
fn final_message(first: &str, server_first: &str, binding: &[u8], password: &str) -> String {
    let mut fields = server_first.split(',').map(|field| field.split_at(2).1);
    let (nonce, salt, iterations) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
    let salted = salted_password(password.as_bytes(), &STANDARD.decode(salt).unwrap(), iterations.parse().unwrap());
    let client_key = hmac_sha256(&salted, &[b"Client Key"]);
    let stored_key: [u8; 32] = Sha256::digest(client_key).into();
    let header_end = first.match_indices(',').nth(1).unwrap().0 + 1;
    let (header, bare) = first.split_at(header_end);
    let without_proof = format!("c={},r={nonce}", STANDARD.encode([header.as_bytes(), binding].concat()));
    let signature = hmac_sha256(&stored_key, &[format!("{bare},{server_first},{without_proof}").as_bytes()]);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, mask)| key ^ mask).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

fn challenge(step: Result<Step, SaslError>) -> String {
    match step {
        Ok(Step::Challenge(bytes)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// First message, keys, and the client's final message: what the server makes of it.
fn exchange(plus: Plus, first: &str, binding: &[u8], answer: &ScramAnswer, password: &str) -> Result<Step, SaslError> {
    let mut scram = Scram::new(both_bindings(), plus);
    scram.step(first.as_bytes())?;
    let server_first = challenge(scram.keys(answer));
    scram.step(final_message(first, &server_first, binding, password).as_bytes())?;
    scram.step(b"")
}

#[test]
fn rfc_7677_example() {
    let mut scram = Scram::with_nonce(ChannelBindings::default(), Plus::No, SERVER_NONCE);
    let step = scram.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
    assert!(matches!(step, Step::NeedsKeys { user } if user.as_str() == "user"));
    assert_eq!(
        challenge(scram.keys(&answer("pencil"))),
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let last =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    assert_eq!(challenge(scram.step(last)), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert!(matches!(scram.step(b""), Ok(Step::Done { user }) if user.as_str() == "user"));
    assert!(matches!(scram.step(b""), Err(SaslError::OutOfTurn)));
}

#[test]
fn rfc_5802_first_message_is_understood() {
    // The RFC's own example is for SHA-1; its grammar is the same.
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    assert!(scram.step(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").is_ok());
}

#[test]
fn right_and_wrong_passwords_part_at_the_proof() {
    let first = "n,a=bob,n=Bob,r=abc";
    assert!(
        matches!(exchange(Plus::No, first, b"", &answer("p"), "p"), Ok(Step::Done { user }) if user.as_str() == "bob")
    );
    assert_eq!(exchange(Plus::No, first, b"", &answer("p"), "q").unwrap_err(), SaslError::Proof);
    let refused = ScramAnswer { genuine: false, ..answer("p") };
    assert_eq!(exchange(Plus::No, first, b"", &refused, "p").unwrap_err(), SaslError::Proof);
}

#[test]
fn plus_binds_to_either_kind_of_channel() {
    for (first, binding) in
        [("p=tls-exporter,,n=bob,r=abc", vec![7; 32]), ("p=tls-server-end-point,,n=bob,r=abc", vec![9; 48])]
    {
        let step = exchange(Plus::Yes, first, &binding, &answer("p"), "p");
        assert!(matches!(step, Ok(Step::Done { .. })), "{first}: {step:?}");
        for other in [vec![], vec![8; 32], [binding.as_slice(), b"x"].concat()] {
            assert_eq!(exchange(Plus::Yes, first, &other, &answer("p"), "p").unwrap_err(), SaslError::BindingMismatch);
        }
    }
}

#[test]
fn a_mechanism_and_a_flag_that_do_not_fit_are_refused() {
    let table = [
        (Plus::Yes, "n,,n=bob,r=abc", SaslError::UnsupportedBinding),
        (Plus::Yes, "y,,n=bob,r=abc", SaslError::UnsupportedBinding),
        (Plus::Yes, "p=tls-unique,,n=bob,r=abc", SaslError::UnsupportedBinding),
        (Plus::No, "p=tls-exporter,,n=bob,r=abc", SaslError::UnsupportedBinding),
        (Plus::No, "y,,n=bob,r=abc", SaslError::BindingDowngrade),
    ];
    for (plus, first, error) in table {
        assert_eq!(exchange(plus, first, b"", &answer("p"), "p").unwrap_err(), error, "{first}");
    }
}

#[test]
fn y_is_right_where_the_server_has_no_binding() {
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    assert!(scram.step(b"y,,n=bob,r=abc").is_ok());
}

#[test]
fn a_changed_gs2_header_does_not_match() {
    // Someone between turned `y` into `n` to hide that the client knows channel bindings.
    let mut scram = Scram::new(both_bindings(), Plus::No);
    scram.step(b"n,,n=bob,r=abc").unwrap();
    let server_first = challenge(scram.keys(&answer("p")));
    let last = final_message("y,,n=bob,r=abc", &server_first, b"", "p");
    assert_eq!(scram.step(last.as_bytes()).unwrap_err(), SaslError::BindingMismatch);
}

#[test]
fn a_foreign_nonce_is_refused() {
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    scram.step(b"n,,n=bob,r=abc").unwrap();
    let server_first = challenge(scram.keys(&answer("p")));
    let foreign = server_first.replacen("r=abc", "r=abd", 1);
    let last = final_message("n,,n=bob,r=abc", &foreign, b"", "p");
    assert_eq!(scram.step(last.as_bytes()).unwrap_err(), SaslError::Nonce);
}

#[test]
fn acting_for_another_is_refused() {
    let step = exchange(Plus::No, "n,a=root,n=bob,r=abc", b"", &answer("p"), "p");
    assert_eq!(step.unwrap_err(), SaslError::AuthorizationIdentity);
}

#[test]
fn steps_out_of_turn_are_refused() {
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    assert_eq!(scram.keys(&answer("p")).unwrap_err(), SaslError::OutOfTurn);
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    scram.step(b"n,,n=bob,r=abc").unwrap();
    assert_eq!(scram.step(b"c=biws,r=abc,p=").unwrap_err(), SaslError::OutOfTurn);
}

#[test]
fn something_after_the_servers_proof_is_refused() {
    let first = "n,,n=bob,r=abc";
    let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
    scram.step(first.as_bytes()).unwrap();
    let server_first = challenge(scram.keys(&answer("p")));
    challenge(scram.step(final_message(first, &server_first, b"", "p").as_bytes()));
    assert_eq!(scram.step(b"x").unwrap_err(), SaslError::Grammar);
}

#[test]
fn nonces_are_drawn_anew() {
    let server_first = || {
        let mut scram = Scram::new(ChannelBindings::default(), Plus::No);
        scram.step(b"n,,n=bob,r=abc").unwrap();
        challenge(scram.keys(&answer("p")))
    };
    assert_ne!(server_first(), server_first());
}

#[test]
fn rfc_7914_pbkdf2_vectors() {
    let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(salted_password(b"passwd", b"salt", 1)),
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
    );
    assert_eq!(
        hex(salted_password(b"Password", b"NaCl", 80_000)),
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
    );
}

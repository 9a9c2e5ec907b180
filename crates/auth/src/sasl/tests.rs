#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn plain(message: &[u8]) -> Step {
    Mechanism::new(MechanismName::Plain, ChannelBindings::default()).begin(Some(message))
}

#[test]
fn plain_gives_user_and_password() {
    for message in ["\0Bob\0se cret", "bob\0BOB\0se cret"] {
        let Step::NeedsVerify { user, password } = plain(message.as_bytes()) else { panic!("{message:?}") };
        assert_eq!(user.as_str(), "bob");
        assert!(password.equals(b"se cret"));
    }
}

#[test]
fn plain_follows_its_grammar_exactly() {
    let table: &[(&[u8], SaslError)] = &[
        (b"", SaslError::Grammar),
        (b"bob", SaslError::Grammar),
        (b"\0bob", SaslError::Grammar),
        (b"bob\0secret", SaslError::Grammar),
        (b"\0bob\0secret\0", SaslError::Grammar),
        (b"\0bob\0secret\0more", SaslError::Grammar),
        (b"\0\0\0", SaslError::Grammar),
        (b"\0bob\0", SaslError::Grammar),
        (b"\0\0secret", SaslError::UserName(UserNameError::Length)),
        (b"\0bo/b\0secret", SaslError::UserName(UserNameError::Character)),
        (b"\0%u%{env:HOME}\0secret", SaslError::UserName(UserNameError::Character)),
        (b"\0' OR 1=1\0secret", SaslError::UserName(UserNameError::Character)),
        (b"root\0bob\0secret", SaslError::AuthorizationIdentity),
        (b"../bob\0bob\0secret", SaslError::AuthorizationIdentity),
    ];
    for (message, expected) in table {
        assert!(
            matches!(plain(message), Step::Failed(error) if error == *expected),
            "{:?}",
            String::from_utf8_lossy(message)
        );
    }
    let long = [b"\0bob\0".as_slice(), &[b'x'; 513]].concat();
    assert!(matches!(plain(&long), Step::Failed(SaslError::Grammar)));
    assert!(matches!(plain(&[b'x'; 4097]), Step::Failed(SaslError::TooLong)));
}

#[test]
fn without_an_initial_response_the_server_asks() {
    let begin = |name| Mechanism::new(name, ChannelBindings::default()).begin(None);
    assert!(matches!(begin(MechanismName::Plain), Step::Challenge(bytes) if bytes.is_empty()));
    assert!(matches!(begin(MechanismName::ScramSha256), Step::Challenge(bytes) if bytes.is_empty()));
    assert!(matches!(begin(MechanismName::Login), Step::Challenge(bytes) if bytes == b"Username:"));
}

#[test]
fn login_takes_the_user_at_once_or_when_asked() {
    for initial in [true, false] {
        let mut login = Mechanism::new(MechanismName::Login, ChannelBindings::default());
        let step = if initial {
            login.begin(Some(b"Bob"))
        } else {
            login.begin(None);
            login.step(b"Bob")
        };
        assert!(matches!(step, Step::Challenge(bytes) if bytes == b"Password:"));
        let Step::NeedsVerify { user, password } = login.step(b"secret") else { panic!() };
        assert_eq!(user.as_str(), "bob");
        assert!(password.equals(b"secret"));
        assert!(matches!(login.step(b"again"), Step::Failed(SaslError::OutOfTurn)));
    }
}

#[test]
fn login_refuses_nul_and_nothing() {
    for (user, password) in [(&b""[..], &b"p"[..]), (b"b\0b", b"p"), (b"bob", b""), (b"bob", b"p\0p")] {
        let mut login = Mechanism::new(MechanismName::Login, ChannelBindings::default());
        let failed =
            matches!(login.begin(Some(user)), Step::Failed(_)) || matches!(login.step(password), Step::Failed(_));
        assert!(failed);
    }
}

#[test]
fn a_mechanism_that_is_over_stays_over() {
    let mut mechanism = Mechanism::new(MechanismName::Plain, ChannelBindings::default());
    assert!(matches!(mechanism.step(b"junk"), Step::Failed(_)));
    assert!(matches!(mechanism.step(b"\0bob\0secret"), Step::Failed(SaslError::OutOfTurn)));
}

#[test]
fn names_are_found_without_case() {
    for name in MechanismName::ALL {
        assert_eq!(MechanismName::named(&name.as_str().to_lowercase()), Some(name));
    }
    assert_eq!(MechanismName::named("PLAINX"), None);
}

proptest! {
    #[test]
    fn no_message_panics(
        name in prop::sample::select(MechanismName::ALL.to_vec()),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5),
    ) {
        let mut mechanism = Mechanism::new(name, ChannelBindings { tls_exporter: Some([0; 32]), tls_server_end_point: None });
        for message in messages {
            let _ = mechanism.step(&message);
        }
    }

    #[test]
    fn no_scram_like_message_panics(message in "[npy]?=?[a-z-]{0,6},?(a=)?[a-z=]{0,4},?n?=?[a-z=23CD]{0,8},?r?=?[!-~]{0,8},?[a-z]?=?é?.{0,4}") {
        let mut mechanism = Mechanism::new(MechanismName::ScramSha256, ChannelBindings::default());
        let _ = mechanism.step(message.as_bytes());
        let _ = mechanism.step(message.as_bytes());
    }

    #[test]
    fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode_response(&line);
        let _ = decode_initial_response(&line);
    }

    #[test]
    fn challenges_go_there_and_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert_eq!(decode_response(encode_challenge(&bytes).as_bytes()), Ok(ClientLine::Message(Secret::new(bytes))));
    }

    #[test]
    fn no_certificate_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = tls_server_end_point(&bytes);
        let _ = tls_server_end_point(&[b"\x30\x80".as_slice(), &bytes].concat());
    }
}

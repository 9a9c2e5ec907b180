#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "Tr0ub4dor &3é";

/// `PASSWORD` as hashed by programs that nobody here wrote.
const HASHES: &[&str] = &[
    // doveadm pw -s SCHEME (Dovecot 2.3.19).
    "{PLAIN}Tr0ub4dor &3é",
    "{CLEARTEXT}Tr0ub4dor &3é",
    "{PLAIN.B64}VHIwdWI0ZG9yICYzw6k=",
    "{PLAIN.HEX}547230756234646f72202633c3a9",
    "{SHA512-CRYPT}$6$g68zodcwbQ7yMAJw$kbNEyvfc8GkWErYjAyycScgjJEJi.M32R0muLes0rQdICr6kgujvP3xN2Gx.nVqLLpEPwUJmoDlrXTghVaa5Y0",
    "{SHA512-CRYPT}$6$rounds=10000$4GEgNAVbX6o5Do93$QkWdoayic2oEvR8pJ2zVVNXx/LQzajKK8y41cIIRLogvBXk3kEfiVXMIkLDd4ktD4ESKbiHb14cD9Qy6t8Sl70",
    "{SHA256-CRYPT}$5$p8mffu5mdzLqbO7b$JxnrTmWUy6k1uNt49uh78leJOEl6J8GY6c0DhqIb3HB",
    "{CRYPT}$2y$05$q26s94QkOCA2yZN7kB7fTuCybQP41rt4iyw0EvTzsc1XICiokMj4i",
    "{SSHA512}I9Glv3ddSbvn8zH6+aYRrEg3W7smuYmKO0+OeURbVuRm0Foc82rEdE3wnJnazS1rKBX1EccEOfWx8sRt3JPXbq0ZmPE=",
    "{SSHA256}+lLbxk8dLS+fbCTJsFim+AmBfNqSuPWD7+xXjP7RxSRb/Iv1",
    "{SHA512}DGqfCUb2npPTIMXSR8Yd19Wd8zgUuwvHNZmPxJiP+rZJ7Ac/dlKluBD0MCAt1ZzI2niuAnJwFdjRZh4N2C603w==",
    "{SHA256}rfplmvYDzYb1CtfHryymzDKzNM+h+xAzpnVIp54YczE=",
    "{SHA256.B64}rfplmvYDzYb1CtfHryymzDKzNM+h+xAzpnVIp54YczE=",
    "{SHA512.HEX}0c6a9f0946f69e93d320c5d247c61dd7d59df33814bb0bc735998fc4988ffab649ec073f7652a5b810f430202dd59cc8da78ae02727015d8d1661e0dd82eb4df",
    "{SHA256.HEX}adfa659af603cd86f50ad7c7af2ca6cc32b334cfa1fb1033a67548a79e187331",
    "{SSHA256.HEX}84dced87d8be52c1bee68ab5ac3bc9f3f9fa71d5f74751cc611012ff5344423de177c5b3",
    "{SSHA512.HEX}2eba3f29c60d5ffe0b48ea1ef3a1baafee0678ea1204f2db2828ad38f48b605a1cec0fb698e90e8241f051b50e5153a70d86d65bba8444d0c439e562a383a8c39e328ade",
    "{BLF-CRYPT}$2y$05$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm",
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ABXF0UvnZds2oWwyM4Setg$EZFv2m7SSkbaGCrCpAh+DajfGQOnEFrqcTeNwbK3vek",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$LRSC46+3QmX0bo3eblfjBw$pTlaMYXsLkiwuKzu6t0J7dDu6/kAGSuK0YoAeh1Ofxs",
    "{SCRAM-SHA-256}4096,j2ElE7dWZ0IvrtxZ7xfM9w==,E72RjBNjV2tFlCUWJCP1BLAqA5Hf3p062YlH1qdxNyU=,sfTJV5aIb2dkWLOSpueBO2X+JAjyJpSY9/Ji3oe4a20=",
    // mkpasswd -m METHOD (whois 5.5.17, libxcrypt).
    "{CRYPT}$6$wCalR9Uv3du7lEPJ$YNTAXmlZCHrI2Nw7OZI3X4o.8oOZTXxZm6xVOLq2U0W.NhWfc0EqFfMhNyFoAIfFxncLAyGD4Sgy7w2RvAMqy1",
    "{CRYPT}$5$rounds=1500$6RbKi0J3OVRdrPbV$8mpxO9TBF2roSHC0ZRMlhnmpXMoiyxBDp3WMor1KaBA",
    "{BLF-CRYPT}$2b$05$1lKNMa8zWllIJuI/v5PxuOmZQB7Hv0VG8EUxC2il8UBRMuNl8XaAO",
    "{BLF-CRYPT}$2a$05$jN1rXM8L1Sijy1IvD9sb9eDOaKtRIzueHMSBG/9inmgdaQEzhQYSG",
    // htpasswd -nbB -C 5 and -nb5 (Apache 2.4.71).
    "{BLF-CRYPT}$2y$05$G8TdFwtJAGL9kcCz6IW.rOsqAabx8u1I7s9k98oXzpP8.AluPppRC",
    "{SHA512-CRYPT}$6$RJgJMCQuxVdf3ydw$Uk8T0qagYORcUj06Evc8r6uvpwMkQt1yd/lwGHhAtYoqUu65coR779JXPHk4ggii8nS7aFidmFWg0gWGAtbNH/",
    // As Dovecot, hexadecimal is seen by its length, and schemes go without case.
    "{sha256}adfa659af603cd86f50ad7c7af2ca6cc32b334cfa1fb1033a67548a79e187331",
    "{Sha256.Base64}rfplmvYDzYb1CtfHryymzDKzNM+h+xAzpnVIp54YczE=",
];

fn parse(field: &str) -> Result<StoredPassword, SchemeError> {
    StoredPassword::parse(field, Scheme::Crypt)
}

#[test]
fn hashes_of_other_programs_verify() {
    for field in HASHES {
        let stored = parse(field).unwrap();
        assert!(stored.verify(&Secret::new(PASSWORD)), "{field}");
        assert!(!stored.verify(&Secret::new("Tr0ub4dor &3è")), "{field}");
        assert!(!stored.verify(&Secret::new("")), "{field}");
    }
}

#[test]
fn the_decomposed_form_of_a_password_verifies_too() {
    for field in HASHES {
        assert!(parse(field).unwrap().verify(&Secret::new("Tr0ub4dor &3e\u{301}")), "{field}");
    }
}

#[test]
fn a_hash_of_unprepared_bytes_verifies() {
    use sha2::Digest;
    let digest = sha2::Sha256::digest("e\u{301}".as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(parse(&format!("{{SHA256.HEX}}{hex}")).unwrap().verify(&Secret::new("e\u{301}")));
}

#[test]
fn bcrypt_looks_at_72_bytes() {
    // htpasswd -nbB -C 6 u xxx.. (80 of them).
    let stored = parse("$2y$06$FxS.rUY9UHlWvDtJJEhq3ejBtsHrQUqIxB9m270G9sOdlps2y.cyi").unwrap();
    assert!(stored.verify(&Secret::new("x".repeat(80))));
    assert!(stored.verify(&Secret::new("x".repeat(72))));
    assert!(!stored.verify(&Secret::new("x".repeat(71))));
}

#[test]
fn a_value_without_a_scheme_is_of_the_default_one() {
    let verify = |field, default| StoredPassword::parse(field, default).unwrap().verify(&Secret::new("{x"));
    assert!(verify("{x", Scheme::Plain));
    assert!(verify("{PLAIN}{x", Scheme::Crypt));
    assert_eq!(parse("secret").err(), Some(SchemeError::Malformed("CRYPT")));
}

#[test]
fn an_empty_stored_password_lets_nobody_in() {
    for field in ["", "{PLAIN}", "{CLEARTEXT}", "{PLAIN.HEX}"] {
        let stored = StoredPassword::parse(field, Scheme::Plain).unwrap();
        assert!(!stored.verify(&Secret::new("")), "{field}");
        assert!(!stored.verify(&Secret::new("\0")), "{field}");
    }
}

#[test]
fn hashes_that_ask_for_too_much_are_refused() {
    let hash43 = "x".repeat(43);
    let hash86 = "x".repeat(86);
    let bcrypt = &"$2y$05$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm"[7..];
    let argon2 = |parameters: &str| {
        format!(
            "{{ARGON2ID}}$argon2id$v=19${parameters}$ABXF0UvnZds2oWwyM4Setg$EZFv2m7SSkbaGCrCpAh+DajfGQOnEFrqcTeNwbK3vek"
        )
    };
    for field in [
        format!("{{SHA512-CRYPT}}$6$rounds=999999999$salt${hash86}"),
        format!("{{SHA512-CRYPT}}$6$rounds=1000001$salt${hash86}"),
        format!("{{SHA256-CRYPT}}$5$rounds=99999999999999999999$salt${hash43}"),
        format!("{{BLF-CRYPT}}$2y$31${bcrypt}"),
        format!("{{BLF-CRYPT}}$2y$16${bcrypt}"),
        argon2("m=4194304,t=1,p=1"),
        argon2("m=262145,t=1,p=1"),
        argon2("m=65536,t=17,p=1"),
        argon2("m=8,t=4294967295,p=1"),
        argon2("m=65536,t=1,p=17"),
        "{SCRAM-SHA-256}4000000000,j2ElE7dWZ0IvrtxZ7xfM9w==,E72RjBNjV2tFlCUWJCP1BLAqA5Hf3p062YlH1qdxNyU=,sfTJV5aIb2dkWLOSpueBO2X+JAjyJpSY9/Ji3oe4a20=".into(),
    ] {
        assert!(matches!(parse(&field), Err(SchemeError::TooCostly(_))), "{field}: {:?}", parse(&field));
    }
}

#[test]
fn malformed_hashes_are_refused() {
    let hash43 = "x".repeat(43);
    for field in [
        "{SHA256}rfplmvYDzYb1CtfHryymzDKzNM+h+xAzpnVIp54YczEx=".to_owned(),
        "{SHA256}AAAA".into(),
        "{SHA256.HEX}zz".into(),
        "{SHA256.HEX}abc".into(),
        "{SSHA512}AAAA".into(),
        format!("{{SSHA256}}{}", "AAAA".repeat(200)),
        "{SHA512-CRYPT}$6$salt$short".into(),
        "{SHA256-CRYPT}$5$salt".into(),
        format!("{{SHA256-CRYPT}}$5$rounds=1$salt${hash43}"),
        format!("{{SHA256-CRYPT}}$5$rounds=$salt${hash43}"),
        format!("{{SHA256-CRYPT}}$5$rounds=+5000$salt${hash43}"),
        format!("{{SHA256-CRYPT}}$5$seventeen-of-salt${hash43}"),
        "{BLF-CRYPT}$2y$5$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm".into(),
        "{BLF-CRYPT}$2y$03$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm".into(),
        "{BLF-CRYPT}$2y$05$BuKDTacEA8SvHAS19i7g9".into(),
        format!("{{BLF-CRYPT}}$2y$05${}", "é".repeat(27)),
        format!("{{BLF-CRYPT}}$2y$05$a{}", "é".repeat(26)),
        "{CRYPT}*".into(),
        "{CRYPT}ab1x2y3z4w5vu".into(),
        "{ARGON2ID}".into(),
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$ABXF0UvnZds2oWwyM4Setg".into(),
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$AAAA$EZFv2m7SSkbaGCrCpAh+DajfGQOnEFrqcTeNwbK3vek".into(),
        "{ARGON2ID}$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E".into(),
        "{SCRAM-SHA-256}4096,AAAA".into(),
    ] {
        assert!(matches!(parse(&field), Err(SchemeError::Malformed(_))), "{field}: {:?}", parse(&field));
    }
}

#[test]
fn schemes_that_are_not_there_are_named_if_they_are_dovecots() {
    assert_eq!(parse("{md5-crypt}$1$x$y").err(), Some(SchemeError::Unsupported("MD5-CRYPT")));
    assert_eq!(parse("{CRYPT}$y$j9T$x$y").err(), Some(SchemeError::Unsupported("yescrypt")));
    assert_eq!(parse("{SSHA}9k54FDqJVz/v8fMnwOG+GjFUOlWeA/Mp").err(), Some(SchemeError::Unsupported("SSHA")));
    assert_eq!(parse("{hunter2}").err(), Some(SchemeError::UnknownScheme));
    assert_eq!(parse("{PLAIN.ROT13}x").err(), Some(SchemeError::UnknownScheme));
}

#[test]
fn neither_errors_nor_debug_show_the_value() {
    for field in HASHES.iter().copied().chain(["{hunter2}hunter2", "{SHA256}hunter2", "{PLAIN.HEX}hunter2"]) {
        let shown = match parse(field) {
            Ok(stored) => format!("{stored:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        let value = field.split_once('}').unwrap().1;
        let tail = value.get(value.len().saturating_sub(7)..).unwrap_or(value);
        assert!(!shown.contains(tail), "{field}: {shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn costs_are_what_the_hash_says() {
    let table = [
        ("{PLAIN}x", Cost::Cheap),
        (
            "{CRYPT}$5$rounds=1500$6RbKi0J3OVRdrPbV$8mpxO9TBF2roSHC0ZRMlhnmpXMoiyxBDp3WMor1KaBA",
            Cost::ShaCrypt { sha: Sha::Sha256, rounds: 1500 },
        ),
        ("{BLF-CRYPT}$2y$05$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm", Cost::Bcrypt { cost: 5 }),
    ];
    for (field, cost) in table {
        assert_eq!(parse(field).unwrap().cost(), cost);
        cost.spend(b"password");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(field in "\\PC{0,200}") {
        let _ = parse(&field);
    }

    #[test]
    fn hostile_hashes_never_panic(
        start in prop::sample::select(HASHES),
        cut in 0usize..200,
        tail in "[$=,a-zA-Z0-9+/.{}é]{0,40}",
    ) {
        let head: String = start.chars().take(cut).collect();
        let _ = parse(&(head + &tail));
    }
}

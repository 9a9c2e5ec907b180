#![allow(clippy::unwrap_used)]
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{Access, Credentials, Scheme, Sha};

const SHA512: &str = "{SHA512-CRYPT}$6$g68zodcwbQ7yMAJw$kbNEyvfc8GkWErYjAyycScgjJEJi.M32R0muLes0rQdICr6kgujvP3xN2Gx.nVqLLpEPwUJmoDlrXTghVaa5Y0";
const BLOWFISH: &str = "{BLF-CRYPT}$2y$05$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm";
const PASSWORD: &str = "Tr0ub4dor &3é";

/// Users in memory, of which one source may be broken.
#[derive(Default)]
struct Users {
    users: Mutex<HashMap<UserName, Found>>,
    broken: bool,
    looked: AtomicUsize,
}

impl Users {
    fn new(users: &[(&str, &str)]) -> Arc<Self> {
        let source = Self::default();
        for (name, hash) in users {
            source.set(name, hash, Access::default());
        }
        Arc::new(source)
    }

    fn set(&self, name: &str, hash: &str, access: Access) {
        let credentials = Credentials::from_hash(hash, Scheme::Plain).unwrap();
        self.users.lock().insert(name.parse().unwrap(), Found { credentials, access });
    }
}

impl CredentialSource for Users {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        self.looked.fetch_add(1, Ordering::Relaxed);
        if self.broken {
            return Err(SourceError { what: "broken".into(), source: None });
        }
        Ok(self.users.lock().get(user).cloned())
    }

    fn costs(&self) -> Vec<Cost> {
        let costs =
            self.users.lock().values().map(|found| found.credentials.stored_password().unwrap().cost()).collect();
        dedup(costs)
    }
}

fn dedup(costs: Vec<Cost>) -> Vec<Cost> {
    costs.into_iter().fold(Vec::new(), |mut all, cost| {
        if !all.contains(&cost) {
            all.push(cost);
        }
        all
    })
}

fn authenticator(sources: Vec<Arc<dyn CredentialSource>>) -> Authenticator {
    let settings = AuthenticatorSettings { scram_iterations: 100, ..AuthenticatorSettings::default() };
    Authenticator::new(sources, ServerSecret::from_bytes([7; 32]), &settings).unwrap()
}

async fn login(authenticator: &Authenticator, user: &str, password: &str) -> AuthResult {
    authenticator.verify(user.parse().unwrap(), Secret::new(password), Some([192, 0, 2, 1].into())).await
}

/// What a login pays, sorted so that the order of the costs does not matter.
async fn paid(authenticator: &Authenticator, user: &str, password: &str) -> Vec<String> {
    authenticator.core.paid.lock().clear();
    let _ = login(authenticator, user, password).await;
    let mut paid: Vec<_> = authenticator.core.paid.lock().drain(..).map(|cost| format!("{cost:?}")).collect();
    paid.sort();
    paid
}

#[tokio::test]
async fn right_passwords_succeed_and_others_do_not() {
    let auth = authenticator(vec![Users::new(&[("bob", SHA512), ("ann", "{PLAIN}x")])]);
    assert!(matches!(login(&auth, "BOB", PASSWORD).await, AuthResult::Success { user } if user.as_str() == "bob"));
    assert!(matches!(login(&auth, "ann", "x").await, AuthResult::Success { .. }));
    assert!(matches!(login(&auth, "bob", "x").await, AuthResult::Refused(Refusal::WrongPassword)));
    assert!(matches!(login(&auth, "ann", "").await, AuthResult::Refused(Refusal::WrongPassword)));
    assert!(matches!(login(&auth, "eve", "x").await, AuthResult::Refused(Refusal::UnknownUser)));
}

#[tokio::test]
async fn every_failure_takes_the_same_work() {
    let source = Users::new(&[("sha", SHA512), ("blf", BLOWFISH), ("plain", "{PLAIN}x")]);
    source.set("off", SHA512, Access { no_login: true, allow_nets: None });
    source.set("far", BLOWFISH, Access { no_login: false, allow_nets: Some(vec!["10.0.0.0/8".parse().unwrap()]) });
    let auth = authenticator(vec![source]);
    let unknown = paid(&auth, "nobody", "wrong").await;
    assert_eq!(unknown, ["Bcrypt { cost: 5 }", "Cheap", "ShaCrypt { sha: Sha512, rounds: 5000 }"]);
    for user in ["sha", "blf", "plain", "off", "far", "nobody2"] {
        assert_eq!(paid(&auth, user, "wrong").await, unknown, "{user}");
    }
    // So do accounts that may not log in, though the password is right.
    for user in ["off", "far"] {
        assert_eq!(paid(&auth, user, PASSWORD).await, unknown, "{user}");
    }
    // A password that SASLprep changes is tried in both forms, whoever it is for.
    assert_eq!(paid(&auth, "sha", "e\u{301}").await, paid(&auth, "nobody", "e\u{301}").await);
    assert_eq!(paid(&auth, "nobody", "e\u{301}").await.len(), 6);
}

#[tokio::test]
async fn all_sources_are_asked_for_every_name() {
    let (first, second) = (Users::new(&[("bob", "{PLAIN}1")]), Users::new(&[("bob", "{PLAIN}2"), ("ann", "{PLAIN}2")]));
    let auth = authenticator(vec![first.clone(), second.clone()]);
    assert!(matches!(login(&auth, "bob", "1").await, AuthResult::Success { .. }));
    assert!(matches!(login(&auth, "bob", "2").await, AuthResult::Refused(_)));
    assert!(matches!(login(&auth, "ann", "2").await, AuthResult::Success { .. }));
    assert!(matches!(login(&auth, "eve", "2").await, AuthResult::Refused(_)));
    let looked = |source: &Users| source.looked.load(Ordering::Relaxed);
    assert_eq!((looked(&first), looked(&second)), (4, 4));
}

#[tokio::test]
async fn a_broken_source_is_no_wrong_password_but_hides_none_before_it() {
    let broken = || Arc::new(Users { broken: true, ..Users::default() });
    let bob = || Users::new(&[("bob", "{PLAIN}x")]);
    let auth = authenticator(vec![bob(), broken()]);
    assert!(matches!(login(&auth, "bob", "x").await, AuthResult::Success { .. }));
    assert!(matches!(login(&auth, "ann", "x").await, AuthResult::Unavailable(_)));
    let auth = authenticator(vec![broken(), bob()]);
    assert!(matches!(login(&auth, "bob", "x").await, AuthResult::Unavailable(_)));
    assert!(auth.scram_keys("bob".parse().unwrap(), None).await.is_err());
}

#[tokio::test]
async fn a_success_is_remembered_until_the_hash_changes() {
    let source = Users::new(&[("bob", SHA512)]);
    let auth = authenticator(vec![source.clone()]);
    let once = Cost::ShaCrypt { sha: Sha::Sha512, rounds: 5000 };
    assert_eq!(paid(&auth, "bob", PASSWORD).await, [format!("{once:?}")]);
    assert!(paid(&auth, "bob", PASSWORD).await.is_empty());
    assert!(matches!(login(&auth, "bob", PASSWORD).await, AuthResult::Success { .. }));
    // A wrong password is not helped by it and is not remembered itself.
    for _ in 0..2 {
        assert_eq!(paid(&auth, "bob", "wrong").await.len(), 1);
    }
    source.set("bob", "{PLAIN}new", Access::default());
    assert!(matches!(login(&auth, "bob", PASSWORD).await, AuthResult::Refused(Refusal::WrongPassword)));
}

#[tokio::test]
async fn a_remembered_success_does_not_outlive_its_access() {
    let source = Users::new(&[("bob", SHA512)]);
    let auth = authenticator(vec![source.clone()]);
    assert!(matches!(login(&auth, "bob", PASSWORD).await, AuthResult::Success { .. }));
    source.set("bob", SHA512, Access { no_login: true, allow_nets: None });
    assert!(matches!(login(&auth, "bob", PASSWORD).await, AuthResult::Refused(Refusal::Disabled)));
    source.users.lock().clear();
    assert!(matches!(login(&auth, "bob", PASSWORD).await, AuthResult::Refused(Refusal::UnknownUser)));
}

#[tokio::test]
async fn an_unusable_hash_is_refused_with_its_reason() {
    let source = Users::new(&[]);
    let credentials = Credentials { password_hash: "{MD5}x".into(), scram_sha_256: None };
    source.users.lock().insert("bob".parse().unwrap(), Found { credentials, access: Access::default() });
    let refusal = Core::prepare(
        &authenticator(vec![Arc::new(Sourced(source))]).core,
        "bob".parse().unwrap(),
        Secret::new("x"),
        None,
        Instant::now(),
    );
    let Prepared::ToHash(check) = refusal else { panic!() };
    assert!(matches!(check.against, Against::Nothing(Refusal::UnusableHash(crate::SchemeError::Unsupported("MD5")))));
}

/// A source whose costs are not asked of its unusable hashes.
struct Sourced(Arc<Users>);

impl CredentialSource for Sourced {
    fn find(&self, user: &UserName) -> Result<Option<Found>, SourceError> {
        self.0.find(user)
    }
}

#[tokio::test]
async fn scram_answers_are_stable_and_alike_for_every_name() {
    let keys = ScramKeys::derive(&Secret::new("x"), vec![1; 16], 100);
    let source = Users::new(&[("plain", "{PLAIN}x"), ("sha", SHA512)]);
    source.set("keys", &format!("{{SCRAM-SHA-256}}{}", keys.encode()), Access::default());
    source.set("off", "{PLAIN}x", Access { no_login: true, allow_nets: None });
    let auth = authenticator(vec![source]);
    let ask = async |user: &str| auth.scram_keys(user.parse().unwrap(), None).await.unwrap();
    for (user, genuine) in [("plain", true), ("keys", true), ("sha", false), ("off", false), ("nobody", false)] {
        auth.core.paid.lock().clear();
        let answer = ask(user).await;
        assert_eq!(*auth.core.paid.lock(), [Cost::Pbkdf2 { iterations: 100 }], "{user}");
        assert_eq!(answer.genuine, genuine, "{user}");
        assert_eq!(answer.refusal.is_none(), genuine, "{user}");
        assert_eq!((answer.keys.salt.len(), answer.keys.iterations), (16, 100), "{user}");
        assert!(answer.keys == ask(user).await.keys, "{user}");
    }
    assert!(ask("keys").await.keys == keys);
    assert!(ask("plain").await.keys.match_exactly(b"x"));
    assert!(ask("nobody").await.keys.salt != ask("nobody2").await.keys.salt);
    assert!(!ask("sha").await.keys.match_exactly(PASSWORD.as_bytes()));
}

#[tokio::test]
async fn hashes_wait_for_their_turn() {
    let source = Users::new(&[("bob", SHA512)]);
    let auth = Arc::new(authenticator(vec![source.clone()]));
    let all = u32::try_from(auth.hashes.available_permits()).unwrap();
    let held = auth.hashes.acquire_many(all).await.unwrap();
    let waiting = tokio::spawn({
        let auth = auth.clone();
        async move { login(&auth, "bob", "wrong").await }
    });
    // The look-up needs no permit for a hash; with none to be had, the login can get no further.
    while source.looked.load(Ordering::Relaxed) == 0 || auth.lookups.available_permits() < PARALLEL_LOOKUPS {
        tokio::task::yield_now().await;
    }
    assert!(auth.core.paid.lock().is_empty() && !waiting.is_finished());
    drop(held);
    assert!(matches!(waiting.await.unwrap(), AuthResult::Refused(Refusal::WrongPassword)));
    assert_eq!(auth.core.paid.lock().len(), 1);
}

#![allow(clippy::unwrap_used)]
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const FILE: &str = "\
# Comment: with:colons
:no user

bob:{PLAIN}secret
Alice@Example.org:{SHA256-CRYPT}$5$rounds=1500$6RbKi0J3OVRdrPbV$8mpxO9TBF2roSHC0ZRMlhnmpXMoiyxBDp3WMor1KaBA:1000:1000:Alice, A:/home/a:/bin/sh:userdb_quota_rule=*:storage=1G\r
carol:{PLAIN}secret::::::nologin
dave:{PLAIN}secret::::::userdb_mail=mbox:~/mail allow_nets=192.0.2.0/24,2001:db8::/32,local x
bare:$2y$05$BuKDTacEA8SvHAS19i7g9uhEe86HPWJN9c3MbieLCdoV1ZLw0TCkm:::
";

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new(contents: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, contents).unwrap();
        Self { _dir: dir, path }
    }

    fn open(&self) -> PasswdFile {
        PasswdFile::open(&self.path, Scheme::Crypt).unwrap()
    }
}

fn find(file: &PasswdFile, user: &str) -> Option<Found> {
    file.find(&user.parse().unwrap()).unwrap()
}

fn verifies(found: &Found, password: &str) -> bool {
    found.credentials.stored_password().unwrap().verify(&Secret::new(password))
}

#[test]
fn users_are_found_whatever_the_case_and_the_missing_fields() {
    let file = Fixture::new(FILE);
    let file = file.open();
    assert_eq!(file.problems(), []);
    assert_eq!(file.users(), 5);
    let all: Vec<String> = file.all().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(all, ["alice@example.org", "bare", "bob", "carol", "dave"]);
    assert!(verifies(&find(&file, "BOB").unwrap(), "secret"));
    assert!(!verifies(&find(&file, "bob").unwrap(), "Secret"));
    for user in ["alice@example.org", "bare"] {
        assert!(verifies(&find(&file, user).unwrap(), "Tr0ub4dor &3é"), "{user}");
    }
    assert!(find(&file, "nobody").is_none());
}

#[test]
fn nologin_and_allow_nets_are_honoured() {
    let file = Fixture::new(FILE);
    let file = file.open();
    let from = |user, address: &str| find(&file, user).unwrap().access.admits(address.parse::<IpAddr>().ok()).is_ok();
    assert!(from("bob", "192.0.2.1"));
    assert!(!from("carol", "192.0.2.1"));
    assert!(from("dave", "192.0.2.1") && from("dave", "2001:db8::7"));
    assert!(!from("dave", "198.51.100.1"));
    assert!(find(&file, "dave").unwrap().access.admits(None).is_err());
}

#[test]
fn problems_name_file_and_line_and_never_the_password() {
    let fixture = Fixture::new(b"nocolon-hunter2\nb/d:hunter2\na:{hunter2}hunter2\nb:{SHA256}hunter2\nc:{PLAIN}hunter2::::::allow_nets=hunter2\nok:{PLAIN}x\n\xff:hunter2\nok:{PLAIN}hunter2\n");
    let file = fixture.open();
    let problems = file.problems();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8]);
    for problem in &problems {
        let shown = format!("{problem} {problem:?}");
        assert!(shown.contains(&format!("users, line {}:", problem.line)), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(matches!(problems[6].reason, LineError::Duplicate { first: 6 }));
    assert_eq!(file.users(), 1);
    assert!(verifies(&find(&file, "ok").unwrap(), "x"));
}

#[test]
fn a_second_line_does_not_stand_in_for_an_unusable_first_one() {
    let fixture = Fixture::new("bob:{PLAIN}x::::::allow_nets=junk\nbob:{PLAIN}x\n");
    let file = fixture.open();
    assert!(find(&file, "bob").is_none());
    assert_eq!(file.problems().len(), 2);
}

#[test]
fn debug_shows_no_password() {
    let file = Fixture::new(FILE);
    let shown = format!("{:?}", file.open());
    assert!(!shown.contains("secret") && !shown.contains("8mpxO9TBF"), "{shown}");
}

#[test]
fn the_file_is_read_again_when_it_changes_and_looked_at_once_a_second() {
    let fixture = Fixture::new("bob:{PLAIN}one\n");
    let file = fixture.open();
    let bob: UserName = "bob".parse().unwrap();
    let start = file.loaded.lock().looked;
    // The same length: the times tell.
    fs::write(&fixture.path, "bob:{PLAIN}two\n").unwrap();
    let at = |millis| file.find_at(&bob, start + Duration::from_millis(millis)).unwrap().unwrap();
    assert!(verifies(&at(999), "one"));
    assert!(verifies(&at(1000), "two"));
    // Replaced by renaming, as editors do.
    let next = fixture.path.with_extension("new");
    fs::write(&next, "bob:{PLAIN}six\n").unwrap();
    fs::rename(&next, &fixture.path).unwrap();
    assert!(verifies(&at(1999), "two"));
    assert!(verifies(&at(2000), "six"));
}

#[test]
fn a_file_that_went_away_fails_look_ups_until_it_is_back() {
    let fixture = Fixture::new("bob:{PLAIN}one\n");
    let file = fixture.open();
    let bob: UserName = "bob".parse().unwrap();
    let start = file.loaded.lock().looked;
    let at = |seconds| file.find_at(&bob, start + Duration::from_secs(seconds));
    fs::remove_file(&fixture.path).unwrap();
    let error = at(1).unwrap_err();
    assert!(error.to_string().contains("users: cannot be read"), "{error}");
    assert!(at(1).is_err());
    fs::write(&fixture.path, "bob:{PLAIN}one\n").unwrap();
    assert!(verifies(&at(1).unwrap().unwrap(), "one"));
}

#[test]
fn a_file_that_is_not_there_or_is_a_directory_is_an_error() {
    let fixture = Fixture::new("");
    assert!(PasswdFile::open(fixture.path.with_extension("none"), Scheme::Crypt).is_err());
    assert!(PasswdFile::open(fixture.path.parent().unwrap(), Scheme::Crypt).is_err());
    fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fixture.open().users(), 0);
}

#[test]
fn costs_are_those_of_the_users_the_most_common_first() {
    let fixture = Fixture::new(FILE);
    let file = fixture.open();
    let costs = file.costs();
    assert_eq!(costs.len(), 3);
    assert_eq!(costs[0], Cost::Cheap);
    assert_eq!(Fixture::new("# nobody\n").open().costs(), []);
}

#[test]
fn a_file_of_another_kind_reports_its_first_lines_only() {
    assert_eq!(Fixture::new("no colon\n".repeat(1000)).open().problems().len(), PROBLEMS_MAX);
}

proptest! {
    #[test]
    fn no_contents_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, Scheme::Crypt);
    }

    #[test]
    fn no_lines_panic(text in "([a-z]{0,3}:?(\\{[A-Z0-9-]{0,8}\\})?[$a-z0-9]{0,9}:?:?:?:?:?:?(nologin|allow_nets=[0-9./:,]{0,9})?\n?){0,4}") {
        let _ = parse(text.as_bytes(), Scheme::Plain);
    }
}

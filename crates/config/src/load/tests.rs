use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/p.toml")).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn a_wrong_key_names_the_nearest_and_its_line() {
    assert_eq!(error("dta = \"x\""), "/etc/p.toml, line 1: there is no key `dta`; did you mean `data`?");
    assert_eq!(
        error("data = \"x\"\n\n[listen]\nimap = []\nltmp = []\n"),
        "/etc/p.toml, line 5: there is no key `ltmp`; did you mean `lmtp`?"
    );
    assert_eq!(error("[limit]\nsessions = 3"), "/etc/p.toml, line 1: there is no key `limit`; did you mean `limits`?");
    assert_eq!(
        error("[tls]\ncert = \"x\""),
        "/etc/p.toml, line 2: there is no key `cert`; did you mean `certificate`?"
    );
}

#[test]
fn a_right_key_in_a_wrong_place_is_told_its_own() {
    assert_eq!(
        error("passwd_file = \"users\""),
        "/etc/p.toml, line 1: there is no key `passwd_file` here; did you mean `auth.passwd_file`?"
    );
}

#[test]
fn a_key_like_none_is_told_those_that_there_are() {
    assert_eq!(error("[tls]\nxyz = 1"), "/etc/p.toml, line 2: there is no key `xyz`; there are certificate, key");
}

#[test]
fn wrong_values_say_what_would_be_right() {
    for (text, words) in [
        ("data = 3", "line 1: invalid type: integer `3`"),
        ("\nlimits.sessions = \"many\"", "line 2: invalid type: string \"many\""),
        ("limits.sessions = 0", "nonzero"),
        ("limits.sessions = -1", "line 1: invalid value: integer `-1`"),
        ("limits.login_time = 30", "expected a time like \"500ms\""),
        ("limits.login_time = \"30 weeks\"", "expected a time like \"500ms\""),
        ("limits.line = \"64K\"", "expected a size like \"64KiB\""),
        ("limits.line = -5", "expected a size like \"64KiB\""),
        ("listen.imap = [\"nowhere\"]", "\"nowhere\" is no address"),
        ("listen.imap = \"127.0.0.1:143\"", "expected a sequence"),
        ("limits.unlimited_networks = [\"10.0.0.0/99\"]", "\"10.0.0.0/99\" is not an IP address"),
        ("log.level = \"loud\"", "unknown variant `loud`, expected one of `error`, `warn`"),
        ("auth.delay.pair = { free = 1 }", "missing field `first`"),
        ("data = \"x", "line 1"),
        ("data = \"x\"\ndata = \"y\"", "line 2"),
    ] {
        let said = error(text);
        assert!(said.starts_with("/etc/p.toml, line ") && said.contains(words), "{text}: {said}");
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for (text, words) in [
        ("tls.key = \"k\"", "needs both"),
        ("group = \"mail\"", "beside `user`"),
        ("listen.imap = [\"unix:/x\"]", "`lmtp` alone"),
        ("auth.passwd_scheme = \"ROT13\"", "\"ROT13\" is no scheme"),
        ("store.reclaim_dead_percent = 0", "from 1 to 100"),
        ("store.upkeep_interval = \"0s\"", "more than nothing"),
    ] {
        let said = error(text);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parse(
        "listen.lmtp = [\"unix:lmtp\", \"unix:/run/l\", \"[::1]:0\"]\nauth.passwd_file = \"users\"\n\
         [tls]\ncertificate = \"../c\"\nkey = \"/k\"",
    )
    .unwrap();
    assert_eq!(config.data, Path::new("/etc/paquebot-data"));
    assert_eq!(config.auth.passwd_file.as_deref(), Some(Path::new("/etc/users")));
    assert_eq!(config.tls.certificate.as_deref(), Some(Path::new("/etc/../c")));
    assert_eq!(config.tls.key.as_deref(), Some(Path::new("/k")));
    let lmtp: Vec<String> = config.listen.lmtp.iter().map(ToString::to_string).collect();
    assert_eq!(lmtp, ["unix:/etc/lmtp", "unix:/run/l", "[::1]:0"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent/p.toml"))).unwrap_err();
    assert_eq!(error.to_string(), "/nonexistent/p.toml: cannot be read");
}

#[test]
fn some_of_a_table_leaves_the_rest_as_it_was() {
    let config = parse("limits.login_time = \"5s\"\nlimits.message = 1000").unwrap();
    assert_eq!(config.limits.login_time, Duration::from_secs(5));
    assert_eq!(config.session().limits.append_bytes, 1000);
    assert_eq!(config.limits.idle_time, Config::default().limits.idle_time);
}

/// The file that is installed: its live lines are the defaults, and it has every key.
#[test]
fn the_packaged_file_has_every_key_at_its_default() {
    let text = include_str!("../../../../packaging/paquebot.toml");
    assert_eq!(toml::from_str::<Config>(text).unwrap(), Config::default());
    // A key that has no default is commented out, without a space: prose has one.
    let is_key = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase()) || line.starts_with("[[");
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix('#').filter(is_key).unwrap_or(line)).collect();
    let table: toml::Table = uncommented.join("\n").parse().unwrap();
    let mut keys = Vec::new();
    collect("", &table, &mut keys);
    keys.sort();
    let mut known = Config::keys();
    known.sort();
    assert_eq!(keys, known);
}

#[test]
fn the_documentation_has_every_key_and_its_default() {
    let text = include_str!("../../../../docs/configuration.md");
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    for key in Config::keys() {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md has no row for `{key}`"));
        let value =
            key.split('.').try_fold(toml::Value::Table(defaults.clone()), |value, part| value.get(part).cloned());
        let told = row.split(" | ").nth(1).unwrap().trim_matches('`');
        match value {
            None => assert_eq!(told, "none", "{row}"),
            Some(value) => {
                let told: toml::Table = format!("key = {told}").parse().unwrap();
                assert_eq!(told["key"], value, "{row}");
            }
        }
    }
}

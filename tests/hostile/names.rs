//! Mailbox names that want to be paths, and look-ups that want to be code.

use crate::attack::Stage;

#[test]
fn a_name_is_data() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    let opened = [
        "/etc/passwd",
        "../../etc/passwd",
        "{127.0.0.1:143}INBOX",
        "{127.0.0.1/user=root}",
        "{x -oProxyCommand=id}",
        "#mh/inbox",
        "#driver.mbx/x",
        "~root",
        "~/x",
        "*mailbox",
        "INBOX/../../anna",
        "..",
        ".",
        "a/../b",
        "%2e%2e%2f",
        "\\\\host\\share",
        "anna/INBOX",
        "user.anna",
        "Shared/anna",
        "file:///etc/passwd",
    ];
    for name in opened {
        for command in ["SELECT", "EXAMINE", "STATUS"] {
            let items = if command == "STATUS" { " (MESSAGES)" } else { "" };
            let quoted = name.replace('\\', "\\\\");
            let answer = raw.command(&format!("{command} \"{quoted}\"{items}"));
            assert!(answer.contains("x1 NO"), "{command} {name}: {answer}");
        }
    }
    let created = [
        "",
        "/",
        "/a",
        "a//b",
        "../x",
        "a/../../x",
        ".",
        "..",
        "a/.",
        "a*",
        "a%b",
        "INBOX",
        "inbox",
        &"x/".repeat(100),
        &"y".repeat(2_000),
    ];
    for name in created {
        let answer = raw.command(&format!("CREATE \"{name}\""));
        assert!(answer.contains("x1 NO") || answer.contains("x1 BAD"), "{name}: {answer}");
    }
    for control in ["a\0b", "a\rb", "a\nb", "a\x1bb", "a\x7fb"] {
        raw.send(format!("x1 CREATE {{{}+}}\r\n{control}\r\n", control.len()).as_bytes());
        let answer = raw.until("x1 ") + &raw.until("\r\n");
        assert!(answer.contains("x1 NO") || answer.contains("x1 BAD"), "{control:?}: {answer}");
    }
    let data = stage.server.data();
    assert!(!data.parent().unwrap().join("x").exists());
    stage.judge();
}

#[test]
fn names_are_never_expanded() {
    let stage = Stage::new();
    for user in ["%u%{env:HOME}", "' OR 1=1 --", "*)(uid=*", "$(id)", "bert\\0", "../bert", "bert@", "BERT ", "%n"] {
        let mut raw = stage.stranger();
        let quoted = user.replace('\\', "\\\\");
        assert!(raw.command(&format!("LOGIN \"{quoted}\" secret")).contains("x1 NO"), "{user}");
    }
    stage.judge();
}

#[test]
fn renames_end() {
    let stage = Stage::new();
    let mut raw = stage.bert();
    for command in ["CREATE a", "CREATE a/b", "CREATE a/b/c"] {
        assert!(raw.command(command).contains("x1 OK"));
    }
    for command in ["RENAME a a/b/d", "RENAME a a", "RENAME a/b a/b/c/d", "RENAME nothing x"] {
        assert!(raw.command(command).contains("x1 NO"), "{command}");
    }
    for _ in 0..200 {
        assert!(raw.command(&format!("STATUS INBOX ({})", "MESSAGES ".repeat(500).trim_end())).contains("x1 "));
    }
    stage.judge();
}

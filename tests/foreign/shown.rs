//! A session sees what the formats' own servers showed.

use paquebot_testkit::{Client, sha256_hex};
use serde_json::Value;

use crate::stage::{CHANGED, Served, Stage, fixture, ok, text, word_after};

/// A manifest's mailbox as the session names it.
fn named(prefix: &str, fixture: &str, mailbox: &str) -> String {
    // Courier's own names.
    let mailbox = match fixture {
        "maildir-courier" => mailbox.strip_prefix("INBOX.").unwrap_or(mailbox).replace('.', "/"),
        _ => mailbox.to_owned(),
    };
    format!("{prefix}{mailbox}")
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn is_as_told(client: &mut Client, served: Served) {
    let (prefix, _, name) = served;
    let manifest = std::fs::read(fixture(name).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut compared = 0;
    for (mailbox, told) in manifest["mailboxes"].as_object().unwrap() {
        let shown = named(prefix, name, mailbox);
        let examined = text(&ok(client, &format!("EXAMINE \"{shown}\"")));
        if let Some(validity) = told["uidvalidity"].as_u64() {
            assert_eq!(word_after(&examined, "UIDVALIDITY "), validity.to_string(), "{shown}");
        }
        for message in told["messages"].as_array().unwrap() {
            let uid = &message["uid"];
            // UW's server counts some sizes wrong, and then sends other octets than it said.
            let size = message["body_octets"].as_u64().or(message["rfc822_size"].as_u64()).unwrap();
            let items = "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[] ENVELOPE BODYSTRUCTURE)";
            let fetched = ok(client, &format!("UID FETCH {uid} {items}"));
            let octets = fetched.literals().into_iter().next().unwrap_or_default();
            let head = text(&fetched);
            assert_eq!(word_after(&head, "RFC822.SIZE "), size.to_string(), "{shown}, UID {uid}");
            // UW's server shows NUL as 0x80, and has no literal for an empty message.
            if size > 0 && !octets.contains(&0) && octets.len() as u64 == size {
                assert_eq!(sha256_hex(&octets), message["sha256"].as_str().unwrap(), "{shown}, UID {uid}");
                compared += 1;
            }
            let flags = head[head.find("FLAGS (").unwrap() + 7..].split(')').next().unwrap().to_owned();
            let mut flags: Vec<&str> = flags.split(' ').filter(|flag| !matches!(*flag, "" | "\\Recent")).collect();
            let mut expected = [words(&message["flags"]), words(&message["keywords"])].concat();
            flags.sort_unstable();
            expected.sort_unstable();
            expected.retain(|flag| flag != "\\Recent");
            assert_eq!(flags, expected, "{shown}, UID {uid}");
        }
    }
    assert!(compared > 10, "{name}: {compared} bodies");
}

#[test]
fn every_format_is_shown_as_its_own_server_showed_it() {
    let served = [CHANGED.as_slice(), &[("cyrus/", "cyrus", "cyrus")]].concat();
    let stage = Stage::new(&served);
    let mut client = stage.client().without_judge();
    for served in served {
        // A Cyrus store has many users' mail, and alice is its.
        is_as_told(&mut client, served);
    }
}

#[test]
fn names_are_listed_below_their_prefix_and_nowhere_else() {
    let stage = Stage::new(&[("mbx/", "auto", "mbx"), ("dovecot/", "auto", "maildir-dovecot")]);
    let mut client = stage.client();
    let namespace = text(&ok(&mut client, "NAMESPACE"));
    assert!(namespace.contains("(\"mbx/\" \"/\")") && namespace.contains("(\"\" \"/\")"), "{namespace}");
    let listed = text(&ok(&mut client, "LIST \"\" *"));
    for line in [
        "(\\Noselect \\HasChildren) \"/\" mbx",
        "(\\HasNoChildren) \"/\" mbx/projects/alpha",
        "\"/\" dovecot/INBOX",
        "\"/\" INBOX",
    ] {
        assert!(listed.contains(line), "{line} in {listed}");
    }
    let status = text(&ok(&mut client, "STATUS mbx/main (MESSAGES UIDNEXT UNSEEN SIZE)"));
    assert!(status.contains("MESSAGES 24 UIDNEXT 27"), "{status}");
    assert!(client.command("SELECT mbx/nothing").unwrap().tagged.starts_with("NO [NONEXISTENT]"));
    // What a name would leave, it does not reach.
    assert!(!client.command("SELECT mbx/../mbx/main").unwrap().is_ok());
}

//! A fixture opened by its driver shows what the real server showed.

use std::path::Path;

use paquebot_formats::{Access, Body, Driver, OpenMailbox, Root};
use paquebot_types::{Flags, InternalDate, MailboxName};
use sha2::{Digest as _, Sha256};

use crate::manifest::{self, Mailbox, Message};

pub fn root(directory: &Path) -> Root {
    Root { directory: directory.into(), ..Root::default() }
}

/// A copy of a fixture's plain files: a driver writes to what it opens.
pub fn copy(name: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(manifest::directory(name).join("mail/."))
        .arg(target.path())
        .status();
    assert!(status.unwrap().success());
    target
}

/// A fixture that is a tar, unpacked with its times and empty directories.
pub fn unpack(name: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    let tar = manifest::directory(name).join(format!("{name}.tar"));
    let output = std::process::Command::new("tar").arg("xf").arg(tar).arg("-C").arg(target.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target
}

/// The octets of a message.
pub fn octets(body: &mut dyn Body) -> Vec<u8> {
    let mut octets = vec![0; usize::try_from(body.len()).unwrap()];
    let mut done = 0;
    while done < octets.len() {
        // In odd pieces: a body can be read from anywhere.
        let end = octets.len().min(done + 777);
        let count = body.read_at(done as u64, &mut octets[done..end]).unwrap();
        assert_ne!(count, 0, "a body ends before its length");
        done += count;
    }
    octets
}

/// UID, flags, keywords, date, octets, hash.
pub type Shown = (u32, Vec<String>, Vec<String>, String, u64, String);

/// What a mailbox shows, in the manifest's words.
pub fn shown(mailbox: &mut dyn OpenMailbox) -> Vec<Shown> {
    let known = mailbox.state().keywords.clone();
    let messages = mailbox.messages().to_vec();
    let show = |message: &paquebot_formats::Message| {
        let octets = octets(&mut *mailbox.body(message.uid).unwrap());
        assert_eq!(message.size.unwrap_or(octets.len() as u64), octets.len() as u64, "UID {}", message.uid);
        // UW's server shows NUL so.
        let told: Vec<u8> = octets.iter().map(|octet| if *octet == 0 { 0x80 } else { *octet }).collect();
        let mut flags: Vec<String> = names(message.flags);
        if message.recent {
            flags.push("\\Recent".into());
        }
        flags.sort();
        let mut keywords: Vec<String> =
            (0..known.len()).filter(|bit| message.keywords >> bit & 1 == 1).map(|bit| known[bit].to_string()).collect();
        keywords.sort();
        let hash = Sha256::digest(told).iter().map(|byte| format!("{byte:02x}")).collect();
        (message.uid.get(), flags, keywords, date(message.internal_date), octets.len() as u64, hash)
    };
    messages.iter().map(show).collect()
}

pub fn told(mailbox: &Mailbox) -> Vec<Shown> {
    let tell = |message: &Message| {
        let (flags, keywords) = (message.flags.clone(), message.keywords.clone());
        // The same moment: we write it one way.
        let date = message.internaldate.replace("-0000", "+0000");
        let date = date.strip_prefix('0').map_or(date.clone(), |rest| format!(" {rest}"));
        let hash = message.sha256.clone();
        // Where the real server has told another size than there are octets it was wrong.
        let size = message.body_octets.unwrap_or(message.rfc822_size);
        (message.uid, flags, keywords, date, size, hash)
    };
    mailbox.messages.iter().map(tell).collect()
}

/// Every mailbox of a fixture.
pub fn compare(driver: &dyn Driver, fixture: &str) {
    compare_in(driver, fixture, copy(fixture).path());
}

/// The same, in a copy of the fixture's files.
pub fn compare_in(driver: &dyn Driver, fixture: &str, directory: &Path) {
    let manifest = manifest::read(fixture);
    let root = root(directory);
    assert!(driver.recognises(&root).unwrap());
    let listed = driver.list(&root).unwrap();
    for (name, mailbox) in &manifest.mailboxes {
        let name = MailboxName::new(name).unwrap();
        assert!(listed.iter().any(|found| found.name == name && found.selectable), "{name} is not listed");
        let mut open = driver.open(&root, &name, Access::Read).unwrap();
        assert_eq!(shown(&mut *open), told(mailbox), "{name}");
        if let Some(validity) = mailbox.uidvalidity {
            assert_eq!(open.state().uid_validity.get(), validity, "{name}");
        }
        assert_eq!(open.state().uid_next.map(paquebot_types::Uid::get), mailbox.uidnext, "{name}");
    }
}

pub fn names(flags: Flags) -> Vec<String> {
    Flags::NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| (*name).to_owned()).collect()
}

fn date(date: InternalDate) -> String {
    let local = date.unix_seconds() + i64::from(date.zone_minutes()) * 60;
    let at = time::OffsetDateTime::from_unix_timestamp(local).unwrap();
    let month = &at.month().to_string()[..3];
    let (sign, zone) = (if date.zone_minutes() < 0 { '-' } else { '+' }, date.zone_minutes().unsigned_abs());
    let (hour, minute, second) = at.to_hms();
    format!(
        "{:2}-{month}-{:04} {hour:02}:{minute:02}:{second:02} {sign}{:02}{:02}",
        at.day(),
        at.year(),
        zone / 60,
        zone % 60
    )
}

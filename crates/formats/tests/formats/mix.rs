//! mix.

use std::path::Path;

use paquebot_formats::{Access, FormatError, driver};
use paquebot_types::MailboxName;

use crate::fixtures::{self, root, shown};
use crate::sharing;

fn space(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let data = files.filter(|entry| entry.file_name().to_string_lossy().len() == ".mix00000000".len());
    data.map(|entry| entry.metadata().unwrap().len()).sum()
}

#[test]
fn fixtures_are_shown_as_the_real_server_showed_them() {
    fixtures::compare(driver("mix").unwrap(), "mix");
}

#[test]
fn two_handles_see_each_others_changes() {
    sharing::two_handles_see_each_others_changes(driver("mix").unwrap(), &space);
}

#[test]
fn what_is_being_read_is_not_moved() {
    sharing::what_is_being_read_is_not_moved(driver("mix").unwrap());
}

#[test]
fn a_damaged_mailbox_is_served_as_far_as_it_is_whole_and_not_written_to() {
    let directory = fixtures::copy("mix");
    let (root, mix) = (root(directory.path()), driver("mix").unwrap());
    let name = MailboxName::new("expunged").unwrap();
    for file in [".mixmeta", ".mixindex", ".mixstatus", ".mix6b05e955"] {
        let path = directory.path().join("expunged").join(file);
        let whole = std::fs::read(&path).unwrap();
        let step = whole.len() / 200 + 1;
        let mut damages: Vec<Vec<u8>> = (0..whole.len()).step_by(step).map(|cut| whole[..cut].to_vec()).collect();
        damages.extend((0..whole.len()).step_by(step).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x15;
            flipped
        }));
        for damaged in damages {
            std::fs::write(&path, &damaged).unwrap();
            match mix.open(&root, &name, Access::Read) {
                Ok(mut mailbox) => {
                    let uids: Vec<_> = mailbox.messages().iter().map(|message| message.uid).collect();
                    for uid in uids {
                        match mailbox.body(uid) {
                            Ok(mut body) => drop(fixtures::octets(&mut *body)),
                            Err(FormatError::Damaged { .. }) => {}
                            Err(error) => panic!("{file}: {error}"),
                        }
                    }
                }
                Err(FormatError::NoMailbox(_) | FormatError::Damaged { .. }) => {}
                Err(error) => panic!("{file}: {error}"),
            }
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{file}: reading has written");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(shown(&mut *mix.open(&root, &name, Access::Read).unwrap()).len(), 5);
}

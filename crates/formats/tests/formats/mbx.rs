//! mbx.

use paquebot_formats::{Access, FormatError, driver};
use paquebot_types::MailboxName;

use crate::fixtures::{self, root, shown};
use crate::sharing;

#[test]
fn fixtures_are_shown_as_the_real_server_showed_them() {
    fixtures::compare(driver("mbx").unwrap(), "mbx");
}

#[test]
fn two_handles_see_each_others_changes() {
    sharing::two_handles_see_each_others_changes(driver("mbx").unwrap(), &|path| path.metadata().unwrap().len());
}

#[test]
fn what_is_being_read_is_not_moved() {
    sharing::what_is_being_read_is_not_moved(driver("mbx").unwrap());
}

#[test]
fn a_damaged_file_is_served_as_far_as_it_is_whole_and_not_written_to() {
    let directory = fixtures::copy("mbx");
    let path = directory.path().join("main");
    let whole = std::fs::read(&path).unwrap();
    let (root, mbx) = (root(directory.path()), driver("mbx").unwrap());
    let name = MailboxName::new("main").unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 37) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        match mbx.open(&root, &name, Access::Write) {
            Ok(mut mailbox) => drop(shown(&mut *mailbox)),
            Err(FormatError::NoMailbox(_) | FormatError::Damaged { .. }) => {}
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
    for at in (0..64).chain((64..whole.len()).step_by(whole.len() / 61)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x15;
        std::fs::write(&path, &flipped).unwrap();
        if let Ok(mut mailbox) = mbx.open(&root, &name, Access::Read) {
            shown(&mut *mailbox);
            drop(mailbox);
        }
        assert_eq!(std::fs::read(&path).unwrap(), flipped, "byte {at}: reading has written");
    }
}

#[test]
fn uids_that_cannot_be_are_given_anew_once() {
    let directory = fixtures::copy("mbx");
    let path = directory.path().join("expunged");
    // The second message gets the first one's UID, as a file that was put together by hand has it.
    let mut octets = std::fs::read(&path).unwrap();
    let status: Vec<usize> = (0..octets.len())
        .filter(|at| octets[*at..].starts_with(b"-0000000") && octets[at + 9..].starts_with(b"\r\n"))
        .collect();
    let (first, second) = (status[0], status[1]);
    octets.copy_within(first..first + 9, second);
    std::fs::write(&path, &octets).unwrap();
    let (root, mbx) = (root(directory.path()), driver("mbx").unwrap());
    let name = MailboxName::new("expunged").unwrap();
    // Who only reads sees new ones, again and again.
    let mut reader = mbx.open(&root, &name, Access::Read).unwrap();
    let uids = sharing::uids(&*reader);
    assert!(uids.is_sorted_by(|a, b| a < b), "{uids:?}");
    reader.refresh(paquebot_formats::Expunged::Leave).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), octets);
    // Who writes makes them last.
    let state = mbx.open(&root, &name, Access::Write).unwrap().state().clone();
    let mut again = mbx.open(&root, &name, Access::Write).unwrap();
    again.refresh(paquebot_formats::Expunged::Leave).unwrap();
    assert_eq!((again.state(), sharing::uids(&*again)), (&state, uids));
}

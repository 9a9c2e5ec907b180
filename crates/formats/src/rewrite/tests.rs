#![allow(clippy::unwrap_used)]
use super::*;

const OLD: u64 = 30_000;
const FROM: u64 = 5_000;

fn old() -> Vec<u8> {
    (0..OLD).map(|at| (at % 251) as u8 | 1).collect()
}

fn new(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 13) as u8 | 0x80).collect()
}

struct Mailbox {
    directory: tempfile::TempDir,
    file: File,
}

impl Mailbox {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("box"), old()).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(directory.path().join("box")).unwrap();
        Self { directory, file }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("box")
    }

    /// As a crash leaves it that came when the journal was whole.
    fn with_journal(bytes: usize) -> Self {
        let mailbox = Self::new();
        make(&mailbox.file, &journal_path(&mailbox.path()), (FROM, 0), Outlasts::Machine, |out| {
            out.write_all(&new(bytes))
        })
        .unwrap();
        mailbox
    }

    fn octets(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
}

fn wanted(bytes: usize) -> Vec<u8> {
    [&old()[..FROM as usize], &new(bytes)].concat()
}

#[test]
fn the_end_is_replaced_by_a_shorter_or_a_longer_one() {
    for bytes in [0, 1, 10_000, 25_000, 60_000] {
        let mailbox = Mailbox::new();
        let size = rewrite(&mailbox.file, &mailbox.path(), FROM, |out| out.write_all(&new(bytes))).unwrap();
        assert_eq!((size, mailbox.octets()), (FROM + bytes as u64, wanted(bytes)));
        assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Nothing);
    }
}

#[test]
fn a_failure_while_the_new_end_is_made_changes_nothing() {
    let mailbox = Mailbox::new();
    let fails = |out: &mut dyn Write| {
        out.write_all(&new(100_000))?;
        Err(io::Error::other("no"))
    };
    rewrite(&mailbox.file, &mailbox.path(), FROM, fails).unwrap_err();
    assert_eq!(mailbox.octets(), old());
    assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Dropped);
    assert_eq!(mailbox.octets(), old());
}

#[test]
fn a_crash_before_the_first_octet_leaves_the_old_file() {
    let mailbox = Mailbox::with_journal(10_000);
    assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Dropped);
    assert_eq!(mailbox.octets(), old());
}

#[test]
fn a_crash_after_any_page_is_finished() {
    for bytes in [100, 10_000, 25_000, 60_000] {
        let end = OLD.max(FROM + bytes as u64);
        for written in page_ranges(FROM, FROM + bytes as u64) {
            let mailbox = Mailbox::with_journal(bytes);
            if end > OLD {
                mailbox.file.set_len(end).unwrap();
            }
            // Pages reach the disk in any order: here one of them alone.
            let (at, to) = ((written.0 - FROM) as usize, (written.1 - FROM) as usize);
            mailbox.file.write_all_at(&new(bytes)[at..to], written.0).unwrap();
            assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Finished, "{bytes}, {written:?}");
            assert_eq!(mailbox.octets(), wanted(bytes));
        }
        let mailbox = Mailbox::with_journal(bytes);
        mailbox.file.write_all_at(&new(bytes), FROM).unwrap();
        mailbox.file.set_len(FROM + bytes as u64).unwrap();
        assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Finished);
        assert_eq!(mailbox.octets(), wanted(bytes));
    }
}

#[test]
fn a_file_that_others_changed_since_is_left_alone() {
    let mailbox = Mailbox::with_journal(10_000);
    mailbox.file.write_all_at(b"somebody else", 20_000).unwrap();
    let before = mailbox.octets();
    assert!(matches!(recover(&mailbox.file, &mailbox.path()), Err(FormatError::Damaged { .. })));
    assert_eq!(mailbox.octets(), before);
    let mailbox = Mailbox::with_journal(10_000);
    mailbox.file.set_len(OLD + 1).unwrap();
    assert!(matches!(recover(&mailbox.file, &mailbox.path()), Err(FormatError::Damaged { .. })));
}

#[test]
fn a_journal_of_another_file_or_a_damaged_one_is_dropped() {
    let mailbox = Mailbox::with_journal(10_000);
    let journal = journal_path(&mailbox.path());
    let mut octets = std::fs::read(&journal).unwrap();
    octets[HEADER + 77] ^= 1;
    std::fs::write(&journal, octets).unwrap();
    mailbox.file.write_all_at(b"somebody else", 20_000).unwrap();
    assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Dropped);
    assert!(!journal.exists());
}

#[test]
fn octets_within_a_file_are_replaced_and_a_crash_in_it_is_finished() {
    // Within one page, and over the bound of two.
    for at in [5_000, 8_190] {
        let mailbox = Mailbox::new();
        patch(&mailbox.file, &mailbox.path(), at, b"octets").unwrap();
        let mut wanted = old();
        wanted[at as usize..at as usize + 6].copy_from_slice(b"octets");
        assert!(mailbox.octets() == wanted && !is_pending(&mailbox.path()));
    }
    let mailbox = Mailbox::new();
    make(&mailbox.file, &journal_path(&mailbox.path()), (8_190, OLD - 8_196), Outlasts::Machine, |out| {
        out.write_all(b"octets")
    })
    .unwrap();
    mailbox.file.write_all_at(b"oc", 8_190).unwrap();
    assert_eq!(recover(&mailbox.file, &mailbox.path()).unwrap(), Recovered::Finished);
    assert_eq!(&mailbox.octets()[8_188..8_198], &[&old()[8_188..8_190], b"octets", &old()[8_196..8_198]].concat()[..]);
}

/// As a crash leaves it that came when so many octets of an addition were in the file, and others have added theirs.
fn interrupted_addition(there: usize, theirs: &[u8]) -> (Mailbox, Vec<u8>) {
    let mailbox = Mailbox::new();
    let text = [b"From us\n", &*new(600_000)].concat();
    make(&mailbox.file, &journal_path(&mailbox.path()), (OLD, 0), Outlasts::Process, |out| out.write_all(&text))
        .unwrap();
    mailbox.file.write_all_at(&text[..there], OLD).unwrap();
    mailbox.file.write_all_at(theirs, OLD + there as u64).unwrap();
    (mailbox, text)
}

#[test]
fn an_interrupted_addition_is_cut_back_and_what_others_added_stays() {
    let begins = |octets: &[u8]| octets.starts_with(b"From ");
    for there in [0, 1, 5, 8, 262_144, 599_000] {
        for theirs in [&b""[..], b"From them\nx\n", b"From us too\n"] {
            let (mailbox, _) = interrupted_addition(there, theirs);
            let recovered = recover_before(&mailbox.file, &mailbox.path(), &begins).unwrap();
            assert_eq!(recovered, Recovered::Dropped, "{there}");
            assert!(mailbox.octets() == [&*old(), theirs].concat(), "{there}, {}", String::from_utf8_lossy(theirs));
            assert!(!is_pending(&mailbox.path()));
        }
    }
    for theirs in [&b""[..], b"From them\nx\n"] {
        let (mailbox, text) = interrupted_addition(600_008, theirs);
        assert_eq!(recover_before(&mailbox.file, &mailbox.path(), &begins).unwrap(), Recovered::Finished);
        assert!(mailbox.octets() == [&*old(), &*text, theirs].concat());
    }
}

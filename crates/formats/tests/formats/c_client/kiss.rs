//! The kiss of death: one session has an mbox or MMDF file, and a newer one takes it over, between our handles and c-client's, both ways.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use paquebot_formats::{FormatError, SessionLockHelper, use_session_lock_helper};
use paquebot_types::{Flags, MailboxName, UidValidity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Home, driver_of, shown, without_recent};
use crate::sharing::append;

const TEXT: &str = "Subject: one\n\nx\n";

fn with_each(test: &dyn Fn(&str, &Home)) {
    use_session_lock_helper(SessionLockHelper {
        program: env!("CARGO_BIN_EXE_hold_session_lock").into(),
        arguments: Vec::new(),
    });
    for format in ["mbox", "mmdf"] {
        let Some(home) = Home::new() else { return };
        let name = MailboxName::new("box").unwrap();
        driver_of(format).create(&home.root(), &name, UidValidity::new(77).unwrap()).unwrap();
        append(&mut *home.open(format, "box"), TEXT, Flags::NONE, &[]);
        test(format, &home);
    }
}

#[test]
fn c_client_gives_a_mailbox_up_to_us() {
    with_each(&|format, home| {
        let mut theirs = home.command(&home.program(), &["hold", "box", "60"]);
        let mut child = theirs.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(told.next().unwrap(), "held rw 1", "{format}");
        let mut ours = home.open(format, "box");
        assert_eq!(ours.state().read_only, None, "{format}");
        let told: Vec<String> = told.collect();
        assert!(told.contains(&"killed".to_owned()) && told.contains(&"released".to_owned()), "{told:?}");
        assert!(child.wait().unwrap().success());
        append(&mut *ours, TEXT, Flags::SEEN, &[]);
        assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours), "{format}");
    });
}

#[test]
fn we_give_a_mailbox_up_to_c_client() {
    with_each(&|format, home| {
        let mut ours = home.open(format, "box");
        std::thread::scope(|scope| {
            let theirs = scope.spawn(|| home.session("box"));
            {
                let signal = ours.take_over_signal().unwrap();
                let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
                let asked = poll(&mut [PollFd::new(&signal, PollFlags::IN)], Some(&limit)).unwrap();
                assert_eq!(asked, 1, "{format}: nobody asked");
            }
            assert!(ours.asked_to_give_up());
            ours.give_up().unwrap();
            assert!(ours.state().read_only.is_some());
            let mut theirs = theirs.join().unwrap();
            theirs.ask(&["flag", "1", "\\Flagged"]);
            theirs.quit();
        });
        let refused = ours.store(&[(paquebot_types::Uid::MIN, Flags::SEEN, Vec::new())]);
        assert!(matches!(refused, Err(FormatError::ReadOnly(_))), "{format}: {refused:?}");
        ours.refresh(paquebot_formats::Expunged::Leave).unwrap();
        assert_eq!(without_recent(home.dump("box").shown()), shown(&mut *ours), "{format}");
    });
}

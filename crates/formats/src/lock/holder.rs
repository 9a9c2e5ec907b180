//! What stands in a lock file so that others know when its holder is dead: `PID:HOST`, as Dovecot has it.

use std::path::Path;
use std::sync::OnceLock;

use rustix::process::{Pid, test_kill_process};

/// A longer one says something else.
const BYTES_MAX: u64 = 300;

/// This process, in a lock file's words.
pub fn this_process() -> String {
    format!("{}:{}", std::process::id(), host())
}

/// Whether a lock file names a process of this machine that is no more. One that says nothing, or something else, is another program's.
pub fn is_dead(lock_file: &Path) -> bool {
    use std::io::Read as _;
    let mut said = String::new();
    let read = std::fs::File::open(lock_file).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut said));
    let Some((pid, at)) = said.trim().split_once(':').filter(|_| read.is_ok()) else { return false };
    let pid = pid.parse().ok().and_then(Pid::from_raw);
    at == host() && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// This machine's name.
pub fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let read = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Some(read.trim()).filter(|name| !name.is_empty()).unwrap_or("localhost").to_owned()
    })
}

/// A process that is no more.
#[cfg(test)]
pub fn dead_process() -> u32 {
    let mut child = std::process::Command::new("true").spawn().expect("there is such a program");
    child.wait().expect("it is a child of ours");
    child.id()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_dead_process_of_this_machine_is_dead() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("box.lock");
        let dead = dead_process();
        for (said, wanted) in [
            (format!("{dead}:{}", host()), true),
            (format!("{dead}:{}\n", host()), true),
            (format!("{dead}:elsewhere.{}", host()), false),
            (dead.to_string(), false),
            (this_process(), false),
            ("0".to_owned(), false),
            (format!("0:{}", host()), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &said).unwrap();
            assert_eq!(is_dead(&path), wanted, "{said:?}");
        }
        assert!(!is_dead(&directory.path().join("absent")));
    }
}

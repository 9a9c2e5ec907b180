//! A server that was started as root gives it up. Not being root, it says that it cannot become somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use crate::process::{Running, paquebot};

/// Debian's `nobody`, by number: it need not be in any list.
const NOBODY: u32 = 65534;

#[test]
fn every_thread_and_every_file_is_the_configured_users() {
    let folder = tempfile::tempdir().unwrap();
    // The other user must get through to the data.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let config = "user = \"nobody\"\ngroup = \"65534\"\nlisten = { imap = [\"127.0.0.1:0\"], imaps = [], lmtp = [], admin = [] }\n";
    fs::write(folder.path().join("p.toml"), config).unwrap();
    let add = ["user", "add", "anna", "--password-stdin", "-c", "p.toml"];
    if !rustix::process::geteuid().is_root() {
        let refused = paquebot(folder.path(), &add, "secret\n");
        assert!(refused.stderr.contains("only root can become nobody"), "{refused}");
        return;
    }
    paquebot(folder.path(), &add, "secret\n").success().unwrap();
    let server = Running::start(folder.path(), &["serve", "-c", "p.toml"]);
    paquebot(folder.path(), &["user", "list", "-c", "p.toml"], "").success().unwrap();
    let tasks = Path::new("/proc").join(server.id().to_string()).join("task");
    for task in fs::read_dir(tasks).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for what in ["Uid:", "Gid:"] {
            let ids = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            assert!(ids.split_whitespace().all(|id| id == NOBODY.to_string()), "{what}{ids}");
        }
    }
    owned(&folder.path().join("paquebot-data"));
}

fn owned(path: &Path) {
    assert_eq!(fs::symlink_metadata(path).unwrap().uid(), NOBODY, "{}", path.display());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| owned(&entry.unwrap().path()));
    }
}

//! A real network mount in user space: sshfs, over an sftp server that it starts itself.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use paquebot_guard::{FileSystem, GuardError, Mount, Purpose, check, check_with};

const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fusermount3").arg("-u").arg(self.0).status();
    }
}

#[test]
fn a_real_sshfs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (remote, local, ssh) = (folder.path().join("remote"), folder.path().join("local"), folder.path().join("ssh"));
    std::fs::create_dir(&remote).unwrap();
    std::fs::create_dir(&local).unwrap();
    // In the place of ssh: what would answer at the other end.
    std::fs::write(&ssh, format!("#!/bin/sh\nexec {SFTP_SERVER}\n")).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut sshfs = Command::new("sshfs");
    sshfs
        .arg("-o")
        .arg(format!("ssh_command={}", ssh.display()))
        .arg(format!("there:{}", remote.display()))
        .arg(&local);
    let can_mount = Path::new("/dev/fuse").exists() && Path::new(SFTP_SERVER).exists();
    if !can_mount || !sshfs.status().is_ok_and(|status| status.success()) {
        // A machine without FUSE: the same mount, as the kernel would name it.
        let mount = Mount {
            point: local.clone(),
            kind: "fuse.sshfs".into(),
            source: format!("there:{}", remote.display()),
            options: "rw".into(),
        };
        let found = FileSystem { magic: paquebot_guard::FUSE, mount: Some(mount) };
        assert!(check_with(&local, Purpose::Store, &|_| Ok(found.clone())).is_err());
        return;
    }
    let _mounted = Mounted(&local);
    for purpose in Purpose::ALL {
        let Err(GuardError::Refused(refusal)) = check(&local, purpose) else { panic!("{purpose} may lie on sshfs") };
        assert_eq!(refusal.kind, "sshfs");
        assert!(refusal.to_string().contains(&format!("there:{}", remote.display())), "{refusal}");
    }
    assert!(check(&remote, Purpose::Store).is_ok());
}

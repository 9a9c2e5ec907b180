#![allow(clippy::unwrap_used)]

use super::*;
use crate::mount::Mount;

fn mounted(magic: u32, kind: &str, options: &str) -> FileSystem {
    let mount =
        Mount { point: "/mail".into(), kind: kind.into(), source: "there:/mail".into(), options: options.into() };
    FileSystem { magic, mount: Some(mount) }
}

/// What is refused, as text; `None` for what will do.
fn refusal(found: &FileSystem, purpose: Purpose) -> Option<String> {
    check_with(Path::new("/mail/box"), purpose, &|_| Ok(found.clone())).err().map(|refusal| refusal.to_string())
}

#[test]
fn every_network_file_system_is_refused_for_everything() {
    let shared = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x0102_1997, "9p"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x6b41_4653, "AFS"),
        (0x564c, "NCP"),
        (0x7461_636f, "OCFS2"),
        (0x0116_1970, "GFS2"),
        (0x0bd0_0bd0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x1983_0326, "BeeGFS"),
        (0xaad7_aaea, "PanFS"),
        (0x2003_0528, "OrangeFS"),
        (0x786f_4256, "VirtualBox"),
        (0xbacb_acbc, "VMware"),
        (0x7375_7245, "Coda"),
    ];
    for (magic, name) in shared {
        for purpose in Purpose::ALL {
            let told = refusal(&mounted(magic, "any", "rw"), purpose).unwrap();
            for part in ["/mail/box", name, "there:/mail at /mail", purpose.broken(), "add a node"] {
                assert!(told.contains(part), "{magic:x}: {told} lacks {part}");
            }
            let unnamed = FileSystem { magic, mount: None };
            assert!(refusal(&unnamed, purpose).is_some(), "{magic:x}");
        }
    }
}

#[test]
fn a_network_mount_in_user_space_is_refused_by_its_type() {
    let kinds = [
        "sshfs",
        "glusterfs",
        "s3fs",
        "rclone",
        "ceph-fuse",
        "davfs",
        "curlftpfs",
        "gvfsd-fuse",
        "mfs",
        "moosefs",
        "seaweedfs",
        "juicefs",
    ];
    for kind in kinds {
        for purpose in Purpose::ALL {
            let told = refusal(&mounted(FUSE, &format!("fuse.{kind}"), "rw"), purpose).unwrap();
            assert!(told.contains(kind), "{told}");
        }
    }
    assert!(refusal(&mounted(FUSE, "fuse.never-heard-of", "rw"), Purpose::Store).unwrap().contains("never-heard-of"));
    assert!(refusal(&FileSystem { magic: FUSE, mount: None }, Purpose::Store).is_some());
    assert_eq!(refusal(&mounted(FUSE, "fuseblk", "rw"), Purpose::Store), None);
    for kind in ["bindfs", "mergerfs", "unionfs", "encfs", "gocryptfs"] {
        let found = mounted(FUSE, &format!("fuse.{kind}"), "rw");
        assert!(check_with(Path::new("/"), Purpose::Store, &|_| Ok(found.clone())).unwrap().is_some(), "{kind}");
    }
}

#[test]
fn a_mount_is_refused_by_its_type_too() {
    for kind in ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2"] {
        assert!(refusal(&mounted(1, kind, "rw"), Purpose::Store).unwrap().contains(kind));
    }
}

#[test]
fn local_file_systems_will_do() {
    for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0xf2f5_2010, 0xca45_1a4e, TMPFS, 0xf15f, 0x1234_5678] {
        for purpose in Purpose::ALL {
            assert_eq!(refusal(&mounted(magic, "local", "rw"), purpose), None, "{magic:x}");
        }
    }
    let warned = check_with(Path::new("/"), Purpose::Store, &|_| Ok(mounted(TMPFS, "tmpfs", "rw"))).unwrap();
    assert!(warned.unwrap().contains("restarts"));
}

#[test]
fn what_has_no_links_is_refused_for_what_needs_them() {
    for (magic, name) in NO_LINKS {
        for purpose in Purpose::ALL {
            let told = refusal(&mounted(*magic, "local", "rw"), purpose);
            assert_eq!(told.is_some(), purpose.wants_links(), "{name} for {purpose}: {told:?}");
            assert!(told.is_none_or(|told| told.contains("hard links")));
        }
    }
}

#[test]
fn an_overlay_is_what_is_below() {
    let overlay = |upper: &str| mounted(OVERLAY, "overlay", &format!("rw,lowerdir=/a,upperdir={upper},workdir=/w"));
    let probe = |path: &Path| match path.to_str().unwrap() {
        "/over/disk" => Ok(overlay("/disk")),
        "/over/nfs" => Ok(overlay("/nfs")),
        "/over/over" => Ok(overlay("/over/nfs")),
        "/over/itself" => Ok(overlay("/over/itself")),
        "/over/hidden" => Ok(overlay("/hidden")),
        "/disk" => Ok(mounted(0xef53, "ext4", "rw")),
        "/nfs" => Ok(mounted(0x6969, "nfs4", "rw")),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let refused = |path: &str| check_with(Path::new(path), Purpose::Store, &probe).is_err();
    assert!(!refused("/over/disk") && !refused("/over/hidden") && !refused("/over/itself"));
    assert!(refused("/over/nfs") && refused("/over/over"));
    assert!(matches!(check_with(Path::new("/absent"), Purpose::Store, &probe), Err(GuardError::Io { .. })));
}

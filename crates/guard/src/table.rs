//! The kernel's numbers and names of file systems (`linux/magic.h`, and each file system's own header).

/// Every file system in user space has this number; the mount's type tells which one it is.
pub const FUSE: u32 = 0x6573_5546;
pub(crate) const OVERLAY: u32 = 0x794c_7630;

/// Types that machines share, and those that pass operations on to a program which may share them.
const SHARED: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS (kernel)"),
    (0x564c, "NCP"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
    (0x2003_0528, "OrangeFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
    (0x7375_7245, "Coda"),
    (FUSE, "FUSE"),
];

/// Types of mounts that machines share, whatever their number.
const SHARED_MOUNTS: &[&str] = &[
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "coda",
    "ncpfs",
];

/// In user space and over a network, by the mount's type without its `fuse.`.
pub(crate) const FUSE_NETWORK: &[&str] = &[
    "sshfs",
    "glusterfs",
    "s3fs",
    "rclone",
    "ceph-fuse",
    "ceph",
    "davfs",
    "davfs2",
    "curlftpfs",
    "gvfsd-fuse",
    "mfs",
    "moosefs",
    "seaweedfs",
    "juicefs",
    "JuiceFS",
    "afpfs",
    "beegfs",
    "lizardfs",
    "smbnetfs",
    "goofys",
    "gcsfuse",
    "blobfuse2",
    "mount-s3",
];

/// In user space, over other directories of this machine: what is below decides, and trying.
pub(crate) const FUSE_OVER: &[&str] = &["bindfs", "mergerfs", "unionfs", "encfs", "gocryptfs"];

/// Local types of which there is something to say.
const LOCAL: &[(u32, &str)] = &[
    (0xef53, "ext"),
    (0x5846_5342, "XFS"),
    (0x9123_683e, "Btrfs"),
    (0x2fc1_2fc1, "ZFS"),
    (0xf2f5_2010, "F2FS"),
    (0xca45_1a4e, "bcachefs"),
    (TMPFS, "tmpfs"),
    (OVERLAY, "overlay"),
    (0xf15f, "eCryptfs"),
];

pub(crate) const TMPFS: u32 = 0x0102_1994;

/// Local, and without hard links.
pub(crate) const NO_LINKS: &[(u32, &str)] =
    &[(0x4d44, "VFAT"), (0x2011_bab0, "exFAT"), (0x7366_746e, "NTFS"), (0x482b, "HFS+")];

/// The name of a type that no store must lie on. [`FUSE`] is one, unless the mount is judged otherwise.
pub fn shared_name(magic: u32) -> Option<&'static str> {
    named(SHARED, magic)
}

/// The name of a shared mount's type.
pub(crate) fn shared_mount(kind: &str) -> Option<&'static str> {
    SHARED_MOUNTS.iter().copied().find(|shared| *shared == kind)
}

pub(crate) fn local_name(magic: u32) -> Option<&'static str> {
    named(LOCAL, magic).or_else(|| named(NO_LINKS, magic))
}

pub(crate) fn named(table: &[(u32, &'static str)], magic: u32) -> Option<&'static str> {
    table.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

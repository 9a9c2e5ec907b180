//! Which file systems a store may lie on.

/// A file system's type, as `statfs` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsKind(pub u32);

/// Types that are shared between machines, or that pass operations on to a program which may share them.
/// The numbers are the kernel's (`linux/magic.h` and each file system's own header).
const SHARED: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS (kernel)"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "OrangeFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
];

impl FsKind {
    /// `ext4`: what a plain disk has.
    pub const EXT4: Self = Self(0xef53);
    /// `fuse`, unless what is mounted is a local disk.
    pub const FUSE: Self = Self(0x6573_5546);
    pub const NFS: Self = Self(0x6969);

    /// The name of a type that a store must not lie on.
    pub fn shared(self) -> Option<&'static str> {
        SHARED.iter().find(|(magic, _)| *magic == self.0).map(|(_, name)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_types_are_taken_and_shared_ones_are_named() {
        let local = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x2fc1_2fc1, 0xf2f5_2010, 0x794c_7630, 0xca45_1a4e];
        for magic in local {
            assert_eq!(FsKind(magic).shared(), None, "{magic:x}");
        }
        assert_eq!(FsKind::NFS.shared(), Some("NFS"));
        assert_eq!(FsKind::FUSE.shared(), Some("FUSE"));
        assert_eq!(FsKind(0xff53_4d42).shared(), Some("CIFS"));
    }
}

//! Which file systems a store may lie on.

/// A file system's type, as `statfs` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsKind(pub u32);

impl FsKind {
    /// `ext4`: what a plain disk has.
    pub const EXT4: Self = Self(0xef53);
    /// `fuse`, unless what is mounted is a local disk.
    pub const FUSE: Self = Self(paquebot_guard::FUSE);
    pub const NFS: Self = Self(0x6969);

    /// The name of a type that a store must not lie on.
    pub fn shared(self) -> Option<&'static str> {
        paquebot_guard::shared_name(self.0)
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

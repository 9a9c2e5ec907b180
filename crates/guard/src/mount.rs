//! Which file system a path is on.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A line of the kernel's table of mounts (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    /// `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    /// A device, or `server:/export`.
    pub source: String,
    /// Of the file system: `upperdir=` stands there.
    pub options: String,
}

/// The file system that a path is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// `f_type` of `statfs(2)`.
    pub magic: u32,
    /// `None` where the kernel's table cannot be read, or names no mount above the path.
    pub mount: Option<Mount>,
}

impl FileSystem {
    /// Asks the kernel, for a path that there is.
    pub fn of(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let device = path.metadata()?.dev();
        let magic = rustix::fs::statfs(&path)?.f_type as u32;
        // Without /proc there is the number alone.
        let mount = std::fs::read_to_string("/proc/self/mountinfo").ok().and_then(|table| find(&table, &path, device));
        Ok(Self { magic, mount })
    }
}

/// The last of the longest mount points above a path, of those of its device if there is one: a mount can lie over another. btrfs gives its subvolumes
/// devices of their own, which the table does not have.
fn find(table: &str, path: &Path, device: u64) -> Option<Mount> {
    let above = table.lines().filter_map(parse).filter(|(_, mount)| path.starts_with(&mount.point));
    let ranked =
        above.enumerate().max_by_key(|(place, (of, mount))| (mount.point.components().count(), *of == device, *place));
    ranked.map(|(_, (_, mount))| mount)
}

/// Device and mount: `id parent major:minor root point options optional... - kind source options`.
fn parse(line: &str) -> Option<(u64, Mount)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let (major, minor) = before.next()?.split_once(':')?;
    let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    let point = PathBuf::from(unescape(before.nth(1)?));
    let mut after = after.splitn(3, ' ');
    let (kind, source) = (after.next()?.to_owned(), unescape(after.next()?));
    Some((device, Mount { point, kind, source, options: after.next().unwrap_or_default().to_owned() }))
}

/// Blanks, tabs, line ends and backslashes are written as `\040` and so on.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(octet) => plain.push(octet.into()),
            None => plain.push('\\'),
        }
        plain.push_str(part.get(3..).unwrap_or_default());
    }
    plain
}

impl Mount {
    pub(crate) fn upper_directory(&self) -> Option<PathBuf> {
        let option = self.options.split(',').find_map(|option| option.strip_prefix("upperdir="))?;
        Some(PathBuf::from(unescape(option)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TABLE: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:50 / /home rw - nfs4 fs1:/export/home rw,vers=4.2,local_lock=none
41 40 0:51 / /home/a\\040b rw shared:1 master:2 - fuse.sshfs me@there:/mail rw,user_id=0
42 40 254:0 / /home/a\\040b rw - ext4 /dev/vda rw
";

    #[test]
    fn the_mount_of_a_path_is_the_nearest_above() {
        let kind = |path, device| find(TABLE, Path::new(path), device).unwrap().kind;
        let (disk, nfs, ssh) = (rustix::fs::makedev(254, 0), rustix::fs::makedev(0, 50), rustix::fs::makedev(0, 51));
        assert_eq!(kind("/var/mail", disk), "ext4");
        assert_eq!(kind("/homes", disk), "ext4");
        assert_eq!(kind("/home/x/mail", nfs), "nfs4");
        assert_eq!(kind("/home/a b/mail", ssh), "fuse.sshfs");
        assert_eq!(kind("/home/a b/mail", disk), "ext4", "the device tells which of two");
        assert_eq!(find(TABLE, Path::new("/home"), nfs).unwrap().source, "fs1:/export/home");
        assert_eq!(find("no table\n", Path::new("/"), disk), None);
    }

    #[test]
    fn the_kernel_names_a_directory_of_this_machine() {
        let place = tempfile::tempdir().unwrap();
        let found = FileSystem::of(place.path()).unwrap();
        assert!(place.path().canonicalize().unwrap().starts_with(found.mount.unwrap().point));
        assert!(FileSystem::of(&place.path().join("absent")).is_err());
    }
}

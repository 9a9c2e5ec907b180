//! Which file systems will do for what.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::mount::FileSystem;
use crate::table::{self, FUSE, FUSE_NETWORK, FUSE_OVER, NO_LINKS, OVERLAY, TMPFS};

/// Overlays over overlays are looked through this deep.
const DEPTH: usize = 4;

/// What is to lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The native store.
    Store,
    /// mbox and MMDF: dot-locks, `flock`, `fcntl`, and a lock file in /tmp.
    Spool,
    /// mbx and mix: `flock` between all sessions.
    Sessions,
    /// Maildir: links, renames, and what a directory says.
    Maildir,
    /// Cyrus: `fcntl`, and maps that show what others write.
    Cyrus,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 5] = [Self::Store, Self::Spool, Self::Sessions, Self::Maildir, Self::Cyrus];

    /// The operation that is not atomic where machines share a file system.
    fn broken(self) -> &'static str {
        match self {
            Self::Store => "one lock must keep all other servers out and a sync must reach the disk",
            Self::Spool => {
                "exclusive create, flock, fcntl and the lock file in /tmp must each keep all other programs out"
            }
            Self::Sessions => "flock must hold between all sessions on all machines",
            Self::Maildir => {
                "link and rename must be done once, and a directory must show at once what others did in it"
            }
            Self::Cyrus => "fcntl locks must hold and a map must show at once what others write",
        }
    }

    /// What to do instead.
    fn instead(self) -> &'static str {
        match self {
            Self::Store => "put it on a disk of this machine; to have it on several, add a node (docs/cluster.md)",
            _ => {
                "serve it on the machine whose disk it is on, or import it; to have mail on several machines, add a node"
            }
        }
    }

    fn wants_links(self) -> bool {
        matches!(self, Self::Spool | Self::Maildir)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Store => "the store",
            Self::Spool => "mbox or MMDF",
            Self::Sessions => "mbx or mix",
            Self::Maildir => "Maildir",
            Self::Cyrus => "Cyrus",
        })
    }
}

/// What a file system is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Of this machine alone, with what an operator should know.
    Local {
        kind: String,
        warning: Option<&'static str>,
    },
    Refused {
        kind: String,
        magic: u32,
        operation: &'static str,
    },
}

/// Why something must not lie where it lies: path, mount, operation, and what to do instead.
#[derive(Debug, thiserror::Error)]
#[error("refused: {path} ({purpose}) is on {kind}{mount}, where what it needs cannot be promised: {operation}. What to do: {}", .purpose.instead())]
pub struct Refusal {
    pub path: PathBuf,
    pub purpose: Purpose,
    /// `NFS`, `sshfs`.
    pub kind: String,
    /// ` (fs1:/export/home at /home)`; empty if the kernel does not say.
    pub mount: String,
    pub operation: &'static str,
}

/// Why a path did not pass.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot tell which file system {path} is on")]
    Io { path: PathBuf, source: io::Error },
}

/// Asks the kernel where a path is, and whether it will do; gives a warning for the log. To be asked at each open: what was local yesterday may be a mount
/// today.
pub fn check(path: &Path, purpose: Purpose) -> Result<Option<&'static str>, GuardError> {
    check_with(path, purpose, &FileSystem::of)
}

/// The same with another answer than the kernel's.
pub fn check_with(
    path: &Path,
    purpose: Purpose,
    probe: &dyn Fn(&Path) -> io::Result<FileSystem>,
) -> Result<Option<&'static str>, GuardError> {
    let found = probe(path).map_err(|source| GuardError::Io { path: path.into(), source })?;
    match judge(&found, purpose, probe) {
        Verdict::Local { warning, .. } => Ok(warning),
        Verdict::Refused { kind, operation, .. } => {
            let mount = found.mount.map(|mount| format!(" ({} at {})", mount.source, mount.point.display()));
            Err(Refusal { path: path.into(), purpose, kind, mount: mount.unwrap_or_default(), operation }.into())
        }
    }
}

/// Judges a file system. `probe` tells what is below one that lies over others.
pub fn judge(found: &FileSystem, purpose: Purpose, probe: &dyn Fn(&Path) -> io::Result<FileSystem>) -> Verdict {
    judge_below(found, purpose, probe, DEPTH)
}

fn judge_below(
    found: &FileSystem,
    purpose: Purpose,
    probe: &dyn Fn(&Path) -> io::Result<FileSystem>,
    depth: usize,
) -> Verdict {
    let magic = found.magic;
    let mount = found.mount.as_ref();
    let local = |kind: &str, warning| Verdict::Local { kind: kind.to_owned(), warning };
    let refused = |kind: &str| Verdict::Refused { kind: kind.to_owned(), magic, operation: purpose.broken() };
    if magic == FUSE {
        let kind = mount.map_or("fuse", |mount| &mount.kind);
        let kind = kind.strip_prefix("fuse.").unwrap_or(kind);
        return match kind {
            "fuseblk" => local(kind, None),
            "ntfs-3g" if !purpose.wants_links() => local(kind, None),
            kind if FUSE_OVER.contains(&kind) => {
                local(kind, Some("it lies over another directory, which must be on a disk of this machine"))
            }
            kind if FUSE_NETWORK.contains(&kind) => refused(kind),
            // Nobody knows what is behind it.
            kind => refused(&format!("FUSE ({kind})")),
        };
    }
    if let Some(name) = table::shared_name(magic) {
        return refused(name);
    }
    if let Some(kind) = mount.and_then(|mount| table::shared_mount(&mount.kind)) {
        return refused(kind);
    }
    if magic == OVERLAY
        && depth > 0
        && let Some(upper) = mount.and_then(|mount| mount.upper_directory())
        // In a container what is below cannot be seen.
        && let Ok(below) = probe(&upper)
        && let refusal @ Verdict::Refused { .. } = judge_below(&below, purpose, probe, depth - 1)
    {
        return refusal;
    }
    if let Some(kind) = table::named(NO_LINKS, magic).filter(|_| purpose.wants_links()) {
        let operation = "it needs hard links and names with any character, which this type does not have";
        return Verdict::Refused { kind: kind.to_owned(), magic, operation };
    }
    let kind = table::local_name(magic)
        .map_or_else(|| mount.map_or_else(|| format!("type {magic:#x}"), |mount| mount.kind.clone()), str::to_owned);
    local(&kind, (magic == TMPFS).then_some("what lies there is gone when the machine restarts"))
}

#[cfg(test)]
mod tests;

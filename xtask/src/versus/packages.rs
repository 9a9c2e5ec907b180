//! Peers from Debian's packages, unpacked into folders of their own: as packages they conflict, and none may start as a service here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, output_of};

/// A peer's programs.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Laid over the machine's own `/usr` and `/etc` where the peer runs.
    pub root: PathBuf,
    /// Of the package that the peer is named for.
    pub version: String,
}

/// Downloads and unpacks `packages` and what they need beyond what this machine has, unless that was done before.
pub fn unpack(packages: &[&str], folder: &Path) -> Result<Tree> {
    let main = packages.first().context("a peer has a package")?;
    let wanted = missing(packages)?;
    let root = folder.join("root");
    let stamp = folder.join("unpacked");
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let list: String = wanted.iter().map(|(name, version)| format!("{name} {version}\n")).collect();
    if !fs::read_to_string(&stamp).is_ok_and(|found| found == list) {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        let archives = folder.join("archives");
        fs::create_dir_all(&archives)?;
        for tree in ["usr", "etc"] {
            fs::create_dir_all(root.join(tree))?;
        }
        if !names.is_empty() {
            // Root's own folder is closed to the user as whom apt would download.
            let mut download = Command::new("apt-get");
            download.args(["download", "--quiet", "-o", "APT::Sandbox::User=root"]).args(&names);
            process::run(download.current_dir(&archives))?;
        }
        for archive in fs::read_dir(&archives)? {
            output_of(Command::new("dpkg-deb").arg("--extract").arg(archive?.path()).arg(&root))?;
        }
        // What packages still put into /lib is in /usr/lib on the machine.
        if root.join("lib").is_dir() {
            output_of(Command::new("cp").arg("-a").arg(root.join("lib/.")).arg(root.join("usr/lib/")))?;
        }
        fs::write(&stamp, list)?;
    }
    let version = match wanted.iter().find(|(name, _)| name == main) {
        Some((_, version)) => version.clone(),
        None => output_of(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", main]))?,
    };
    Ok(Tree { root, version })
}

/// The packages that an installation would bring, with their versions.
fn missing(packages: &[&str]) -> Result<Vec<(String, String)>> {
    let simulate = || {
        let mut command = Command::new("apt-get");
        command.env("LC_ALL", "C").args(["install", "--simulate", "--quiet", "--no-install-recommends"]).args(packages);
        output_of(&mut command)
    };
    let text = match simulate() {
        Ok(text) => text,
        // The machine may never have asked which packages there are.
        Err(_) => {
            process::run(Command::new("apt-get").args(["update", "--quiet"]))?;
            simulate()?
        }
    };
    let found = text.lines().filter(|line| line.starts_with("Inst ")).map(inst_line);
    found.collect::<Option<Vec<_>>>().map_or_else(|| bail!("apt-get says what cannot be understood:\n{text}"), Ok)
}

/// `Inst name (version origin [architecture])`, and for one that is there in another version `Inst name [old] (version ...)`.
fn inst_line(line: &str) -> Option<(String, String)> {
    let name = line.split(' ').nth(1)?;
    let version = line.split_once('(')?.1.split(' ').next()?;
    Some((name.into(), version.into()))
}

#[cfg(test)]
mod tests {
    use super::inst_line;

    #[test]
    fn packages_are_told_with_their_new_versions() {
        for (line, name, version) in [
            ("Inst dovecot-core (1:2.3.19.1+dfsg1-2.1 Debian:12 [amd64])", "dovecot-core", "1:2.3.19.1+dfsg1-2.1"),
            (
                "Inst libgnutls30 [3.7.9-1] (3.7.9-2 Debian:12.15, Debian-Security:12 [amd64]) []",
                "libgnutls30",
                "3.7.9-2",
            ),
        ] {
            assert_eq!(inst_line(line), Some((name.into(), version.into())));
        }
        assert_eq!(inst_line("Inst"), None);
    }
}

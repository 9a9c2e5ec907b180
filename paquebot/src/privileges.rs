//! What a server that was started as root gives up, and what it may have of the machine.

use std::ffi::CString;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, initgroups, setgid, setuid};
use paquebot_config::Config;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Whether this process may do everything.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Becomes the configured user, if there is one: a server once every socket is bound, a command before it opens the data directory, whose files
/// would otherwise be root's. The data directory is made for that user if it is not there.
pub fn drop_root(config: &Config) -> anyhow::Result<()> {
    let Some(name) = &config.user else { return Ok(()) };
    let user = user(name)?;
    let gid = match &config.group {
        Some(group) => gid(group)?,
        None => user.gid,
    };
    if Uid::effective() == user.uid {
        return Ok(());
    }
    if !is_root() {
        bail!("user: only root can become {name}; start this as root or as {name}");
    }
    make_data(&config.data, user.uid, gid)?;
    let become_user = || {
        // The other groups that the user is in may be those who can read the certificate's key.
        let login = CString::new(user.name.as_bytes()).map_err(|_| Errno::EINVAL)?;
        initgroups(&login, gid)?;
        setgid(gid)?;
        setuid(user.uid)
    };
    become_user().with_context(|| format!("cannot become the user {name}"))?;
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        bail!("root could be taken back after it was given up: something in this system is wrong");
    }
    tracing::info!(user = name, "root was given up");
    Ok(())
}

/// By name or number.
fn user(name: &str) -> anyhow::Result<User> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    found.ok().flatten().with_context(|| format!("user: there is no user {name}"))
}

/// By name or number.
fn gid(name: &str) -> anyhow::Result<Gid> {
    match name.parse() {
        Ok(number) => Ok(Gid::from_raw(number)),
        Err(_) => {
            let found = Group::from_name(name).ok().flatten();
            found.map(|group| group.gid).with_context(|| format!("group: there is no group {name}"))
        }
    }
}

fn make_data(data: &Path, uid: Uid, gid: Gid) -> anyhow::Result<()> {
    if data.exists() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new().mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data directory {}", data.display()))?;
    chown(data, Some(uid.as_raw()), Some(gid.as_raw())).with_context(|| format!("cannot give away {}", data.display()))
}

/// Every connection is an open file: as many as the machine lets this process have.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

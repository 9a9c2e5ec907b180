//! What a server that was started as root gives up, and what it may have of the machine.

use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Group, Uid, User, setgid, setgroups, setuid};
use paquebot_config::Config;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Becomes the configured user, once every socket is bound. The data directory is made for that user if it is not there.
pub fn drop_root(config: &Config) -> anyhow::Result<()> {
    let Some(name) = &config.user else {
        if Uid::effective().is_root() {
            tracing::warn!(
                "running as root: set `user` in the configuration, and the server becomes that user once it listens"
            );
        }
        return Ok(());
    };
    let user = User::from_name(name).ok().flatten().with_context(|| format!("user: there is no user {name}"))?;
    let gid = match &config.group {
        Some(group) => {
            Group::from_name(group).ok().flatten().with_context(|| format!("group: there is no group {group}"))?.gid
        }
        None => user.gid,
    };
    if Uid::effective() == user.uid {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        bail!("user: only root can become {name}; start the server as root or as {name}");
    }
    make_data(&config.data, user.uid, gid)?;
    let become_user = || {
        setgroups(&[gid])?;
        setgid(gid)?;
        setuid(user.uid)
    };
    become_user().with_context(|| format!("cannot become the user {name}"))?;
    tracing::info!(user = name, "root was given up");
    Ok(())
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

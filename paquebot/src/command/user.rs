//! `paquebot user`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use paquebot_admin::{Answer, Request};
use paquebot_auth::{Credentials, Scheme, Secret, UserName};
use paquebot_config::Config;

use super::{ask, unexpected};
use crate::cli::{NewPassword, Output, User};

pub async fn run(config: &Config, command: User) -> anyhow::Result<()> {
    match command {
        User::Add(new) => {
            let name = name(&new.name)?;
            let credentials = Credentials::create(&password(&new)?)?.encode();
            done(ask(config, Request::UserAdd { name, credentials }).await?)
        }
        User::Passwd(new) => {
            let name = name(&new.name)?;
            let credentials = Credentials::create(&password(&new)?)?.encode();
            done(ask(config, Request::UserPasswd { name, credentials }).await?)
        }
        User::Remove { name: text } => done(ask(config, Request::UserRemove { name: name(&text)? }).await?),
        User::List(options) => list(config, options).await,
        User::Import { file, scheme } => import(config, &file, &scheme).await,
    }
}

/// The name as logins have it.
fn name(text: &str) -> anyhow::Result<String> {
    let name = UserName::parse(text.as_bytes()).with_context(|| format!("{text:?} cannot be a user's name"))?;
    Ok(name.as_str().to_owned())
}

fn done(answer: Answer) -> anyhow::Result<()> {
    match answer {
        Answer::Done => Ok(()),
        other => bail!(unexpected(&other)),
    }
}

/// From the terminal, twice and without an echo, or the first line of standard input. Never from the command line, which everybody can see.
fn password(new: &NewPassword) -> anyhow::Result<Secret> {
    let password = if new.password_stdin || !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        let first = rpassword::prompt_password("Password: ").context("cannot read the password")?;
        let again = rpassword::prompt_password("Again: ").context("cannot read the password")?;
        ensure!(first == again, "the two are not the same");
        first
    };
    ensure!(!password.is_empty(), "the password is empty");
    Ok(Secret::new(password))
}

async fn list(config: &Config, options: Output) -> anyhow::Result<()> {
    let users = match ask(config, Request::UserList).await? {
        Answer::Users { users } => users,
        other => bail!(unexpected(&other)),
    };
    if options.json {
        println!("{}", serde_json::to_string(&users)?);
        return Ok(());
    }
    for user in &users {
        let kept = if user.has_password { "" } else { "  (password in the passwd-file)" };
        println!("{}  {} messages, {} bytes{kept}", user.name, user.messages, user.bytes);
    }
    Ok(())
}

/// Every line stands for itself: what cannot be taken is named, and the rest is.
async fn import(config: &Config, file: &Path, scheme: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let Some(scheme) = Scheme::named(scheme) else { bail!("{scheme}: there is no such password scheme") };
    let (mut added, mut problems) = (0, 0);
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match import_line(config, line, scheme).await {
            Ok(()) => added += 1,
            Err(error) => {
                problems += 1;
                eprintln!("{}, line {}: {error:#}", file.display(), index + 1);
            }
        }
    }
    println!("{added} users were added");
    ensure!(problems == 0, "{problems} lines could not be taken");
    Ok(())
}

async fn import_line(config: &Config, line: &str, scheme: Scheme) -> anyhow::Result<()> {
    let mut fields = line.split(':');
    let name = name(fields.next().unwrap_or_default())?;
    let hash = fields.next().filter(|hash| !hash.is_empty()).with_context(|| format!("{name} has no password"))?;
    let credentials =
        Credentials::from_hash(hash, scheme).with_context(|| format!("{name}: the password cannot be used"))?;
    done(ask(config, Request::UserAdd { name, credentials: credentials.encode() }).await?)
}

//! `paquebot user`.

use std::io::{BufRead as _, IsTerminal as _};

use anyhow::{Context as _, bail, ensure};
use paquebot_admin::{Answer, Fate, Imported, Request};
use paquebot_auth::{Access, CreateError, Credentials, PasswdFile, Scheme, Secret, UserName};
use paquebot_config::Config;

use super::{ask, ask_all, unexpected};
use crate::cli::{Import, NewPassword, Output, User};

/// So many users are well below what one request may have in octets.
const IMPORTED_AT_ONCE: usize = 500;

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
        User::Import(options) => import(config, options).await,
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

/// Every user stands for himself: who cannot be taken is named, and the rest is.
async fn import(config: &Config, options: Import) -> anyhow::Result<()> {
    let Import { file, scheme, replace } = options;
    let Some(scheme) = Scheme::named(&scheme) else { bail!("{scheme}: there is no such password scheme") };
    let users = PasswdFile::open(&file, scheme)?;
    let mut problems: Vec<String> = users.problems().iter().map(ToString::to_string).collect();
    let mut taken = Vec::new();
    for (name, found) in users.all() {
        if found.access != Access::default() {
            problems
                .push(format!("{name}: nologin and allow_nets have no place here; keep the user in auth.passwd_file"));
            continue;
        }
        match hashed(found.credentials) {
            Ok(credentials) => taken.push(Imported { name: name.to_string(), credentials: credentials.encode() }),
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    let names: Vec<String> = taken.iter().map(|user| user.name.clone()).collect();
    let requests = taken.chunks(IMPORTED_AT_ONCE).map(|users| Request::UserImport { users: users.to_vec(), replace });
    let mut fates = Vec::new();
    for answer in ask_all(config, requests.collect()).await? {
        match answer {
            Answer::Imported { fates: some } => fates.extend(some),
            other => bail!(unexpected(&other)),
        }
    }
    let (mut added, mut replaced, mut left) = (0, 0, 0);
    for (name, fate) in names.iter().zip(fates) {
        match fate {
            Fate::Added => added += 1,
            Fate::Replaced => replaced += 1,
            Fate::Exists => {
                left += 1;
                eprintln!("{name}: there is such a user already, whose password stays; --replace takes the file's");
            }
            Fate::Failed(why) => problems.push(format!("{name}: {why}")),
        }
    }
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    println!("{added} added, {replaced} replaced, {left} left as they were, {} problems", problems.len());
    ensure!(problems.is_empty(), "not every user could be taken");
    Ok(())
}

/// Hashes stay as they are; a password in plain text becomes one.
fn hashed(credentials: Credentials) -> Result<Credentials, CreateError> {
    let plain = ["{PLAIN}", "{CLEARTEXT}"].iter().find_map(|scheme| {
        let (start, password) = credentials.password_hash.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| Secret::new(password))
    });
    plain.map_or(Ok(credentials), |password| Credentials::create(&password))
}

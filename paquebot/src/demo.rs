//! `paquebot demo`: a server with an account and real-looking mail, ready for a mail client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};
use paquebot_auth::{Credentials, Secret};
use paquebot_mailbox::{Account, Service};
use paquebot_protocol::parse_date_time;
use paquebot_types::{Flag, Flags, InternalDate, Keyword, MailboxName, SpecialUse};
use serde::Deserialize;

use crate::cli;
use crate::serve::{self, Listening};
use paquebot_config::{Config, ListenAddress};

/// The project's own samples: see `samples/README.md`.
static SAMPLES: Dir = include_dir!("$CARGO_MANIFEST_DIR/../samples");

const USER: &str = "demo";
const PASSWORD: &str = "demo";

#[derive(Deserialize)]
struct Manifest {
    mailboxes: Vec<SampleMailbox>,
    messages: Vec<Sample>,
}

#[derive(Deserialize)]
struct SampleMailbox {
    name: String,
    special_use: Option<String>,
}

#[derive(Deserialize)]
struct Sample {
    file: PathBuf,
    mailbox: String,
    flags: Vec<String>,
    internal_date: String,
}

/// Makes the account with its mail, unless the data directory has it already, and serves until it is told to stop.
pub async fn demo(mut config: Config, options: cli::Demo) -> anyhow::Result<()> {
    let temporary = match &options.data {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new().prefix("paquebot-demo-").tempdir().context("cannot make a temporary directory")?,
        ),
    };
    config.data = match (&options.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(directory)) => directory.path().join("data"),
        (None, None) => bail!("there is no data directory"),
    };
    for addresses in
        [&mut config.listen.imap, &mut config.listen.imaps, &mut config.listen.lmtp, &mut config.listen.admin]
    {
        addresses.iter_mut().for_each(|address| *address = free_or_any(address));
    }
    let data = config.data.clone();
    let is_temporary = temporary.is_some();
    serve::serve_with(config, fill, |listening| println!("{}", welcome(listening, &data, is_temporary))).await
}

/// The address if nobody listens there, and otherwise one with a port that is free.
fn free_or_any(address: &ListenAddress) -> ListenAddress {
    let ListenAddress::Tcp(text) = address else { return address.clone() };
    match (std::net::TcpListener::bind(text), text.rsplit_once(':')) {
        (Err(_), Some((host, _))) => ListenAddress::Tcp(format!("{host}:0")),
        _ => address.clone(),
    }
}

/// Adds the account and its mail; nothing if it is there.
async fn fill(service: Arc<Service>) -> anyhow::Result<()> {
    if service.login(USER)?.is_some() {
        return Ok(());
    }
    let text = SAMPLES.get_file("manifest.json").context("the samples have no manifest")?.contents();
    let manifest: Manifest = serde_json::from_slice(text).context("the samples' manifest cannot be read")?;
    let credentials = Credentials::create(&Secret::new(PASSWORD))?;
    let account = service.add_login(USER, Some(credentials.encode())).await?;
    for mailbox in &manifest.mailboxes {
        let name = MailboxName::new(&mailbox.name)?;
        if account.mailbox_named(&name)?.is_none() {
            let special_use = mailbox.special_use.as_deref().and_then(SpecialUse::parse);
            account.create(&name, special_use.as_slice()).await?;
            account.subscribe(&name).await?;
        }
    }
    for sample in &manifest.messages {
        append(&account, sample).await.with_context(|| format!("cannot add {}", sample.file.display()))?;
    }
    println!("{} sample messages are in the account {USER}", manifest.messages.len());
    Ok(())
}

async fn append(account: &Account, sample: &Sample) -> anyhow::Result<()> {
    let bytes = SAMPLES.get_file(&sample.file).context("no such sample")?.contents();
    let mailbox = account.mailbox_named(&MailboxName::new(&sample.mailbox)?)?.context("no such mailbox")?;
    let (flags, keywords) = flags(&sample.flags)?;
    let date = parse_date_time(sample.internal_date.as_bytes()).unwrap_or(InternalDate::utc(0));
    let mut incoming = account.incoming(Some(bytes.len() as u64));
    incoming.write(bytes)?;
    let message = incoming.finish().await?.message(flags, keywords, date);
    account.append(mailbox, vec![message]).await?;
    Ok(())
}

fn flags(names: &[String]) -> anyhow::Result<(Flags, Vec<Keyword>)> {
    let (mut flags, mut keywords) = (Flags::NONE, Vec::new());
    for name in names {
        match Flag::parse(name)? {
            Flag::System(flag) => flags = flags.union(flag),
            Flag::Keyword(keyword) => keywords.push(keyword),
        }
    }
    Ok((flags, keywords))
}

/// What to type where.
fn welcome(listening: &Listening, data: &Path, is_temporary: bool) -> String {
    let host_and_port = |addresses: &[String]| {
        let address = addresses.first().cloned().unwrap_or_default();
        address.rsplit_once(':').map_or((address.clone(), String::new()), |(host, port)| (host.into(), port.into()))
    };
    let (host, imap) = host_and_port(&listening.imap);
    let (_, imaps) = host_and_port(&listening.imaps);
    let fate = if is_temporary { " (removed at the end; --data DIR keeps it)" } else { "" };
    format!(
        "
Paquebot is ready. Its mail is in {data}{fate}.

  user {USER}, password {PASSWORD}

In a mail client:
  IMAP server {host}, port {imaps}, SSL/TLS  (or port {imap}, STARTTLS); normal password
  The certificate is self-signed: accept it once.
  There is no SMTP server here: mail is only read, filed and searched.

With mutt:
  mutt -e 'set ssl_force_tls=no ssl_starttls=no' -f imap://{USER}:{PASSWORD}@{host}:{imap}/INBOX

With curl:
  curl -k 'imaps://{host}:{imaps}/INBOX?ALL' -u {USER}:{PASSWORD}
  curl -k 'imaps://{host}:{imaps}/INBOX;MAILINDEX=1' -u {USER}:{PASSWORD}

Stop it with Ctrl-C.",
        data = data.display()
    )
}

//! The built server as a child process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::process::{Finished, run};
use crate::running::Running;
use crate::server_binary::paquebot;
use crate::{Addresses, Client, Response};

const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The accounts that are made before the start.
    pub accounts: Vec<Account>,
    /// More lines of configuration, each a whole key: `limits.sessions = 3`.
    pub settings: String,
    /// LMTP on a UNIX socket rather than on a port.
    pub lmtp_socket: bool,
    /// The pair that the server makes for itself, rather than one under an authority that clients are given.
    pub own_certificate: bool,
}

#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub password: String,
}

impl Options {
    pub fn with_account(name: &str, password: &str) -> Options {
        Options::default().and_account(name, password)
    }

    pub fn and_account(mut self, name: &str, password: &str) -> Options {
        self.accounts.push(Account { name: name.to_owned(), password: password.to_owned() });
        self
    }
}

/// A running server with a data directory of its own. Dropped, it is killed and its data removed.
pub struct Server {
    options: Options,
    folder: TempDir,
    certificates: Certificates,
    running: Option<Running>,
}

impl Server {
    /// Makes a data directory and the accounts, starts `paquebot serve`, and returns once it said `ready`.
    pub fn start(options: Options) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("paquebot-").tempdir()?;
        let certificates = Certificates::make(folder.path())?;
        let mut server = Server { options, folder, certificates, running: None };
        server.write_configuration()?;
        for account in server.options.accounts.clone() {
            server.add_account(&account.name, &account.password)?;
        }
        server.start_again()?;
        Ok(server)
    }

    /// Starts it after it was stopped or killed, on the same data.
    pub fn start_again(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the server runs already");
        self.running = Some(Running::start(self.command(&["serve"])?)?);
        Ok(())
    }

    /// Ends it by SIGTERM and returns once it is gone; an error unless it exits with 0.
    pub fn stop(mut self) -> Result<()> {
        self.terminate()
    }

    /// As [`Server::stop`], to be started again.
    pub fn terminate(&mut self) -> Result<()> {
        self.running.take().context("the server does not run")?.end_by(Signal::TERM)
    }

    /// Ends it by SIGKILL, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the server does not run")?.end_by(Signal::KILL)
    }

    /// Makes an account with `paquebot user add`, before the start or while it serves.
    pub fn add_account(&self, name: &str, password: &str) -> Result<()> {
        let mut add = self.command(&["user", "add", name, "--password-stdin"])?;
        run(&mut add, format!("{password}\n").as_bytes(), COMMAND_LIMIT)?.success().map(drop)
    }

    /// Runs `paquebot check` over the data; an error with what it found unless all is well.
    pub fn check(&self) -> Result<()> {
        self.run(&["check"])?.success().map(drop)
    }

    /// Runs `paquebot <arguments> --config <this server's>`.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        run(&mut self.command(arguments)?, b"", COMMAND_LIMIT)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(paquebot()?);
        command.args(arguments).arg("--config").arg(self.configuration());
        command.current_dir(self.folder.path()).env("NO_COLOR", "1");
        Ok(command)
    }

    /// Where it listens. Panics when it does not run.
    pub fn addresses(&self) -> &Addresses {
        self.running.as_ref().expect("the server runs").addresses()
    }

    /// The authority that its certificate is under, PEM.
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that is removed with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("paquebot.toml")
    }

    /// All that it wrote since it was started.
    pub fn log(&self) -> String {
        self.running.as_ref().map(Running::log).unwrap_or_default()
    }

    /// The process id, to look at its memory.
    pub fn process_id(&self) -> u32 {
        self.running.as_ref().expect("the server runs").process_id()
    }

    /// A plain-text connection on which `account` has logged in.
    pub fn client(&self, account: &str) -> Result<Client> {
        let mut client = self.stranger()?;
        client.login(account, self.password(account)?)?;
        Ok(client)
    }

    /// A plain-text connection on which nobody has logged in; the greeting has been read.
    pub fn stranger(&self) -> Result<Client> {
        let (client, greeting) = Client::connect(self.addresses().imap)?;
        expect_greeting(&greeting)?;
        Ok(client)
    }

    /// A connection under TLS on which `account` has logged in.
    pub fn tls_client(&self, account: &str) -> Result<Client> {
        let (mut client, greeting) = Client::connect_tls(self.addresses().imaps)?;
        expect_greeting(&greeting)?;
        client.login(account, self.password(account)?)?;
        Ok(client)
    }

    pub fn password(&self, account: &str) -> Result<&str> {
        let found = self.options.accounts.iter().find(|known| known.name == account);
        found
            .map(|known| known.password.as_str())
            .with_context(|| format!("no account {account:?} among the server's options"))
    }

    fn write_configuration(&self) -> Result<()> {
        let Certificates { certificate, key, .. } = &self.certificates;
        let lmtp = if self.options.lmtp_socket {
            format!("unix:{}", self.folder.path().join("lmtp").display())
        } else {
            "127.0.0.1:0".to_owned()
        };
        let tls = if self.options.own_certificate {
            String::new()
        } else {
            format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n")
        };
        let text = format!(
            "data = {:?}\n{}\n\n[listen]\nimap = [\"127.0.0.1:0\"]\nimaps = [\"127.0.0.1:0\"]\nlmtp = [{lmtp:?}]\nadmin = [\"127.0.0.1:0\"]\n\n{tls}",
            self.data(),
            self.options.settings
        );
        fs::write(self.configuration(), text).context("cannot write the configuration")
    }
}

fn expect_greeting(greeting: &Response) -> Result<()> {
    ensure!(greeting.starts_with("* OK"), "the greeting is {greeting}");
    Ok(())
}

//! `cargo xtask versus`: Paquebot beside other servers, in the same run, by the same client, with what each promises.
//!
//! All servers run at once and are driven one at a time, in turn: A B C, A B C. So whatever else the machine does meets all of them, and a ratio
//! is taken within a round. docs/benchmarks.md tells how to run it and what came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{self, cargo, find, is_root, output_of, root, target_folder};
use crate::setup;

mod check;
mod courier;
mod cyrus;
mod document;
mod dovecot;
mod drive;
mod flushes;
mod loopback;
mod options;
mod packages;
mod paquebot;
mod plot;
mod results;
mod rows;
mod server;
mod table;

use document::Findings;
use drive::{Driver, Mailbox};
use options::{Options, USAGE};
use results::{Results, Sample};
use server::{Kind, Place, Server, Watch};

/// Every server; Paquebot is the first, and the others are its peers.
static KINDS: &[&Kind] =
    &[&paquebot::PAQUEBOT, &dovecot::SDBOX, &dovecot::MDBOX, &dovecot::MAILDIR, &cyrus::CYRUS, &courier::COURIER];

/// When the first measurement began.
static START: OnceLock<Instant> = OnceLock::new();

/// Users for scripts: others have the loads.
const LARGE_USER: &str = "u90";
const BODIES_USER: &str = "u91";
const LARGE_MESSAGE_BYTES: u32 = 2_000;
/// What hardly differs from time to time is measured less often.
const IDLE_ROUNDS: u32 = 2;
const START_ROUNDS: u32 = 3;

pub fn run(arguments: &[String]) -> Result<()> {
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    let start = Instant::now();
    let mut bench = Bench::set_up(options)?;
    bench.measure()?;
    let page = bench.options.page.as_ref().map_or_else(|| root().join("docs/benchmarks.md"), PathBuf::from);
    let findings = bench.findings()?;
    println!("\n{}", table::summary(&findings.results, &findings.names));
    fs::write(bench.driver.folder.join("results.json"), format!("{:#}\n", findings.results.json(&findings.names)))?;
    findings.write(&page)?;
    eprintln!("versus: {} written after {} s", page.display(), start.elapsed().as_secs());
    Ok(())
}

/// The servers, and what was found out about them.
struct Bench {
    options: Options,
    driver: Driver,
    servers: Vec<Server>,
    versions: Vec<String>,
    flushes: Vec<Vec<Option<f64>>>,
    seen: Vec<Option<check::Seen>>,
    results: Results,
}

impl Bench {
    /// Unpacks, builds and configures everything; nothing runs yet.
    fn set_up(options: Options) -> Result<Self> {
        for program in ["apt-get", "dpkg-deb", "unshare", "setpriv", "openssl", "python3", "strace"] {
            if find(program).is_none() {
                setup::run()?;
            }
        }
        if !is_root() {
            bail!(
                "run this as root: servers are started with their packages mounted over /usr, in a namespace of their own"
            );
        }
        let target = target_folder()?;
        let folder = target.join("versus");
        let stores = if options.ram { PathBuf::from("/dev/shm/paquebot-versus") } else { folder.join("stores") };
        fs::create_dir_all(&stores)?;
        certificate(&folder)?;
        let paquebot = paquebot(&target)?;
        let (mut servers, mut versions) = (Vec::new(), Vec::new());
        for kind in KINDS
            .iter()
            .filter(|kind| options.servers.as_ref().is_none_or(|only| only.iter().any(|name| name == kind.short)))
        {
            let tree = match kind.packages {
                [] => None,
                packages => Some(packages::unpack(packages, &folder.join("peers").join(packages[0]))?),
            };
            versions.push(match &tree {
                Some(tree) => tree.version.clone(),
                None => output_of(Command::new(&paquebot).arg("--version"))?.trim().to_owned(),
            });
            let place =
                Place { folder: stores.join(kind.short), tree, paquebot: paquebot.clone(), imap: 0, imaps: 0, lmtp: 0 };
            servers.push(Server::set_up(kind, place, &folder)?);
        }
        if servers.first().is_none_or(|server| server.kind.short != KINDS[0].short) {
            bail!("paquebot must be among the servers: all others are compared with it");
        }
        let driver = Driver { paquebot, seconds: options.seconds, quick: options.quick, folder };
        let (flushes, seen) = (vec![Vec::new(); servers.len()], vec![None; servers.len()]);
        Ok(Self { options, driver, servers, versions, flushes, seen, results: Results::default() })
    }

    fn measure(&mut self) -> Result<()> {
        if self.options.wants("flushes", "") {
            for (server, found) in self.servers.iter_mut().zip(&mut self.flushes) {
                say(server, "flushes");
                *found = flushes::count(server, &self.driver)?;
            }
        }
        for server in &mut self.servers {
            server.start(Watch::Nothing)?;
        }
        if self.options.wants("check", "") {
            for (server, seen) in self.servers.iter().zip(&mut self.seen) {
                say(server, "a second client");
                *seen = Some(check::see(server, &self.driver)?);
            }
        }
        self.loads();
        self.idle()?;
        self.large();
        self.bodies();
        self.starts()
    }

    fn loads(&mut self) {
        for load in rows::LOADS.iter().filter(|load| self.options.wants("loads", load.row.key)) {
            for round in 0..self.options.rounds {
                for (number, server) in self.servers.iter().enumerate() {
                    if server.kind.lmtp || load.row.key != "deliver" {
                        say(server, &format!("{}, round {}", load.row.key, round + 1));
                        keep(&mut self.results, load.row.key, number, round, self.driver.load(server, load));
                    }
                }
            }
        }
    }

    /// Each is started anew for it: processes that wait for the next connection would hide what one costs.
    fn idle(&mut self) -> Result<()> {
        for (row, tls) in [(&rows::IDLE, false), (&rows::IDLE_TLS, true)] {
            let rounds = if self.options.wants("idle", row.key) { self.rounds(IDLE_ROUNDS) } else { 0 };
            for round in 0..rounds {
                for (number, server) in self.servers.iter_mut().enumerate() {
                    say(server, row.key);
                    server.stop()?;
                    server.start(Watch::Nothing)?;
                    let sample = self.driver.idle(server, self.options.idle, tls);
                    keep(&mut self.results, row.key, number, round, sample);
                }
            }
        }
        Ok(())
    }

    fn large(&mut self) {
        if !self.options.wants("large", "") {
            return;
        }
        let messages = self.options.large;
        let script = rows::large_script(messages);
        for number in 0..self.servers.len() {
            self.script(number, 0, self.large_mailbox(), rows::FIRST_SCRIPT);
        }
        for round in 0..self.options.rounds {
            for number in 0..self.servers.len() {
                self.script(number, round, self.large_mailbox(), &script);
            }
        }
    }

    /// So many at most, and one less in the short form.
    fn rounds(&self, most: u32) -> u32 {
        self.options.rounds.min(if self.options.quick { most - 1 } else { most })
    }

    fn large_mailbox(&self) -> Mailbox<'static> {
        Mailbox { user: LARGE_USER, name: "large", messages: self.options.large, size: Some(LARGE_MESSAGE_BYTES) }
    }

    fn bodies(&mut self) {
        let mailboxes = [("bodies-6k", "six", 2000, 6_000), ("bodies-1m", "one", 40, 1_000_000)];
        for (key, name, messages, size) in mailboxes {
            let rounds = if self.options.wants("bodies", key) { self.options.rounds } else { 0 };
            for round in 0..rounds {
                for number in 0..self.servers.len() {
                    let mailbox = Mailbox { user: BODIES_USER, name, messages, size: Some(size) };
                    self.script(number, round, mailbox, &rows::bodies_script(key));
                }
            }
        }
    }

    /// Does a script and keeps its steps under their names, each the key of a row.
    fn script(&mut self, number: usize, round: u32, mailbox: Mailbox<'_>, script: &str) {
        let server = &self.servers[number];
        say(server, &format!("{}, round {}", mailbox.name, round + 1));
        match self.driver.script(server, mailbox, script) {
            Err(error) => eprintln!("versus: {}: {error:#}", server.kind.name),
            Ok(steps) => {
                for (name, sample) in steps {
                    if let Some(row) = rows::all().find(|row| row.key == name) {
                        self.results.add(row.key, number, round, sample);
                    }
                }
            }
        }
    }

    /// Each is stopped and started, and killed while it is fresh from a load, and started.
    fn starts(&mut self) -> Result<()> {
        if !self.options.wants("starts", "") {
            return Ok(());
        }
        for round in 0..self.rounds(START_ROUNDS) {
            for number in 0..self.servers.len() {
                let server = &mut self.servers[number];
                say(server, "starts");
                server.stop()?;
                let took = server.start(Watch::Nothing)?;
                self.results.add("start", number, round, of_duration(took));
                if self.options.wants("large", "") {
                    self.script(number, round, self.large_mailbox(), rows::COLD_SCRIPT);
                }
                // What was just written is not yet where a start is quick.
                if let Some(append) = rows::LOADS.iter().find(|load| load.row.key == "append") {
                    self.driver.load(&self.servers[number], append)?;
                }
                let server = &mut self.servers[number];
                server.kill()?;
                let took = server.start(Watch::Nothing)?;
                self.results.add("recover", number, round, of_duration(took));
            }
        }
        Ok(())
    }

    /// Ends the servers, and gives what was found out.
    fn findings(&mut self) -> Result<Findings> {
        for server in &mut self.servers {
            server.stop()?;
            if self.options.ram {
                // Nobody wants to find a full memory later.
                fs::remove_dir_all(&server.place.folder)?;
            }
        }
        Ok(Findings {
            names: self.servers.iter().map(|server| server.kind.name).collect(),
            versions: self.versions.clone(),
            promises: self.servers.iter().map(|server| server.kind.promise).collect(),
            flushes: std::mem::take(&mut self.flushes),
            seen: std::mem::take(&mut self.seen),
            results: std::mem::take(&mut self.results),
            loopback: loopback::bytes_a_second()?,
            large: self.options.large,
            circumstances: circumstances(&self.options)?,
        })
    }
}

/// Keeps a sample; a failure leaves the line without one.
fn keep(results: &mut Results, row: &'static str, number: usize, round: u32, sample: Result<Sample>) {
    match sample {
        Ok(sample) => results.add(row, number, round, sample),
        Err(error) => eprintln!("versus: {row}: {error:#}"),
    }
}

fn of_duration(took: Duration) -> Sample {
    Sample { rate: 1.0 / took.as_secs_f64(), ..Sample::default() }
}

fn say(server: &Server, what: &str) {
    let start = *START.get_or_init(Instant::now);
    eprintln!("versus: {:>4} s {}: {what}", start.elapsed().as_secs(), server.kind.name);
}

/// The one that `PAQUEBOT_BIN` names, or a fresh one.
fn paquebot(target: &Path) -> Result<PathBuf> {
    if let Some(server) = std::env::var_os("PAQUEBOT_BIN") {
        return Ok(server.into());
    }
    process::run(cargo().args(["build", "--release", "--package", "paquebot"]))?;
    Ok(target.join("release/paquebot"))
}

/// One for all servers: ECDSA, as most are today.
fn certificate(folder: &Path) -> Result<()> {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    if certificate.exists() && key.exists() {
        return Ok(());
    }
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "3650",
    ]);
    command.args(["-subj", "/CN=versus.example", "-addext", "subjectAltName=DNS:versus.example"]);
    output_of(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).map(drop)
}

/// Under which circumstances it was measured.
fn circumstances(options: &Options) -> Result<String> {
    let line = |program: &str, arguments: &[&str]| {
        output_of(Command::new(program).args(arguments)).map(|text| text.trim().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let debian = fs::read_to_string("/etc/debian_version").unwrap_or_default();
    Ok(format!(
        "Measured on {} with {} processors ({}), Linux {}, Debian {}, stores on {}: {} rounds of {} s each{}.",
        line("date", &["--utc", "+%F"])?,
        line("nproc", &[])?,
        model.trim_matches([' ', '\t', ':']),
        line("uname", &["-r"])?,
        debian.trim(),
        if options.ram { "a RAM disk" } else { "disk" },
        options.rounds,
        options.seconds,
        if options.quick { ", the short form (`--quick`)" } else { "" }
    ))
}

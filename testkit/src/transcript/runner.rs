//! Holding the conversation.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result, bail, ensure};

use super::pattern::Pattern;
use super::script::{Exchange, Script, Sent, Setup, State, Step};
use super::text::{self, Piece, Variables};
use crate::samples::Samples;
use crate::{Client, Options, Response, Server};

const PASSWORD: &str = "secret";

pub fn run(script: &Script) -> Result<()> {
    let mut options = Options::with_account("alice", PASSWORD);
    for account in &script.setup.accounts {
        options = options.and_account(account, PASSWORD);
    }
    options.settings = script.setup.settings.join("\n");
    let server = Server::start(options)?;
    fill(&server, &script.setup)?;

    let mut stage = Stage { setup: &script.setup, server, connections: BTreeMap::new(), variables: Variables::new() };
    for connection in 1..=script.setup.connections.unwrap_or(1) {
        stage.connect(connection, "alice", script.setup.state)?;
    }
    for (number, step) in &script.steps {
        let done = stage.step(step);
        if done.is_err() {
            eprintln!("--- the server's log\n{}", stage.server.log());
        }
        done.with_context(|| format!("at line {number}"))?;
    }
    stage.connections.clear();
    stage.server.stop()
}

fn fill(server: &Server, setup: &Setup) -> Result<()> {
    if setup.messages == 0 && !setup.samples {
        return Ok(());
    }
    let mut client = server.client("alice")?;
    for number in 1..=setup.messages {
        client.append("INBOX", &[], Some(&text::internal_date(number)), &text::message(number))?.ok()?;
    }
    if setup.samples {
        Samples::load()?.upload(&mut client)?;
    }
    Ok(())
}

/// The server and all that the conversation has come to.
struct Stage<'a> {
    setup: &'a Setup,
    server: Server,
    connections: BTreeMap<u32, Connection>,
    variables: Variables,
}

struct Connection {
    client: Client,
    /// Commands without their tagged answer yet.
    open: VecDeque<String>,
    /// The server has asked for more of the open command: the next line has no tag.
    continuing: bool,
}

/// Something that came.
enum Event {
    Untagged(Response),
    Continuation(Response),
    /// What follows the tag.
    Tagged(Response),
    Closed,
}

impl Stage<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Exchange(exchange) => {
                let connection =
                    self.connections.get_mut(&exchange.connection).context("there is no such connection")?;
                connection.exchange(exchange, &mut self.variables)
            }
            Step::Connect { connection, account, state } => self.connect(*connection, account, *state),
            Step::Closes { connection } => {
                let mut closing = self.connections.remove(connection).context("there is no such connection")?;
                while let Some(response) = closing.client.read()? {
                    ensure!(response.starts_with("* BYE"), "instead of closing: {response}");
                }
                Ok(())
            }
            Step::Greater { left, right } => {
                let value = |name: &str| -> Result<u64> {
                    let value = self.variables.get(name).with_context(|| format!("${name} was not seen"))?;
                    value.parse().with_context(|| format!("${name} is {value}, no number"))
                };
                let (left_value, right_value) = (value(left)?, value(right)?);
                ensure!(left_value > right_value, "${left} is {left_value}, ${right} is {right_value}");
                Ok(())
            }
            Step::Restart => {
                self.connections.clear();
                self.server.terminate()?;
                self.server.start_again()
            }
            Step::Kill => {
                self.connections.clear();
                self.server.kill()?;
                self.server.start_again()
            }
        }
    }

    fn connect(&mut self, number: u32, account: &str, state: State) -> Result<()> {
        let addresses = self.server.addresses();
        let (mut client, _greeting) =
            if self.setup.tls { Client::connect_tls(addresses.imaps)? } else { Client::connect(addresses.imap)? };
        if state != State::Stranger {
            client.login(account, PASSWORD)?;
            if !self.setup.enable.is_empty() {
                client.command(&format!("ENABLE {}", self.setup.enable.join(" ")))?.ok()?;
            }
        }
        match state {
            State::Selected => drop(client.command("SELECT INBOX")?.ok()?),
            State::Examined => drop(client.command("EXAMINE INBOX")?.ok()?),
            State::Stranger | State::LoggedIn => {}
        }
        self.connections.insert(number, Connection { client, open: VecDeque::new(), continuing: false });
        Ok(())
    }
}

impl Connection {
    fn exchange(&mut self, exchange: &Exchange, variables: &mut Variables) -> Result<()> {
        let mut events = Vec::new();
        self.send(&exchange.sent, variables, &mut events)?;
        let answered = exchange.sent.iter().any(|sent| matches!(sent, Sent::Line { .. }));
        let more = exchange.ordered.iter().chain(&exchange.unordered).any(|(_, pattern)| pattern.is_continuation());
        loop {
            let asked = events.iter().any(|event| matches!(event, Event::Continuation(_)));
            let done = if !answered {
                judge(exchange, &events, &mut variables.clone()).is_ok()
            } else {
                self.open.is_empty() || (more && asked)
            };
            if done {
                break;
            }
            let before = judge(exchange, &events, &mut variables.clone()).err();
            let read = self.read(&mut events);
            if let (Err(error), Some(before)) = (&read, before) {
                bail!("{before:#}\nthen: {error:#}");
            }
            read?;
        }
        if answered {
            self.continuing = more && !self.open.is_empty();
        }
        judge(exchange, &events, variables)
    }

    fn send(&mut self, sent: &[Sent], variables: &Variables, events: &mut Vec<Event>) -> Result<()> {
        let mut packet = Vec::new();
        for sent in sent {
            match sent {
                Sent::Raw(octets) => packet.extend_from_slice(octets),
                Sent::Line { pieces, .. } => {
                    if !std::mem::take(&mut self.continuing) {
                        let tag = self.client.tag();
                        packet.extend(format!("{tag} ").bytes());
                        self.open.push_back(tag);
                    }
                    if !self.send_pieces(pieces, variables, &mut packet, events)? {
                        return Ok(());
                    }
                    packet.extend(b"\r\n");
                }
            }
            if !matches!(sent, Sent::Line { together: true, .. }) {
                self.client.send(&std::mem::take(&mut packet))?;
            }
        }
        self.client.send(&packet)
    }

    /// Adds the pieces to the packet, sending it whenever the server must first agree to a literal. False: it did not.
    fn send_pieces(
        &mut self,
        pieces: &[Piece],
        variables: &Variables,
        packet: &mut Vec<u8>,
        events: &mut Vec<Event>,
    ) -> Result<bool> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => packet.extend(text.bytes()),
                Piece::Variable(name) => {
                    packet.extend(variables.get(name).with_context(|| format!("${name} was not seen yet"))?.bytes())
                }
                Piece::Literal { data, synchronizing: false } => {
                    packet.extend(format!("{{{}+}}\r\n", data.len()).bytes());
                    packet.extend_from_slice(data);
                }
                Piece::Literal { data, synchronizing: true } => {
                    packet.extend(format!("{{{}}}\r\n", data.len()).bytes());
                    self.client.send(&std::mem::take(packet))?;
                    let open = self.open.len();
                    loop {
                        self.read(events)?;
                        if matches!(events.last(), Some(Event::Continuation(_))) {
                            events.pop();
                            break;
                        }
                        if self.open.len() < open && self.open.is_empty() {
                            return Ok(false);
                        }
                    }
                    packet.extend_from_slice(data);
                }
                Piece::Anything | Piece::AnyLiteral => bail!("a wildcard can't be sent"),
            }
        }
        Ok(true)
    }

    fn read(&mut self, events: &mut Vec<Event>) -> Result<()> {
        if matches!(events.last(), Some(Event::Closed)) {
            bail!("the connection was closed");
        }
        let Some(response) = self.client.read()? else {
            events.push(Event::Closed);
            self.open.clear();
            return Ok(());
        };
        if response.is_untagged() {
            events.push(Event::Untagged(response));
        } else if response.is_continuation() {
            events.push(Event::Continuation(response));
        } else {
            let tag = self.open.front().with_context(|| format!("no command is open, and yet: {response}"))?;
            let Some(answer) = response.after_tag(tag) else { bail!("not the answer to {tag}: {response}") };
            events.push(Event::Tagged(Response::new(answer.to_vec())));
            self.open.pop_front();
        }
        Ok(())
    }
}

/// Whether what came is what the exchange asks for.
fn judge(exchange: &Exchange, events: &[Event], variables: &mut Variables) -> Result<()> {
    let mut expected = vec![false; events.len()];
    let mut from = 0;
    for (line, pattern) in &exchange.ordered {
        match (from..events.len()).find(|at| fits(pattern, &events[*at], variables)) {
            Some(at) => {
                expected[at] = true;
                from = at + 1;
            }
            None => bail!("line {line}: this did not come: {}\n{}", pattern.written, shown(events)),
        }
    }
    for (line, pattern) in &exchange.unordered {
        match (0..events.len()).find(|at| !expected[*at] && fits(pattern, &events[*at], variables)) {
            Some(at) => expected[at] = true,
            None => bail!("line {line}: this did not come: {}\n{}", pattern.written, shown(events)),
        }
    }
    for (line, pattern) in &exchange.never {
        let came = events.iter().any(|event| matches!(event, Event::Untagged(response) if pattern.fits(response.bytes(), &mut variables.clone())));
        ensure!(!came, "line {line}: this must not come: {}\n{}", pattern.written, shown(events));
    }
    for (event, expected) in events.iter().zip(expected) {
        match event {
            Event::Tagged(answer) if !expected => {
                ensure!(answer.starts_with("OK"), "the answer is not OK\n{}", shown(events))
            }
            Event::Untagged(response) if !expected => {
                ensure!(!exchange.nothing_else, "unexpected: {response}\n{}", shown(events))
            }
            Event::Closed => bail!("the connection was closed\n{}", shown(events)),
            _ => {}
        }
    }
    Ok(())
}

fn fits(pattern: &Pattern, event: &Event, variables: &mut Variables) -> bool {
    match event {
        Event::Untagged(response) => {
            !pattern.is_tagged() && !pattern.is_continuation() && pattern.fits(response.bytes(), variables)
        }
        Event::Continuation(response) => pattern.is_continuation() && pattern.fits(response.bytes(), variables),
        Event::Tagged(answer) => pattern.is_tagged() && pattern.fits(answer.bytes(), variables),
        Event::Closed => false,
    }
}

fn shown(events: &[Event]) -> String {
    let line = |event: &Event| match event {
        Event::Untagged(response) | Event::Continuation(response) => format!("    S: {response}"),
        Event::Tagged(answer) => format!("    S: (tag) {answer}"),
        Event::Closed => "    (closed)".to_owned(),
    };
    if events.is_empty() {
        "nothing came".to_owned()
    } else {
        format!("what came:\n{}", events.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

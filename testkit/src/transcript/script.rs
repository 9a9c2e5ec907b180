//! A file as steps.

use anyhow::{Context, Result, bail, ensure};

use super::pattern::Pattern;
use super::text::{Piece, pieces, unescape};

/// What the file asks for: a server, what is in it, the connections, the conversation.
#[derive(Debug, Default)]
pub struct Script {
    pub setup: Setup,
    pub steps: Vec<(usize, Step)>,
}

/// The lines before the conversation.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Messages in alice's INBOX.
    pub messages: u32,
    /// Whether all sample mail is in alice's mailboxes.
    pub samples: bool,
    pub connections: Option<u32>,
    pub state: State,
    pub tls: bool,
    /// What each connection enables after it has logged in.
    pub enable: Vec<String>,
    /// Accounts beside alice.
    pub accounts: Vec<String>,
    /// Lines of configuration.
    pub settings: Vec<String>,
}

/// How far a connection has come when the conversation begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    Stranger,
    LoggedIn,
    #[default]
    Selected,
    Examined,
}

#[derive(Debug)]
pub enum Step {
    /// What one connection sends and what must come of it.
    Exchange(Exchange),
    Connect {
        connection: u32,
        account: String,
        state: State,
    },
    Closes {
        connection: u32,
    },
    /// `$left > $right`.
    Greater {
        left: String,
        right: String,
    },
    Restart,
    Kill,
}

/// Lines of one connection that follow each other: first what it sends, then what comes.
#[derive(Debug)]
pub struct Exchange {
    pub connection: u32,
    pub sent: Vec<Sent>,
    /// Each with its line.
    pub ordered: Vec<(usize, Pattern)>,
    pub unordered: Vec<(usize, Pattern)>,
    pub never: Vec<(usize, Pattern)>,
    /// No untagged response but those expected.
    pub nothing_else: bool,
}

#[derive(Debug)]
pub enum Sent {
    /// A line, given a tag unless it goes on with an open command. `together`: in one packet with the next.
    Line { pieces: Vec<Piece>, together: bool },
    /// Just these octets.
    Raw(Vec<u8>),
}

pub fn parse(text: &str) -> Result<Script> {
    let mut script = Script::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if !line.is_empty() && !line.starts_with('#') {
            add(&mut script, index + 1, line).with_context(|| format!("line {}: {line}", index + 1))?;
        }
    }
    ensure!(!script.steps.is_empty(), "there is no conversation in it");
    for (number, step) in &script.steps {
        if let Step::Exchange(exchange) = step {
            let awaited = !exchange.sent.is_empty() || !exchange.ordered.is_empty() || !exchange.unordered.is_empty();
            ensure!(awaited, "line {number}: nothing is awaited here, so nothing can be missed");
        }
    }
    Ok(script)
}

fn add(script: &mut Script, number: usize, line: &str) -> Result<()> {
    if let Some((left, right)) = line.strip_prefix("check ").and_then(|rest| rest.split_once(" > ")) {
        let name = |variable: &str| variable.strip_prefix('$').map(str::to_owned).context("check compares variables");
        script.steps.push((number, Step::Greater { left: name(left)?, right: name(right)? }));
        return Ok(());
    }
    match line {
        "server restarts" => script.steps.push((number, Step::Restart)),
        "server is killed" => script.steps.push((number, Step::Kill)),
        _ => match connection_of(line) {
            Some((connection, rest)) => step(script, number, connection, rest)?,
            None => {
                ensure!(script.steps.is_empty(), "this belongs before the conversation");
                set_up(&mut script.setup, line)?;
            }
        },
    }
    Ok(())
}

/// `2 C: ...`, `2 connects`: a number and what it does; `2 connections` is set-up.
fn connection_of(line: &str) -> Option<(u32, &str)> {
    let (number, rest) = line.split_once(' ')?;
    let is_step = rest.starts_with(['C', 'S']) || rest.starts_with("connects") || rest == "closes";
    number.parse().ok().filter(|_| is_step).map(|number| (number, rest))
}

fn step(script: &mut Script, number: usize, connection: u32, rest: &str) -> Result<()> {
    if rest == "closes" {
        script.steps.push((number, Step::Closes { connection }));
        return Ok(());
    }
    if let Some(how) = rest.strip_prefix("connects") {
        let (mut account, mut state) = ("alice".to_owned(), script.setup.state);
        for part in how.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.strip_prefix("as ") {
                Some(name) => account = name.to_owned(),
                None => state = state_of(part).with_context(|| format!("{part:?}?"))?,
            }
        }
        script.steps.push((number, Step::Connect { connection, account, state }));
        return Ok(());
    }
    let (kind, text) = rest.split_at(2);
    let text = text.strip_prefix(' ').unwrap_or(text);
    let exchange = exchange_of(script, number, connection, kind.starts_with('C'));
    match kind {
        "C:" => exchange.sent.push(Sent::Line { pieces: sendable(text)?, together: false }),
        "C>" => exchange.sent.push(Sent::Line { pieces: sendable(text)?, together: true }),
        "C=" => exchange.sent.push(Sent::Raw(unescape(text)?)),
        "S:" => exchange.ordered.push((number, Pattern::parse(text)?)),
        "S~" => exchange.unordered.push((number, Pattern::parse(text)?)),
        "S!" => exchange.never.push((number, Pattern::anywhere(text)?)),
        "S." => exchange.nothing_else = true,
        _ => bail!("{kind:?} is none of C: C> C= S: S~ S! S."),
    }
    Ok(())
}

/// The exchange that this line belongs to: the last one, or a new one for another connection, or when sending begins again.
fn exchange_of(script: &mut Script, number: usize, connection: u32, sends: bool) -> &mut Exchange {
    let goes_on = match script.steps.last() {
        Some((_, Step::Exchange(last))) => {
            let heard =
                !(last.ordered.is_empty() && last.unordered.is_empty() && last.never.is_empty()) || last.nothing_else;
            let waits = matches!(last.sent.last(), Some(Sent::Line { together: true, .. }));
            last.connection == connection && (!sends || waits && !heard)
        }
        _ => false,
    };
    if !goes_on {
        let exchange = Exchange {
            connection,
            sent: Vec::new(),
            ordered: Vec::new(),
            unordered: Vec::new(),
            never: Vec::new(),
            nothing_else: false,
        };
        script.steps.push((number, Step::Exchange(exchange)));
    }
    match script.steps.last_mut() {
        Some((_, Step::Exchange(exchange))) => exchange,
        _ => unreachable!("an exchange is the last step"),
    }
}

fn sendable(text: &str) -> Result<Vec<Piece>> {
    let pieces = pieces(text)?;
    ensure!(
        !pieces.iter().any(|piece| matches!(piece, Piece::Anything | Piece::AnyLiteral)),
        "`...` can't be sent; write it as a literal"
    );
    Ok(pieces)
}

fn set_up(setup: &mut Setup, line: &str) -> Result<()> {
    if let Some(setting) = line.strip_prefix("setting ") {
        setup.settings.push(setting.to_owned());
        return Ok(());
    }
    for part in line.split(',').map(str::trim) {
        let words: Vec<&str> = part.split(' ').collect();
        match words.as_slice() {
            ["inbox", count, "message" | "messages"] => setup.messages = count.parse().context("how many messages?")?,
            ["samples"] => setup.samples = true,
            [count, "connection" | "connections"] => {
                setup.connections = Some(count.parse().context("how many connections?")?)
            }
            ["tls"] => setup.tls = true,
            ["rev2"] => setup.enable.push("IMAP4rev2".to_owned()),
            ["enable", extensions @ ..] => {
                setup.enable.extend(extensions.iter().map(|extension| (*extension).to_owned()))
            }
            ["account", name] => setup.accounts.push((*name).to_owned()),
            _ => setup.state = state_of(part).with_context(|| format!("{part:?} is nothing that can be set up"))?,
        }
    }
    Ok(())
}

fn state_of(text: &str) -> Option<State> {
    match text {
        "not logged in" => Some(State::Stranger),
        "logged in" => Some(State::LoggedIn),
        "selected" => Some(State::Selected),
        "examined" => Some(State::Examined),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_of_one_connection_are_one_exchange() {
        let script = parse("# why\ninbox 4 messages, 2 connections\n\n1 C> NOOP\n1 C: NOOP\n1 S: OK\n1 S! EXPUNGE\n2 C: NOOP\n2 C: NOOP\n").unwrap();
        assert_eq!((script.setup.messages, script.setup.connections), (4, Some(2)));
        let sent: Vec<usize> = script
            .steps
            .iter()
            .map(|(_, step)| if let Step::Exchange(exchange) = step { exchange.sent.len() } else { 0 })
            .collect();
        assert_eq!(sent, [2, 1, 1]);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "1 X: NOOP",
            "nonsense\n1 C: NOOP",
            "1 C: NOOP\n2 connections",
            "",
            "1 C: NOOP\n2 S! EXPUNGE",
            "1 C: NOOP ...",
            "1 connects as bob, asleep",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

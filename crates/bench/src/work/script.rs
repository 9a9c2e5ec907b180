//! Commands from a file, on one connection, each timed by itself: what is done to one mailbox, and not by a crowd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::{BenchError, ClientError};
use crate::report::Step;
use crate::run::server_spent;
use crate::work::{Plan, in_time};

/// One line: `name | times | command`.
///
/// Without a name it is not timed; `?` for a name lets it be refused, too. Without `times` it is sent once, and then `{n}` is 1. `{n}` is how
/// many times it was sent, `{uidvalidity}` and `{modseq}` what the last SELECT without a name told, `{mailbox}` the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    times: u32,
    command: String,
}

/// What the server told that later commands can say.
#[derive(Debug, Default)]
struct Told {
    uidvalidity: String,
    modseq: String,
}

/// Does the script as often as asked; gives what its timed steps took, and how long all did. A timed command that is refused is counted as an
/// error and not sent again, and the step goes without; a connection that breaks ends it.
pub async fn measure(plan: &Arc<Plan>) -> Result<(Vec<Step>, Duration), BenchError> {
    let lines = read(plan)?;
    let user = &plan.users[0];
    let mut client = in_time(plan.timeout(), plan.log_in(user)).await.map_err(BenchError::NothingPrepared)?;
    let start = Instant::now();
    let mut steps: Vec<Step> = Vec::new();
    let mut told = Told::default();
    for _ in 0..plan.options.rounds {
        for line in &lines {
            let step = send(plan, &mut client, line, &mut told).await?;
            if line.is_timed() {
                add(&mut steps, step);
            }
        }
    }
    let elapsed = start.elapsed();
    let (sent, received) = client.take_counts();
    plan.tally.bytes(sent, received);
    Ok((steps, elapsed))
}

/// Sends a line as often as it says.
async fn send(plan: &Plan, client: &mut Client, line: &Line, told: &mut Told) -> Result<Step, BenchError> {
    let before = if line.is_timed() { server_spent(&plan.options)? } else { None };
    let mut step = Step::nothing(&line.name, before.is_some());
    let (sent_before, received_before) = client.take_counts();
    let start = Instant::now();
    for n in 1..=line.times {
        let command = line.command(n, &plan.mailbox, told);
        let one = Instant::now();
        let result = in_time(
            plan.timeout(),
            client.command_seen("command", &command, |text| {
                step.responses += 1;
                if line.name.is_empty() {
                    told.hear(text);
                }
            }),
        );
        match result.await {
            Ok(()) => {
                step.commands += 1;
                if line.is_timed() {
                    plan.tally.operation("command", one.elapsed());
                }
            }
            Err(error) if error.is_fatal() => return Err(BenchError::ScriptBroken(error)),
            // It would be refused again, and some servers hang up on who does not listen.
            Err(_) if line.name == "?" => break,
            Err(ClientError::Refused { answer, .. }) => {
                plan.tally.error(&ClientError::Refused { command: "script", answer });
                break;
            }
            Err(error) => plan.tally.error(&error),
        }
    }
    step.seconds = start.elapsed().as_secs_f64();
    let (sent, received) = client.take_counts();
    step.bytes_received = received;
    plan.tally.bytes(sent_before + sent, received_before + received);
    if let Some((before, after)) = before.zip(server_spent(&plan.options)?) {
        step.cpu_seconds = Some(after.cpu.saturating_sub(before.cpu).as_secs_f64());
        step.written_bytes = Some(after.written_bytes.saturating_sub(before.written_bytes));
    }
    Ok(step)
}

/// Adds a step to what was counted of it before. One that was refused throughout is none.
fn add(steps: &mut Vec<Step>, step: Step) {
    if step.commands == 0 {
        return;
    }
    match steps.iter_mut().find(|known| known.name == step.name) {
        None => steps.push(step),
        Some(known) => {
            known.commands += step.commands;
            known.seconds += step.seconds;
            known.responses += step.responses;
            known.bytes_received += step.bytes_received;
            known.cpu_seconds = known.cpu_seconds.zip(step.cpu_seconds).map(|(a, b)| a + b);
            known.written_bytes = known.written_bytes.zip(step.written_bytes).map(|(a, b)| a + b);
        }
    }
}

fn read(plan: &Plan) -> Result<Vec<Line>, BenchError> {
    let path = plan.options.script.clone().unwrap_or_default();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| BenchError::Script { path: path.display().to_string(), source })?;
    parse(&text).map_err(BenchError::Misused)
}

/// Empty lines, and those that begin with `#`, say nothing.
fn parse(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| Line::parse(line).ok_or_else(|| format!("no `name | times | command`: {line}"))).collect()
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, '|').map(str::trim);
        let (name, times, command) = (parts.next()?, parts.next()?, parts.next()?);
        let times = if times.is_empty() { 1 } else { times.parse().ok()? };
        (!command.is_empty()).then(|| Self { name: name.into(), times, command: command.into() })
    }

    fn is_timed(&self) -> bool {
        !self.name.is_empty() && self.name != "?"
    }

    fn command(&self, n: u32, mailbox: &str, told: &Told) -> String {
        let n = n.to_string();
        let command = self.command.replace("{n}", &n).replace("{mailbox}", mailbox);
        command.replace("{uidvalidity}", &told.uidvalidity).replace("{modseq}", &told.modseq)
    }
}

impl Told {
    fn hear(&mut self, text: &[u8]) {
        let Some(text) = text.strip_prefix(b"* OK [").and_then(|rest| std::str::from_utf8(rest).ok()) else { return };
        let number = |code: &str| text.strip_prefix(code).and_then(|rest| rest.split(']').next()).map(str::to_owned);
        if let Some(value) = number("UIDVALIDITY ") {
            self.uidvalidity = value;
        } else if let Some(value) = number("HIGHESTMODSEQ ") {
            self.modseq = value;
        }
    }
}

impl Step {
    fn nothing(name: &str, with_server: bool) -> Self {
        Self {
            name: name.into(),
            commands: 0,
            seconds: 0.0,
            cpu_seconds: with_server.then_some(0.0),
            written_bytes: with_server.then_some(0),
            responses: 0,
            bytes_received: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_name_how_often_and_what() {
        let lines =
            parse("# SELECT\n|| SELECT {mailbox}\n\nstore | 3 | STORE {n} +FLAGS (a|b)\n? | | DELETE x\n").unwrap();
        let line = |name: &str, times, command: &str| Line { name: name.into(), times, command: command.into() };
        assert_eq!(
            lines,
            [line("", 1, "SELECT {mailbox}"), line("store", 3, "STORE {n} +FLAGS (a|b)"), line("?", 1, "DELETE x")]
        );
        assert_eq!(lines.iter().map(Line::is_timed).collect::<Vec<_>>(), [false, true, false]);
        for bad in ["SELECT x", "a | b | c", "a | 1 |"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_server_told_is_said_again() {
        let mut told = Told::default();
        for text in ["* OK [UIDVALIDITY 7] yes", "* OK [HIGHESTMODSEQ 42]", "* 3 EXISTS", "* OK [UIDNEXT 9]"] {
            told.hear(text.as_bytes());
        }
        let line = Line::parse("q || SELECT {mailbox} (QRESYNC ({uidvalidity} {modseq}))").unwrap();
        assert_eq!(line.command(1, "big", &told), "SELECT big (QRESYNC (7 42))");
    }

    #[test]
    fn rounds_add_up_and_a_refused_step_is_none() {
        let mut steps = Vec::new();
        let step = |commands, seconds| Step { commands, seconds, ..Step::nothing("a", true) };
        for step in [step(1, 2.0), step(0, 9.0), step(2, 3.0)] {
            add(&mut steps, step);
        }
        assert_eq!(steps, [step(3, 5.0)]);
    }
}

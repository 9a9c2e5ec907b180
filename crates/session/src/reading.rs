//! The client's octets to steps of the session: commands, literals to be agreed to, mistakes.

use std::pin::Pin;
use std::time::Duration;

use paquebot_protocol::command::{AppendHead, parse_append};
use paquebot_protocol::response::{Code, ResponseWriter};
use paquebot_protocol::{Event, FatalError, FrameError, ParseContext, SyntaxError, Tag, Tagged, parse};
use tokio::time::{Instant, sleep_until};

use crate::machine;
use crate::machine::append::Announced;
use crate::session::Session;
use crate::shared::Counters;
use crate::state::{End, Flow, State};

/// What a client has sent, as far as the session acts on it between commands.
enum Step {
    Command(Result<Tagged, SyntaxError>),
    /// A literal of a command; LOGIN's under this tag, if it is LOGIN's.
    Literal {
        login: Option<Tag>,
    },
    Append(Result<AppendHead, SyntaxError>, Announced),
    Refused,
    Bad(Option<Tag>, FrameError),
    Fatal(FatalError),
    /// What comes only within a command.
    OutOfPlace,
}

impl Step {
    fn of(event: Event<'_>, context: &ParseContext) -> Self {
        match event {
            Event::Command(bytes) => Self::Command(parse(bytes, context)),
            Event::Literal { head, .. } => Self::Literal { login: login_tag(head) },
            Event::Append(start) => Self::Append(parse_append(start.head, context), Announced::from(&start)),
            Event::Refused => Self::Refused,
            Event::Bad { tag, error } => Self::Bad(tag, error),
            Event::Fatal(error) => Self::Fatal(error),
            Event::Data(_) | Event::DataEnd | Event::AppendEnd(_) | Event::Line(_) => Self::OutOfPlace,
        }
    }
}

/// The tag of a LOGIN whose argument is a literal.
fn login_tag(head: &[u8]) -> Option<Tag> {
    let mut words = head.split(|&byte| byte == b' ');
    let (tag, command) = (words.next()?, words.next()?);
    if command.eq_ignore_ascii_case(b"LOGIN") { Tag::new(tag) } else { None }
}

/// Does what comes next in the input, or waits for more of it.
pub(crate) async fn step(session: &mut Session) -> Flow {
    let Some(work) = begin(session) else { return wait(session).await };
    work.await
}

/// Begins to do what comes next; `None` if nothing has come.
///
/// What is done has its own place on the heap, so that waiting takes no room for it.
fn begin(session: &mut Session) -> Option<Pin<Box<dyn Future<Output = Flow> + Send + '_>>> {
    let context = session.parse_context();
    let step = session.conn.next(|event| Step::of(event, &context))?;
    if !matches!(step, Step::Literal { .. }) {
        session.command_began = None;
    }
    Some(match step {
        Step::Command(Ok(tagged)) => Box::pin(async move {
            machine::answer(session, tagged).await?;
            finish(session).await
        }),
        Step::Append(head, announced) => Box::pin(async move {
            machine::append::append(session, head, announced).await?;
            finish(session).await
        }),
        Step::Literal { login } => Box::pin(std::future::ready(literal(session, login))),
        other => {
            let flow = answer_at_once(session, other);
            Box::pin(async move {
                flow?;
                finish(session).await
            })
        }
    })
}

/// Has the client send a literal, unless it is a password that must not be seen on the wire.
fn literal(session: &mut Session, login: Option<Tag>) -> Flow {
    match login.filter(|_| !session.takes_passwords()) {
        Some(tag) => session.refuse_literal(|write| {
            write.no(&tag, Some(Code::PrivacyRequired), "A password is taken under TLS only");
        }),
        None => session.writer().continuation("Go ahead"),
    }
    Ok(())
}

/// What needs no waiting.
fn answer_at_once(session: &mut Session, step: Step) -> Flow {
    match step {
        Step::Command(Err(error)) => session.bad(error.tag.as_ref(), &error.to_string()),
        Step::Bad(tag, error) => session.bad(tag.as_ref(), &error.to_string()),
        Step::Refused => {
            let answer = std::mem::take(&mut session.refusal);
            session.conn.output().extend_from_slice(&answer);
            Ok(())
        }
        Step::Fatal(error) => Err(End::Bye(error.to_string())),
        Step::OutOfPlace | Step::Command(Ok(_)) | Step::Append(..) | Step::Literal { .. } => {
            tracing::error!("the framer gave a part of a command out of place");
            Err(End::Bye("The server lost its place in your command".into()))
        }
    }
}

/// After a command: a good one ends a row of bad ones, and much output goes out. A client that never stops sending does not keep the
/// server from stopping.
async fn finish(session: &mut Session) -> Flow {
    session.end_command();
    if *session.stopping.borrow() {
        return Err(stopping());
    }
    if session.state.identity().is_some_and(|identity| identity.account.hosting().is_over()) {
        return Err(moved());
    }
    session.conn.flush_if_full().await
}

/// Writes what there is and waits for more input, but not for ever.
async fn wait(session: &mut Session) -> Flow {
    session.conn.flush().await?;
    let config = &session.shared.config;
    let between_commands = session.conn.framer.is_between_commands();
    if between_commands {
        session.command_began = None;
    } else if session.command_began.is_none() {
        session.command_began = Some(Instant::now());
    }
    let deadline = match (&session.state, session.command_began) {
        (State::NotAuthenticated, _) => session.login_deadline,
        (_, Some(began)) => began + config.command_timeout,
        (_, None) => Instant::now() + config.idle_timeout,
    };
    tokio::select! {
        biased;
        filled = session.conn.fill() => filled,
        _ = session.stopping.wait_for(|stopping| *stopping), if between_commands => Err(stopping()),
        () = session.state.moved(), if between_commands => Err(moved()),
        () = sleep_until(deadline) => Err(End::Bye("Autologout; waited for too long".into())),
    }
}

pub(crate) fn stopping() -> End {
    End::Bye("The server is shutting down".into())
}

/// The account is not on this machine any more.
pub(crate) fn moved() -> End {
    End::Bye("Your mail is served by another machine from now on; please connect again".into())
}

impl Session {
    pub(crate) fn parse_context(&self) -> ParseContext {
        let config = &self.shared.config;
        ParseContext {
            utf8: self.modes.utf8(),
            set_elements_max: config.set_elements_max,
            search_depth_max: config.search_depth_max,
            ..ParseContext::default()
        }
    }

    /// Does not let the client send the literal that it announced; the answer goes out when the rest of the command has been read.
    fn refuse_literal(&mut self, answer: impl FnOnce(&mut ResponseWriter<'_>)) {
        let mut refusal = Vec::new();
        answer(&mut ResponseWriter::new(&mut refusal, self.mode()));
        self.refusal = refusal;
        self.conn.framer.refuse();
    }

    /// Waits for more of a command that has begun.
    pub(crate) async fn fill_within_command(&mut self) -> Flow {
        self.conn.flush().await?;
        let deadline = match self.state {
            State::NotAuthenticated => self.login_deadline,
            _ => Instant::now() + self.shared.config.command_timeout,
        };
        tokio::select! {
            biased;
            filled = self.conn.fill() => filled,
            () = sleep_until(deadline) => Err(End::Bye("Timeout; the command did not go on".into())),
        }
    }

    /// The next line, which is no command: the answer to a challenge.
    pub(crate) async fn read_line(&mut self) -> Result<Vec<u8>, End> {
        self.conn.framer.expect_line();
        loop {
            let line = self.conn.next(|event| match event {
                Event::Line(line) => Ok(line.to_vec()),
                Event::Fatal(error) => Err(End::Bye(error.to_string())),
                _ => Err(End::Bye("The server lost its place".into())),
            });
            match line {
                Some(line) => return line,
                None => self.fill_within_command().await?,
            }
        }
    }

    fn end_command(&mut self) {
        Counters::count(&self.shared.counters.commands);
        if !std::mem::take(&mut self.was_bad) {
            self.bad_commands = 0;
        }
    }
}

/// How long somebody is made to wait before a password is looked at, at most: less than what the login may take.
pub(crate) fn bounded(delay: Duration, deadline: Instant) -> Duration {
    delay.min(deadline.saturating_duration_since(Instant::now()))
}

//! Frames: where a command ends, before anything is known of its grammar.
//!
//! A client's bytes come in pieces of any size. The [`Framer`] finds the commands in them: lines, and literals that belong to lines. It keeps
//! what it must, within [`Limits`], and hands the messages of APPEND on as they come.

mod announcement;
mod drain;
mod event;
mod limits;
#[cfg(test)]
mod tests;

pub use announcement::LITERAL_SIZE_MAX;
pub use event::{AppendStart, Event, FatalError, FrameError};
pub use limits::Limits;

use announcement::Announcement;

use crate::Tag;

/// Finds commands in a stream of bytes, without I/O.
///
/// Lines end in CRLF; bare LF is taken as well. A CR elsewhere, and NUL, stay in the text for the parser to refuse. Between commands it holds no buffer.
///
/// ```
/// use paquebot_protocol::{Event, Framer, Limits};
/// let mut framer = Framer::new(Limits::BEFORE_LOGIN);
/// let mut input: &[u8] = b"a NOOP\r\nb LOGIN {3}\r\n";
/// assert_eq!(framer.next(&mut input), Some(Event::Command(b"a NOOP")));
/// assert_eq!(framer.next(&mut input), Some(Event::Literal { head: b"b LOGIN {3}", size: 3 }));
/// assert_eq!(framer.next(&mut input), None);
/// let mut input: &[u8] = b"joe secret\r\n";
/// assert_eq!(framer.next(&mut input), Some(Event::Command(b"b LOGIN {3}\r\njoe secret")));
/// ```
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    state: State,
    /// The command so far; the tail of a line that is thrown away.
    buffer: Vec<u8>,
    /// Where the current line begins in `buffer`.
    line_start: usize,
    /// Octets of text, number of literals and their octets in the current command.
    text_bytes: usize,
    literals: usize,
    literals_bytes: u64,
    /// Octets thrown away of the current command.
    drained: u64,
    /// The tag of an APPEND that is streamed, or of a command that is thrown away.
    tag: Option<Tag>,
    /// A message of the current command has been announced, so every later literal is a message too.
    streaming: bool,
    refused: bool,
    /// The last event borrowed `buffer`, and it is over.
    spent: bool,
    /// No line has been read yet.
    first_line: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A command's text.
    Text,
    /// Announced; refused or not is known at the next call.
    Announced {
        size: u64,
        synchronizing: bool,
        message: bool,
    },
    Literal {
        left: u64,
    },
    Message {
        left: u64,
    },
    /// A literal, and then the rest of the command, to be thrown away.
    DrainLiteral {
        left: u64,
        end: Drained,
    },
    DrainLine {
        end: Drained,
    },
    RawLine,
    Fatal(FatalError),
}

/// What to tell when all of a command has been thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    Refused,
    Bad(FrameError),
}

/// An [`Event`] before it borrows the buffer.
enum Step<'a> {
    More,
    Again,
    Event(Event<'a>),
    /// An event whose bytes are the buffer's.
    Buffered(fn(&[u8]) -> Event<'_>),
    Literal {
        size: u64,
    },
    Append {
        text: Text<'a>,
        first: bool,
        size: u64,
        synchronizing: bool,
    },
}

#[derive(Clone, Copy)]
enum Text<'a> {
    Input(&'a [u8]),
    Buffer,
}

impl Framer {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Text,
            buffer: Vec::new(),
            line_start: 0,
            text_bytes: 0,
            literals: 0,
            literals_bytes: 0,
            drained: 0,
            tag: None,
            streaming: false,
            refused: false,
            spent: false,
            first_line: true,
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes effect at once: after login, say.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next line is no command: a SASL response or IDLE's DONE. Call it after [`Event::Command`]; it comes as [`Event::Line`], and
    /// commands go on after it. A line over [`Limits::line_bytes`] is fatal.
    pub fn expect_line(&mut self) {
        self.reset();
        self.state = State::RawLine;
    }

    /// Refuses what [`Event::Literal`] or [`Event::Append`] announced, or the rest of an APPEND that has begun to come. The command is over; [`Event::Refused`] comes when all of it that the client sends anyway has been thrown away.
    pub fn refuse(&mut self) {
        match self.state {
            State::Announced { .. } | State::Message { .. } => self.refused = true,
            State::Text if self.streaming => self.state = State::DrainLine { end: Drained::Refused },
            _ => {}
        }
    }

    /// Whether nothing of a command has come yet: a time-out may say BYE here without cutting one short.
    pub fn is_between_commands(&self) -> bool {
        self.state == State::Text && !self.streaming && (self.spent || self.buffer.is_empty())
    }

    /// What comes next in `input`, from which its bytes are taken off; `None` when all was taken and more is needed.
    ///
    /// Call it until `None`, then with what arrives next. After [`Event::Command`] the rest of `input` is as it came: whoever starts TLS or
    /// compression there decides about it.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Event<'a>> {
        if self.spent {
            self.spent = false;
            self.buffer = Vec::new();
            self.line_start = 0;
        }
        let step = loop {
            match self.step(input) {
                Step::Again => {}
                step => break step,
            }
        };
        match step {
            Step::More | Step::Again => None,
            Step::Event(event) => Some(event),
            Step::Buffered(event) => {
                self.spent = true;
                Some(event(&self.buffer))
            }
            Step::Literal { size } => Some(Event::Literal { head: without_line_end(&self.buffer), size }),
            Step::Append { text, first, size, synchronizing } => {
                let head = match text {
                    Text::Input(text) => text,
                    Text::Buffer => {
                        self.spent = true;
                        &self.buffer
                    }
                };
                let too_big = size > self.limits.append_bytes;
                Some(Event::Append(AppendStart { head, first, size, synchronizing, too_big }))
            }
        }
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        match self.state {
            State::Text => self.text(input),
            State::Announced { size, synchronizing, message } => self.decide(size, synchronizing, message),
            State::Literal { left } => self.literal(left, input),
            State::Message { left } => self.message(left, input),
            State::DrainLiteral { left, end } => self.drain_literal(left, end, input),
            State::DrainLine { end } => self.drain_line(end, input),
            State::RawLine => self.raw_line(input),
            State::Fatal(error) => Step::Event(Event::Fatal(error)),
        }
    }

    /// Reads a command's text up to the end of the line.
    fn text<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        let Some(&byte) = input.first() else { return Step::More };
        // A ClientHello's first byte, which no tag begins with.
        if self.first_line && self.buffer.is_empty() && byte == 0x16 {
            return self.fatal(FatalError::Tls);
        }
        let line_end = memchr::memchr(b'\n', input);
        let taken = take(input, line_end.map_or(input.len(), |at| at + 1));
        let line_bytes = self.line_bytes_with(taken);
        if self.text_bytes.saturating_add(line_bytes) > self.limits.line_bytes {
            return self.line_too_long(taken, line_end.is_some());
        }
        if line_end.is_none() {
            self.buffer.extend_from_slice(taken);
            return Step::More;
        }
        let text = if self.buffer.is_empty() {
            Text::Input(without_line_end(taken))
        } else {
            self.buffer.extend_from_slice(taken);
            Text::Buffer
        };
        let whole = match text {
            Text::Input(text) => text,
            Text::Buffer => without_line_end(&self.buffer),
        };
        let line = whole.get(self.line_start..).unwrap_or_default();
        let announced = Announcement::at_end_of(line).map(|it| (it, is_append_message(whole), tag_of(whole)));
        if std::mem::take(&mut self.first_line) && looks_like_http(line) {
            return self.fatal(FatalError::Http);
        }
        let Some((announcement, message, tag)) = announced else { return self.command_end(text) };
        self.text_bytes += line_bytes;
        let first = !self.streaming;
        let message = message || self.streaming;
        if first {
            self.tag = tag;
        }
        match self.admit(announcement, message) {
            Err(error) => self.announced_too_much(announcement, message, error),
            Ok(size) => {
                let synchronizing = announcement.synchronizing;
                self.state = State::Announced { size, synchronizing, message };
                if message {
                    self.streaming = true;
                    self.text_bytes = 0;
                    if let Text::Buffer = text {
                        self.cut_line_end();
                    }
                    return Step::Append { text, first, size, synchronizing };
                }
                if let Text::Input(_) = text {
                    self.buffer.extend_from_slice(taken);
                }
                if synchronizing { Step::Literal { size } } else { Step::Again }
            }
        }
    }

    /// The line ends the command.
    fn command_end<'a>(&mut self, text: Text<'a>) -> Step<'a> {
        let streaming = self.streaming;
        self.reset_counts();
        match (text, streaming) {
            (Text::Input(text), false) => Step::Event(Event::Command(text)),
            (Text::Input(text), true) => Step::Event(Event::AppendEnd(text)),
            (Text::Buffer, streaming) => {
                self.cut_line_end();
                Step::Buffered(if streaming { |text| Event::AppendEnd(text) } else { |text| Event::Command(text) })
            }
        }
    }

    /// Whether an announced literal is within the limits; a message that is too big is the session's to refuse.
    fn admit(&mut self, announcement: Announcement, message: bool) -> Result<u64, FrameError> {
        let limits = &self.limits;
        let max = if message { limits.append_bytes } else { limits.literal_bytes };
        let size = announcement.size.ok_or(FrameError::LiteralTooBig { max })?;
        if !announcement.synchronizing && size > limits.nonsync_bytes {
            return Err(FrameError::NonSyncTooBig { max: limits.nonsync_bytes });
        }
        if message {
            return Ok(size);
        }
        self.literals += 1;
        self.literals_bytes = self.literals_bytes.saturating_add(size);
        if size > max {
            Err(FrameError::LiteralTooBig { max })
        } else if self.literals_bytes > limits.literals_bytes {
            Err(FrameError::LiteralsTooBig { max: limits.literals_bytes })
        } else if self.literals > limits.literals {
            Err(FrameError::TooManyLiterals { max: limits.literals })
        } else {
            Ok(size)
        }
    }

    /// Goes on after an announcement, as the session decided.
    fn decide<'a>(&mut self, size: u64, synchronizing: bool, message: bool) -> Step<'a> {
        let too_big = message && size > self.limits.append_bytes;
        match (std::mem::take(&mut self.refused) || too_big, synchronizing, message) {
            (false, _, false) => self.state = State::Literal { left: size },
            (false, _, true) => self.state = State::Message { left: size },
            // The client has not sent it and will not.
            (true, true, _) => return self.drained(Drained::Refused),
            (true, false, message) => {
                let max = if message { self.limits.append_drain_bytes } else { self.limits.drain_bytes };
                return self.drain(size, max, Drained::Refused);
            }
        }
        Step::Again
    }

    fn literal<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> Step<'a> {
        let taken = take_up_to(input, left);
        self.buffer.extend_from_slice(taken);
        let left = left - taken.len() as u64;
        if left > 0 {
            self.state = State::Literal { left };
            return Step::More;
        }
        self.line_start = self.buffer.len();
        self.state = State::Text;
        Step::Again
    }

    fn message<'a>(&mut self, left: u64, input: &mut &'a [u8]) -> Step<'a> {
        if std::mem::take(&mut self.refused) {
            // It was accepted, so its size is within what may be sent.
            self.state = State::DrainLiteral { left, end: Drained::Refused };
            return Step::Again;
        }
        if left == 0 {
            self.state = State::Text;
            return Step::Event(Event::DataEnd);
        }
        let taken = take_up_to(input, left);
        if taken.is_empty() {
            return Step::More;
        }
        self.state = State::Message { left: left - taken.len() as u64 };
        Step::Event(Event::Data(taken))
    }

    fn raw_line<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        let line_end = memchr::memchr(b'\n', input);
        let taken = take(input, line_end.map_or(input.len(), |at| at + 1));
        if self.line_bytes_with(taken) > self.limits.line_bytes {
            return self.fatal(FatalError::LineTooLong { max: self.limits.line_bytes });
        }
        if line_end.is_some() && self.buffer.is_empty() {
            self.reset();
            return Step::Event(Event::Line(without_line_end(taken)));
        }
        self.buffer.extend_from_slice(taken);
        if line_end.is_none() {
            return Step::More;
        }
        self.cut_line_end();
        self.reset_counts();
        Step::Buffered(|line| Event::Line(line))
    }

    /// How long the current line is with what was taken now, not counting its end. A CR at the end may be half of that.
    fn line_bytes_with(&self, taken: &[u8]) -> usize {
        let before = self.buffer.get(self.line_start..).unwrap_or_default();
        let end_bytes = match taken {
            [.., b'\r', b'\n'] => 2,
            [b'\n'] if before.ends_with(b"\r") => 2,
            [.., b'\r' | b'\n'] => 1,
            _ => 0,
        };
        (before.len() + taken.len()).saturating_sub(end_bytes)
    }

    fn cut_line_end(&mut self) {
        self.buffer.truncate(without_line_end(&self.buffer).len());
    }

    fn fatal<'a>(&mut self, error: FatalError) -> Step<'a> {
        self.reset();
        self.state = State::Fatal(error);
        Step::Event(Event::Fatal(error))
    }

    fn reset(&mut self) {
        self.reset_counts();
        self.buffer = Vec::new();
        self.line_start = 0;
    }

    fn reset_counts(&mut self) {
        self.state = State::Text;
        self.text_bytes = 0;
        self.literals = 0;
        self.literals_bytes = 0;
        self.drained = 0;
        self.tag = None;
        self.streaming = false;
        self.refused = false;
    }
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
    *input = rest;
    taken
}

fn take_up_to<'a>(input: &mut &'a [u8], max: u64) -> &'a [u8] {
    take(input, usize::try_from(max).unwrap_or(usize::MAX).min(input.len()))
}

/// The bytes without CRLF or LF at their end.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes {
        [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
        text => text,
    }
}

/// The tag of a command that may have been cut short: it ends with a space.
fn tag_of(command: &[u8]) -> Option<Tag> {
    let end = memchr::memchr(b' ', command)?;
    Tag::new(command.get(..end)?)
}

/// Whether a literal announced at the end of `command` is an APPEND's message: every one but that of the mailbox's name.
fn is_append_message(command: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b' ', command) else { return false };
    let Some((name, rest)) = command.get(at + 1..).and_then(|rest| rest.split_at_checked(7)) else { return false };
    let names_mailbox = rest.first() == Some(&b'{') && !rest.contains(&b'\n');
    name.eq_ignore_ascii_case(b"APPEND ") && !names_mailbox
}

/// A browser's first line: `GET / HTTP/1.1`.
fn looks_like_http(line: &[u8]) -> bool {
    let last = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    last.starts_with(b"HTTP/") && line.contains(&b' ')
}

//! Frames: where a command ends, before anything is known of its grammar.
//!
//! A client's bytes come in pieces of any size. The [`Framer`] finds the commands in them: lines, and literals that belong to lines. It keeps
//! what it must, within [`Limits`], and hands the messages of APPEND on as they come.

mod announcement;
mod limits;
#[cfg(test)]
mod tests;

pub use announcement::LITERAL_SIZE_MAX;
pub use limits::Limits;

use announcement::Announcement;

use crate::Tag;

/// How many octets at the end of a line that is thrown away are looked at: an announcement of 20 digits fits.
const TAIL_BYTES: usize = 32;

/// What a client has sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole command for [`crate::parse`]: without its final line end, with its literals and their announcements as sent.
    Command(&'a [u8]),
    /// The client asks to send a literal that belongs to its command. Write a continuation request (`+ ...`), or [`Framer::refuse`] it.
    Literal {
        /// The command so far, the announcement included: enough to refuse a LOGIN before its password is sent.
        head: &'a [u8],
        size: u64,
    },
    /// A message of an APPEND is about to come: see [`AppendStart`]. [`Event::Data`] follows, then [`Event::DataEnd`].
    Append(AppendStart<'a>),
    /// Octets of the message, straight from the input. Never empty.
    Data(&'a [u8]),
    /// The message is whole. [`Event::Append`] for the next message, or [`Event::AppendEnd`] follows.
    DataEnd,
    /// The APPEND ends; the rest of its line, for [`crate::command::parse_append_end`].
    AppendEnd(&'a [u8]),
    /// The command that was refused has been read to its end: answer it now.
    Refused,
    /// The line after [`Framer::expect_line`], without its end.
    Line(&'a [u8]),
    /// A command outside the limits. It has been read to its end and forgotten, and so has the APPEND that it may have been the rest of: answer BAD.
    Bad {
        /// `None` if it did not begin with a tag.
        tag: Option<Tag>,
        error: FrameError,
    },
    /// Not to be served further: say BYE with this reason and close. Every later call gives the same.
    Fatal(FatalError),
}

/// A message of an APPEND, announced and not sent yet.
///
/// If `synchronizing`, write a continuation request to have it sent. [`Framer::refuse`] says that it is not wanted; the next events then
/// are the end of draining, at once for a synchronising literal, and [`Event::Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendStart<'a> {
    /// For the first message the command from its tag on, for [`crate::command::parse_append`]; for others what follows the last one, for
    /// [`crate::command::parse_append_next`]. Ends with the announcement.
    pub head: &'a [u8],
    /// Whether this is the command's first message.
    pub first: bool,
    pub size: u64,
    pub synchronizing: bool,
    /// Over [`Limits::append_bytes`]: answer `NO [TOOBIG]`. It counts as refused in any case.
    pub too_big: bool,
}

/// Which limit a command broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the command line has more than {max} octets")]
    LineTooLong { max: usize },
    #[error("a literal of this command has more than {max} octets")]
    LiteralTooBig { max: u64 },
    #[error("the literals of this command have more than {max} octets")]
    LiteralsTooBig { max: u64 },
    #[error("the command has more than {max} literals")]
    TooManyLiterals { max: usize },
    #[error("a literal of more than {max} octets must wait for a continuation")]
    NonSyncTooBig { max: u64 },
}

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FatalError {
    #[error("more was sent without asking than is thrown away")]
    TooMuch,
    #[error("a line has more than {max} octets")]
    LineTooLong { max: usize },
    #[error("this is an IMAP server, not HTTP")]
    Http,
    #[error("this port expects plain text; TLS begins with STARTTLS here")]
    Tls,
}

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

    /// The text's limit is passed: the rest of the line is thrown away, and what its end announces.
    fn line_too_long<'a>(&mut self, taken: &[u8], line_ended: bool) -> Step<'a> {
        let error = FrameError::LineTooLong { max: self.limits.line_bytes };
        self.first_line = false;
        // An announcement at the line's end may have begun before the limit was passed.
        let line = self.buffer.get(self.line_start..).unwrap_or_default();
        let tail = line.get(line.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default().to_vec();
        self.drained = self.drained.saturating_add(line.len() as u64);
        if !self.streaming {
            let room = self.limits.line_bytes.saturating_sub(self.buffer.len()).min(taken.len());
            self.buffer.extend_from_slice(taken.get(..room).unwrap_or_default());
            self.tag = tag_of(self.buffer.get(..self.limits.line_bytes).unwrap_or(&self.buffer));
        }
        self.buffer = tail;
        self.line_start = 0;
        let end = Drained::Bad(error);
        self.state = State::DrainLine { end };
        self.drain_text(taken, line_ended, end)
    }

    /// A literal that is not taken: thrown away if it comes anyway.
    fn announced_too_much<'a>(&mut self, announcement: Announcement, message: bool, error: FrameError) -> Step<'a> {
        let end = Drained::Bad(error);
        let max = if message { self.limits.append_drain_bytes } else { self.limits.drain_bytes };
        match announcement {
            Announcement { synchronizing: true, .. } => self.drained(end),
            Announcement { size: Some(size), .. } => self.drain(size, max, end),
            Announcement { size: None, .. } => self.fatal(FatalError::TooMuch),
        }
    }

    fn drain<'a>(&mut self, size: u64, max: u64, end: Drained) -> Step<'a> {
        self.buffer = Vec::new();
        self.line_start = 0;
        self.drained = self.drained.saturating_add(size);
        if self.drained > max {
            return self.fatal(FatalError::TooMuch);
        }
        self.state = State::DrainLiteral { left: size, end };
        Step::Again
    }

    fn drain_literal<'a>(&mut self, left: u64, end: Drained, input: &mut &'a [u8]) -> Step<'a> {
        let left = left - take_up_to(input, left).len() as u64;
        if left > 0 {
            self.state = State::DrainLiteral { left, end };
            return Step::More;
        }
        self.state = State::DrainLine { end };
        Step::Again
    }

    fn drain_line<'a>(&mut self, end: Drained, input: &mut &'a [u8]) -> Step<'a> {
        if input.is_empty() {
            return Step::More;
        }
        let line_end = memchr::memchr(b'\n', input);
        let taken = take(input, line_end.map_or(input.len(), |at| at + 1));
        self.drain_text(taken, line_end.is_some(), end)
    }

    /// Throws text away but for the last octets of its line: a literal that follows without asking must not be taken for commands.
    fn drain_text<'a>(&mut self, taken: &[u8], line_ended: bool, end: Drained) -> Step<'a> {
        let max = if self.streaming { self.limits.append_drain_bytes } else { self.limits.drain_bytes };
        self.drained = self.drained.saturating_add(taken.len() as u64);
        if self.drained > max {
            return self.fatal(FatalError::TooMuch);
        }
        self.buffer.extend_from_slice(taken.get(taken.len().saturating_sub(TAIL_BYTES)..).unwrap_or(taken));
        let excess = self.buffer.len().saturating_sub(TAIL_BYTES);
        self.buffer.drain(..excess);
        if !line_ended {
            return Step::More;
        }
        match Announcement::ends(without_line_end(&self.buffer)) {
            Some(Announcement { synchronizing: false, size: Some(size) }) => self.drain(size, max, end),
            Some(Announcement { synchronizing: false, size: None }) => self.fatal(FatalError::TooMuch),
            _ => self.drained(end),
        }
    }

    /// A command has been thrown away to its end.
    fn drained<'a>(&mut self, end: Drained) -> Step<'a> {
        let tag = self.tag.take();
        self.reset();
        Step::Event(match end {
            Drained::Refused => Event::Refused,
            Drained::Bad(error) => Event::Bad { tag, error },
        })
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

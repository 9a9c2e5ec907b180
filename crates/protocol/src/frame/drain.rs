//! Reading on past what is refused, so that none of it is taken for commands.

use super::announcement::Announcement;
use super::{Drained, Event, FatalError, FrameError, Framer, State, Step, tag_of, take, take_up_to, without_line_end};

/// How many octets at the end of a line that is thrown away are looked at: an announcement of 20 digits fits.
const TAIL_BYTES: usize = 32;

impl Framer {
    /// The text's limit is passed: the rest of the line is thrown away, and what its end announces.
    pub(super) fn line_too_long<'a>(&mut self, taken: &[u8], line_ended: bool) -> Step<'a> {
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
    pub(super) fn announced_too_much<'a>(
        &mut self,
        announcement: Announcement,
        message: bool,
        error: FrameError,
    ) -> Step<'a> {
        let end = Drained::Bad(error);
        let max = if message { self.limits.append_drain_bytes } else { self.limits.drain_bytes };
        match announcement {
            Announcement { synchronizing: true, .. } => self.drained(end),
            Announcement { size: Some(size), .. } => self.drain(size, max, end),
            Announcement { size: None, .. } => self.fatal(FatalError::TooMuch),
        }
    }

    pub(super) fn drain<'a>(&mut self, size: u64, max: u64, end: Drained) -> Step<'a> {
        self.buffer = Vec::new();
        self.line_start = 0;
        self.drained = self.drained.saturating_add(size);
        if self.drained > max {
            return self.fatal(FatalError::TooMuch);
        }
        self.state = State::DrainLiteral { left: size, end };
        Step::Again
    }

    pub(super) fn drain_literal<'a>(&mut self, left: u64, end: Drained, input: &mut &'a [u8]) -> Step<'a> {
        let left = left - take_up_to(input, left).len() as u64;
        if left > 0 {
            self.state = State::DrainLiteral { left, end };
            return Step::More;
        }
        self.state = State::DrainLine { end };
        Step::Again
    }

    pub(super) fn drain_line<'a>(&mut self, end: Drained, input: &mut &'a [u8]) -> Step<'a> {
        if input.is_empty() {
            return Step::More;
        }
        let line_end = memchr::memchr(b'\n', input);
        let taken = take(input, line_end.map_or(input.len(), |at| at + 1));
        self.drain_text(taken, line_end.is_some(), end)
    }

    /// Throws text away but for the last octets of its line: a literal that follows without asking must not be taken for commands.
    pub(super) fn drain_text<'a>(&mut self, taken: &[u8], line_ended: bool, end: Drained) -> Step<'a> {
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
    pub(super) fn drained<'a>(&mut self, end: Drained) -> Step<'a> {
        let tag = self.tag.take();
        self.reset();
        Step::Event(match end {
            Drained::Refused => Event::Refused,
            Drained::Bad(error) => Event::Bad { tag, error },
        })
    }
}

//! A session's states: which command may come when, and what is to be done about it.

use super::address::Address;
use super::command::Command;
use super::reply::Reply;

/// What of a session's behaviour can be chosen.
#[derive(Debug, Clone)]
pub struct Rules {
    pub host_name: String,
    pub message_bytes_max: u64,
    pub recipients_max: usize,
    /// Commands in a row that are not understood before the connection is cut.
    pub bad_commands_max: u32,
    /// Whether it is another node that talks, for a client of its own.
    pub passed_on: bool,
}

/// A transaction: a sender, and the recipients that were accepted, each with what `R` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction<R> {
    pub sender: Option<Address>,
    pub smtputf8: bool,
    /// The message's octets, as the client estimated them.
    pub size: Option<u64>,
    pub recipients: Vec<R>,
}

/// What is to be done about a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Reply(Reply),
    /// To say this and close the connection.
    Close(Reply),
    /// To look the recipient up, and [`Machine::accept`] it or not.
    Recipient {
        address: Address,
        /// The delivery's key, from another node.
        once: Option<[u8; 16]>,
    },
    /// To say 354 and take the message by lines, then [`Machine::end_message`].
    Data,
    /// To take this many octets of the message; after the last ones [`Machine::end_message`], after others that could not be taken
    /// [`Machine::chunk_failed`].
    Chunk {
        octets: u64,
        last: bool,
    },
    /// To pass this many octets over (a client need not wait before it sends them: RFC 3030, 4.2) and then say this.
    Skip {
        octets: u64,
        reply: Reply,
    },
}

/// One session.
#[derive(Debug)]
pub struct Machine<R> {
    rules: Rules,
    client: Option<String>,
    transaction: Option<Transaction<R>>,
    chunks: Chunks,
    /// Whether anything has been understood yet.
    spoke_lmtp: bool,
    bad_commands: u32,
}

/// How far a message by BDAT has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    None,
    Some,
    Failed,
}

impl<R> Machine<R> {
    pub fn new(rules: Rules) -> Self {
        Self { rules, client: None, transaction: None, chunks: Chunks::None, spoke_lmtp: false, bad_commands: 0 }
    }

    /// What the client called itself.
    pub fn client(&self) -> &str {
        self.client.as_deref().unwrap_or_default()
    }

    pub fn transaction(&self) -> Option<&Transaction<R>> {
        self.transaction.as_ref()
    }

    /// Whether a part of a message has come by BDAT, and it is still wanted.
    pub fn is_in_chunks(&self) -> bool {
        self.chunks == Chunks::Some
    }

    /// Takes a line without its CRLF.
    pub fn line(&mut self, line: &[u8]) -> Action {
        let error = match Command::parse(line) {
            Ok(command) => {
                self.spoke_lmtp = true;
                self.bad_commands = 0;
                return self.command(command);
            }
            Err(error) => error,
        };
        let known = error != Reply::UNKNOWN_COMMAND && error != Reply::NOT_TEXT;
        if !known && !self.spoke_lmtp {
            // Another protocol's client: a browser that was made to send mail, say. Nothing of what follows is to be looked at.
            return Action::Close(error);
        }
        self.spoke_lmtp = true;
        if error.is_syntax_error() {
            self.bad_commands += 1;
        }
        if self.bad_commands >= self.rules.bad_commands_max {
            return Action::Close(Reply::TOO_MANY_ERRORS);
        }
        Action::Reply(error)
    }

    /// Takes a recipient that was found.
    pub fn accept(&mut self, recipient: R) {
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.push(recipient);
        }
    }

    /// A chunk could not be taken: the message is given up until RSET.
    pub fn chunk_failed(&mut self) {
        self.chunks = Chunks::Failed;
    }

    /// The whole message has come: its transaction, which is over.
    pub fn end_message(&mut self) -> Option<Transaction<R>> {
        self.chunks = Chunks::None;
        self.transaction.take()
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.chunks = Chunks::None;
    }

    fn command(&mut self, command: Command) -> Action {
        let reply = match command {
            Command::Lhlo { client } => {
                self.reset();
                self.client = Some(client);
                Reply::capabilities(&self.rules.host_name, self.rules.message_bytes_max, self.rules.passed_on)
            }
            Command::Mail { sender, parameters } => {
                let (smtputf8, size) = (parameters.smtputf8, parameters.size);
                return self.mail(Transaction { sender, smtputf8, size, recipients: Vec::new() });
            }
            Command::Rcpt { once: Some(_), .. } if !self.rules.passed_on => Reply::UNKNOWN_PARAMETER,
            Command::Rcpt { recipient, once } => return self.rcpt(recipient, once),
            Command::Data => match self.judge_message() {
                Ok(()) if self.chunks != Chunks::None => Reply::IN_CHUNKS,
                Ok(()) => return Action::Data,
                Err(reply) => reply,
            },
            Command::Bdat { octets, last } => return self.bdat(octets, last),
            Command::Rset => {
                self.reset();
                Reply::RESET
            }
            Command::Noop => Reply::OK,
            Command::Help => Reply::HELP,
            Command::Vrfy => Reply::CANNOT_VERIFY,
            Command::Quit => return Action::Close(Reply::CLOSING),
        };
        Action::Reply(reply)
    }

    fn mail(&mut self, transaction: Transaction<R>) -> Action {
        let too_big = transaction.size.is_some_and(|size| size > self.rules.message_bytes_max);
        Action::Reply(match &self.client {
            None => Reply::LHLO_FIRST,
            Some(_) if self.transaction.is_some() => Reply::NESTED_MAIL,
            Some(_) if too_big => Reply::TOO_BIG,
            Some(_) => {
                self.transaction = Some(transaction);
                Reply::SENDER_OK
            }
        })
    }

    fn rcpt(&mut self, address: Address, once: Option<[u8; 16]>) -> Action {
        let Some(transaction) = &self.transaction else {
            return Action::Reply(self.nothing_begun());
        };
        if self.chunks != Chunks::None {
            return Action::Reply(Reply::IN_CHUNKS);
        }
        if transaction.recipients.len() >= self.rules.recipients_max {
            return Action::Reply(Reply::TOO_MANY_RECIPIENTS);
        }
        if address.needs_utf8() && !transaction.smtputf8 {
            return Action::Reply(Reply::NEEDS_SMTPUTF8);
        }
        Action::Recipient { address, once }
    }

    fn bdat(&mut self, octets: u64, last: bool) -> Action {
        let reply = match (self.judge_message(), self.chunks) {
            (Ok(()), Chunks::None | Chunks::Some) => {
                self.chunks = Chunks::Some;
                return Action::Chunk { octets, last };
            }
            (Ok(()), Chunks::Failed) => Reply::CHUNK_FAILED,
            (Err(reply), _) => reply,
        };
        Action::Skip { octets, reply }
    }

    /// Whether a message may come now. Without a recipient it may not, and that must be said by 503 (RFC 2033, 4.2).
    fn judge_message(&self) -> Result<(), Reply> {
        match &self.transaction {
            None => Err(self.nothing_begun()),
            Some(transaction) if transaction.recipients.is_empty() => Err(Reply::NO_RECIPIENTS),
            Some(_) => Ok(()),
        }
    }

    fn nothing_begun(&self) -> Reply {
        if self.client.is_some() { Reply::MAIL_FIRST } else { Reply::LHLO_FIRST }
    }
}

#[cfg(test)]
mod tests;

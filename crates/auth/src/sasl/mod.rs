//! The server's side of SASL (RFC 4422), without I/O: messages in, steps out.
//!
//! The session decodes base64 ([`decode_response`]), passes bytes to a [`Mechanism`] and does what the [`Step`] says. Mechanisms know
//! neither accounts nor clocks; their answers to a wrong user and to a wrong password are the same in bytes and in work.

mod binding;
mod login;
mod plain;
mod saslprep;
mod scram;
mod scram_message;
mod wire;

pub use binding::{ChannelBindings, tls_server_end_point};
pub use wire::{ClientLine, decode_initial_response, decode_response, encode_challenge};

pub(crate) use saslprep::{candidates, prepared};

use crate::secret::Secret;
use crate::user_name::{UserName, UserNameError};
use crate::{ScramAnswer, ScramKeys};

/// The longest message of a client, in bytes, decoded. PLAIN with the longest names and password has some 1,000.
pub const SASL_MESSAGE_BYTES_MAX: usize = 4096;

/// The mechanisms that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MechanismName {
    Plain,
    Login,
    ScramSha256,
    ScramSha256Plus,
}

impl MechanismName {
    /// All of them, the strongest first.
    pub const ALL: [Self; 4] = [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        }
    }

    /// The mechanism of this name, in upper or lower case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether the client's password crosses the wire, so that the mechanism needs TLS under it.
    pub fn sends_password(self) -> bool {
        matches!(self, Self::Plain | Self::Login)
    }
}

/// What the session does next.
#[derive(Debug)]
pub enum Step {
    /// Send this (it may be empty), then give the answer to [`Mechanism::step`].
    Challenge(Vec<u8>),
    /// The mechanism is over; whether it succeeded is what [`Authenticator::verify`](crate::Authenticator::verify) says.
    NeedsVerify { user: UserName, password: Secret },
    /// Ask [`Authenticator::scram_keys`](crate::Authenticator::scram_keys), then give the answer to [`Mechanism::keys`].
    NeedsKeys { user: UserName },
    /// The client has proved to be this user. Nothing is left to check.
    Done { user: UserName },
    /// The exchange is over. The reason is for the log; a client gets the same words as for a wrong password.
    Failed(SaslError),
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    #[error("the client cancelled")]
    Cancelled,
    #[error("the response is not base64")]
    Base64,
    #[error("the response has more than {SASL_MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the response does not follow the mechanism's grammar")]
    Grammar,
    #[error("{0}")]
    UserName(#[from] UserNameError),
    #[error("acting for another user is not allowed")]
    AuthorizationIdentity,
    #[error("the client names a channel binding that this connection does not have")]
    UnsupportedBinding,
    #[error("the client was told of no channel binding, though it was offered: someone stands between")]
    BindingDowngrade,
    #[error("the client sees another TLS connection than the server: someone stands between")]
    BindingMismatch,
    #[error("the nonce is not the one that was sent")]
    Nonce,
    #[error("wrong user or password")]
    Proof,
    #[error("the system gives no random bytes")]
    Random,
    #[error("a step out of turn")]
    OutOfTurn,
}

/// One exchange of one mechanism.
#[derive(Debug)]
pub struct Mechanism(State);

#[derive(Debug)]
enum State {
    Plain,
    Login(login::Login),
    Scram(Box<scram::Scram>),
    Over,
}

impl Mechanism {
    /// Starts an exchange. `bindings` are those of the connection: SCRAM takes it that SCRAM-SHA-256-PLUS was offered if there are any.
    pub fn new(name: MechanismName, bindings: ChannelBindings) -> Self {
        Self(match name {
            MechanismName::Plain => State::Plain,
            MechanismName::Login => State::Login(login::Login::default()),
            MechanismName::ScramSha256 => State::Scram(Box::new(scram::Scram::new(bindings, scram::Plus::No))),
            MechanismName::ScramSha256Plus => State::Scram(Box::new(scram::Scram::new(bindings, scram::Plus::Yes))),
        })
    }

    /// The first step, with the initial response if the client sent one (RFC 4959).
    pub fn begin(&mut self, initial_response: Option<&[u8]>) -> Step {
        match (initial_response, &self.0) {
            (Some(response), _) => self.step(response),
            (None, State::Login(_)) => Step::Challenge(login::USER_CHALLENGE.to_vec()),
            (None, _) => Step::Challenge(Vec::new()),
        }
    }

    /// The client's next message. After `NeedsVerify`, `Done` or `Failed` every further step fails.
    pub fn step(&mut self, message: &[u8]) -> Step {
        let outcome = if message.len() > SASL_MESSAGE_BYTES_MAX {
            Err(SaslError::TooLong)
        } else {
            match &mut self.0 {
                State::Plain => plain::parse(message),
                State::Login(login) => login.step(message),
                State::Scram(scram) => scram.step(message),
                State::Over => Err(SaslError::OutOfTurn),
            }
        };
        self.settle(outcome)
    }

    /// The answer to `NeedsKeys`.
    pub fn keys(&mut self, answer: &ScramAnswer) -> Step {
        let outcome = match &mut self.0 {
            State::Scram(scram) => scram.keys(answer),
            _ => Err(SaslError::OutOfTurn),
        };
        self.settle(outcome)
    }

    fn settle(&mut self, outcome: Result<Step, SaslError>) -> Step {
        let step = outcome.unwrap_or_else(Step::Failed);
        if matches!(step, Step::NeedsVerify { .. } | Step::Done { .. } | Step::Failed(_)) {
            self.0 = State::Over;
        }
        step
    }
}

#[cfg(test)]
mod tests;

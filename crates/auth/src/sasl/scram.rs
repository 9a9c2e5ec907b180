//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), the server's side.
//!
//! The final message of the server travels as a challenge that the client answers with an empty message, since IMAP's OK has no room
//! for it (RFC 9051, 6.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use super::scram_message::{BindingFlag, ClientFinal, ClientFirst};
use super::{ChannelBindings, SaslError, ScramAnswer, ScramKeys, Step};
use crate::scram_keys::hmac_sha256;
use crate::secret::Secret;
use crate::user_name::UserName;

/// Whether the client chose the mechanism with channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    Yes,
    No,
}

#[derive(Debug)]
pub(super) struct Scram {
    bindings: ChannelBindings,
    plus: Plus,
    /// The server's part of the nonce; nothing until it is drawn.
    server_nonce: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    First,
    Keys(Exchange),
    Final(Exchange, ScramAnswer),
    /// The proof was right and the client has yet to acknowledge the server's.
    Acknowledge(UserName),
    Over,
}

/// What both sides have said so far.
#[derive(Debug)]
struct Exchange {
    user: UserName,
    /// What `c=` must hold, decoded.
    expected_binding: Vec<u8>,
    first_bare: String,
    nonce: String,
    /// Empty until sent.
    server_first: String,
}

impl Scram {
    pub(super) fn new(bindings: ChannelBindings, plus: Plus) -> Self {
        Self { bindings, plus, server_nonce: None, state: State::First }
    }

    #[cfg(test)]
    pub(super) fn with_nonce(bindings: ChannelBindings, plus: Plus, server_nonce: &str) -> Self {
        Self { server_nonce: Some(server_nonce.to_owned()), ..Self::new(bindings, plus) }
    }

    pub(super) fn step(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::First => self.first(message),
            State::Final(exchange, answer) => self.last(message, exchange, &answer),
            State::Acknowledge(user) if message.is_empty() => Ok(Step::Done { user }),
            State::Acknowledge(_) => Err(SaslError::Grammar),
            State::Keys(_) | State::Over => Err(SaslError::OutOfTurn),
        }
    }

    pub(super) fn keys(&mut self, answer: &ScramAnswer) -> Result<Step, SaslError> {
        let State::Keys(mut exchange) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(SaslError::OutOfTurn);
        };
        let ScramKeys { iterations, salt, .. } = &answer.keys;
        exchange.server_first = format!("r={},s={},i={iterations}", exchange.nonce, STANDARD.encode(salt));
        let challenge = exchange.server_first.clone().into_bytes();
        self.state = State::Final(exchange, answer.clone());
        Ok(Step::Challenge(challenge))
    }

    fn first(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let first = ClientFirst::parse(message)?;
        let expected_binding = [first.gs2_header.as_bytes(), self.binding_data(first.flag)?].concat();
        let user = UserName::parse(first.user.as_bytes())?;
        if let Some(other) = first.authorization
            && UserName::parse(other.as_bytes()).as_ref() != Ok(&user)
        {
            return Err(SaslError::AuthorizationIdentity);
        }
        let server_nonce = match self.server_nonce.take() {
            Some(nonce) => nonce,
            None => draw_nonce()?,
        };
        let exchange = Exchange {
            user: user.clone(),
            expected_binding,
            first_bare: first.bare.to_owned(),
            nonce: format!("{}{server_nonce}", first.nonce),
            server_first: String::new(),
        };
        self.state = State::Keys(exchange);
        Ok(Step::NeedsKeys { user })
    }

    /// The channel binding's data, empty without one. Refuses what does not fit the mechanism and the connection (RFC 5802, 6).
    fn binding_data(&self, flag: BindingFlag<'_>) -> Result<&[u8], SaslError> {
        match (self.plus, flag) {
            (Plus::Yes, BindingFlag::Used(name)) => self.bindings.data(name).ok_or(SaslError::UnsupportedBinding),
            (Plus::Yes, _) | (Plus::No, BindingFlag::Used(_)) => Err(SaslError::UnsupportedBinding),
            (Plus::No, BindingFlag::ServerHasNone) if self.bindings.any() => Err(SaslError::BindingDowngrade),
            (Plus::No, _) => Ok(&[]),
        }
    }

    fn last(&mut self, message: &[u8], exchange: Exchange, answer: &ScramAnswer) -> Result<Step, SaslError> {
        let last = ClientFinal::parse(message)?;
        if last.nonce != exchange.nonce {
            return Err(SaslError::Nonce);
        }
        if last.binding != exchange.expected_binding {
            return Err(SaslError::BindingMismatch);
        }
        let auth_message: [&[u8]; 5] = [
            exchange.first_bare.as_bytes(),
            b",",
            exchange.server_first.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let signature = hmac_sha256(&answer.keys.stored_key, &auth_message);
        let mut client_key = last.proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let proved = Secret::new(Sha256::digest(client_key).as_slice()).equals(&answer.keys.stored_key);
        // The keys of a user who may not log in are real ones, so that nothing differs until here.
        if !proved || !answer.genuine {
            return Err(SaslError::Proof);
        }
        let server_signature = hmac_sha256(&answer.keys.server_key, &auth_message);
        self.state = State::Acknowledge(exchange.user);
        Ok(Step::Challenge(format!("v={}", STANDARD.encode(server_signature)).into_bytes()))
    }
}

/// 144 bits, as printable characters without a comma.
fn draw_nonce() -> Result<String, SaslError> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|_| SaslError::Random)?;
    Ok(STANDARD_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;

//! LOGIN (RFC 9051, 6.2.3).

use std::fmt;

use crate::Command;
use crate::parser::{Parsed, Parser};

/// A user's name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Password,
}

/// Octets that must never be logged: `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The octets themselves, to be wiped by whom they are given to.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// `login = "LOGIN" SP userid SP password`
pub(super) fn parse(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let user = parser.astring_text("a user name")?;
    parser.space()?;
    let password = Password::new(parser.astring("a password")?.into_owned());
    Ok(Command::Login(Login { user, password }))
}

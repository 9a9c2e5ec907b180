//! LOGIN (draft-murchison-sasl-login-00): never a standard, but Outlook and old libraries speak it before anything else.

use super::{SaslError, Step};
use crate::secret::Secret;
use crate::user_name::UserName;

pub(super) const USER_CHALLENGE: &[u8] = b"Username:";
const PASSWORD_CHALLENGE: &[u8] = b"Password:";

/// Waits for the user, then for the password. An initial response is the user.
#[derive(Debug, Default)]
pub(super) struct Login {
    user: Option<UserName>,
}

impl Login {
    pub(super) fn step(&mut self, message: &[u8]) -> Result<Step, SaslError> {
        let Some(user) = self.user.take() else {
            self.user = Some(UserName::parse(message)?);
            return Ok(Step::Challenge(PASSWORD_CHALLENGE.to_vec()));
        };
        let password = Secret::new(message);
        if !password.is_password() {
            return Err(SaslError::Grammar);
        }
        Ok(Step::NeedsVerify { user, password })
    }
}

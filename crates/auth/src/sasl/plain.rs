//! PLAIN (RFC 4616).

use super::{SaslError, Step};
use crate::secret::Secret;
use crate::user_name::UserName;

/// ```text
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd
/// ```
///
/// Two NULs exactly, a user and a password that are not empty, and an authorization identity that is the user's own if there is one:
/// nobody acts for another.
pub(super) fn parse(message: &[u8]) -> Result<Step, SaslError> {
    let mut fields = message.split(|byte| *byte == 0);
    let (Some(authorization), Some(user), Some(password), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err(SaslError::Grammar);
    };
    let user = UserName::parse(user)?;
    if !authorization.is_empty() && UserName::parse(authorization).as_ref() != Ok(&user) {
        return Err(SaslError::AuthorizationIdentity);
    }
    let password = Secret::new(password);
    if !password.is_password() {
        return Err(SaslError::Grammar);
    }
    Ok(Step::NeedsVerify { user, password })
}

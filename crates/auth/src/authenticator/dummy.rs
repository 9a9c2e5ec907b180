//! What SCRAM shows of users who do not exist: always the same for a name, and nothing that tells.

use crate::scram_keys::hmac_sha256;
use crate::secret::Secret;
use crate::user_name::UserName;

/// The secret from which the invented SCRAM salts come.
///
/// To be kept with the server's data and to be the same on every node: a salt that changes over a restart, when an account's own does
/// not, would tell that it is invented.
#[derive(Debug, Clone)]
pub struct ServerSecret(Secret);

impl ServerSecret {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// A new one, for a first start. [`expose`](Self::expose) it once, to keep it.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The 32 bytes, to be kept.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// A salt of 16 bytes, as long as those that we and Dovecot make.
    pub(super) fn scram_salt(&self, user: &UserName) -> Vec<u8> {
        let mut salt = self.derive("scram salt", user).to_vec();
        salt.truncate(16);
        salt
    }

    /// A password that nobody knows, from which the keys of a user who does not exist are derived.
    pub(super) fn nobodys_password(&self, user: &UserName) -> Secret {
        Secret::new(self.derive("nobody", user))
    }

    fn derive(&self, purpose: &str, user: &UserName) -> [u8; 32] {
        hmac_sha256(self.0.expose(), &[purpose.as_bytes(), b"\0", user.as_str().as_bytes()])
    }
}

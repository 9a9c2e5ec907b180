//! Who may log in: SASL, password schemes, the passwd-file, the delay for failures, the bounds on sessions.
//!
//! The crate knows no IMAP and no mailbox. It is told where credentials are by a [`CredentialSource`]; sockets, TLS and configuration
//! are its callers'. No password and no stored hash reaches a log, an error or a `Debug`.
//!
//! A login goes through these hands, each of which is usable alone:
//!
//! 1. [`SessionLimits`] gives the connection a place.
//! 2. [`Mechanism`] takes the client's messages apart and says what it needs: [`Step`].
//! 3. [`Throttle`] says how long to wait.
//! 4. [`Authenticator`] checks the password, or gives the keys for SCRAM.
//!
//! ```
//! use paquebot_auth::{ChannelBindings, Mechanism, MechanismName, Step};
//! let mut mechanism = Mechanism::new(MechanismName::Plain, ChannelBindings::default());
//! let Step::NeedsVerify { user, password } = mechanism.begin(Some(b"\0Bob@example.org\0secret")) else { panic!() };
//! assert_eq!(user.as_str(), "bob@example.org");
//! assert_eq!(format!("{password:?}"), "Secret(..)");
//! ```

mod authenticator;
mod credentials;
mod limits;
mod network;
mod passwd_file;
mod password;
mod sasl;
mod scram_keys;
mod secret;
mod source;
mod throttle;
mod user_name;

pub use authenticator::{AuthResult, Authenticator, AuthenticatorSettings, ScramAnswer, ServerSecret};
pub use credentials::{CreateError, Credentials};
pub use limits::{AccountGuard, LimitRefusal, SessionGuard, SessionLimitSettings, SessionLimits};
pub use network::{Network, NetworkError};
pub use passwd_file::{LineError, LineProblem, PasswdFile, PasswdFileError};
pub use password::{Argon2Cost, Cost, Scheme, SchemeError, Sha, StoredPassword};
pub use sasl::{
    ChannelBindings, ClientLine, Mechanism, MechanismName, SASL_MESSAGE_BYTES_MAX, SaslError, Step,
    decode_initial_response, decode_response, encode_challenge, tls_server_end_point,
};
pub use scram_keys::{SCRAM_ITERATIONS, SCRAM_ITERATIONS_MAX, ScramKeys, ScramKeysError};
pub use secret::{PASSWORD_BYTES_MAX, Secret};
pub use source::{Access, CredentialSource, Found, Refusal, SourceError};
pub use throttle::{Curve, Throttle, ThrottleSettings};
pub use user_name::{USER_NAME_BYTES_MAX, UserName, UserNameError};

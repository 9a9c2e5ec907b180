//! AUTHENTICATE (RFC 9051, 6.2.2) with SASL-IR (RFC 4959).

use paquebot_auth::{ChannelBindings, Mechanism, MechanismName, Secret, Step};
use paquebot_protocol::Tag;
use paquebot_protocol::command::{Authenticate, SaslLine, parse_sasl_line};
use paquebot_protocol::response::Code;

use crate::capability;
use crate::machine::login;
use crate::session::Session;
use crate::state::Flow;

/// Answers AUTHENTICATE.
pub(crate) async fn authenticate(session: &mut Session, tag: &Tag, command: Authenticate) -> Flow {
    let Some(name) = MechanismName::named(&command.mechanism) else {
        session.writer().no(tag, Some(Code::Cannot), "This mechanism is not supported");
        return Ok(());
    };
    if !capability::mechanisms(session).any(|offered| offered == name) {
        let (code, text) = match name.sends_password() {
            true => (Code::PrivacyRequired, "A password is taken under TLS only"),
            false => (Code::Cannot, "This connection has nothing to bind the exchange to"),
        };
        session.writer().no(tag, Some(code), text);
        return Ok(());
    }
    let mut mechanism = Mechanism::new(name, session.channel_bindings());
    let initial = command.initial.map(|initial| Secret::new(initial.into_bytes()));
    let mut step = mechanism.begin(initial.as_ref().map(Secret::expose));
    drop(initial);
    let mut claimed = None;
    loop {
        step = match step {
            Step::Challenge(challenge) => {
                session.writer().challenge(&challenge);
                let line = Secret::new(session.read_line().await?);
                match parse_sasl_line(line.expose()) {
                    Some(SaslLine::Response(response)) => {
                        let response = Secret::new(response.into_bytes());
                        mechanism.step(response.expose())
                    }
                    Some(SaslLine::Cancel) => return session.bad(Some(tag), "AUTHENTICATE was cancelled"),
                    None => return session.bad(Some(tag), "The response is not base64"),
                }
            }
            Step::NeedsVerify { user, password } => return login::verify(session, tag, user, password).await,
            Step::NeedsKeys { user } => {
                login::wait_for_turn(session, Some(&user)).await;
                claimed = Some(user.clone());
                let authenticator = session.shared.authenticator.clone();
                match authenticator.scram_keys(user.clone(), session.conn.peer).await {
                    Ok(answer) => {
                        if let Some(refusal) = &answer.refusal {
                            tracing::info!(user = user.as_str(), %refusal, "login will be refused");
                        }
                        mechanism.keys(&answer)
                    }
                    Err(error) => return login::unavailable(session, tag, &error),
                }
            }
            Step::Done { user } => return login::admit(session, tag, user).await,
            Step::Failed(error) => {
                tracing::info!(mechanism = name.as_str(), %error, "login refused");
                return match &claimed {
                    Some(user) => login::count_failure(session, tag, Some(user)),
                    None => login::deny(session, tag, None).await,
                };
            }
        };
    }
}

impl Session {
    /// What a SASL exchange can be bound to: the TLS connection under it.
    pub(crate) fn channel_bindings(&self) -> ChannelBindings {
        let Some(connection) = self.conn.stream.tls_connection() else { return ChannelBindings::default() };
        ChannelBindings {
            tls_exporter: exported(connection),
            tls_server_end_point: self.conn.stream.end_point().map(<[u8]>::to_vec),
        }
    }
}

/// `tls-exporter` (RFC 9266): of TLS 1.3 only, since rustls does not tell whether a TLS 1.2 handshake had the extended master secret.
fn exported(connection: &rustls::ServerConnection) -> Option<[u8; 32]> {
    if connection.protocol_version() != Some(rustls::ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok()
}

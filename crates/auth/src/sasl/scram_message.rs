//! The client's two messages of SCRAM (RFC 5802, 7), parsed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SaslError;

/// What a client says of channel bindings: `gs2-cbind-flag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: it knows none.
    None,
    /// `y`: it does, but believes that the server does not.
    ServerHasNone,
    /// `p=name`: it uses this one.
    Used(&'a str),
}

/// ```text
/// client-first-message = gs2-cbind-flag "," [authzid] "," client-first-message-bare
/// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
/// ```
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// All before the bare message: what `c=` repeats.
    pub(super) gs2_header: &'a str,
    pub(super) flag: BindingFlag<'a>,
    pub(super) authorization: Option<String>,
    pub(super) user: String,
    pub(super) nonce: &'a str,
    pub(super) bare: &'a str,
}

/// ```text
/// client-final-message = channel-binding "," nonce ["," extensions] "," proof
/// ```
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// Decoded: the GS2 header and the channel binding's data.
    pub(super) binding: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; 32],
    pub(super) without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, SaslError> {
        let text = text(message)?;
        let (flag, rest) = text.split_once(',').ok_or(SaslError::Grammar)?;
        let (authorization, bare) = rest.split_once(',').ok_or(SaslError::Grammar)?;
        let header_bytes = text.len() - bare.len();
        let flag = match flag {
            "n" => BindingFlag::None,
            "y" => BindingFlag::ServerHasNone,
            _ => BindingFlag::Used(binding_name(flag)?),
        };
        let authorization = match authorization {
            "" => None,
            field => Some(sasl_name(value(field, "a=")?)?),
        };
        // A mandatory extension, `m=`, would stand where the user must: it fails as it should.
        let mut fields = bare.split(',');
        let mut next = || fields.next().ok_or(SaslError::Grammar);
        let user = sasl_name(value(next()?, "n=")?)?;
        let nonce = nonce(next()?)?;
        extensions(fields)?;
        let gs2_header = text.get(..header_bytes).ok_or(SaslError::Grammar)?;
        Ok(Self { gs2_header, flag, authorization, user, nonce, bare })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, SaslError> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(',').ok_or(SaslError::Grammar)?;
        let proof = STANDARD.decode(value(proof, "p=")?).ok().and_then(|bytes| bytes.try_into().ok());
        let proof = proof.ok_or(SaslError::Grammar)?;
        let mut fields = without_proof.split(',');
        let mut next = || fields.next().ok_or(SaslError::Grammar);
        let binding = STANDARD.decode(value(next()?, "c=")?).map_err(|_| SaslError::Grammar)?;
        let nonce = nonce(next()?)?;
        extensions(fields)?;
        Ok(Self { binding, nonce, proof, without_proof })
    }
}

fn text(message: &[u8]) -> Result<&str, SaslError> {
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(SaslError::Grammar),
    }
}

fn value<'a>(field: &'a str, name: &str) -> Result<&'a str, SaslError> {
    field.strip_prefix(name).ok_or(SaslError::Grammar)
}

/// `cb-name = 1*(ALPHA / DIGIT / "." / "-")`
fn binding_name(flag: &str) -> Result<&str, SaslError> {
    let name = value(flag, "p=")?;
    let sound = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if sound { Ok(name) } else { Err(SaslError::Grammar) }
}

/// `nonce = "r=" c-nonce`, printable ASCII without the comma.
fn nonce(field: &str) -> Result<&str, SaslError> {
    let nonce = value(field, "r=")?;
    let sound = !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic());
    if sound { Ok(nonce) } else { Err(SaslError::Grammar) }
}

/// `saslname = 1*(value-safe-char / "=2C" / "=3D")`: a comma and an equals sign are escaped, nothing else is.
fn sasl_name(field: &str) -> Result<String, SaslError> {
    let mut parts = field.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(SaslError::Grammar),
        };
        name.push(character);
        name.push_str(rest);
    }
    if name.is_empty() { Err(SaslError::Grammar) } else { Ok(name) }
}

/// `attr-val = ALPHA "=" value`. Optional extensions that are not known are passed over; `m=` marks a mandatory one.
fn extensions<'a>(mut fields: impl Iterator<Item = &'a str>) -> Result<(), SaslError> {
    let sound = |field: &str| matches!(field.as_bytes(), [name, b'=', _, ..] if name.is_ascii_alphabetic() && !b"mnrcp".contains(name));
    if fields.all(sound) { Ok(()) } else { Err(SaslError::Grammar) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_first_message_is_taken_apart() {
        let first = ClientFirst::parse(b"p=tls-exporter,a=b=2Cob,n=b=3Db=2C,r=no=nce!,x=1").unwrap();
        assert_eq!(first.gs2_header, "p=tls-exporter,a=b=2Cob,");
        assert_eq!(first.flag, BindingFlag::Used("tls-exporter"));
        assert_eq!(first.authorization.as_deref(), Some("b,ob"));
        assert_eq!(first.user, "b=b,");
        assert_eq!(first.nonce, "no=nce!");
        assert_eq!(first.bare, "n=b=3Db=2C,r=no=nce!,x=1");
    }

    #[test]
    fn first_messages_outside_the_grammar_are_refused() {
        let table = [
            "",
            ",",
            ",,",
            "n",
            "n,",
            "n,,",
            "n,,n=u",
            "n,,n=u,",
            "n,,n=u,r=",
            "n,,n=,r=x",
            "n,,r=x,n=u",
            "n,,m=e,n=u,r=x",
            "x,,n=u,r=x",
            "N,,n=u,r=x",
            "p=,,n=u,r=x",
            "p=a b,,n=u,r=x",
            "p,,n=u,r=x",
            "n,u,n=u,r=x",
            "n,a=,n=u,r=x",
            "n,,n=u=2c,r=x",
            "n,,n=u=,r=x",
            "n,,n=u=41,r=x",
            "n,,n=u,r=a b",
            "n,,n=u,r=\u{e9}",
            "n,,n=u,r=x,",
            "n,,n=u,r=x,m=1",
            "n,,n=u,r=x,r=y",
            "n,,n=u,r=x,1=y",
            "n,,n=u,r=x,x",
            "n,,n=u\0,r=x",
        ];
        for message in table {
            assert_eq!(ClientFirst::parse(message.as_bytes()), Err(SaslError::Grammar), "{message}");
        }
        assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=x"), Err(SaslError::Grammar));
    }

    #[test]
    fn final_messages_outside_the_grammar_are_refused() {
        let proof = STANDARD.encode([1; 32]);
        let good = format!("c=biws,r=x,p={proof}");
        let parsed = ClientFinal::parse(good.as_bytes()).unwrap();
        assert_eq!((parsed.binding.as_slice(), parsed.nonce, parsed.proof), (&b"n,,"[..], "x", [1; 32]));
        assert_eq!(parsed.without_proof, "c=biws,r=x");
        for message in [
            String::new(),
            "c=biws,r=x".into(),
            "c=biws,r=x,p=".into(),
            "c=biws,r=x,p=AAAA".into(),
            format!("c=biws,r=x,p={proof},"),
            format!("c=biws,r=x,p={proof},x=1"),
            format!("c=biws,r=x,m=1,p={proof}"),
            format!("c=biw,r=x,p={proof}"),
            format!("r=x,c=biws,p={proof}"),
            format!("c=biws,p={proof}"),
            format!("p={proof}"),
            format!(",p={proof}"),
        ] {
            assert_eq!(ClientFinal::parse(message.as_bytes()), Err(SaslError::Grammar), "{message}");
        }
    }
}

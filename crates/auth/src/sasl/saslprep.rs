//! Passwords in one Unicode form, so that the same characters typed on two systems are the same password.

use crate::secret::{PASSWORD_BYTES_MAX, Secret};

/// The password as SASLprep makes it (RFC 4013), or as it is where SASLprep has no answer.
///
/// SASLprep speaks of Unicode 3.2 and refuses what came later, emoji for instance, as well as control characters; bytes that are not
/// UTF-8 are outside it altogether. Refusing such passwords would lock out accounts that other servers made, so they are used as they
/// come, which is also what PostgreSQL does.
pub(crate) fn prepared(password: &Secret) -> Secret {
    let Ok(text) = std::str::from_utf8(password.expose()) else { return password.clone() };
    if text.is_ascii() {
        // SASLprep changes no printable ASCII and refuses the rest.
        return password.clone();
    }
    match stringprep::saslprep(text) {
        // "\u{ad}" alone is mapped to nothing, and an empty password must not come of it. Nor a long one: "\u{fdfa}" becomes eighteen
        // characters, and the work of some hashes grows with the square of the length.
        Ok(prepared) if (1..=PASSWORD_BYTES_MAX).contains(&prepared.len()) => Secret::new(prepared.into_owned()),
        _ => password.clone(),
    }
}

/// What to try against a stored hash: the prepared password, then the bytes as sent if they differ.
///
/// Our own hashes are of the prepared form; hashes that other software made are of whatever was typed there.
pub(crate) fn candidates(password: &Secret) -> impl Iterator<Item = Secret> {
    let first = prepared(password);
    let second = (!first.equals(password.expose())).then(|| password.clone());
    std::iter::once(first).chain(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4013_examples() {
        let table: &[(&str, &str)] = &[
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            // Prohibited and failing the bidi check: used as they are.
            ("\u{7}", "\u{7}"),
            ("\u{627}1", "\u{627}1"),
            ("\u{ad}", "\u{ad}"),
            ("\u{1f600}", "\u{1f600}"),
            ("e\u{301}", "\u{e9}"),
            ("a\u{a0}b", "a b"),
        ];
        for (input, output) in table {
            assert!(prepared(&Secret::new(*input)).equals(output.as_bytes()), "{input:?}");
        }
        assert!(prepared(&Secret::new(vec![0xff, 0xe9])).equals(&[0xff, 0xe9]));
    }

    #[test]
    fn a_password_does_not_grow_beyond_its_bound() {
        let long = Secret::new("\u{fdfa}".repeat(PASSWORD_BYTES_MAX / 3));
        assert_eq!(prepared(&long), long);
        assert_eq!(candidates(&long).count(), 1);
    }

    #[test]
    fn both_forms_are_tried_only_when_they_differ() {
        assert_eq!(candidates(&Secret::new("plain")).count(), 1);
        assert_eq!(candidates(&Secret::new("\u{e9}")).count(), 1);
        assert_eq!(candidates(&Secret::new("e\u{301}")).count(), 2);
    }
}

//! Who may do what with a mailbox (RFC 4314), as Cyrus keeps it.

use super::dlist::Value;

/// Rights by identifier, in the store's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl(pub Vec<(String, String)>);

impl Acl {
    /// `identifier TAB rights TAB ...`, as old headers and old lists of mailboxes have it.
    pub fn from_tabs(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut parts = text.trim_end_matches(['\n', '\t']).split('\t');
        let mut entries = Vec::new();
        while let (Some(identifier), Some(rights)) = (parts.next(), parts.next()) {
            entries.push((identifier.to_owned(), rights.to_owned()));
        }
        Self(entries)
    }

    pub fn from_value(value: &Value) -> Self {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match value {
            Value::Map(entries) => {
                Self(entries.iter().filter_map(|(key, value)| Some((text(key), text(value.text()?)))).collect())
            }
            Value::Text(tabs) => Self::from_tabs(tabs),
            Value::Nil | Value::List(_) => Self::default(),
        }
    }

    /// Whether a user has a right: by name or as `anyone`, and not taken away by `-name` or `-anyone`. Groups are not known here.
    pub fn allows(&self, user: &str, right: char) -> bool {
        let has = |identifier: &str| self.0.iter().any(|(name, rights)| name == identifier && rights.contains(right));
        (has(user) || has("anyone")) && !has(&format!("-{user}")) && !has("-anyone")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rights_are_given_and_taken_away() {
        let acl = Acl::from_tabs(b"alice\tlrswi\tanyone\tl\t-bob\tl\t\n");
        assert!(acl.allows("alice", 'r') && acl.allows("carol", 'l'));
        assert!(!acl.allows("carol", 'r') && !acl.allows("bob", 'l'));
        let same = Value::parse(b"%(alice lrswi anyone l -bob l)").unwrap();
        assert_eq!(Acl::from_value(&same), acl);
    }
}

//! Which names are a driver's, and where on disk they lie.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use paquebot_formats::{Driver, Owner, Root};
use paquebot_types::MailboxName;

/// A prefix of names below which the mailboxes are another server's files, served where they lie.
#[derive(Clone)]
pub struct Namespace {
    /// Empty, or with the separator at its end.
    pub prefix: String,
    /// `None`: the first that recognises what is there.
    pub driver: Option<&'static dyn Driver>,
    /// The directory of a user's mailboxes: `%u` stands for the user's name, `%n` for what is before its `@`, `%d` for what is after.
    pub root: String,
    /// Where the INBOX below the prefix lies, if not where the format has it; with the same variables.
    pub inbox: Option<String>,
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let driver = self.driver.map_or("auto", Driver::name);
        write!(f, "{:?}: {driver} at {}", self.prefix, self.root)
    }
}

impl Namespace {
    /// Whether the paths have no variables but those that there are.
    pub fn has_known_variables(&self) -> bool {
        let is_known = |template: &String| expand(template, "user@domain").is_some();
        is_known(&self.root) && self.inbox.as_ref().is_none_or(is_known)
    }

    /// The name below the prefix, as the driver knows it; `None` for a name that is not this namespace's.
    pub(crate) fn inner(&self, name: &MailboxName) -> Option<MailboxName> {
        MailboxName::new(name.as_str().strip_prefix(&*self.prefix)?).ok()
    }

    /// The whole name of a driver's mailbox; `None` if it would be longer or deeper than names are.
    pub(crate) fn outer(&self, inner: &MailboxName) -> Option<MailboxName> {
        MailboxName::new(&format!("{}{inner}", self.prefix)).ok()
    }

    /// Where a user's mailboxes are; `None` for a user whose name cannot be part of a path.
    pub(crate) fn root_of(&self, user: &str) -> Option<Root> {
        let directory = PathBuf::from(expand(&self.root, user)?);
        let inbox = match &self.inbox {
            Some(inbox) => Some(PathBuf::from(expand(inbox, user)?)),
            None => None,
        };
        let owner = owner_of(&directory).or_else(|| inbox.as_ref().and_then(owner_of));
        Some(Root { directory, inbox, owner, user: Some(user.to_owned()) })
    }
}

/// Whose a user's files are: new ones are made so. Only root can give files away.
fn owner_of(path: &PathBuf) -> Option<Owner> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let metadata = std::fs::metadata(path).ok()?;
    Some(Owner { user: metadata.uid(), group: metadata.gid() })
}

/// A user's name is data: in a path it is one name, which neither ends nor leaves its directory.
fn expand(template: &str, user: &str) -> Option<String> {
    let (local, domain) = user.split_once('@').unwrap_or((user, ""));
    let mut out = String::with_capacity(template.len() + user.len());
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let value = match after.next() {
            Some('u') => user,
            Some('n') => local,
            Some('d') => domain,
            Some('%') => "%",
            _ => return None,
        };
        let is_name = !matches!(value, "" | "." | "..") && !value.contains(['/', '\0']);
        if !is_name {
            return None;
        }
        out.push_str(value);
        rest = after.as_str();
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_put_where_the_variables_are() {
        for (template, user, path) in [
            ("/home/%u/mail", "anna", Some("/home/anna/mail")),
            ("/var/mail/%d/%n", "anna@example.org", Some("/var/mail/example.org/anna")),
            ("/var/mail/%u%%", "anna@example.org", Some("/var/mail/anna@example.org%")),
            ("/var/mail/%d/%n", "anna", None),
            ("/home/%u", "../root", None),
            ("/home/%u", "..", None),
            ("/home/%u/mail", "a/b", None),
            ("/home/%x", "anna", None),
        ] {
            assert_eq!(expand(template, user).as_deref(), path, "{template} for {user}");
        }
    }

    #[test]
    fn names_below_the_prefix_are_the_namespaces() {
        let namespace = Namespace { prefix: "Old/".into(), driver: None, root: "/x".into(), inbox: None };
        let name = |text: &str| MailboxName::new(text).unwrap();
        assert_eq!(namespace.inner(&name("Old/a/b")), Some(name("a/b")));
        assert_eq!(namespace.inner(&name("Old")), None);
        assert_eq!(namespace.inner(&name("Older/a")), None);
        assert_eq!(namespace.outer(&name("INBOX")), Some(name("Old/INBOX")));
    }
}

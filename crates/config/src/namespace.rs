//! Other servers' mailboxes, served where they lie.

use std::path::PathBuf;

use paquebot_formats::driver;
use paquebot_types::MailboxName;
use serde::{Deserialize, Serialize};

/// A prefix of mailbox names, and the files of another server that are seen below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// What names begin with, the separator at its end; without it, all names are.
    pub prefix: Option<String>,
    /// The format; without it, the first that recognises what is there.
    pub driver: Option<String>,
    /// The directory of a user's mailboxes: `%u` is the user, `%n` what is before the `@`, `%d` what is after.
    pub root: Option<PathBuf>,
    /// Where the INBOX below the prefix is, if not where the format has it.
    pub inbox: Option<PathBuf>,
}

impl Namespace {
    /// What the mailbox service is told.
    pub fn to_service(&self) -> paquebot_mailbox::Namespace {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        paquebot_mailbox::Namespace {
            prefix: self.prefix.clone().unwrap_or_default(),
            driver: self.driver.as_deref().filter(|name| *name != "auto").and_then(driver),
            root: self.root.as_ref().map(text).unwrap_or_default(),
            inbox: self.inbox.as_ref().map(text),
        }
    }

    /// What is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let name = prefix.strip_suffix(MailboxName::SEPARATOR);
        if !prefix.is_empty() && name.is_none_or(|name| MailboxName::new(name).is_err()) {
            return Err(format!("namespace.prefix: {prefix:?} is no prefix of mailbox names; it is like \"Old/\""));
        }
        if let Some(name) = self.driver.as_deref().filter(|name| *name != "auto" && driver(name).is_none()) {
            let known: Vec<&str> = paquebot_formats::DRIVERS.iter().map(|driver| driver.name()).collect();
            return Err(format!("namespace.driver: {name:?} is no format; there are auto, {}", known.join(", ")));
        }
        if self.root.is_none() {
            return Err("[[namespace]] needs `root`, the directory of a user's mailboxes".into());
        }
        if !self.to_service().has_known_variables() {
            return Err("namespace.root and namespace.inbox: after % comes u, n, d or %".into());
        }
        Ok(())
    }

    pub(crate) fn with_all_keys() -> Self {
        let (text, path) = (Some(String::new()), Some(PathBuf::new()));
        Self { prefix: text.clone(), driver: text, root: path.clone(), inbox: path }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/etc/p.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn namespaces_are_read_with_their_paths() {
        let text = "[[namespace]]\nprefix = \"Old/\"\ndriver = \"mbx\"\nroot = \"mail/%u\"\n\
                    [[namespace]]\nprefix = \"Older/\"\nroot = \"/home/%n/mail\"\ninbox = \"/var/mail/%n\"";
        let config = parse(text).unwrap();
        let namespaces: Vec<_> = config.namespaces.iter().map(super::Namespace::to_service).collect();
        assert_eq!(namespaces[0].root, "/etc/mail/%u", "relative to the file");
        assert_eq!(namespaces[0].driver.map(|driver| driver.name()), Some("mbx"));
        assert_eq!(namespaces[1].inbox.as_deref(), Some("/var/mail/%n"));
        assert!(namespaces[1].driver.is_none());
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (text, named) in [
            ("prefix = \"Old\"\nroot = \"/x\"", "Old/"),
            ("prefix = \"*/\"\nroot = \"/x\"", "prefix"),
            ("driver = \"mbix\"\nroot = \"/x\"", "maildir"),
            ("prefix = \"Old/\"", "root"),
            ("root = \"/x/%z\"", "after %"),
            ("root = \"/x\"\nroots = \"/y\"", "did you mean `root`"),
            ("root = \"/x\"\n[[namespace]]\nroot = \"/y\"", "two"),
            ("root = \"/x\"\n[cluster]\nnode = \"a\"", "import"),
        ] {
            let error = parse(&format!("[[namespace]]\n{text}")).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}

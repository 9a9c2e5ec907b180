//! Who asks the bucket.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A key for the bucket.
#[derive(Clone)]
pub struct Credentials {
    pub key_id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("cluster.s3 needs `{0}` in the environment, or `{0}_FILE` with the name of a file that holds it alone")]
    Missing(&'static str),
    #[error("cluster.s3: {path}, which `{name}_FILE` names, cannot be read: {source}", path = .path.display())]
    File { name: &'static str, path: PathBuf, source: io::Error },
}

impl Credentials {
    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, where one is used, `AWS_SESSION_TOKEN`; or from the files that the same names with
    /// `_FILE` after them name.
    pub fn from_env() -> Result<Self, CredentialsError> {
        Self::from(&|name| std::env::var(name).ok())
    }

    fn from(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        let value = |name: &'static str| -> Result<Option<String>, CredentialsError> {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                return Ok(Some(value));
            }
            let Some(path) = variable(&format!("{name}_FILE")).map(PathBuf::from) else { return Ok(None) };
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text.trim().to_owned())),
                Err(source) => Err(CredentialsError::File { name, path, source }),
            }
        };
        let needed = |name| value(name)?.ok_or(CredentialsError::Missing(name));
        Ok(Self {
            key_id: needed("AWS_ACCESS_KEY_ID")?,
            secret: needed("AWS_SECRET_ACCESS_KEY")?,
            token: value("AWS_SESSION_TOKEN")?,
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn they_come_from_the_environment_or_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s\n").unwrap();
        let file = path.to_str().unwrap().to_owned();
        let both = Credentials::from(&|name| match name {
            "AWS_ACCESS_KEY_ID" => Some("k".into()),
            "AWS_SECRET_ACCESS_KEY_FILE" => Some(file.clone()),
            _ => None,
        });
        let both = both.unwrap();
        assert_eq!((both.key_id.as_str(), both.secret.as_str(), both.token.as_deref()), ("k", "s", None));
        let error = Credentials::from(&|_| None).unwrap_err();
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID_FILE"), "{error}");
        let error = Credentials::from(&|name| name.ends_with("_FILE").then(|| "/nowhere/key".into())).unwrap_err();
        assert!(error.to_string().contains("/nowhere/key"), "{error}");
    }
}

//! No mailbox is changed where several machines share the file system.

use std::path::Path;

use paquebot_guard::{GuardError, Purpose};

use crate::error::FormatError;

/// Refuses a path on a file system that will not do for a format's locks; to be called whenever one is opened for changes or made. What is not there yet is
/// judged by what is above it.
pub fn may_change(path: &Path, purpose: Purpose) -> Result<(), FormatError> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match paquebot_guard::check(there, purpose) {
        Ok(warning) => {
            if let Some(warning) = warning {
                tracing::debug!(path = %path.display(), warning, "a mailbox is on a file system of which there is something to say");
            }
            Ok(())
        }
        Err(GuardError::Refused(refusal)) => Err(FormatError::Shared(refusal)),
        Err(GuardError::Io { path, source }) => Err(FormatError::Io { doing: "see the file system of", path, source }),
    }
}

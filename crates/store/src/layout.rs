//! The data directory: what lies where, and the file that says whose it is.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{File, Fs};
use crate::location::PackId;
use crate::pack::Seal;

/// The data directory.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub fs: Arc<dyn Fs>,
    pub root: PathBuf,
}

/// What the file `store` holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub uuid: [u8; 16],
    /// Packs' seals come from it. Nobody who can send mail may learn it.
    pub secret: [u8; 32],
}

const MAGIC: [u8; 8] = *b"PAQUEBOT";
const VERSION: u32 = 1;
const IDENTITY_BYTES: usize = 64;

/// Why the file `store` does not say whose the directory is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IdentityError {
    Damaged,
    Version(u32),
}

impl Layout {
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn identity_new(&self) -> PathBuf {
        self.root.join("store.new")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.redb")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// Packs of the log.
    pub(crate) fn packs(&self) -> PathBuf {
        self.root.join("packs")
    }

    /// Packs of single bodies that the index names durably.
    pub(crate) fn bodies(&self) -> PathBuf {
        self.root.join("bodies")
    }

    /// Packs of single bodies that the index does not name durably yet.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where a pack may lie, the likeliest place first.
    pub(crate) fn places(&self, pack: PackId) -> impl Iterator<Item = PathBuf> {
        let dirs = if pack.is_single() { vec![self.bodies(), self.incoming()] } else { vec![self.packs()] };
        dirs.into_iter().map(move |dir| dir.join(pack.to_string()))
    }

    /// Opens a pack for reading, wherever it lies; `NotFound` if it is gone.
    pub(crate) fn open_pack(&self, pack: PackId) -> io::Result<Arc<dyn File>> {
        // A body moves from `incoming` to `bodies`, between the two looks it may be missed once.
        for path in self.places(pack).chain(self.places(pack)) {
            match self.fs.open_read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => return result,
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// The packs in a directory, ascending. Files of other names are nobody's business here.
    pub(crate) fn list(&self, dir: &Path) -> io::Result<Vec<PackId>> {
        let mut packs: Vec<PackId> = self.fs.list(dir)?.iter().filter_map(|name| name.parse().ok()).collect();
        packs.sort_unstable();
        Ok(packs)
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove_if_there(&self, path: &Path) -> io::Result<()> {
        match self.fs.remove(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Writes the file `store`, the last step in making a data directory: with it the directory is a store.
    pub(crate) fn write_identity(&self, identity: &Identity) -> io::Result<()> {
        self.remove_if_there(&self.identity_new())?;
        let file = self.fs.create_new(&self.identity_new())?;
        file.write_all_at(&mut [IoSlice::new(&identity.to_bytes())], 0)?;
        file.sync_all()?;
        self.fs.rename(&self.identity_new(), &self.identity())?;
        self.fs.sync_dir(&self.root)
    }

    /// Reads the file `store`; `None` if the directory is no store yet.
    pub(crate) fn read_identity(&self) -> io::Result<Option<Result<Identity, IdentityError>>> {
        let file = match self.fs.open_read(&self.identity()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = [0; IDENTITY_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Some(Identity::parse(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(Err(IdentityError::Damaged))),
            Err(error) => Err(error),
        }
    }
}

impl Identity {
    pub(crate) fn random() -> io::Result<Self> {
        let mut identity = Self { uuid: [0; 16], secret: [0; 32] };
        for bytes in [identity.uuid.as_mut_slice(), identity.secret.as_mut_slice()] {
            getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(identity)
    }

    pub(crate) fn seal(&self, pack: PackId) -> Seal {
        Seal::new(&self.secret, pack)
    }

    fn to_bytes(self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.uuid);
        bytes[32..].copy_from_slice(&self.secret);
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; IDENTITY_BYTES]) -> Result<Self, IdentityError> {
        let crc = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let version = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        if bytes[..8] != MAGIC || crc != crc32c::crc32c(&bytes[12..]) {
            return Err(IdentityError::Damaged);
        }
        if version != VERSION {
            return Err(IdentityError::Version(version));
        }
        let mut identity = Self { uuid: [0; 16], secret: [0; 32] };
        identity.uuid.copy_from_slice(&bytes[16..32]);
        identity.secret.copy_from_slice(&bytes[32..]);
        Ok(identity)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", uuid_text(&self.uuid))
    }
}

/// A uuid as people write it.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_goes_there_and_back_and_any_changed_bit_is_seen() {
        let identity = Identity { uuid: [1; 16], secret: [2; 32] };
        let bytes = identity.to_bytes();
        assert_eq!(Identity::parse(&bytes), Ok(identity));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::parse(&changed), Err(IdentityError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_uuid_is_written_in_five_parts() {
        assert_eq!(uuid_text(&[0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}

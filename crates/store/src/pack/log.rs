//! The log across packs: from a checkpoint's mark to its end.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::format::{PACK_HEADER, PackHeader};
use super::scan::{Found, GroupRead, Scanner};
use crate::fs::File;
use crate::index::Mark;
use crate::layout::{Identity, Layout};
use crate::location::{PackId, Position};
use crate::tail::Torn;

/// The log from a mark on.
#[derive(Debug)]
pub(crate) struct Log {
    pub groups: Vec<GroupRead>,
    /// The header of the pack that the log ends in.
    pub header: PackHeader,
    /// The last group's bytes, as they lie in the pack.
    pub last: Vec<u8>,
    /// Where the next group will start.
    pub end: Mark,
    pub torn: Option<Torn>,
    /// A pack whose making was interrupted: there is no group in it.
    pub unmade: Option<PathBuf>,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("pack {pack} is missing")]
    Missing { pack: PackId },
    #[error("pack {pack} is damaged at byte {offset}")]
    Corrupt { pack: PackId, offset: u64 },
    #[error("cannot read pack {pack}")]
    Read { pack: PackId, source: io::Error },
}

/// Reads the log from `from`, to its end or to `limit`, which is the start of a group.
pub(crate) fn read(layout: &Layout, identity: &Identity, from: Mark, limit: Option<Mark>) -> Result<Log, LogError> {
    let first = from.position.pack;
    let list = layout.list(&layout.packs()).map_err(|source| LogError::Read { pack: first, source })?;
    let header = PackHeader { uuid: identity.uuid, pack: first, first_group: from.group };
    let mut log = Log { groups: Vec::new(), header, last: Vec::new(), end: from, torn: None, unmade: None };
    let later = list.iter().copied().filter(|pack| *pack >= first && !pack.is_single());
    let last = later.clone().next_back().unwrap_or(first);
    let packs: Vec<PackId> = later.collect();
    for number in first.0..=last.0 {
        let pack = PackId(number);
        if packs.binary_search(&pack).is_err() {
            return Err(LogError::Missing { pack });
        }
        if limit.is_some_and(|limit| limit.position.pack < pack) {
            break;
        }
        log.pack(layout, identity, pack, pack == last, limit)?;
    }
    Ok(log)
}

impl Log {
    fn pack(
        &mut self,
        layout: &Layout,
        identity: &Identity,
        pack: PackId,
        is_last: bool,
        limit: Option<Mark>,
    ) -> Result<(), LogError> {
        let failed = |source| LogError::Read { pack, source };
        let path = layout.packs().join(pack.to_string());
        let file = layout.fs.open_read(&path).map_err(failed)?;
        let begins = pack != self.end.position.pack;
        let start = if begins { PACK_HEADER } else { self.end.position.offset };
        let mark = Mark { position: Position { pack, offset: start }, group: self.end.group };
        let corrupt = |mark: Mark| LogError::Corrupt { pack: mark.position.pack, offset: mark.position.offset };
        let header = header(&file).map_err(failed)?;
        let mut scanner = Scanner::new(file, identity.seal(pack), mark).map_err(failed)?;
        match header {
            Some(header) if header.uuid != identity.uuid || header.pack != pack => {
                return Err(LogError::Corrupt { pack, offset: 0 });
            }
            Some(header) if !begins || (header.first_group == mark.group && self.torn.is_none()) => {
                self.header = header;
            }
            // Groups of the pack before are gone.
            Some(header) if header.first_group > mark.group => return Err(corrupt(self.end)),
            // Making it failed, and the log went on in the pack before. It is synced before the first group is written to it, so if
            // there is none in it, it was never used.
            _ if begins && is_last && matches!(scanner.next().map_err(failed)?, Found::End { .. }) => {
                self.unmade = Some(path);
                return Ok(());
            }
            Some(_) => return Err(corrupt(self.end)),
            None => return Err(LogError::Corrupt { pack, offset: 0 }),
        }
        if scanner.len() < start {
            return Err(corrupt(mark));
        }
        self.end = mark;
        while limit != Some(self.end) {
            match scanner.next().map_err(failed)? {
                Found::Group(mut group) => {
                    self.end = group.end;
                    self.last = std::mem::take(&mut group.raw);
                    self.groups.push(group);
                }
                Found::End { torn: 0 } => break,
                Found::End { torn } => {
                    self.torn = Some(Torn { pack, offset: self.end.position.offset, bytes: torn });
                    break;
                }
                Found::Damage => return Err(corrupt(self.end)),
            }
        }
        Ok(())
    }
}

/// The header of a pack; `None` if there is none.
fn header(file: &Arc<dyn File>) -> io::Result<Option<PackHeader>> {
    let mut bytes = [0; PACK_HEADER as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(PackHeader::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

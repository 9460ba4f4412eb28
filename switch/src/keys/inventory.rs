//! What lies wrapped in a data folder, and which key opens it.
//!
//! Owns finding the wrapped keys: the index key, the headers of segments and of batch files. Deliberately absent:
//! what their keys seal, and whether the files are sound; those who read them say so.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use switchyard_core::batch::{HEADER_BYTES, Header};
use switchyard_core::log::{SEGMENT_HEADER_BYTES, SegmentHeader, WRAPPED_KEY_BYTES};

use super::file::io_error;
use super::succession::{Succession, when};
use super::{Fingerprint, INDEX_PURPOSE, Kek, KeyError, index_file};
use crate::{journal, stock};

/// A wrapped key, and what it is for.
struct Wrapped {
    purpose: &'static str,
    id: u32,
    bytes: [u8; WRAPPED_KEY_BYTES],
}

/// A key-encryption key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInUse {
    /// Its name.
    pub key: Fingerprint,
    /// Since when it is in use, UTC; nothing is written down before the first start.
    pub since: Option<String>,
    /// Since when, ms since 1970.
    pub since_ms: Option<u64>,
    /// Until when it was in use, UTC; `None` is the present one.
    pub until: Option<String>,
    /// How many wrapped keys it opens: segments of the journal, batches of vouchers, the index key.
    pub opens: [(&'static str, usize); 3],
}

/// The keys of a data folder, the present one first, and how many wrapped keys none of them opens.
///
/// # Errors
/// [`KeyError::Io`], and where the key is another one than the folder's.
pub fn keys_in_use(kek: &Kek, data: &Path) -> Result<(Vec<KeyInUse>, usize), KeyError> {
    let chain = kek.chain.load();
    let purposes = [journal::KEY_PURPOSE, stock::KEY_PURPOSE, INDEX_PURPOSE];
    let mut keys: Vec<KeyInUse> = [&chain.current]
        .into_iter()
        .chain(&chain.retired)
        .map(|key| KeyInUse {
            key: key.fingerprint,
            since: None,
            since_ms: None,
            until: None,
            opens: purposes.map(|purpose| (purpose, 0)),
        })
        .collect();
    if let Some(found) = Succession::read(data)? {
        let line = found.line(kek.fingerprint(), &kek.origin)?;
        let present = (line.since_ms, None);
        let retired = line.retired.iter().map(|retired| (retired.since_ms, Some(retired.until_ms)));
        for (key, (since_ms, until_ms)) in keys.iter_mut().zip([present].into_iter().chain(retired)) {
            (key.since_ms, key.since, key.until) = (Some(since_ms), Some(when(since_ms)), until_ms.map(when));
        }
    }
    let mut unopened = 0;
    for wrapped in inventory(data)? {
        match chain.opener(&wrapped.bytes, wrapped.purpose, wrapped.id) {
            Some((place, _)) => {
                let opens = keys[place].opens.iter_mut().find(|(purpose, _)| *purpose == wrapped.purpose);
                opens.into_iter().for_each(|(_, count)| *count += 1);
            }
            None => unopened += 1,
        }
    }
    Ok((keys, unopened))
}

/// Whether a key opens everything that lies wrapped in a data folder.
///
/// # Errors
/// [`KeyError::WrongKek`] with the first that it does not open, [`KeyError::Io`].
pub(super) fn prove(kek: &Kek, data: &Path) -> Result<(), KeyError> {
    inventory(data)?
        .iter()
        .try_for_each(|wrapped| kek.unwrap(&wrapped.bytes, wrapped.purpose, wrapped.id).map(drop))
}

fn inventory(data: &Path) -> Result<Vec<Wrapped>, KeyError> {
    let mut found = Vec::new();
    if let Some(bytes) = beginning(&index_file(data))? {
        found.push(Wrapped { purpose: INDEX_PURPOSE, id: 0, bytes });
    }
    for file in files(&data.join("journal"))? {
        let header = beginning::<SEGMENT_HEADER_BYTES>(&file)?;
        if let Some(header) = header.and_then(|bytes| SegmentHeader::decode(&bytes).ok()) {
            found.push(Wrapped {
                purpose: journal::KEY_PURPOSE,
                id: header.epoch,
                bytes: header.wrapped_key,
            });
        }
    }
    for file in files(&stock::folder(data))? {
        let header = beginning::<HEADER_BYTES>(&file)?;
        if let Some(header) = header.and_then(|bytes| Header::decode(&bytes).ok()) {
            found.push(Wrapped { purpose: stock::KEY_PURPOSE, id: header.number, bytes: header.wrapped_key });
        }
    }
    Ok(found)
}

/// The files of a folder; none where there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("list", folder))?.path();
        // Subfolders, and what others put there, are nothing of ours.
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

/// The first bytes of a file; `None` where it is shorter, or gone by now.
fn beginning<const BYTES: usize>(file: &Path) -> Result<Option<[u8; BYTES]>, KeyError> {
    let mut bytes = [0; BYTES];
    let read = File::open(file).and_then(|mut opened| opened.read_exact(&mut bytes));
    match read.map_err(|error| (error.kind(), error)) {
        Ok(()) => Ok(Some(bytes)),
        Err((std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof, _)) => Ok(None),
        Err((_, error)) => Err(io_error("read", file)(error)),
    }
}

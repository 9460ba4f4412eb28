//! Files with secrets: whole under their name at any moment, durable when a call returns, for their owner only.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::KeyError;

/// Writes a file that must not be there yet (mode 0600), and its folder (mode 0700) where that is missing.
///
/// # Errors
/// [`KeyError::Exists`], [`KeyError::Io`].
pub(super) fn create(file: &Path, contents: &[u8]) -> Result<(), KeyError> {
    let folder = make_folder(file)?;
    // Two processes may make the same file at a time: each needs a name of its own.
    let making = file.with_extension(format!("making-{}", std::process::id()));
    let written = write(&making, contents).and_then(|()| link(&making, file));
    let removed = std::fs::remove_file(&making).map_err(io_error("remove", &making));
    written?;
    removed?;
    sync_folder(&folder)
}

/// Writes a file (mode 0600) in place of the one of this name, if there is one. A reader sees the one or the
/// other, after a crash too. For one writer at a time.
///
/// # Errors
/// [`KeyError::Io`]; the file is then as it was, or as it should be.
pub(super) fn replace(file: &Path, contents: &[u8]) -> Result<(), KeyError> {
    make_folder(file)?;
    let mut making = file.as_os_str().to_owned();
    making.push(".making");
    let making = PathBuf::from(making);
    write(&making, contents)?;
    rename(&making, file)
}

/// Gives a file that is synced its name, which may be another's until then.
///
/// # Errors
/// [`KeyError::Io`].
pub(super) fn rename(from: &Path, file: &Path) -> Result<(), KeyError> {
    std::fs::rename(from, file).map_err(io_error("name", file))?;
    sync_folder(&folder_of(file))
}

fn write(file: &Path, contents: &[u8]) -> Result<(), KeyError> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let mut opened = open.open(file).map_err(io_error("make", file))?;
    opened.write_all(contents).map_err(io_error("write", file))?;
    opened.sync_all().map_err(io_error("sync", file))
}

/// A hard link fails where the name is taken, which a rename does not.
fn link(making: &Path, file: &Path) -> Result<(), KeyError> {
    std::fs::hard_link(making, file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { file: file.to_owned() },
        _ => io_error("make", file)(error),
    })
}

fn make_folder(file: &Path) -> Result<PathBuf, KeyError> {
    let folder = folder_of(file);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&folder).map_err(io_error("make folder", &folder))?;
    Ok(folder)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn sync_folder(folder: &Path) -> Result<(), KeyError> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(io_error("sync folder", folder))
}

pub(super) fn io_error(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let file = file.to_owned();
    move |error| KeyError::Io { doing, file, error: Arc::new(error) }
}

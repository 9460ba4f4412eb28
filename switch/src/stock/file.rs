//! A batch file on disk: written once, read by place.
//!
//! Owns: `BatchWriter` (temporary name, sync, rename, sync of the folder) and `BatchFile` (header and
//! records, checked).
//! Invariants: a file of a batch's name is whole. What is read was checked; a record that fails its check
//! is never handed out.
//! Deliberately absent: keys in clear, and what the journal knows of the batch.

use super::StockError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use switchyard_core::batch::{BatchError, HEADER_BYTES, Header};
use switchyard_core::shelf::Voucher;
use switchyard_core::text::Text;

/// Records that are read at a time.
const CHUNK_RECORDS: u32 = 1_024;

/// Longest read of records.
pub(crate) const CHUNK_BYTES_MAX: usize = CHUNK_RECORDS as usize * size_of::<Voucher>();

/// Bytes that are written at a time.
const WRITE_BYTES: usize = 256 * 1_024;

/// The name of a batch, which is its file's name too: 1 to 40 letters, digits, `-`, `_` and `.`; the first
/// a letter or digit, so that no name is a path, hidden, or one of the temporary ones.
pub(super) fn batch_name(name: &str) -> Result<Text<40>, StockError> {
    let wrong = || StockError::Name { name: name.chars().take(60).collect() };
    let begins = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if begins && fits { Text::new(name.as_bytes()).ok_or_else(wrong) } else { Err(wrong()) }
}

/// Where the file of a batch is.
pub(super) fn path(folder: &Path, name: Text<40>) -> PathBuf {
    folder.join(name.as_str())
}

/// Writes one batch file. Dropped before `finish`, it leaves nothing behind.
pub(super) struct BatchWriter<'h> {
    header: &'h Header,
    folder: PathBuf,
    making: PathBuf,
    out: Option<BufWriter<File>>,
    record: Vec<u8>,
}

impl<'h> BatchWriter<'h> {
    /// Begins the file of a batch, in a folder that is made when missing (mode 0700).
    pub(super) fn create(folder: &Path, header: &'h Header) -> Result<Self, StockError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(StockError::io("make folder", folder))?;
        let making = folder.join(format!(".{}.making", header.name));
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&making).map_err(StockError::io("make", &making))?;
        let mut out = BufWriter::with_capacity(WRITE_BYTES, file);
        out.write_all(&header.encode()).map_err(StockError::io("write", &making))?;
        Ok(Self { header, folder: folder.to_owned(), making, out: Some(out), record: Vec::new() })
    }

    /// Appends a voucher's record.
    pub(super) fn put(&mut self, voucher: &Voucher) -> Result<(), StockError> {
        self.record.clear();
        self.header.encode_record(voucher, &mut self.record).map_err(StockError::batch(&self.making))?;
        let out = self.out.as_mut().ok_or(StockError::Closed { number: self.header.number })?;
        out.write_all(&self.record).map_err(StockError::io("write", &self.making))
    }

    /// Syncs the file, gives it its name, and syncs the folder.
    pub(super) fn finish(mut self) -> Result<(), StockError> {
        let out = self.out.take().ok_or(StockError::Closed { number: self.header.number })?;
        let file =
            out.into_inner().map_err(|error| StockError::io("write", &self.making)(error.into_error()))?;
        file.sync_all().map_err(StockError::io("sync", &self.making))?;
        let name = path(&self.folder, self.header.name);
        fs::rename(&self.making, &name).map_err(StockError::io("name", &name))?;
        sync_folder(&self.folder)?;
        // The folder itself may be new.
        self.folder.parent().map_or(Ok(()), sync_folder)
    }
}

impl Drop for BatchWriter<'_> {
    fn drop(&mut self) {
        // After `finish` there is nothing of this name; before, what cannot be removed is no stock either.
        let _ = fs::remove_file(&self.making);
    }
}

fn sync_folder(folder: &Path) -> Result<(), StockError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(StockError::io("sync folder", folder))
}

/// An open batch file.
#[derive(Debug)]
pub(super) struct BatchFile {
    pub(super) header: Header,
    pub(super) header_bytes: [u8; HEADER_BYTES],
    path: PathBuf,
    file: File,
}

impl BatchFile {
    /// Opens a file; its header and its length are checked.
    pub(super) fn open(path: &Path) -> Result<Self, StockError> {
        let file = File::open(path).map_err(StockError::io("open", path))?;
        let found_bytes = file.metadata().map_err(StockError::io("look at", path))?.len();
        let mut header_bytes = [0; HEADER_BYTES];
        if found_bytes < HEADER_BYTES as u64 {
            return Err(StockError::batch(path)(BatchError::Foreign));
        }
        file.read_exact_at(&mut header_bytes, 0).map_err(StockError::io("read", path))?;
        let header = Header::decode(&header_bytes).map_err(StockError::batch(path))?;
        let bytes = header.file_bytes();
        if found_bytes != bytes {
            return Err(StockError::Size { file: path.to_owned(), bytes, found_bytes });
        }
        Ok(Self { header, header_bytes, path: path.to_owned(), file })
    }

    /// Reads up to `count` records from `from` on, in order; `each` gets the vouchers and, as their indexes,
    /// the damaged ones. Answers how many it read. `chunk` is kept by the caller and reused.
    pub(super) fn read(
        &self,
        from: u32,
        count: u32,
        chunk: &mut Vec<u8>,
        mut each: impl FnMut(Result<Voucher, u32>),
    ) -> Result<u32, StockError> {
        let end = self.header.count.min(from.saturating_add(count));
        let mut at = from;
        while at < end {
            let records = CHUNK_RECORDS.min(end - at);
            chunk.resize(records as usize * self.header.record_bytes(), 0);
            self.file
                .read_exact_at(chunk, self.header.record_at(at))
                .map_err(StockError::io("read", &self.path))?;
            for (index, record) in (at..).zip(chunk.chunks_exact(self.header.record_bytes())) {
                each(self.header.decode_record(index, record).map_err(|_| index));
            }
            at += records;
        }
        Ok(end.saturating_sub(from))
    }
}

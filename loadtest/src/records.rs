//! What the suppliers did, from the records that they keep.
//!
//! Owns: `Records` (where they are, and where the load's part of them begins) and `Deed` (what became of one request at one supplier).
//! Invariants: what was written before the load is passed over; a line cut short is none. Deliberately absent: what it should
//! have been (`check`), and who writes them (`switchyard_adapters::record`).

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use switchyard_adapters::record::whole_lines;

/// The records of a folder, from a moment on.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
    /// How long each was at that moment, bytes.
    lengths: BTreeMap<PathBuf, u64>,
}

/// What one supplier did with one RRN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// Which supplier.
    pub supplier: String,
    /// The RRN that the switch gave it.
    pub rrn: String,
    /// The account as the record shows it: whole, masked, or empty.
    pub account: String,
    /// Minor units.
    pub amount: u64,
    /// How often the sale came, its repeats (0201) not counted.
    pub asked: u32,
    /// How often it was performed.
    pub performed: u32,
    /// How often it was undone.
    pub undone: u32,
}

impl Deed {
    /// Whether it is performed, and not undone.
    pub fn stands(&self) -> bool {
        self.performed > self.undone
    }
}

#[derive(Deserialize)]
struct Line {
    mti: String,
    rrn: String,
    account: String,
    amount: u64,
    action: String,
}

impl Records {
    /// The records of `folder` from now on.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn from_now(folder: &Path) -> io::Result<Self> {
        let mut lengths = BTreeMap::new();
        for path in files(folder)? {
            let length = path.metadata()?.len();
            lengths.insert(path, length);
        }
        Ok(Self { folder: folder.to_owned(), lengths })
    }

    /// The whole records of `folder`.
    pub fn whole(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), lengths: BTreeMap::new() }
    }

    /// Reads what was done, by supplier and RRN.
    ///
    /// # Errors
    /// A record cannot be read, or holds a line that is none.
    pub fn read(&self) -> io::Result<Vec<Deed>> {
        let mut deeds = Vec::new();
        for path in files(&self.folder)? {
            let from = self.lengths.get(&path).copied().unwrap_or(0);
            read_record(&path, from, &mut deeds)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        }
        Ok(deeds)
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_record(path: &Path, from: u64, deeds: &mut Vec<Deed>) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let supplier = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut by_rrn: HashMap<String, usize> = HashMap::new();
    let whole = &text[..whole_lines(&text)];
    for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line)?;
        let at = *by_rrn.entry(line.rrn.clone()).or_insert_with(|| {
            deeds.push(Deed { supplier: supplier.clone(), rrn: line.rrn.clone(), ..Deed::default() });
            deeds.len() - 1
        });
        note(&mut deeds[at], line);
    }
    Ok(())
}

fn note(deed: &mut Deed, line: Line) {
    let sale = line.mti.as_bytes().get(1) == Some(&b'2');
    deed.asked += u32::from(line.mti.ends_with("200"));
    match line.action.as_str() {
        "perform" => deed.performed += 1,
        "reverse" => deed.undone += 1,
        _ => {}
    }
    // A reversal says the same of the sale, or less.
    if sale || deed.account.is_empty() {
        deed.account = line.account;
        deed.amount = line.amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(mti: &str, rrn: &str, account: &str, action: &str) -> String {
        format!(
            r#"{{"time":"2026-01-01T00:00:00.000Z","mti":"{mti}","stan":"000001","rrn":"{rrn}","de7":"0101000000","account":"{account}","amount":500,"action":"{action}"}}"#
        ) + "\n"
    }

    #[test]
    fn only_what_was_written_since_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("telco-a.jsonl");
        std::fs::write(&path, line("0200", "A", "0600", "perform")).expect("a record");
        let records = Records::from_now(folder.path()).expect("records");
        let mut file = File::options().append(true).open(&path).expect("the record");
        let more = [
            line("0200", "B", "0601", "perform"),
            line("0400", "B", "0601", "reverse"),
            line("0200", "C", "0602", "perform"),
        ];
        file.write_all(more.concat().as_bytes()).expect("lines");
        file.write_all(br#"{"time":"cut"#).expect("a part of a line");
        std::fs::write(folder.path().join("cardco.jsonl"), line("0200", "B", "****1234", "refuse"))
            .expect("a record");
        let deeds = records.read().expect("deeds");
        let shown: Vec<_> =
            deeds.iter().map(|deed| (&*deed.supplier, &*deed.rrn, deed.asked, deed.stands())).collect();
        assert_eq!(shown, [("cardco", "B", 1, false), ("telco-a", "B", 1, false), ("telco-a", "C", 1, true)]);
        assert_eq!(Records::whole(folder.path()).read().expect("deeds").len(), 4);
    }
}

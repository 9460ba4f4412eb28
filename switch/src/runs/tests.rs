//! Runs on disk: written, found again after a start, missed when they are gone, refused when they are damaged.

use super::*;
use switchyard_core::ids::FlightNo;
use switchyard_core::index::{ENTRY_MEMORY_BYTES, Entry, Hour, Index, Standing};
use switchyard_core::keyhash::KeyHash;
use switchyard_core::log::Lsn;
use switchyard_core::reversal::Named;

/// Entries in memory beyond which a run is wished for, doubled.
const BYTES_MAX: usize = 4_000 * ENTRY_MEMORY_BYTES;
const REACH: Reach = Reach { repeatable_ms: 0, reversible_ms: 0 };

fn entry(number: u64) -> Entry {
    let hash = KeyHash::new([4; 16]);
    let hour = Hour::of_local(b"1200001121");
    Entry {
        key: hour.put_in(hash.digest(2, &[&number.to_le_bytes()])),
        named: hour.put_in(hash.digest(3, &[&number.to_le_bytes()])),
        contents: number,
        flight: FlightNo(number),
        admitted_ms: 10_000 + number,
        intent_at: Lsn(number),
        outcome_at: Lsn(number),
        standing: Standing::Answered,
        secret: false,
    }
}

/// An index of so many requests, the oldest of which lie in runs of `folder`.
fn filled(folder: &RunFolder, count: u64) -> State {
    let mut state = State::new(u64::MAX);
    for number in 0..count {
        state.index.add(entry(number));
        folder.make_room(&mut state, BYTES_MAX, u64::MAX).expect("a run");
    }
    state
}

fn seek(folder: &RunFolder, files: &mut RunFiles, own: u128, named: u128) -> Found {
    let mut seek =
        Seek { own: Some(own), original: Named { key: None, named: Some(named) }, ..Seek::default() };
    folder.seek(&mut seek, files);
    seek.found
}

/// Every request is found, in memory or in a run, by both its keys.
fn assert_whole(folder: &RunFolder, index: &Index, count: u64) {
    let mut files = RunFiles::default();
    for number in 0..count {
        let wanted = entry(number);
        let in_memory = index.by_key(wanted.key).and_then(|at| index.entry(at)).copied();
        let found = seek(folder, &mut files, wanted.key, wanted.named);
        assert!(!found.unreadable);
        assert_eq!(in_memory.or(found.own), Some(wanted));
        assert!(in_memory.is_some() || index.runs().may_hold(wanted.key, 0));
        assert!(in_memory.is_some() || found.original == Some(wanted));
    }
    let nobody = entry(count + 1);
    assert_eq!(seek(folder, &mut files, nobody.key, nobody.named), Found::default());
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn memory_stays_within_its_bound_and_nothing_is_forgotten_across_a_start() {
    const COUNT: u64 = 9_000;
    let data = tempfile::tempdir().expect("a folder");
    let path = data.path().join("runs");
    let (folder, none) = RunFolder::open(&path, &[], REACH).expect("an empty folder");
    assert!(none.is_empty());
    let state = filled(&folder, COUNT);
    let index = &state.index;
    assert!(index.bytes() < BYTES_MAX && index.runs().len() > 3, "{} runs", index.runs().len());
    assert_whole(&folder, index, COUNT);

    // A start that relies on all but the last: what no checkpoint names is removed, for it is in memory again.
    let mut marks = index.runs().marks();
    marks.pop();
    std::fs::write(path.join("0000000099.making"), b"half").expect("a file");
    let before = files(&path).len();
    drop(folder);
    let (folder, runs) = RunFolder::open(&path, &marks, REACH).expect("sound runs");
    assert_eq!((runs.len(), files(&path).len()), (marks.len(), before - 2));
    assert!(runs.iter().all(|run| run.filter.is_some()));
    let mut files = RunFiles::default();
    assert_eq!(seek(&folder, &mut files, entry(5).key, entry(5).named).own, Some(entry(5)));
}

#[test]
fn filters_are_read_for_what_can_be_repeated_only() {
    let data = tempfile::tempdir().expect("a folder");
    let (folder, _) = RunFolder::open(data.path(), &[], REACH).expect("an empty folder");
    let marks = filled(&folder, 6_000).index.runs().marks();
    let middle = marks[marks.len() / 2].newest_ms;
    let reach = Reach { repeatable_ms: middle, reversible_ms: 0 };
    let (_, runs) = RunFolder::open(data.path(), &marks, reach).expect("sound runs");
    let with_filters: Vec<_> = runs.iter().map(|run| run.filter.is_some()).collect();
    let expected: Vec<_> = marks.iter().map(|mark| mark.newest_ms >= middle).collect();
    assert_eq!(with_filters, expected);
}

/// The same run, sound, as a release would have written it that knows another version of the form.
fn of_version(run: &[u8], version: u8) -> Vec<u8> {
    let mut run = run.to_vec();
    // Checksum, magic, version; the version is one byte of four that is not zero.
    let written = run[12..16].iter().position(|byte| *byte != 0).expect("a version");
    run[12 + written] = version;
    let check = crc32c::crc32c_append(crc32c::crc32c(&0u32.to_le_bytes()), &run[4..BLOCK_BYTES]);
    run[..4].copy_from_slice(&check.to_le_bytes());
    run
}

#[test]
fn a_run_that_is_missing_changed_or_damaged_refuses_the_start_and_is_named() {
    let data = tempfile::tempdir().expect("a folder");
    let (folder, _) = RunFolder::open(data.path(), &[], REACH).expect("an empty folder");
    let marks = filled(&folder, 6_000).index.runs().marks();
    let file = files(data.path()).remove(0);
    let whole = std::fs::read(&file).expect("a run");
    let refused = |bytes: Option<&[u8]>| {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).expect("written"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let error = RunFolder::open(data.path(), &marks, REACH).expect_err("refused").to_string();
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
        assert!(files(data.path()).len() >= marks.len() - 1, "nothing was changed");
        error
    };
    assert!(refused(None).contains("is not there"));
    assert!(refused(Some(b"a run?")).contains("cannot read"));
    assert!(refused(Some(&whole[..whole.len() - BLOCK_BYTES])).contains("damaged"));
    for at in [9, 100, BLOCK_BYTES + 7] {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        assert!(refused(Some(&flipped)).contains("cannot be used"));
    }
    let earlier = of_version(&whole, 1);
    assert!(refused(Some(&earlier)).contains("has version 1 of the format"), "and is told from damage");
    let other = std::fs::read(&files(data.path())[1]).expect("another run");
    assert!(refused(Some(&other)).contains("another one"));
    // One that is too old for anything was removed in good order.
    std::fs::remove_file(&file).expect("removed");
    let reach = Reach { repeatable_ms: 0, reversible_ms: marks[0].newest_ms + 1 };
    let (_, runs) = RunFolder::open(data.path(), &marks, reach).expect("the rest is there");
    assert_eq!(runs.len(), marks.len() - 1);
}

#[test]
fn a_block_damaged_while_running_is_no_answer() {
    let data = tempfile::tempdir().expect("a folder");
    let (folder, _) = RunFolder::open(data.path(), &[], REACH).expect("an empty folder");
    filled(&folder, 3_000);
    let file = files(data.path()).remove(0);
    let mut bytes = std::fs::read(&file).expect("a run");
    bytes.iter_mut().skip(BLOCK_BYTES).step_by(BLOCK_BYTES).for_each(|byte| *byte ^= 1);
    std::fs::write(&file, bytes).expect("written");
    let found = seek(&folder, &mut RunFiles::default(), entry(1).key, entry(1).named);
    assert!(found.unreadable && found.own.is_none());
}

#[test]
fn a_run_that_cannot_be_written_leaves_everything_in_memory() {
    let data = tempfile::tempdir().expect("a folder");
    let path = data.path().join("runs");
    let (folder, _) = RunFolder::open(&path, &[], REACH).expect("an empty folder");
    std::fs::remove_dir(&path).expect("an empty folder");
    let mut writer = RunWriter::default();
    let mut index = Index::default();
    for number in 0..3_000 {
        index.add(entry(number));
    }
    let spill = index.spill(BYTES_MAX, None, Lsn(9)).expect("crowded");
    folder.write(&spill, &mut writer).expect_err("no folder");
    index.not_spilled();
    assert_eq!(index.len(), 3_000);
    std::fs::create_dir(&path).expect("a folder");
    let spill = index.spill(BYTES_MAX, None, Lsn(9)).expect("crowded still");
    index.spilled(folder.write(&spill, &mut writer).expect("a run"));
    assert_eq!(index.runs().len(), 1);
}

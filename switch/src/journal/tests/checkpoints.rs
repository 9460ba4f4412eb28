//! Checkpoints that lie, that do not read, or that stand for a log that is no longer there; segments that go too early.

use std::time::SystemTime;

use switchyard_core::account::Account;
use switchyard_core::adapter::LocalEffect;
use switchyard_core::fact::{Fact as CoreFact, NameKind};
use switchyard_core::flight::Flight;
use switchyard_core::ids::{FlightNo, NetworkId};
use switchyard_core::money::Minor;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::seal::KeyId;
use switchyard_core::state::State;
use switchyard_core::text::Text;

use super::*;
use crate::restore::{apply, restore};

const WINDOW_MS: u64 = 1_000_000;
const DAY: Duration = Duration::from_secs(86_400);

/// A journal that holds what a switch would write, and its state.
struct Books {
    place: Place,
    started: Option<Started>,
    state: State,
    number: u64,
}

fn text<const N: usize>(from: &str) -> Text<N> {
    Text::new(from.as_bytes()).expect("short ASCII")
}

impl Books {
    fn new() -> Books {
        let place = Place::new();
        let started = Some(place.start());
        let mut books = Books { place, started, state: State::new(WINDOW_MS), number: 0 };
        books.record(&CoreFact::Named { kind: NameKind::Network, id: 0, name: text("100001") });
        let account = Account::Network(NetworkId(0));
        books.record(&CoreFact::Deposit {
            at_ms: 1,
            account,
            amount: Minor(1_000_000),
            reason: text("test"),
        });
        books
    }

    fn started(&mut self) -> &mut Started {
        self.started.as_mut().expect("started")
    }

    fn record(&mut self, fact: &CoreFact<'_>) {
        let mut bytes = Vec::new();
        fact.pack(&mut bytes);
        let (at, bytes) = self.started().write(&[&bytes]).pop().expect("one fact");
        apply(&mut self.state, at, &bytes).expect("fits");
    }

    /// A sale with a frame of that length.
    fn sell(&mut self, frame: usize) {
        self.number += 1;
        let number = u128::from(self.number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let flight = Flight {
            number: FlightNo(self.number),
            admitted_ms: self.number,
            key: number,
            named: !number,
            amount: Minor(3),
            ..Flight::default()
        };
        let outcome = Outcome { flight: flight.number, verdict: Verdict::Approved, ..Outcome::default() };
        let effect = LocalEffect::Load { account: text("W1"), amount: Minor(3) };
        self.record(&CoreFact::Sale { flight, dialect: 0, frame: &vec![7; frame], outcome, effect });
    }

    /// An item that stays open.
    fn ask(&mut self) {
        self.number += 1;
        let flight = Flight {
            number: FlightNo(self.number),
            admitted_ms: self.number,
            key: u128::from(self.number),
            named: u128::from(self.number),
            ..Flight::default()
        };
        self.record(&CoreFact::Intent { flight, dialect: 0, frame: b"frame" });
    }

    /// Sales until the log is in another segment.
    fn fill_segment(&mut self) {
        let segment = |books: &mut Books| books.started().journal.written().segment(OPTIONS.segment_bytes);
        let first = segment(self);
        while segment(self) == first {
            self.sell(60_000);
            while self.started().maker.prepare().expect("room on the disk") {}
        }
    }

    fn files(&mut self) -> CheckpointFiles {
        self.started().journal.checkpoint_files()
    }

    fn checkpoint(&mut self) -> Lsn {
        let files = self.files();
        let last = self.state.last;
        self.started().await_durable(Lsn(last.0 + 1));
        files.write(self.state.snapshot()).expect("room on the disk");
        files.adopt(self.state.last).expect("own folder");
        self.state.last
    }

    fn restart(&mut self) {
        self.started.take().expect("started").close();
        self.started = Some(self.place.start());
    }

    fn end(&mut self) {
        self.started.take().expect("started").close();
    }

    fn restored(&self) -> Result<(State, Replayed, Keyring), JournalError> {
        let keyring = Keyring::new();
        let (state, replayed) = restore(&mut self.place.opening()?, &keyring, WINDOW_MS)?;
        Ok((state, replayed, keyring))
    }

    fn checkpoint_path(&self, at: Lsn) -> PathBuf {
        self.place.dir().join(format!("checkpoint-{:020}", at.0))
    }
}

/// Two checkpoints, each with something after it, in three epochs and as many segments and more.
fn long_books() -> (Books, [Lsn; 2]) {
    let mut books = Books::new();
    books.ask();
    books.fill_segment();
    books.checkpoint();
    books.restart();
    books.sell(100);
    let older = books.checkpoint();
    books.fill_segment();
    books.restart();
    books.ask();
    let newer = books.checkpoint();
    books.sell(100);
    books.ask();
    books.end();
    (books, [older, newer])
}

#[test]
fn a_start_goes_on_from_the_newest_checkpoint_that_reads() {
    let (books, [older, newer]) = long_books();
    let (state, replayed, keyring) = books.restored().expect("sound");
    assert!(state == books.state, "fold");
    assert_eq!((replayed.checkpoint, replayed.facts), (newer, 2));
    for epoch in 1..=3 {
        assert!(keyring.key(KeyId::epoch(epoch)).is_some(), "the key of epoch {epoch} is not on the ring");
    }
    assert!(!std::fs::exists(books.checkpoint_path(Lsn(0))).expect("own folder"));
    let kept = std::fs::read_dir(books.place.dir()).expect("own folder").filter(|entry| {
        entry.as_ref().expect("an entry").file_name().to_string_lossy().starts_with("checkpoint-")
    });
    assert_eq!(kept.count(), CHECKPOINTS_KEPT);

    flip(&books.checkpoint_path(newer), 70_000, 3);
    let (state, replayed, _) = books.restored().expect("sound");
    assert!(state == books.state && replayed.checkpoint == older, "the older one");

    edit(&books.checkpoint_path(older)).set_len(65_536).expect("own file");
    let (state, replayed, _) = books.restored().expect("sound");
    assert!(state == books.state && replayed.checkpoint == Lsn(0), "the whole log");

    std::fs::remove_file(books.place.segment(0)).expect("own file");
    assert!(matches!(books.restored(), Err(JournalError::Beheaded { .. })));
}

#[test]
fn no_flipped_bit_of_a_checkpoint_is_believed() {
    let (books, [_, newer]) = long_books();
    let (path, opening) = (books.checkpoint_path(newer), books.place.opening().expect("opens"));
    let bits = std::fs::metadata(&path).expect("own file").len() * 8;
    for bit in (0..bits).step_by(499) {
        flip(&path, bit / 8, (bit % 8) as u8);
        assert!(opening.checkpoint(newer).is_err(), "bit {bit}");
        flip(&path, bit / 8, (bit % 8) as u8);
    }
    assert!(opening.checkpoint(newer).expect("as it was").last == newer);
    let (_, [_, other]) = long_books();
    let elsewhere = books.checkpoint_path(Lsn(other.0 + 8));
    std::fs::copy(&path, elsewhere).expect("own folder");
    assert!(opening.checkpoint(Lsn(other.0 + 8)).is_err(), "a checkpoint under another name");
}

#[test]
fn a_log_that_ends_before_its_checkpoint_is_damaged_and_not_cut() {
    let mut books = Books::new();
    books.sell(10);
    let at = books.checkpoint();
    drop(books.started.take());
    flip(&books.place.segment(0), at.0 + 20, 0);
    let error = books.restored().expect_err("refused");
    assert!(
        matches!(&error, JournalError::Damaged { file, offset, .. }
        if *file == books.place.segment(0) && *offset <= at.0),
        "{error}"
    );
}

#[test]
fn segments_between_a_checkpoint_and_the_end_are_missed() {
    let (books, [_, newer]) = long_books();
    let holds = newer.segment(OPTIONS.segment_bytes);
    std::fs::remove_file(books.place.segment(holds)).expect("own file");
    let error = books.restored().expect_err("refused");
    assert!(matches!(&error, JournalError::Damaged { file, .. } if *file == books.place.segment(holds)));

    let (books, _) = long_books();
    flip(&books.place.segment(0), 30, 1);
    let error = books.restored().expect_err("refused: its key is needed");
    assert!(
        matches!(&error, JournalError::Damaged { file, offset: 0, .. } if *file == books.place.segment(0))
    );
}

#[test]
fn what_did_not_become_a_checkpoint_is_none() {
    let mut books = Books::new();
    books.sell(10);
    books.files().write(books.state.snapshot()).expect("room on the disk");
    books.end();
    let (state, replayed, _) = books.restored().expect("sound");
    assert!(state == books.state && replayed.checkpoint == Lsn(0));
    books.started = Some(books.place.start());
    let left = std::fs::read_dir(books.place.dir()).expect("own folder");
    let names = left.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    assert!(names.into_iter().all(|name| !name.starts_with("checkpoint-")));
}

#[test]
fn a_window_made_longer_reads_the_whole_log_again() {
    let (books, _) = long_books();
    let mut opening = books.place.opening().expect("opens");
    let (state, replayed) = restore(&mut opening, &Keyring::new(), WINDOW_MS * 2).expect("sound");
    assert_eq!((state.window_ms(), replayed.checkpoint), (WINDOW_MS * 2, Lsn(0)));
    drop(opening);
    let mut opening = books.place.opening().expect("opens");
    let (state, replayed) = restore(&mut opening, &Keyring::new(), WINDOW_MS / 2).expect("sound");
    assert_eq!(state.window_ms(), WINDOW_MS / 2);
    assert!(replayed.checkpoint > Lsn(0));
}

/// Ten segments, written so many days ago: 9 for the first, 0 for the last.
fn aged() -> Books {
    let mut books = Books::new();
    for age in (0..10).rev() {
        let number = books.started().journal.written().segment(OPTIONS.segment_bytes);
        books.fill_segment();
        let then = SystemTime::now() - DAY * age;
        edit(&books.place.segment(number)).set_modified(then).expect("own file");
    }
    books
}

fn first_segment(books: &Books) -> u64 {
    (0..).find(|number| books.place.segment(*number).exists()).expect("a segment")
}

fn needs(from: Lsn) -> Needs {
    Needs { from, epoch: None }
}

#[test]
fn only_segments_that_nothing_needs_are_retired() {
    let mut books = aged();
    let (files, now) = (books.files(), SystemTime::now());
    let keep = DAY * 5 - DAY / 2;
    let end = books.state.last;
    assert_eq!(files.retire(needs(end), keep, now).expect("own folder"), 0, "no checkpoint");
    books.checkpoint();
    assert_eq!(files.retire(needs(end), keep, now).expect("own folder"), 0, "one checkpoint");
    books.sell(10);
    books.checkpoint();
    let segment = OPTIONS.segment_bytes;
    assert_eq!(
        files.retire(needs(Lsn(segment * 2 + 500)), keep, now).expect("own folder"),
        2,
        "something needs 2"
    );
    assert_eq!(first_segment(&books), 2);
    assert_eq!(files.retire(needs(end), keep, now - DAY * 20).expect("own folder"), 0, "of the future");
    assert_eq!(files.retire(needs(end), keep, now).expect("own folder"), 3, "5 is young enough");
    assert_eq!(first_segment(&books), 5);
    let own_epoch = Needs { from: end, epoch: Some(1) };
    assert_eq!(
        files.retire(own_epoch, Duration::ZERO, now + DAY).expect("own folder"),
        0,
        "its key is needed"
    );
    assert_eq!(
        files.retire(needs(end), Duration::ZERO, now + DAY).expect("own folder"),
        5,
        "all but the current one"
    );
    drop(files);
    books.sell(10);
    books.end();
    let (state, replayed, _) = books.restored().expect("sound without them");
    assert!(state == books.state && replayed.facts == 1);
}

#[test]
fn an_open_flight_and_a_request_of_the_window_hold_their_segments() {
    let mut books = Books::new();
    books.ask();
    let open = books.state.last;
    books.fill_segment();
    assert_eq!(books.state.snapshot().needs_from(), open);
    let mut books = Books::new();
    books.sell(10);
    let oldest = books.state.last;
    books.fill_segment();
    assert_eq!(books.state.snapshot().needs_from(), oldest);
    books.number += WINDOW_MS * 2;
    books.sell(10);
    assert_eq!(books.state.snapshot().needs_from(), books.state.last, "all left the window");
}

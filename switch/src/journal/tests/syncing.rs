//! When something may be called durable, and what happens when it can not be.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::journal::sync::SyncCall;

/// Stands in for the disk: says which file is to be synced, and waits to be told how that went.
struct Disk {
    asked: Receiver<u64>,
    answer: Sender<io::Result<()>>,
}

fn disk() -> (SyncCall, Disk) {
    let (ask, asked) = channel();
    let (answer, answered) = channel();
    let call = move |file: &File| {
        ask.send(file.metadata()?.ino()).map_err(io::Error::other)?;
        // The disk of a test that is over answers at once, so that the thread can end.
        answered.recv().unwrap_or(Ok(()))
    };
    (Box::new(call), Disk { asked, answer })
}

impl Disk {
    fn asked(&self) -> u64 {
        self.asked.recv_timeout(PATIENCE).expect("a sync was expected")
    }

    fn done(&self) {
        self.answer.send(Ok(())).expect("the thread listens");
    }
}

fn start_on(place: &Place, call: SyncCall) -> Started {
    let keyring = Keyring::new();
    let (journal, log, reader, maker) =
        place.opening().expect("opens").start_with(&keyring, call).expect("starts");
    Started { journal, log, reader, maker, keyring }
}

#[test]
fn nothing_is_durable_before_its_sync_returned() {
    let place = Place::new();
    let (call, disk) = disk();
    let mut started = start_on(&place, call);
    let begin = started.journal.durable();
    started.write(&[b"first"]);
    let first = started.journal.written();
    disk.asked();
    started.write(&[b"second"]);
    let second = started.journal.written();
    assert_eq!(started.journal.durable(), begin, "the sync has not returned");
    disk.done();
    started.await_durable(first);
    assert_eq!(started.journal.durable(), first, "the second batch was written while the first was synced");
    disk.asked();
    disk.done();
    started.await_durable(second);
    drop(disk);
    started.close();
}

#[test]
fn a_segment_left_behind_is_synced_after_its_last_write() {
    let place = Place::new();
    let (call, disk) = disk();
    let mut started = start_on(&place, call);
    let inode = |number| std::fs::metadata(place.segment(number)).expect("there").ino();
    started.write(&[b"first"]);
    assert_eq!(disk.asked(), inode(0));
    // While the first sync runs the log leaves segment 0.
    while started.journal.written().segment(OPTIONS.segment_bytes) == 0 {
        started.write(&[&[1; 60_000][..]; 8]);
    }
    let end = started.journal.written();
    disk.done();
    assert_eq!(disk.asked(), inode(0), "what was written meanwhile");
    disk.done();
    assert_eq!(disk.asked(), inode(1));
    assert!(started.journal.durable() < end);
    disk.done();
    started.await_durable(end);
    drop(disk);
    started.close();
}

#[test]
fn after_a_failed_sync_nothing_is_written_synced_or_durable() {
    let place = Place::new();
    let (call, disk) = disk();
    let mut started = start_on(&place, call);
    let begin = started.journal.durable();
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    started.journal.register(&waker);
    started.write(&[b"first"]);
    disk.asked();
    disk.answer.send(Err(io::Error::from_raw_os_error(5))).expect("the thread listens");
    while started.journal.failure().is_none() {
        std::thread::park_timeout(PATIENCE);
    }
    let failure = started.journal.failure().expect("just seen");
    assert!(failure.to_string().contains("cannot sync"), "{failure}");
    let written = started.journal.written();
    started.log.append(|out| out.push(1));
    let batch = started.log.take(begin).expect("a fact");
    assert!(matches!(started.journal.write(batch), Err(JournalError::Io { doing: "sync", .. })));
    assert_eq!((started.journal.written(), started.journal.durable()), (written, begin));
    assert!(started.journal.close(&mut started.log, PATIENCE).is_err());
    assert!(disk.asked.try_recv().is_err(), "a sync was tried again");
}

#[test]
fn syncs_go_together() {
    let place = Place::new();
    let count = Arc::new(Mutex::new(0u128));
    let counted = Arc::clone(&count);
    let call = move |file: &File| {
        *counted.lock().expect("no panic") += 1;
        file.sync_data()
    };
    let options = JournalOptions { sync_interval_us: 100_000, sync_facts_min: 100, ..OPTIONS };
    let opening = Opening::new(&place.dir(), options, Arc::clone(&place.kek)).expect("opens");
    let keyring = Keyring::new();
    let (journal, log, reader, maker) = opening.start_with(&keyring, Box::new(call)).expect("starts");
    let mut started = Started { journal, log, reader, maker, keyring };
    let began = std::time::Instant::now();
    for _ in 0..1000 {
        started.write(&[b"a fact"]);
    }
    started.await_durable(started.journal.written());
    let syncs = *count.lock().expect("no panic");
    // The first one at once, then one for each hundred facts, or where that takes longer for each interval,
    // and the rest.
    let intervals = began.elapsed().as_micros() / 100_000;
    assert!((1..=12 + intervals).contains(&syncs), "{syncs} syncs in {intervals} intervals");
    started.close();
}

#[test]
fn the_reserve_is_kept_and_its_end_stops_the_journal() {
    let place = Place::new();
    let mut started = place.start();
    assert_eq!((started.journal.room(), started.journal.prepared()), (Room::Plenty, 2));
    assert!(!started.maker.prepare().expect("enough"));
    let mut rooms = Vec::new();
    let error = loop {
        for _ in 0..8 {
            started.log.append(|out| out.resize(out.len() + 60_000, 1));
        }
        let batch = started.log.take(Lsn(0)).expect("facts");
        match started.journal.write(batch) {
            Ok(()) => rooms.push(started.journal.room()),
            Err(error) => break error,
        }
    };
    rooms.dedup();
    assert_eq!(rooms, [Room::Plenty, Room::SalesRefused, Room::Last]);
    assert!(matches!(error, JournalError::NoSegment));
    assert!(matches!(started.journal.failure(), Some(JournalError::NoSegment)));
    drop(started);
    assert!(!place.replay().expect("all that was written").0.is_empty());
}

#[test]
fn the_maker_is_woken_when_a_segment_was_taken() {
    let place = Place::new();
    let mut started = place.start();
    let (send, woken) = channel();
    struct Tell(Mutex<Sender<()>>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            // A second wake-up after the test has heard the first is of no interest.
            let _ = self.0.lock().expect("no panic").send(());
        }
    }
    started.maker.register(&Waker::from(Arc::new(Tell(Mutex::new(send)))));
    while started.journal.room() == Room::Plenty {
        started.write(&[&[1; 60_000][..]; 8]);
    }
    woken.recv_timeout(PATIENCE).expect("woken");
    while started.maker.prepare().expect("room on the disk") {}
    assert_eq!(started.journal.room(), Room::Plenty);
    started.close();
}

#[test]
fn closing_does_not_wait_for_ever() {
    let place = Place::new();
    let (call, disk) = disk();
    let mut started = start_on(&place, call);
    started.write(&[b"first"]);
    let error =
        started.journal.close(&mut started.log, Duration::from_millis(1)).expect_err("no sync returns");
    assert!(matches!(error, JournalError::CloseTimeout(1)), "{error}");
    drop(disk);
}

#[test]
fn a_start_that_writes_more_than_a_segment_makes_the_next_ones_itself() {
    let place = Place::new();
    let Started { mut journal, mut log, mut maker, .. } = place.start();
    let fact = [7; 4_000];
    while log.next().segment(OPTIONS.segment_bytes) < 3 {
        log.append(|out| out.extend_from_slice(&fact));
        if log.is_full() {
            journal.write_at_start(&mut log, &mut maker).expect("written");
        }
    }
    journal.close(&mut log, PATIENCE).expect("closed");
    drop(maker);
    let (facts, _) = place.replay().expect("reads back");
    assert!(facts.len() > 2_000 && facts.iter().all(|(_, read)| read[..] == fact));
}

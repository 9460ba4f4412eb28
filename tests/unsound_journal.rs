//! Forbids: a start from a checkpoint that knows less than the whole journal, damage that is called sound, and a journal command that shows a secret.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::demo::{Demo, PROGRAM};
use support::hosts::Hosts;
use support::{Ask, Client, address, settings, stock, until};
use switchyard::cli::exit::Exit;
use switchyard::settings::Settings;
use switchyard::topology;
use switchyard_core::log::Lsn;

/// Facts between two checkpoints here.
const CHECKPOINT_FACTS: u64 = 150;

fn journal(data: &Path) -> PathBuf {
    data.join("journal")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .collect()
}

fn checkpoints(data: &Path) -> Vec<String> {
    let is_checkpoint = |name: &String| name.starts_with("checkpoint-") && !name.ends_with(".making");
    names(&journal(data)).into_iter().filter(is_checkpoint).collect()
}

/// Sales of every kind and end, all answered.
fn sell(client: &mut Client, count: u64) {
    let asks: Vec<_> = (0..count)
        .map(|number| match number % 6 {
            0 => Ask::sale("VOUCHER10", "000000", 1_000, ""),
            1 => Ask::sale("WALLET", "210000", 100, "W1"),
            2 => Ask::sale("TOPUP", "210000", 500, "0612345680"),
            _ => Ask::sale("TOPUP", "210000", 500, "0612345611"),
        })
        .collect();
    assert!(client.ask_all(&asks, 16).iter().all(Option::is_some));
}

/// Copies a data folder as a crash would leave it: checkpoints first, so that all that they stand for is in the copy; segments from their ends to their beginnings, so that
/// whatever is in the copy, everything that was written before it is too.
fn crash_image(data: &Path, to: &Path) {
    let (from, to_journal) = (journal(data), journal(to));
    std::fs::create_dir_all(&to_journal).expect("a folder");
    std::fs::create_dir_all(to.join("keys")).expect("a folder");
    for key in ["kek", "index"] {
        std::fs::copy(data.join("keys").join(key), to.join("keys").join(key)).expect("a key");
    }
    let (checkpoints, segments): (Vec<_>, Vec<_>) = names(&from)
        .into_iter()
        .filter(|name| name != "lock")
        .partition(|name| name.starts_with("checkpoint-"));
    for name in checkpoints {
        // One that was retired or renamed meanwhile is not there any more.
        let _ = std::fs::copy(from.join(&name), to_journal.join(&name));
    }
    for name in segments.into_iter().rev() {
        let _ = copy_from_the_end(&from.join(&name), &to_journal.join(&name));
    }
}

fn copy_from_the_end(from: &Path, to: &Path) -> std::io::Result<()> {
    const BLOCK: usize = 4_096;
    let (from, to) = (std::fs::File::open(from)?, std::fs::File::create(to)?);
    let length = from.metadata()?.len() as usize;
    to.set_len(length as u64)?;
    for at in (0..length).step_by(BLOCK).rev() {
        let mut block = [0; BLOCK];
        let block = &mut block[..BLOCK.min(length - at)];
        from.read_exact_at(block, at as u64)?;
        to.write_all_at(block, at as u64)?;
    }
    Ok(())
}

/// Whether the copy's state is the same with its checkpoints and without; where the checkpoint was.
fn assert_same_without_checkpoints(settings: &Settings, copy: &Path) -> Lsn {
    let mut settings = settings.clone();
    settings.data = copy.to_owned();
    settings.keys.file = copy.join("keys").join("kek");
    let by_checkpoint = topology::open_books(&settings).expect("books");
    let (state, replayed) = (by_checkpoint.state, by_checkpoint.replayed);
    drop(by_checkpoint.opening);
    for name in checkpoints(copy) {
        std::fs::remove_file(journal(copy).join(name)).expect("own file");
    }
    let whole = topology::open_books(&settings).expect("books");
    assert_eq!(whole.replayed.checkpoint, Lsn(0));
    assert!(whole.replayed.facts >= replayed.facts && whole.replayed.last == replayed.last);
    assert!(whole.state == state, "fold: the checkpoint at {} knows something else", replayed.checkpoint);
    replayed.checkpoint
}

#[test]
fn a_start_from_a_checkpoint_knows_what_the_whole_journal_knows() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.journal.checkpoint_facts = CHECKPOINT_FACTS;
    let hosts = Hosts::start(&mut settings, &["telco-a"]);
    stock(&settings, "VOUCHER10", 200);
    let running = hosts.start_switch(settings.clone());
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let first = Ask::sale("TOPUP", "210000", 500, "0612345611");
    let answer = client.ask(&first);
    let mut seen = BTreeSet::new();
    for round in 1..=4 {
        sell(&mut client, 150);
        let made = checkpoints(data.path());
        until("a checkpoint was made", || checkpoints(data.path()).iter().any(|name| !seen.contains(name)));
        seen.extend(made);
        // While the load goes on.
        std::thread::scope(|scope| {
            let load = scope.spawn(|| sell(&mut client, 100));
            let copy = data.path().join(format!("copy-{round}"));
            crash_image(data.path(), &copy);
            assert!(assert_same_without_checkpoints(&settings, &copy) > Lsn(0), "round {round}");
            load.join().expect("a load");
        });
    }
    running.stop().expect("an end in order");
    assert_eq!(checkpoints(data.path()).len(), 2, "two are kept");

    let again = hosts.start_switch(settings.clone());
    assert_eq!(again.replayed.facts, 0, "after an end in order nothing is replayed");
    let mut client = Client::connect(address(&again, "plain"), "prepaid87");
    assert_eq!(
        client.ask(&Ask { mti: 201, ..first }).elements,
        answer.elements,
        "a stored answer of an earlier epoch"
    );
    sell(&mut client, 6);
    again.stop().expect("an end in order");
}

/// Runs `switchyard journal`; what it printed.
fn command(line: &[&str], data: &Path, exit: Exit) -> (String, String) {
    let output = Command::new(PROGRAM)
        .arg("journal")
        .args(line)
        .arg("--data")
        .arg(data)
        .output()
        .expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit.code().into()), "{line:?}\n{out}\n{err}");
    (out, err)
}

#[test]
fn the_commands_tell_damage_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let mut demo = Demo::start(data);
    let mut client = demo.client("plain");
    let voucher = client.ask(&Ask::sale("VOUCHER10", "000000", 1_000, ""));
    let card = "6006491234567811";
    client.ask(&Ask { card: card.into(), ..Ask::sale("GIFT25", "280000", 2_500, "") });
    let topup = Ask { terminal: "T0000007".into(), ..Ask::sale("TOPUP", "210000", 500, "0612345611") };
    assert_eq!(client.ask(&topup).code, "00");

    let (out, _) = command(&["show"], data, Exit::Done);
    for word in
        ["named", "sale", "intent", "outcome", "network=100001", "product=VOUCHER10", "verdict=approved"]
    {
        assert!(out.contains(word), "no {word}: {out}");
    }
    for secret in [voucher.pin.as_str(), card, "0612345611", &card[6..12]] {
        assert!(!out.contains(secret), "a secret is shown");
    }
    let (out, _) = command(&["show", "--terminal", "T0000007"], data, Exit::Done);
    assert_eq!(out.lines().count(), 2, "its intent and its outcome: {out}");
    let (out, _) = command(&["show", "--kind", "outcome", "--limit", "1", "--json"], data, Exit::Done);
    let fact: serde_json::Value = serde_json::from_str(out.trim()).expect("one object");
    assert_eq!((fact["kind"].as_str(), fact["verdict"].as_str()), (Some("outcome"), Some("approved")));
    let from = fact["position"].as_u64().expect("a position").to_string();
    let (out, _) = command(&["show", "--from", &from, "--limit", "1"], data, Exit::Done);
    assert!(out.starts_with(&from), "{out}");
    let (_, err) = command(&["show", "--kind", "outcomes"], data, Exit::Usage);
    assert!(err.contains("did you mean `outcome`?"), "{err}");
    let (_, err) = command(&["verify"], data, Exit::Data);
    assert!(err.contains("in use by another process"), "{err}");

    demo.kill();
    let (out, _) = command(&["verify"], data, Exit::Done);
    assert!(out.contains("the journal is sound") && out.contains("0 checkpoints"), "{out}");
    drop(demo);
    Demo::start(data).end();
    let before = names(&journal(data));
    let (out, _) = command(&["verify"], data, Exit::Done);
    assert!(out.contains("1 checkpoints equal to the fold"), "{out}");
    assert_eq!(names(&journal(data)), before, "nothing is made");

    let segment = journal(data).join("00000000000000.segment");
    let file = std::fs::File::options().read(true).write(true).open(&segment).expect("own file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 200).expect("own file");
    file.write_all_at(&[byte[0] ^ 4], 200).expect("own file");
    let (_, err) = command(&["verify"], data, Exit::Data);
    assert!(err.contains(&format!("{} at byte 128", segment.display())), "{err}");
    file.write_all_at(&byte, 200).expect("own file");

    let checkpoint = journal(data).join(checkpoints(data).pop().expect("one"));
    let bytes = std::fs::read(&checkpoint).expect("own file");
    std::fs::write(&checkpoint, &bytes[..bytes.len() - 1]).expect("own file");
    let (_, err) = command(&["verify"], data, Exit::Data);
    assert!(err.contains(&checkpoint.display().to_string()), "{err}");
}

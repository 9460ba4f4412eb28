//! Forbids: a card number or a PIN in clear anywhere but on the wire (S-18): data folder, logs, metrics, pages, output.

mod support;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::demo::{Demo, PROGRAM};
use support::{Ask, Client, until};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};

/// A value that may be nowhere, and what it is.
struct Canary {
    what: String,
    digits: String,
}

/// A demonstration that logs as much as it can.
fn talkative(data: &Path) -> Demo {
    let mut command = Command::new(PROGRAM);
    command.env("SWITCHYARD_LOG", "trace");
    Demo::start_as(command, data)
}

/// Sells everything that has a secret; the secrets.
fn sell(demo: &Demo) -> Vec<Canary> {
    let mut canaries = Vec::new();
    for conduit in ["plain", "binbitmap", "tls"] {
        let mut client = demo.client(conduit);
        for (product, processing, amount, account) in [
            ("VOUCHER10", "000000", 1_000, ""),
            ("VOUCHERJIT", "000000", 1_500, ""),
            ("ENERGY", "500000", 2_000, "12345678901"),
        ] {
            let ask = Ask::sale(product, processing, amount, account);
            let answer = client.ask(&ask);
            assert_eq!((answer.code.as_str(), answer.pin.is_empty()), ("00", false), "{product}");
            assert_eq!(client.ask(&ask).pin, answer.pin, "a repeat opens it again");
            canaries.push(Canary { what: format!("the PIN of {product} on {conduit}"), digits: answer.pin });
        }
        canaries.extend(sell_cards(&mut client, conduit));
    }
    canaries
}

/// Cards that are approved, refused, and unknown: for the last the number is kept for the reversal.
fn sell_cards(client: &mut Client, conduit: &str) -> Vec<Canary> {
    let place = conduit.len();
    let behaviours = [("11", "00"), ("80", "05"), ("86", "68"), ("85", "68")];
    let cards = behaviours.map(|(digits, code)| (format!("60064971{place}6183{digits}"), code));
    for (card, code) in &cards {
        let ask = Ask { card: card.clone(), ..Ask::sale("GIFT25", "280000", 2_500, "") };
        assert_eq!(client.ask(&ask).code, *code, "{conduit}");
    }
    cards.into_iter().map(|(digits, _)| Canary { what: format!("a card on {conduit}"), digits }).collect()
}

/// Tracks, chip data, a PIN block, and a card where none is expected; whatever comes of it.
fn send_what_is_dropped(client: &mut Client) -> Vec<Canary> {
    let swiped = Ask::sale("GIFT25", "280000", 2_500, "");
    let body = sensitive_message(&client.dialect(), &swiped);
    client.send(&body);
    assert_eq!(client.receive().expect("an answer").code, "00", "a swiped card");
    let stray = Ask { card: "5413330089020011".into(), ..Ask::sale("WALLET", "210000", 100, "W1") };
    client.ask(&stray);
    let broken = [&client_message(client, &stray.renewed())[..], b"9"].concat();
    client.send(&broken);
    assert_eq!(client.receive().expect("an answer").code, "30");
    [
        ("the card of a track", "6006497755331122"),
        ("the rest of track 2", "2912101884422"),
        ("track 1", "B6006497755331199"),
        ("the PIN block", "7B3F9A1C5D2E8064"),
        ("chip data", "9F2608C0FFEE5AFE77AA55"),
        ("a card where none is expected", "5413330089020011"),
    ]
    .map(|(what, digits)| Canary { what: what.into(), digits: digits.into() })
    .into()
}

fn client_message(client: &Client, ask: &Ask) -> Vec<u8> {
    ask.message(&client.dialect())
}

fn sensitive_message(dialect: &Dialect, ask: &Ask) -> Vec<u8> {
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(200), &mut out);
    build
        .text(Role::ProcessingCode, ask.processing.as_bytes())
        .number(Role::Amount, ask.amount)
        .text(Role::TransmissionTime, &ask.when)
        .number(Role::Stan, u64::from(ask.stan))
        .text(Role::LocalTime, &ask.local[..6])
        .text(Role::LocalDate, &ask.local[6..])
        .text(Role::Network, ask.network.as_bytes())
        .element(35, b"6006497755331122=2912101884422")
        .text(Role::Terminal, ask.terminal.as_bytes())
        .text(Role::Merchant, ask.merchant.as_bytes())
        .element(45, b"B6006497755331199^CANARY/BIRD^2912101")
        .open_tags(Role::Prepaid)
        .tag(Tag::Product, ask.product.as_bytes())
        .close_tags()
        .number(Role::Currency, ask.currency)
        .element(52, b"\x7B\x3F\x9A\x1C\x5D\x2E\x80\x64")
        .element(55, b"9F2608C0FFEE5AFE77AA55");
    build.finish().expect("a message that can be built");
    out
}

/// The forms in which digits may lie somewhere: as text, in EBCDIC, packed from either half of a byte.
fn forms(digits: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![digits.as_bytes().to_vec(), digits.to_lowercase().into_bytes()];
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        forms.push(digits.bytes().map(|byte| byte + 0xC0).collect());
    }
    let packed = |digits: &str| hex::decode(&digits[..digits.len() / 2 * 2]).ok();
    forms.extend([packed(digits), packed(&digits[1..])].into_iter().flatten());
    forms
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| match entry.file_type().expect("a type") {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

/// Everything that can be looked at: name and contents.
fn places(demo: &Demo, data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut places: Vec<_> = files(data)
        .into_iter()
        .map(|file| (file.display().to_string(), std::fs::read(&file).expect("a file")))
        .collect();
    for page in ["/", "/metrics", "/api/figures", "/api/positions"] {
        places.push((page.to_owned(), demo.page(page).into_bytes()));
    }
    places.push(("standard output".to_owned(), demo.printed().into_bytes()));
    places
}

fn assert_nowhere(canaries: &[Canary], places: &[(String, Vec<u8>)]) {
    let needles: Vec<_> = canaries
        .iter()
        .flat_map(|canary| forms(&canary.digits).into_iter().map(move |form| (canary, form)))
        .collect();
    let mut begins = vec![false; 1 << 16];
    for (_, form) in &needles {
        begins[start_of(form)] = true;
    }
    for (place, contents) in places {
        for at in searched(contents) {
            if !begins[start_of(&contents[at..])] {
                continue;
            }
            let found = needles.iter().find(|(_, form)| contents[at..].starts_with(form));
            assert!(
                found.is_none(),
                "{} is in {place} at {at}",
                found.map_or("", |(canary, _)| &canary.what)
            );
        }
    }
}

/// Where something may begin: everywhere but in blocks of zeros, of which segments are written ahead of need.
fn searched(contents: &[u8]) -> impl Iterator<Item = usize> {
    const BLOCK: usize = 4_096;
    let end = contents.len().saturating_sub(1);
    let blocks = contents.chunks(BLOCK).enumerate().filter(|(_, block)| **block != [0; BLOCK][..block.len()]);
    blocks.flat_map(move |(number, block)| number * BLOCK..(number * BLOCK + block.len()).min(end))
}

/// The first two bytes, as a number.
fn start_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[test]
fn no_card_number_and_no_pin_is_in_clear_outside_the_wire() {
    let data = tempfile::tempdir().expect("a folder");
    let mut demo = talkative(data.path());
    let mut canaries = sell(&demo);
    canaries.extend(send_what_is_dropped(&mut demo.client("plain")));
    let seen = places(&demo, data.path());
    let terminal = seen.iter().any(|(place, contents)| {
        place.ends_with(".segment") && contents.windows(8).any(|window| window == b"T0000001")
    });
    assert!(terminal, "the search finds what is not secret");
    assert_nowhere(&canaries, &seen);
    demo.kill();
    drop(demo);
    let demo = talkative(data.path());
    assert_nowhere(&canaries, &places(&demo, data.path()));
    demo.end();
    let left: Vec<_> = files(data.path())
        .into_iter()
        .map(|file| (file.display().to_string(), std::fs::read(&file).expect("a file")))
        .collect();
    assert_nowhere(&canaries, &left);
}

/// What a process has in its memory, mapping by mapping, as a core image would have it.
fn memory(pid: u32) -> Vec<(String, Vec<u8>)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
    let image = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let writable = maps
        .lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.starts_with("rw")));
    writable
        .filter_map(|line| {
            let (from, to) = line.split_whitespace().next()?.split_once('-')?;
            let from = u64::from_str_radix(from, 16).ok()?;
            let to = u64::from_str_radix(to, 16).ok()?;
            let mut contents = vec![0; (to - from) as usize];
            // A mapping without memory behind it is not in a core image either.
            image.read_exact_at(&mut contents, from).ok()?;
            Some((format!("memory: {line}"), contents))
        })
        .collect()
}

#[test]
fn no_secret_stays_in_the_memory_of_the_process() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let mut canaries = sell(&demo);
    canaries.extend(send_what_is_dropped(&mut demo.client("plain")));
    until("reversals, which need the card number, are over", || {
        demo.positions().iter().all(|(_, _, reserved)| *reserved == 0)
    });
    assert_nowhere(&canaries, &memory(demo.pid()));
    demo.end();
}

#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    for file in
        ["keys/kek", "keys/index", "tls/ca.key", "tls/server.key", "tls/client-100001.key", "control.sock"]
    {
        let mode = std::fs::metadata(data.path().join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    demo.end();
}

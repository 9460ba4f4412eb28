//! Forbids: a card number or a PIN in clear anywhere but on the wire (S-18): data folder, logs, metrics, pages, output.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use support::demo::{Demo, PROGRAM};
use support::switch::{configure, metric, run};
use support::{Ask, Client, settings, until};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag, View};

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

/// Commands that show what a data folder or its switch has, over the operators' socket where a switch runs.
const SHOWN: [&[&str]; 9] = [
    &["stock", "show"],
    &["stock", "show", "--json"],
    &["keys", "show"],
    &["position", "show"],
    &["advices", "list"],
    &["transaction", "find", "--terminal", "T0000001", "--limit", "100"],
    &["transaction", "find", "--terminal", "T0000001", "--limit", "100", "--json"],
    &["audit"],
    &["audit", "--json"],
];

/// What they print.
fn shown(data: &Path) -> Vec<(String, Vec<u8>)> {
    let show = |command: &&[&str]| {
        let output =
            Command::new(PROGRAM).args(*command).arg("--data").arg(data).output().expect("the program");
        assert!(output.status.success(), "{output:?}");
        (format!("{command:?}"), [output.stdout, output.stderr].concat())
    };
    SHOWN.iter().map(show).collect()
}

/// The program, whose memory this test may read. It forbids core images and debuggers, after which only root may; for others it has
/// to allow them, which changes nothing else.
fn readable() -> Command {
    let mut command = Command::new(PROGRAM);
    if !nix::unistd::Uid::effective().is_root() {
        command.arg("--allow-core-dumps");
    }
    command
}

/// Sells everything that has a secret; the secrets, and the connections, which stay open.
fn sell(demo: &Demo) -> (Vec<Canary>, Vec<Client>) {
    let (mut canaries, mut clients) = (Vec::new(), Vec::new());
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
        clients.push(client);
    }
    (canaries, clients)
}

/// Cards that are approved, refused, and unknown: for the last the number is kept for the reversal.
fn sell_cards(client: &mut Client, conduit: &str) -> Vec<Canary> {
    let place = conduit.len();
    let behaviours = [("11", "00"), ("80", "05"), ("86", "68"), ("85", "68")];
    let cards = behaviours.map(|(digits, code)| (format!("60064971{place}6183{digits}"), code));
    for (card, code) in &cards {
        let ask = Ask { card: card.clone(), ..Ask::sale("GIFT25", "280000", 2_500, "") };
        assert_eq!(client.ask(&ask).code, *code, "{conduit}");
        // The card number comes once more, and goes to the supplier once more.
        assert_eq!(client.ask(&ask.reversal()).code, "00", "{conduit}");
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
    places.extend(shown(data));
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
    let (mut canaries, _) = sell(&demo);
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

/// What a process has in its memory, mapping by mapping, as a core image would have it: what it has on its heap, given back or not,
/// and the stacks of all its threads.
fn memory(pid: u32) -> Vec<(String, Vec<u8>)> {
    let mappings = || std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its mappings");
    let maps = mappings();
    let image = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let writable = maps
        .lines()
        .filter(|line| line.split_whitespace().nth(1).is_some_and(|rights| rights.starts_with("rw")));
    let read = |line: &str| {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let from = u64::from_str_radix(from, 16).ok()?;
        let to = u64::from_str_radix(to, 16).ok()?;
        let mut contents = vec![0; (to - from) as usize];
        image.read_exact_at(&mut contents, from).ok()?;
        Some((format!("memory: {line}"), contents))
    };
    // A thread that has ended since takes its stack with it; what is still there must be readable.
    let gone = |line: &str| {
        !mappings().lines().any(|now| now.split_whitespace().next() == line.split_whitespace().next())
    };
    let image: Vec<_> = writable
        .filter_map(|line| {
            let contents = read(line);
            assert!(contents.is_some() || gone(line), "it cannot be looked at: {line}");
            contents
        })
        .collect();
    let terminal = |contents: &[u8]| contents.windows(8).any(|window| window == b"T0000001");
    assert!(image.iter().any(|(_, contents)| terminal(contents)), "the search finds what is not secret");
    assert!(image.iter().any(|(name, _)| name.ends_with("[stack]")), "the first thread's stack is there");
    image
}

#[test]
fn no_secret_stays_in_the_memory_of_the_process() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start_as(readable(), data.path());
    let (mut canaries, mut clients) = sell(&demo);
    canaries.extend(send_what_is_dropped(&mut clients[0]));
    until("reversals, which need the card number, are over", || {
        demo.positions().iter().all(|(_, _, reserved)| *reserved == 0)
    });
    // What operators ask for is read back from the journal, in the process that is looked at.
    assert_nowhere(&canaries, &shown(data.path()));
    assert_nowhere(&canaries, &memory(demo.pid()));
    drop(clients);
    demo.end();
}

/// A supplier that sends a PIN in whatever it says: in refusals, in answers that come too late, in those that nobody asked for, in
/// answers to reversals.
struct Blabber {
    dialect: Arc<Dialect>,
    told: Arc<Mutex<Vec<Canary>>>,
}

impl Blabber {
    /// Serves one link until it closes.
    fn serve(&self, mut link: TcpStream) -> std::io::Result<()> {
        let mut late = Vec::new();
        loop {
            let mut length = [0; 2];
            link.read_exact(&mut length)?;
            let mut asked = vec![0; usize::from(u16::from_be_bytes(length))];
            link.read_exact(&mut asked)?;
            let view = self.dialect.view(&asked).expect("a message of the switch");
            let account = view.tag(Tag::Account).and_then(|account| account.text::<30>()).unwrap_or_default();
            match view.mti().number() {
                200 if account.as_str().ends_with("80") => {
                    link.write_all(&self.answer(&view, b"05", "a refusal", 0))?;
                }
                200 => late = self.answer(&view, b"00", "a late approval", 0),
                400 | 401 | 420 | 421 => {
                    link.write_all(&late)?;
                    link.write_all(&self.answer(&view, b"00", "an answer to nothing", 77))?;
                    link.write_all(&self.answer(&view, b"00", "an answer to a reversal", 0))?;
                }
                _ => link.write_all(&self.answer(&view, b"00", "an answer to network management", 0))?,
            }
        }
    }

    fn answer(&self, asked: &View<'_>, code: &[u8], what: &str, other_stan: u64) -> Vec<u8> {
        let mut told = self.told.lock().expect("nobody failed with it");
        let pin = format!("{:016}", 6_183_920_475_510_000 + told.len() as u64 * 7_919);
        let mut out = vec![0, 0];
        let mut build = Build::new(&self.dialect, Mti::new(asked.mti().number() + 10), &mut out);
        let text = |role: Role| {
            let mut bytes = Vec::new();
            asked.value(role).into_iter().for_each(|value| value.append_to(&mut bytes));
            bytes
        };
        build.text(Role::TransmissionTime, &text(Role::TransmissionTime));
        let stan = asked.value(Role::Stan).and_then(|stan| stan.number()).unwrap_or_default();
        build.number(Role::Stan, stan + other_stan);
        if asked.value(Role::Rrn).is_some() {
            build.text(Role::Rrn, &text(Role::Rrn));
        }
        build.text(Role::ResponseCode, code);
        if let Some(number) = asked.value(Role::ManagementCode).and_then(|code| code.number()) {
            build.number(Role::ManagementCode, number);
        }
        build.open_tags(Role::Prepaid).tag(Tag::Pin, pin.as_bytes()).close_tags();
        build.text(Role::Receipt, format!("PIN {pin}").as_bytes());
        build.finish().expect("a message that can be built");
        let length = (out.len() - 2) as u16;
        out[..2].copy_from_slice(&length.to_be_bytes());
        told.push(Canary { what: format!("the PIN of {what}"), digits: pin });
        out
    }
}

#[test]
fn no_pin_that_a_supplier_should_not_have_sent_stays_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // It makes the certificates that the shipped configuration names.
    drop(settings(&folder.path().join("data")));
    configure(folder.path(), &[("suppliers/telco-a.toml", "port = 9583".into(), format!("port = {port}"))]);
    let dialect = Arc::new(Dialect::open_shipped("prepaid87").expect("shipped"));
    let told = Arc::new(Mutex::new(Vec::new()));
    let blabber = Blabber { dialect, told: Arc::clone(&told) };
    let links = std::thread::spawn(move || {
        // The link stays open while the memory is looked at.
        let (link, _) = listener.accept().expect("the switch dials");
        let _ = blabber.serve(link);
    });
    let (mut child, addresses) = run(readable(), folder.path());
    let ready = || metric(addresses["pages"], "switchyard_supplier_ready{supplier=\"telco-a\"}") == 1;
    until("the supplier is ready", ready);
    let mut client = Client::connect(addresses["plain"], "prepaid87");
    for (account, code) in [("0612345680", "05"), ("0612345686", "68"), ("0612345680", "05")] {
        let answer = client.ask(&Ask::sale("TOPUP", "210000", 1_000, account));
        assert_eq!((answer.code.as_str(), answer.pin.as_str()), (code, ""), "{account}");
    }
    until("the reversal was answered, with whatever came before", || {
        told.lock()
            .expect("nobody failed with it")
            .iter()
            .any(|canary: &Canary| canary.what.ends_with("a reversal"))
    });
    // What it reads next comes after that.
    let answer = client.ask(&Ask::sale("TOPUP", "210000", 1_000, "0612345680"));
    assert_eq!(answer.code, "05");
    let image = memory(child.id());
    let canaries = std::mem::take(&mut *told.lock().expect("nobody failed with it"));
    assert!(canaries.len() >= 6, "{} PINs", canaries.len());
    assert_nowhere(&canaries, &image);
    let left = files(&folder.path().join("data")).into_iter();
    let left: Vec<_> =
        left.map(|file| (file.display().to_string(), std::fs::read(&file).expect("a file"))).collect();
    assert_nowhere(&canaries, &left);
    child.kill().expect("a process to kill");
    child.wait().expect("its end");
    links.join().expect("a supplier that ends with its link");
}

#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    for file in [
        "keys/kek",
        "keys/succession",
        "keys/index",
        "tls/ca.key",
        "tls/server.key",
        "tls/client-100001.key",
        "control.sock",
    ] {
        let mode = std::fs::metadata(data.path().join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    demo.end();
}

//! Forbids: bytes to a supplier before the intent is synced, an answer before the outcome is, and an answer that a failing disk or a
//! kill in the middle of a write takes back.
//!
//! A tracer stands between the switch and the kernel: it shows every call in its order, and makes chosen ones fail.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use support::demo::{Demo, PROGRAM};
use support::{Answer, Ask, until};

/// Requests of a round with faults.
const REQUESTS: usize = 60;

/// A tracer of the program, with these options.
fn traced(options: &[&str], log: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-yy", "-xx", "-s", "8", "-qq", "-o"]).arg(log).args(options).arg(PROGRAM);
    // Without it only root's tracer could read what is written.
    command.arg("--allow-core-dumps");
    command
}

/// Suppliers of a data folder, started by a demonstration that is killed: a tracer then follows the switch alone.
fn start_suppliers(data: &Path) {
    Demo::start(data).kill();
}

/// A call in the trace, where it is one that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// A batch is in the journal.
    Written,
    /// A sync of the journal begins; by thread.
    SyncBegins(u32),
    /// It ended well.
    SyncEnds(u32),
    /// A request or a response arrived.
    In,
    /// A request or a response left; or a supplier within the process wrote that it performs.
    Out,
}

/// Text as the tracer shows it, in names of files too.
fn shown(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// The two bytes of a length, then the MTI's digits, as the tracer shows them.
fn has_mti(line: &str) -> bool {
    let Some((_, data)) = line.split_once('"') else { return false };
    let mti = data.get(2 * 4..6 * 4).unwrap_or_default();
    [shown("0200"), shown("0210")].iter().any(|known| known == mti)
}

fn calls(line: &str) -> Vec<Call> {
    let Some((thread, call)) = line.split_once(' ') else { return Vec::new() };
    let (thread, call) = (thread.parse().unwrap_or_default(), call.trim_start());
    let name = call.trim_start_matches("<... ").split(['(', ' ']).next().unwrap_or_default();
    let begun = !call.starts_with("<...");
    let ended = !call.ends_with("<unfinished ...>");
    let good = !call.contains(" = -1");
    let journal = call.contains(&(shown(".segment") + ">"));
    match name {
        "fdatasync" => {
            let begins = (begun && journal).then_some(Call::SyncBegins(thread));
            begins.into_iter().chain((ended && good).then_some(Call::SyncEnds(thread))).collect()
        }
        "pwrite64" if begun && journal => vec![Call::Written],
        "recvfrom" | "read" if ended && good && has_mti(call) => vec![Call::In],
        "sendto" | "write" | "writev"
            if begun && (has_mti(call) || call.contains(&(shown(".jsonl") + ">"))) =>
        {
            vec![Call::Out]
        }
        _ => Vec::new(),
    }
}

/// Goes through a trace in which one request is under way at a time: whatever left after something arrived must have been synced in
/// between. Gives how often something left, or the line at which it left too early.
fn check_order(trace: &str) -> Result<usize, String> {
    let (mut written, mut durable, mut arrived) = (0u64, 0u64, None);
    let mut begun = HashMap::new();
    let mut left = 0;
    for line in trace.lines() {
        for call in calls(line) {
            match call {
                Call::Written => written += 1,
                Call::SyncBegins(thread) => drop(begun.insert(thread, written)),
                Call::SyncEnds(thread) => durable = durable.max(begun.remove(&thread).unwrap_or_default()),
                Call::In => arrived = Some(written),
                Call::Out => {
                    if arrived.is_none_or(|before| durable <= before) {
                        return Err(line.to_owned());
                    }
                    left += 1;
                }
            }
        }
    }
    Ok(left)
}

fn sales() -> Vec<Ask> {
    let products = (0..8).flat_map(|_| {
        [
            Ask::sale("VOUCHER10", "000000", 1_000, ""),
            Ask::sale("TOPUP", "210000", 1_000, "0612345600"),
            Ask::sale("ENERGY", "500000", 1_000, "12345678900"),
            Ask::sale("WALLET", "210000", 1_000, "W1"),
            Ask::sale("TOPUP", "210000", 1_000, "0612345680"),
        ]
    });
    products.collect()
}

#[test]
fn nothing_leaves_before_what_it_says_is_synced() {
    let data = tempfile::tempdir().expect("a folder");
    start_suppliers(data.path());
    let log = data.path().join("trace.log");
    let calls = "trace=pwrite64,fdatasync,write,writev,sendto,read,recvfrom";
    let demo = Demo::start_as(traced(&["-e", calls], &log), data.path());
    let mut client = demo.client("plain");
    let asks = sales();
    for ask in &asks {
        let answer = client.ask(ask);
        assert!(["00", "05"].contains(&answer.code.as_str()), "{answer:?}");
    }
    drop(client);
    demo.end_traced();
    let trace = std::fs::read_to_string(&log).expect("a trace");
    // An answer each; for two of five a request to telco-a, for one of five a line of the simulator.
    let left = check_order(&trace).unwrap_or_else(|line| panic!("visible before it is durable: {line}"));
    assert!(left >= asks.len() + asks.len() * 3 / 5, "{left} times something left");
}

#[test]
fn the_check_of_the_order_finds_what_is_wrong() {
    let arrived =
        r#"7 recvfrom(9<TCP:[1->2]>, "\x00\x63\x30\x32\x30\x30\x41\x42"..., 8192, 0, NULL, NULL) = 101"#;
    let segment = format!("5<{}>", shown("/journal/0.segment"));
    let written = &format!(r#"7 pwrite64({segment}, "\x01"..., 512, 4096) = 512"#)[..];
    let begins = &format!("8 fdatasync({segment} <unfinished ...>")[..];
    let ends = "8 <... fdatasync resumed>) = 0";
    let left =
        r#"7 sendto(9<TCP:[1->2]>, "\x00\x63\x30\x32\x31\x30\x41\x42"..., 101, MSG_NOSIGNAL, NULL, 0) = 101"#;
    assert_eq!(check_order(&[arrived, written, begins, ends, left].join("\n")), Ok(1));
    let wrong = [
        vec![arrived, left],
        vec![arrived, written, left],
        vec![arrived, written, begins, left],
        vec![begins, arrived, written, ends, left],
        vec![arrived, begins, written, ends, left],
    ];
    for trace in wrong {
        assert!(check_order(&trace.join("\n")).is_err(), "{trace:?}");
    }
}

/// Asks one after the other until the switch is gone.
fn ask_until_gone(demo: &Demo) -> Vec<(Ask, Option<Answer>)> {
    let mut client = demo.client("plain");
    let dialect = client.dialect();
    let mut asked = Vec::new();
    for ask in sales().into_iter().cycle().take(REQUESTS).map(|ask| ask.renewed()) {
        let answer = client.offer(&ask.message(&dialect)).then(|| client.receive()).flatten();
        let gone = answer.is_none();
        asked.push((ask, answer));
        if gone {
            break;
        }
    }
    asked
}

#[test]
fn answers_stand_whichever_write_or_sync_fails_or_is_the_last() {
    let data = tempfile::tempdir().expect("a folder");
    start_suppliers(data.path());
    let log = data.path().join("trace.log");
    let mut pins = HashSet::new();
    let mut gone = 0;
    for (call, fault) in [
        ("fdatasync", "error=EIO"),
        ("pwrite64", "error=ENOSPC"),
        ("fdatasync", "signal=KILL"),
        ("pwrite64", "signal=KILL"),
    ] {
        // The first calls belong to the start; the later ones to requests.
        for at in [4, 12, 25, 43] {
            let inject = format!("inject={call}:{fault}:when={at}");
            let trace = format!("trace={call}");
            let Some(mut demo) =
                Demo::try_start(&mut traced(&["-e", &trace, "-e", &inject], &log), data.path())
            else {
                continue;
            };
            let asked = ask_until_gone(&demo);
            if asked.iter().any(|(_, answer)| answer.is_none()) {
                gone += 1;
                let code = demo.wait();
                let expected = if fault.starts_with("error") { Some(switchyard::EXIT_JOURNAL) } else { None };
                assert_eq!(code, expected, "{inject}");
            } else {
                demo.kill_traced();
            }
            drop(demo);
            let mut demo = Demo::start(data.path());
            assert_stand(&demo, asked, &mut pins, &inject);
            demo.kill();
        }
    }
    assert!(gone >= 8, "only {gone} faults were met while requests were under way");
    let demo = Demo::start(data.path());
    until("every unknown outcome is settled", || {
        demo.positions().iter().all(|(_, _, reserved)| *reserved == 0)
    });
    assert_eq!(demo.positions().iter().map(|(_, posted, _)| posted).sum::<i64>(), 0);
    demo.end();
}

fn assert_stand(demo: &Demo, asked: Vec<(Ask, Option<Answer>)>, pins: &mut HashSet<String>, inject: &str) {
    let mut client = demo.client("plain");
    for (ask, first) in asked {
        let again = client.ask(&ask);
        if let Some(first) = first {
            assert_eq!(first.raw, again.raw, "the answer stands: {inject}");
        }
        if again.code == "00" && !again.pin.is_empty() && ask.product == "VOUCHER10" {
            assert!(pins.insert(again.pin), "sold twice: {inject}");
        }
    }
}

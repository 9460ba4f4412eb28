//! Forbids: an answer that does not stand after a SIGKILL, a voucher sold twice, a request performed twice, a reversal that is lost, an
//! intent without an end, money that does not add up.
//!
//! `SWITCHYARD_KILLS=100` kills as often as that; `switchyard-loadtest kills` does the same outside of tests.

mod support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::demo::Demo;
use support::hosts::Line;
use support::{Answer, Ask, until};
use switchyard::topology;
use switchyard_loadtest::kills::{self, Kills, KillsReport};
use switchyard_loadtest::profile::shipped;
use switchyard_loadtest::verdict::Rule;
use tokio_util::sync::CancellationToken;

/// How often the switch is killed while the load generator's profile `kills` runs, where nothing else is said.
const PROFILE_KILLS: u32 = 12;
/// How often it is killed under the load of this test's own clients, one of which speaks TLS.
const KILLS: u64 = 5;
/// Requests under way on each connection.
const WINDOW: usize = 12;
/// The conduits that load comes through, one connection each.
const CONDUITS: [&str; 4] = ["plain", "plain", "binbitmap", "tls"];
/// Requests that a connection would send in a round, were it not killed before.
const REQUESTS: u64 = 4_000;
/// The longest that reversals may take: the third sending of one comes within seconds.
const REVERSALS: Duration = Duration::from_secs(120);
const SUPPLIERS: [&str; 4] = ["telco-a", "telco-b", "cardco", "utility"];

/// A request and what was answered to it last.
struct Asked {
    ask: Ask,
    answer: Option<Answer>,
}

/// A mix of everything that is sold, with every behaviour; no two have one account, where they have any.
fn request(number: u64) -> Ask {
    let behaviour = match number % 61 {
        0 => 84,
        7 => 86,
        14 => 87,
        21 => 90,
        28 => 80,
        35 => 83,
        42 if number % 244 == 42 => 89,
        49 if number % 244 == 49 => 85,
        other => other % 80,
    };
    let phone = |prefix: &str| format!("{prefix}{number:08}{behaviour:02}");
    let mut ask = match number % 9 {
        0 | 1 => Ask::sale("VOUCHER10", "000000", 1_000, ""),
        2 => Ask::sale("VOUCHERJIT", "000000", 1_500, ""),
        3 => Ask::sale("TOPUP", "210000", 100 + number % 1_000, &phone("06")),
        4 => Ask::sale("TOPUP", "210000", 100 + number % 1_000, &phone("07")),
        5 => Ask::sale("DATA5", "210000", 500, &phone("08")),
        6 => Ask {
            card: format!("600649{number:08}{behaviour:02}"),
            ..Ask::sale("GIFT25", "280000", 2_500, "")
        },
        7 => Ask::sale("ENERGY", "500000", 500 + number % 1_000, &format!("{number:09}{behaviour:02}")),
        _ => Ask::sale("WALLET", "210000", 100 + number % 1_000, &format!("W{}", number % 50)),
    };
    // A terminal has no more STANs than a million; the demonstration has a thousand terminals.
    ask.terminal = format!("T{:07}", number % 10 + 1);
    ask
}

/// Loads the switch over all conduits, kills it after so many answers, and gives everything that was asked.
fn load_and_kill(demo: &mut Demo, numbers: &AtomicU64, answers: u64) -> Vec<Asked> {
    let answered = AtomicU64::new(0);
    let clients: Vec<_> = CONDUITS.iter().map(|conduit| demo.client(conduit)).collect();
    std::thread::scope(|scope| {
        let loads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let answered = &answered;
                scope.spawn(move || load(&mut client, numbers, answered))
            })
            .collect();
        until("enough is answered", || answered.load(Ordering::Relaxed) >= answers);
        demo.kill();
        loads.into_iter().flat_map(|load| load.join().expect("a load")).collect()
    })
}

fn load(client: &mut support::Client, numbers: &AtomicU64, answered: &AtomicU64) -> Vec<Asked> {
    let dialect = client.dialect();
    let mut asked: Vec<Asked> = Vec::new();
    let mut by_key = HashMap::new();
    let mut open = 0;
    while asked.len() < REQUESTS as usize {
        while open < WINDOW {
            let ask = request(numbers.fetch_add(1, Ordering::Relaxed));
            by_key.insert(ask.stan, asked.len());
            let taken = client.offer(&ask.message(&dialect));
            asked.push(Asked { ask, answer: None });
            if !taken {
                return asked;
            }
            open += 1;
        }
        let Some(answer) = client.receive() else { return asked };
        let at = by_key[&answer.stan()];
        assert!(asked[at].answer.is_none(), "answered twice: {answer:?}");
        asked[at].answer = Some(answer);
        open -= 1;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    panic!("the switch was not killed");
}

/// Repeats everything over one conduit: what was answered is answered the same; what was not is answered now.
fn repeat(demo: &Demo, conduit: &str, asked: &mut [Asked]) {
    let asks: Vec<_> = asked.iter().map(|asked| Ask { mti: 201, ..asked.ask.clone() }).collect();
    let answers = demo.client(conduit).ask_all(&asks, 2 * WINDOW);
    for (asked, answer) in asked.iter_mut().zip(answers) {
        let answer = answer.expect("an answer to a repeat");
        match &asked.answer {
            // With the supplier out of reach nothing was admitted and nothing is stored: a repeat is a new attempt (S-2).
            Some(first) if first.code == "91" => asked.answer = Some(answer),
            Some(first) => assert_eq!(first.elements, answer.elements, "the answer stands: {:?}", asked.ask),
            None => asked.answer = Some(answer),
        }
    }
}

/// How often, and with which seed: a failure prints how to run it again.
fn said(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

fn kill_under_profile(data: &Path, times: u32, seed: u32) -> KillsReport {
    let kills = Kills {
        program: support::demo::PROGRAM.into(),
        data: data.to_owned(),
        times,
        plan: shipped::open("kills").unwrap_or_else(|error| panic!("{error}")),
        seed: u64::from(seed),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let live = [Arc::default(), Arc::default()];
    let done = runtime.block_on(kills::run(kills, CancellationToken::new(), live, |_, _| {}));
    done.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_was_told_is_what_suppliers_did_after_kills_with_reversals_and_misbehaving_suppliers() {
    let data = tempfile::tempdir().expect("a folder");
    let (times, seed) = (said("SWITCHYARD_KILLS", PROFILE_KILLS), said("SWITCHYARD_KILLS_SEED", 1));
    let report = kill_under_profile(data.path(), times, seed);
    println!("{report}\nseed {seed}: SWITCHYARD_KILLS={times} SWITCHYARD_KILLS_SEED={seed} runs it again");
    assert!(
        report.verdict.holds(),
        "SWITCHYARD_KILLS={times} SWITCHYARD_KILLS_SEED={seed}: {}",
        report.verdict
    );
    for rule in Rule::ALL {
        assert!(report.verdict.line(rule).is_some_and(|line| line.held > 0), "no case of {rule:?}: {report}");
    }
    assert_eq!(report.kills, times);
    assert_every_intent_has_its_end(data.path());
}

/// Reads the journal as a start would: every flight that was in doubt is settled, and none waits for an operator.
fn assert_every_intent_has_its_end(data: &Path) {
    let mut settings = support::settings(data);
    settings.journal.segment_bytes = SHIPPED_SEGMENT_BYTES;
    let books = topology::open_books(&settings).unwrap_or_else(|error| panic!("{error}"));
    let open: Vec<_> = books.state.flights().filter(|flight| !flight.phase.is_over()).collect();
    assert!(open.is_empty(), "without an end: {open:?}");
}

/// What the demonstration's journal has, which is not that of the other tests.
const SHIPPED_SEGMENT_BYTES: u64 = 64 << 20;

#[test]
fn every_given_answer_stands_after_kills_over_every_conduit() {
    let data = tempfile::tempdir().expect("a folder");
    let numbers = AtomicU64::new(1);
    let mut asked = Vec::new();
    let mut ready_s = Vec::new();
    let mut demo = Demo::start(data.path());
    for round in 0..KILLS {
        let mut last = load_and_kill(&mut demo, &numbers, 80 + round * 37 % 200);
        drop(demo);
        demo = Demo::start(data.path());
        ready_s.push(demo.ready_s);
        repeat(&demo, CONDUITS[round as usize % CONDUITS.len()], &mut last);
        asked.append(&mut last);
    }
    repeat(&demo, "plain", &mut asked);
    let began = std::time::Instant::now();
    while demo.positions().iter().any(|(_, _, reserved)| *reserved != 0) {
        assert!(began.elapsed() < REVERSALS, "still reserved: {:?}", demo.positions());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    repeat(&demo, "tls", &mut asked);
    assert_vouchers_sold_once(&asked);
    assert_performed_as_answered(&demo, &asked);
    assert_money(&demo, &asked);
    ready_s.sort_by(f64::total_cmp);
    println!(
        "{} requests, {KILLS} kills; ready after {:.2} s (median), {:.2} s (longest)",
        asked.len(),
        ready_s[ready_s.len() / 2],
        ready_s[ready_s.len() - 1]
    );
    demo.end();
}

fn code(asked: &Asked) -> &str {
    asked.answer.as_ref().map_or("", |answer| &answer.code)
}

fn assert_vouchers_sold_once(asked: &[Asked]) {
    let mut pins = HashSet::new();
    let mut serials = HashSet::new();
    for asked in asked.iter().filter(|asked| asked.ask.product.starts_with("VOUCHER") && code(asked) == "00")
    {
        let answer = asked.answer.as_ref().expect("an answer");
        assert_eq!(answer.pin.len(), 16);
        assert!(pins.insert(&answer.pin) && serials.insert(&answer.serial), "sold twice: {}", answer.serial);
    }
    assert!(!pins.is_empty());
}

/// Compares what was answered with what the suppliers say that they did.
fn assert_performed_as_answered(demo: &Demo, asked: &[Asked]) {
    let mut standing: HashMap<String, i64> = HashMap::new();
    for supplier in SUPPLIERS {
        let record = demo.record(supplier);
        let mut sales = HashSet::new();
        let mut performed = HashSet::new();
        for Line { rrn, mti, action, account, .. } in &record {
            assert!(mti != "0200" || sales.insert(rrn), "{supplier} was asked twice for {rrn}");
            // A card is masked, and a voucher has no account: these are compared by their number.
            let account = if account.contains('*') || account.is_empty() { supplier } else { account };
            match action.as_str() {
                "perform" => {
                    assert!(performed.insert(rrn), "{supplier} performed {rrn} twice");
                    *standing.entry(account.to_owned()).or_default() += 1;
                }
                "reverse" => *standing.entry(account.to_owned()).or_default() -= 1,
                _ => {}
            }
        }
    }
    for asked in asked {
        let supplier = match asked.ask.product.as_str() {
            "VOUCHERJIT" => "telco-a",
            "GIFT25" => "cardco",
            "VOUCHER10" | "WALLET" => continue,
            _ => &asked.ask.account,
        };
        *standing.entry(supplier.to_owned()).or_default() -= i64::from(code(asked) == "00");
    }
    let wrong: Vec<_> = standing.iter().filter(|(_, left)| **left != 0).collect();
    assert!(wrong.is_empty(), "performances that stand, less approvals: {wrong:?}");
}

/// What was approved, and only that, has left the network's position; all accounts together are zero.
fn assert_money(demo: &Demo, asked: &[Asked]) {
    const OPENING: i64 = 1_000_000_000;
    let approved: u64 = asked.iter().filter(|asked| code(asked) == "00").map(|asked| asked.ask.amount).sum();
    let positions = demo.positions();
    let posted = |name: &str| {
        positions.iter().find(|(account, ..)| account == name).map_or(0, |(_, posted, _)| *posted)
    };
    assert_eq!(posted("network/100001"), OPENING - approved as i64);
    assert_eq!(positions.iter().map(|(_, posted, _)| posted).sum::<i64>(), 0, "{positions:?}");
    let codes: HashSet<_> = asked.iter().map(code).collect();
    assert!(codes.contains("00") && codes.contains("05") && codes.contains("68"), "{codes:?}");
}

//! Forbids: an operator's act that leaves no trace, that a restart forgets, or that moves money out of sight; and a transaction that cannot be found.

mod support;

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::demo::{Demo, PROGRAM};
use support::{Ask, settings, text, until};
use switchyard::cli::exit::Exit;
use switchyard::topology;
use switchyard_core::catalogue::Funding;
use switchyard_core::money::Minor;

/// An operator's command at a data folder: its exit code, and what it printed to both streams.
fn operator(data: &Path, line: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(PROGRAM);
    let output = command.args(line).arg("--data").arg(data).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// One that does what it is told; what it printed.
fn done(data: &Path, line: &[&str]) -> String {
    let (code, out, err) = operator(data, line);
    assert_eq!(code, Some(0), "{line:?}\n{out}\n{err}");
    out
}

/// One that reads standard input; what it printed.
fn asked(data: &Path, line: &[&str], input: &str) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(line).arg("--data").arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{line:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// One that is refused: what it says.
fn refused(data: &Path, line: &[&str], exit: Exit) -> String {
    let (code, out, err) = operator(data, line);
    assert_eq!(code, Some(i32::from(exit.code())), "{line:?}\n{out}\n{err}");
    assert_eq!(out, "", "{line:?}");
    err
}

/// The lines of an answer in JSON.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

/// What was found: all objects but the last, which says how far was looked.
fn found(text: &str) -> Vec<Value> {
    let mut found = objects(text);
    let reach = found.pop().expect("how far was looked");
    assert_eq!(reach["complete"], true, "{reach}");
    found
}

fn voucher() -> Ask {
    Ask::sale("VOUCHER10", "000000", 1_000, "")
}

/// What became of the trail so far: what was done, and why.
fn trail(data: &Path) -> Vec<(String, String)> {
    let entries = found(&done(data, &["audit", "--json"]));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    entries.iter().map(|entry| (text(&entry["what"]), text(&entry["reason"]))).collect()
}

#[test]
fn what_operators_do_is_in_the_trail_and_survives_a_kill() {
    let data = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(data.path());
    let data = data.path();
    let posted = |demo: &Demo| {
        demo.positions().into_iter().find(|(account, ..)| account == "network/100001").expect("it is there").1
    };
    let before = posted(&demo);
    let said = done(data, &["position", "credit", "100001", "2500.50", "--reason", "bank transfer 117"]);
    assert!(said.starts_with("100001 credited with 2500.50 EUR: posted "), "{said}");
    done(data, &["position", "debit", "100001", "0.50", "--reason", "paid out"]);
    assert_eq!(posted(&demo), before + 250_000);
    done(data, &["terminal", "block", "T0000001", "--reason", "reported stolen"]);
    let mut client = demo.client("plain");
    assert_eq!(client.ask(&voucher()).code, "58", "a block holds once it is answered");
    let other = Ask { terminal: "T0000002".into(), ..voucher() };
    assert_eq!(client.ask(&other).code, "00");
    done(data, &["supplier", "drain", "telco-a", "--reason", "maintenance"]);
    done(data, &["supplier", "drain", "telco-b", "--reason", "maintenance too"]);
    let topup = Ask { terminal: "T0000002".into(), ..Ask::sale("TOPUP", "210000", 1_000, "0612345600") };
    assert_eq!(client.ask(&topup).code, "91");
    let day = |data: &Path| objects(&done(data, &["position", "show", "100001", "--json"]))[0]["day"].clone();
    let today = day(data);
    done(data, &["day", "close", "100001", "--reason", "early today"]);
    let tomorrow = day(data);
    assert!(tomorrow.as_str() > today.as_str(), "{today} {tomorrow}");
    let why = refused(data, &["day", "close", "100001", "--reason", "given twice"], Exit::Usage);
    assert!(why.contains("closed early already") && why.contains("--again"), "{why}");
    assert_eq!(day(data), tomorrow);
    drop(client);
    demo.kill();

    // What stands still may be asked, but not told.
    let stood = trail(data);
    let why = refused(data, &["terminal", "unblock", "T0000001", "--reason", "found"], Exit::Unreachable);
    assert!(why.contains("no switch runs") && why.contains("nothing was changed"), "{why}");

    let demo = Demo::start(data);
    assert_eq!(trail(data), stood);
    assert_eq!((posted(&demo), day(data)), (before + 250_000 - 1_000, tomorrow.clone()));
    let mut client = demo.client("plain");
    assert_eq!(client.ask(&voucher()).code, "58");
    assert_eq!(client.ask(&topup.renewed()).code, "91");
    done(data, &["terminal", "unblock", "T0000001", "--reason", "found again"]);
    done(data, &["supplier", "resume", "telco-a", "--reason", "maintenance is over"]);
    assert_eq!(client.ask(&voucher()).code, "00");
    assert_eq!(client.ask(&topup.renewed()).code, "00");
    let expected = [
        ("position of 100001 credited with 2500.50 EUR", "bank transfer 117"),
        ("position of 100001 debited with 0.50 EUR", "paid out"),
        ("terminal T0000001 blocked", "reported stolen"),
        ("supplier telco-a drained", "maintenance"),
        ("supplier telco-b drained", "maintenance too"),
        (&format!("day of 100001 closed; {} began", tomorrow.as_str().expect("a day")), "early today"),
        ("terminal T0000001 unblocked", "found again"),
        ("supplier telco-a resumed", "maintenance is over"),
    ]
    .map(|(what, why): (&str, &str)| (what.to_owned(), why.to_owned()));
    let trail: Vec<_> = trail(data).into_iter().filter(|entry| !is_from_the_start(&entry.0)).collect();
    assert_eq!(trail, expected);
    let entries = found(&done(data, &["audit", "--json"]));
    let own = u64::from(nix::unistd::getuid().as_raw());
    let by_operators = entries.iter().filter(|entry| !entry["reason"].as_str().unwrap_or("").is_empty());
    for entry in by_operators.filter(|entry| entry["who"] != "configuration") {
        assert_eq!(entry["uid"].as_u64(), Some(own), "{entry}");
    }
    assert_eq!(demo.positions().iter().map(|(_, posted, _)| posted).sum::<i64>(), 0);
    demo.end();
}

/// Opening amounts, and the demonstration's own vouchers.
fn is_from_the_start(what: &str) -> bool {
    what.starts_with("network/") || what.starts_with("batch ")
}

#[test]
fn a_merchants_own_position_is_paid_into_and_out_of() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let catalogue = Arc::make_mut(&mut settings.catalogue);
    let shop = catalogue.merchant(text("SHOP00000000001")).expect("the first shop").0 as usize;
    catalogue.merchants[shop].funding = Some(Funding::Prefunded { opening: Minor(1_000) });
    let running = topology::start(settings).expect("started");
    let data = data.path();
    let position = |verb, amount| {
        let merchant = ["--merchant", "SHOP00000000001", "--reason", "cash"];
        done(data, &[&["position", verb, "100001", amount][..], &merchant].concat())
    };
    assert!(position("credit", "2.50").contains("merchant SHOP00000000001 of 100001 credited with 2.50 EUR"));
    assert!(position("debit", "12.00").contains("posted 0.50 EUR, free 0.50 EUR"));
    let why = refused(
        data,
        &["position", "debit", "100001", "0.51", "--merchant", "SHOP00000000001", "--reason", "x"],
        Exit::Usage,
    );
    assert!(why.contains("0.50 EUR is free"), "{why}");
    let show = ["position", "show", "100001", "--merchant", "SHOP00000000001", "--json"];
    let shown = objects(&done(data, &show));
    assert_eq!((&shown[0]["merchant"], &shown[0]["posted"]), (&"SHOP00000000001".into(), &"0.50 EUR".into()));
    let told = trail(data).pop().expect("a trail");
    assert_eq!(told.0, "position of merchant SHOP00000000001 of 100001 debited with 12.00 EUR");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_command_that_cannot_be_carried_out_says_why_and_changes_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let data = data.path();
    let before = (demo.positions(), trail(data));
    let cases: [(&[&str], &str); 14] = [
        (&["position", "credit", "10001", "1.00", "--reason", "x"], "did you mean `100001`?"),
        (
            &["position", "credit", "100001", "1.234", "--reason", "x"],
            "`1.234` is no amount: give units of EUR",
        ),
        (&["position", "credit", "100001", "0", "--reason", "x"], "more than zero"),
        (&["position", "debit", "100001", "999999999.00", "--reason", "x"], "EUR is free"),
        (&["position", "credit", "100001", "1.00", "--reason", "two\nlines"], "printable ASCII"),
        (
            &["position", "credit", "100001", "1.00", "--merchant", "SHOP0000000001", "--reason", "x"],
            "did you mean `SHOP00000000001`?",
        ),
        (
            &["position", "debit", "100001", "1.00", "--merchant", "SHOP00000000001", "--reason", "x"],
            "has no position of its own",
        ),
        (&["terminal", "block", "T00000001", "--reason", "x"], "did you mean `T0000001`?"),
        (&["terminal", "unblock", "T0000001", "--reason", "x"], "is not blocked already"),
        (&["supplier", "drain", "telcoa", "--reason", "x"], "did you mean `telco-a`?"),
        (&["supplier", "resume", "telco-a", "--reason", "x"], "is not drained already"),
        (&["day", "close", "9", "--reason", "x"], "there is no network `9`"),
        (&["audit", "--since", "yesterday"], "give so long ago (90s"),
        (&["transaction", "find", "--terminal", "T0000001", "--since", "x"], "is no moment"),
    ];
    for (line, said) in cases {
        let why = refused(data, line, Exit::Usage);
        assert!(why.contains(said), "{line:?}: {why}");
    }
    refused(data, &["position", "credit", "100001", "1.00"], Exit::Usage);
    refused(data, &["transaction", "find"], Exit::Usage);
    assert_eq!((demo.positions(), trail(data)), before);
    demo.end();
}

#[test]
fn a_transaction_is_found_with_every_step_and_nothing_secret() {
    let data = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(data.path());
    let data = data.path();
    let mut client = demo.client("plain");
    let account = "0612345600";
    let topup = Ask { rrn: "RRN000000017".into(), ..Ask::sale("TOPUP", "210000", 1_000, account) };
    assert_eq!(client.ask(&topup).code, "00");
    // It drops the link after the request: 68, and a reversal.
    let doubted = Ask::sale("TOPUP", "210000", 1_200, "0612345689");
    assert_eq!(client.ask(&doubted).code, "68");
    let sold = client.ask(&voucher());
    assert_eq!(sold.code, "00");
    let find = |line: &[&str]| found(&done(data, &[&["transaction", "find", "--json"], line].concat()));
    let steps = |transaction: &Value| -> Vec<String> {
        let steps = transaction["steps"].as_array().expect("steps").iter();
        steps.map(|step| step["what"].as_str().expect("a text").to_owned()).collect()
    };
    let stan = topup.stan.to_string();
    let asks: [&[&str]; 3] = [
        &["--terminal", "T0000001", "--stan", &stan],
        &["--rrn", "RRN000000017"],
        &["--account", account, "--since", "1h"],
    ];
    for line in asks {
        let found = find(line);
        let [transaction] = &found[..] else { panic!("{line:?}: {found:?}") };
        assert_eq!((&transaction["product"], &transaction["amount"]), (&"TOPUP".into(), &"10.00 EUR".into()));
        assert_eq!(transaction["account"], "******5600");
        let steps = steps(transaction);
        assert!(steps[0].starts_with("admitted; asked of telco-a as STAN "), "{steps:?}");
        assert!(steps[1].starts_with("approved, 00"), "{steps:?}");
    }
    let gift = Ask { card: "6006491234567890".into(), ..Ask::sale("GIFT25", "280000", 2_500, "") };
    assert_eq!(client.ask(&gift).code, "00");
    let by_card = |number: &str| {
        let told = asked(data, &["transaction", "find", "--card", "--json"], number);
        assert!(!told.contains("6006491234567890"), "the number is shown: {told}");
        found(&told)
    };
    let cards = by_card("6006491234567890\n");
    let [transaction] = &cards[..] else { panic!("{cards:?}") };
    assert_eq!(
        (&transaction["product"], &transaction["card"]),
        (&"GIFT25".into(), &"************7890".into())
    );
    assert!(by_card("6006491234567891").is_empty());
    refused(data, &["transaction", "find", "--card"], Exit::Usage);
    let settled = || steps(&find(&["--stan", &doubted.stan.to_string()])[0]);
    until("the reversal is answered", || settled().len() == 3);
    assert!(settled()[1].starts_with("outcome unknown, the link was lost"), "{:?}", settled());
    assert_eq!(settled()[2], "reversed at the supplier");
    let by_serial = |serial: &str| find(&["--serial", serial]);
    assert_eq!(by_serial(&sold.serial).len(), 1);
    assert!(by_serial("none").is_empty());
    // A repeat hands the PIN out again, which both the trail and the transaction say.
    assert_eq!(client.ask(&Ask { mti: 200, ..voucher() }).code, "00");
    drop(client);
    let shown = done(data, &["transaction", "find", "--terminal", "T0000001"]);
    assert!(!shown.contains(&sold.pin) && !shown.contains(account), "a secret is shown: {shown}");
    assert!(shown.contains("looked back to ") && shown.contains(&sold.serial), "{shown}");
    demo.kill();
    // A switch that stands still answers from its folder.
    let told = asked(data, &["transaction", "find", "--card"], "6006 4912 3456 7890");
    assert!(told.contains("card ************7890") && told.contains("1 transaction;"), "{told}");
    assert!(told.contains("own stock"), "what a search by card cannot find is not said: {told}");
    assert_eq!(done(data, &["transaction", "find", "--terminal", "T0000001"]), shown);
    Demo::start(data).end();
}

#[test]
fn a_trail_that_was_tampered_with_is_not_believed() {
    use std::io::{Read, Seek, SeekFrom, Write};
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let data = data.path();
    done(data, &["position", "credit", "100001", "1.00", "--reason", "little enough"]);
    done(data, &["position", "credit", "100001", "2.00", "--reason", "and after it"]);
    demo.end();
    let reason = b"little enough";
    let found = std::fs::read_dir(data.join("journal")).expect("a journal").find_map(|entry| {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        let at = bytes.windows(reason.len()).position(|window| window == reason)?;
        Some((path, at as u64))
    });
    let (path, at) = found.expect("the reason lies in the journal");
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("a segment");
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(b"little enouGh")).expect("written");
    let mut back = [0; 13];
    file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut back)).expect("read");
    assert_eq!(&back, b"little enouGh");
    let why = refused(data, &["audit"], Exit::Data);
    assert!(why.contains("damaged"), "{why}");
    support::demo::end_suppliers(data);
}

#[test]
fn a_reversal_under_way_shows_its_tries() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let data = data.path();
    let mut client = demo.client("plain");
    // Its supplier answers the third reversal.
    let sale = Ask::sale("TOPUP", "210000", 1_000, "0612345690");
    assert_eq!(client.ask(&sale).code, "00");
    assert_eq!(client.ask(&sale.reversal()).code, "00");
    let list = || objects(&done(data, &["advices", "list", "--json"]));
    until("it was sent", || {
        let waiting = list();
        let [under_way] = &waiting[..] else { panic!("it is not over before its third try: {waiting:?}") };
        assert_eq!(under_way["state"], "under way");
        under_way["tries"].as_u64().is_some_and(|tries| tries > 0) && under_way["next_ms"].is_u64()
    });
    assert!(done(data, &["advices", "list"]).contains("in "), "and when it is sent next");
    demo.end();
}

#[test]
fn a_reversal_that_waits_for_an_operator_is_seen_and_ends_by_his_word() {
    let data = tempfile::tempdir().expect("a folder");
    let mut demo = Demo::start(data.path());
    let data = data.path();
    let network = |demo: &Demo| {
        demo.positions().into_iter().find(|(account, ..)| account == "network/100001").expect("it is there").1
    };
    let before = network(&demo);
    let mut client = demo.client("plain");
    // A terminal has three credits for vouchers a day; the fourth reversal waits for an operator (S-10). It is taken from a blocked terminal too (S-7).
    let sales: Vec<Ask> = (0..4).map(|_| voucher()).collect();
    assert!(sales.iter().all(|sale| client.ask(sale).code == "00"));
    done(data, &["terminal", "block", "T0000001", "--reason", "seen with a stolen terminal"]);
    assert!(sales.iter().all(|sale| client.ask(&sale.reversal()).code == "00"));
    drop(client);
    assert_eq!(network(&demo), before - 1_000);
    let list = || objects(&done(data, &["advices", "list", "--json"]));
    let waiting = list();
    let [parked] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((&parked["state"], &parked["held"]), (&"parked".into(), &"suspense".into()), "{parked}");
    assert_eq!((&parked["amount"], &parked["terminal"]), (&"10.00 EUR".into(), &"T0000001".into()));
    assert!(parked["tries"].is_null() && parked["next_ms"].is_null(), "nothing is sent: {parked}");
    demo.kill();
    let demo = Demo::start(data);
    assert_eq!(list().len(), 1, "it is there after a kill");
    let flight = parked["flight"].as_str().expect("a text");
    let why = refused(data, &["advices", "retry", flight, "--reason", "x"], Exit::Usage);
    assert!(why.contains("there is no supplier to ask again"), "{why}");
    let why = refused(data, &["advices", "settle", "12", "--to", "network", "--reason", "x"], Exit::Usage);
    assert!(why.contains("`12` is no flight"), "{why}");
    done(data, &["advices", "settle", flight, "--to", "network", "--reason", "the voucher is on my desk"]);
    assert_eq!((list().len(), network(&demo)), (0, before));
    let why = refused(data, &["advices", "settle", flight, "--to", "network", "--reason", "x"], Exit::Usage);
    assert!(why.contains("no reversal of flight"), "{why}");
    let told = done(data, &["transaction", "find", "--rrn", flight]);
    assert!(told.contains("amount in suspense for an operator"), "{told}");
    assert!(told.contains("settled by an operator: amount to the network, from suspense"), "{told}");
    let settled = trail(data).pop().expect("a trail");
    assert_eq!(settled.1, "the voucher is on my desk");
    assert_eq!(demo.positions().iter().map(|(_, posted, _)| posted).sum::<i64>(), 0);
    demo.end();
}

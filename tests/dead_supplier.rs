//! Forbids: a supplier that answers nothing and is asked on and on, or is asked to undo what it says it never did; a backlog of reversals after an outage that is lost, or keeps sales waiting.

mod support;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use support::hosts::Hosts;
use support::{Ask, Client, address, now, settings, text, until};
use switchyard::settings::Settings;
use switchyard::topology::{self, Running};
use switchyard_core::catalogue::{AfterUnknown, Supplier};
use switchyard_core::fact::{Fact, NameKind};
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use switchyard_core::money::Minor;
use switchyard_core::pack::Pack;

/// Sales that a crash left without an outcome.
const BACKLOG: u64 = 30_000;

fn supplier<'a>(settings: &'a mut Settings, code: &str) -> &'a mut Supplier {
    let catalogue = Arc::make_mut(&mut settings.catalogue);
    catalogue.suppliers.iter_mut().find(|supplier| supplier.code == text(code)).expect("a supplier")
}

fn breaker(running: &Running) -> &'static str {
    running.figures().suppliers.iter().find(|supplier| supplier.code == "telco-a").expect("telco-a").breaker
}

fn page(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a page");
    text
}

#[test]
fn a_supplier_that_answers_nothing_is_left_alone_and_probed_and_comes_back() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.admin.listen = Some("127.0.0.1:0".parse().expect("an address"));
    let telco = supplier(&mut settings, "telco-a");
    (telco.timeout_ms, telco.breaker.open_ms) = (1_500, 5_000);
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let silent = Ask::sale("TOPUP", "210000", 1_000, "0612345685");
    let well = Ask::sale("TOPUP", "210000", 1_000, "0612345600");
    let asks: Vec<Ask> = (0..20).map(|_| silent.renewed()).collect();
    let answers = client.ask_all(&asks, 20);
    assert!(answers.iter().all(|answer| answer.as_ref().is_some_and(|answer| answer.code == "68")));
    // It is open: nobody waits for it, and it is not asked.
    let refused = client.ask(&well);
    assert_eq!(refused.code, "91");
    until("the breaker is shown", || breaker(&running) == "open");
    let admin = running.admin().expect("pages");
    let metric = "switchyard_supplier_breaker{supplier=\"telco-a\"} 2";
    let metrics = page(admin, "/metrics");
    for metric in [
        metric,
        "switchyard_door_accepted_total{conduit=\"plain\"} ",
        "switchyard_checkpoint_age_s ",
        "switchyard_supplier_parked{supplier=\"telco-a\"} 0",
        "switchyard_supplier_parked_max{supplier=\"telco-a\"} ",
    ] {
        assert!(metrics.contains(metric), "{metric}");
    }
    for asked in ["", "?terminal=T0000001", "?terminal=T0000001&stan=x", "?terminal=T00000001&stan=1"] {
        let said = page(admin, &format!("/api/explain{asked}"));
        assert!(said.contains(" 400 ") && said.contains("?terminal=T0000001&stan=42"), "{asked}: {said}");
    }
    let explained = page(admin, &format!("/api/explain?terminal={}&stan={}", well.terminal, well.stan));
    assert!(explained.contains("left alone by its breaker"), "{explained}");
    // Another product of it, with a second candidate: that one is asked at once.
    assert_eq!(client.ask(&Ask::sale("DATA5", "210000", 500, "0612345600")).code, "00");
    // What was refused was not performed: the same request may come again, until it is let through.
    let mut probe = String::new();
    until("a probe is let through", || {
        probe = client.ask(&well).code;
        probe != "91"
    });
    assert_eq!(probe, "00", "it answers again");
    until("it is closed", || {
        assert_eq!(client.ask(&well.renewed()).code, "00", "each probe is answered before the next one");
        breaker(&running) == "closed"
    });
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

/// Puts sales into the journal that have no outcome: what a crash under load leaves.
fn leave_behind(settings: &Settings) -> HashSet<String> {
    let books = topology::open_books(settings).expect("books");
    let (mut journal, mut log, _, _) = books.opening.start(&books.keyring).expect("a journal");
    let mut state = books.state;
    let id = |kind, name: &str| state.id(kind, name).expect("named before");
    let flight = Flight {
        admitted_ms: now().wall_ms,
        network: NetworkId(id(NameKind::Network, "100001")),
        product: ProductId(id(NameKind::Product, "TOPUP")),
        service: 1,
        amount: Minor(1_000),
        currency: 978,
        account: text("0612345600"),
        terminal: text("T0000001"),
        merchant: text("SHOP00000000001"),
        acquirer: text("100001"),
        local: *b"1200001121",
        day: *b"1121",
        ..Flight::default()
    };
    let (first, supplier) = (state.last_flight(), SupplierId(id(NameKind::Supplier, "telco-a")));
    let mut rrns = HashSet::new();
    for stan in 1..=BACKLOG {
        let number = FlightNo(first.0 + stan);
        let attempt = Attempt {
            number: 1,
            supplier,
            stan: 100_000 + stan as u32,
            transmission: *b"1121120000",
            product: text("TOPUP"),
        };
        // Keys are hashes: every part of them is as good as random.
        let key = u128::from(stan).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let named = !key;
        let flight = Flight { number, key, named, attempt, ..flight };
        rrns.insert(flight.sent_rrn().to_string());
        let fact = Fact::Intent { flight, dialect: 0, frame: b"" };
        let at = log.append(|out| fact.pack(out));
        state.apply(at, &fact).expect("a fact that fits");
        if log.is_full() || stan == BACKLOG {
            let batch = log.take(journal.durable()).expect("facts");
            journal.write(batch).expect("a batch written");
        }
    }
    journal.close(&mut log, support::PATIENCE).expect("a journal closed");
    rrns
}

#[test]
fn a_backlog_of_reversals_is_undone_whole_while_sales_go_on() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    // The supplier never saw these sales, and says so: that ends their reversals. A slow moment of the machine is no reason to ask it twice.
    let telco = supplier(&mut settings, "telco-a");
    (telco.reversal_blocks_original, telco.advice_retry_ms) = (true, 60_000);
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings.clone());
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let sale = Ask::sale("TOPUP", "210000", 1_000, "0612345600");
    assert_eq!(client.ask(&sale).code, "00");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
    let rrns = leave_behind(&settings);
    let running = hosts.start_switch(settings);
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let began = std::time::Instant::now();
    let settled = || running.figures().settled;
    let before = settled();
    // Sales are answered in the midst of it.
    let mut beside = 0;
    let mut last = (before, began);
    while settled() < BACKLOG {
        assert_eq!(client.ask(&sale.renewed()).code, "00");
        beside += u64::from(settled() < BACKLOG);
        last = if settled() > last.0 { (settled(), std::time::Instant::now()) } else { last };
        assert!(last.1.elapsed() < support::PATIENCE, "{} of {BACKLOG} are undone, and no more", last.0);
    }
    let per_s = (BACKLOG - before) as f64 / began.elapsed().as_secs_f64();
    println!("{per_s:.0} reversals a second, {beside} sales beside them");
    assert!(beside > 0, "no sale was answered before the backlog was gone");
    assert_eq!((running.figures().parked, running.figures().unknown), (0, BACKLOG));
    let reversed: Vec<String> = hosts
        .record("telco-a")
        .into_iter()
        .filter(|line| line.mti.starts_with("04"))
        .map(|line| line.rrn)
        .collect();
    assert_eq!(reversed.len() as u64, BACKLOG, "each of them once");
    assert!(reversed.into_iter().collect::<HashSet<_>>() == rrns);
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_supplier_that_can_say_how_a_sale_stands_is_spared_the_reversal_of_what_it_never_did() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let telco = supplier(&mut settings, "telco-a");
    (telco.after_unknown, telco.timeout_ms) = (AfterUnknown::Status, 300);
    (telco.late_window_ms, telco.advice_retry_ms, telco.advice_retry_max_ms) = (1_000, 100, 200);
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    // One is performed and answered too late, the other one is never performed.
    let performed = Ask::sale("TOPUP", "210000", 1_000, "0612345686");
    let ignored = Ask::sale("TOPUP", "210000", 1_000, "0612345685");
    let answers = client.ask_all(&[performed, ignored], 2);
    assert!(answers.iter().all(|answer| answer.as_ref().is_some_and(|answer| answer.code == "68")));
    until("both doubts are over", || running.figures().settled == 2);
    let reversals: Vec<_> =
        hosts.record("telco-a").into_iter().filter(|line| line.mti.starts_with("04")).collect();
    // Where its answer takes a moment longer than usual it is asked again, which undoes nothing more.
    assert!(reversals.iter().all(|line| line.account == "0612345686"), "{reversals:?}");
    let undone = reversals.iter().filter(|line| line.action == "reverse").count();
    assert_eq!(undone, 1, "{reversals:?}");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

//! Forbids: a refusal with another code than the documents say, whichever of two faults is checked first, through whichever conduit; or with another business day than its network's.

mod support;

use std::path::Path;
use std::sync::Arc;
use support::hosts::Hosts;
use support::{Ask, Client, address, settings, stock, text, tls};
use switchyard::settings::Settings;
use switchyard::topology::{self, Running};
use switchyard_core::catalogue::Funding;
use switchyard_core::iso8583::Role;
use switchyard_core::money::Minor;

/// One thing that is wrong with a request, and its code.
type Fault = (&'static str, &'static str, fn(&mut Ask));

/// Faults in the order of the checks. The codes of the same check follow one another.
const FAULTS: [Fault; 16] = [
    ("no amount", "30", |ask| ask.omit.push(Role::Amount)),
    ("an unknown network", "31", |ask| ask.network = "999999".into()),
    ("a suspended network", "31", |ask| ask.network = "100003".into()),
    ("an unknown merchant", "03", |ask| ask.merchant = "SHOP99999999999".into()),
    ("a merchant of another network", "03", |ask| ask.merchant = "SHOP00000000011".into()),
    ("an unknown terminal", "58", |ask| ask.terminal = "T9999999".into()),
    ("a terminal of another merchant", "58", |ask| ask.terminal = "T0000011".into()),
    ("an unknown product", "57", |ask| ask.product = "NOSUCH".into()),
    ("a product of other networks", "57", |ask| ask.product = "VOUCHER10".into()),
    ("the code of another service", "12", |ask| ask.processing = "280000"),
    ("another currency", "12", |ask| ask.currency = 840),
    ("an amount of nothing", "13", |ask| ask.amount = 0),
    ("an amount below the least", "13", |ask| ask.amount = 99),
    ("an account that is not digits", "14", |ask| ask.account = "07x".into()),
    ("an account too short", "14", |ask| ask.account = "7".into()),
    ("an amount beyond the position", "61", |ask| ask.amount = 20_000),
];

/// The position of network 100001 here.
const POSITION: Minor = Minor(15_000);

/// The shipped configuration, with a small position, and a product that only network 100002 may sell.
fn tight_settings(data: &Path) -> Settings {
    let mut settings = settings(data);
    let catalogue = Arc::make_mut(&mut settings.catalogue);
    let other = catalogue.network(text("100002")).expect("a network").0;
    catalogue.networks[0].funding = Funding::Prefunded { opening: POSITION };
    let voucher =
        catalogue.products.iter_mut().find(|product| product.code == text("VOUCHER10")).expect("a product");
    voucher.networks = vec![other];
    settings
}

/// A client on each of the shipped conduits.
fn clients(running: &Running, data: &Path) -> Vec<(&'static str, Client)> {
    vec![
        ("plain", Client::connect(address(running, "plain"), "prepaid87")),
        ("binbitmap", Client::connect(address(running, "binbitmap"), "prepaid87-binbitmap")),
        ("tls", tls::client(address(running, "tls"), data, "prepaid87")),
    ]
}

fn top_up() -> Ask {
    Ask::sale("TOPUP", "210000", 1_000, "0712345600")
}

#[test]
fn every_row_of_the_order_of_checks_has_its_code_and_the_first_fault_wins() {
    let data = tempfile::tempdir().expect("a folder");
    let running = topology::start(tight_settings(data.path())).unwrap_or_else(|error| panic!("{error}"));
    for (conduit, mut client) in clients(&running, data.path()) {
        for (at, (what, code, fault)) in FAULTS.iter().enumerate() {
            let mut ask = top_up();
            fault(&mut ask);
            assert_eq!(client.ask(&ask).code, *code, "{what} on {conduit}");
            for (other, _, later) in &FAULTS[at + 1..] {
                // Two faults may lie in one element: the one that is checked first is set last.
                let mut ask = top_up();
                later(&mut ask);
                fault(&mut ask);
                assert_eq!(client.ask(&ask).code, *code, "{what}, {other} on {conduit}");
            }
        }
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn other_contents_under_a_key_are_told_after_the_terminal_and_before_the_product() {
    let data = tempfile::tempdir().expect("a folder");
    let running = topology::start(tight_settings(data.path())).unwrap_or_else(|error| panic!("{error}"));
    for (conduit, mut client) in clients(&running, data.path()) {
        let first = Ask::sale("WALLET", "210000", 100, "W1");
        let stored = client.ask(&first);
        assert_eq!(stored.code, "00");
        for (what, code, fault) in FAULTS {
            let mut ask = Ask { stan: first.stan, ..top_up() };
            ask.local = first.local;
            fault(&mut ask);
            let expected = if ["30", "31", "03", "58"].contains(&code) { code } else { "94" };
            assert_eq!(client.ask(&ask).code, expected, "{what} on {conduit}");
        }
        assert_eq!(client.ask(&first).raw, stored.raw, "what is stored stays");
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn each_mandatory_element_is_missed() {
    let data = tempfile::tempdir().expect("a folder");
    let running = topology::start(settings(data.path())).unwrap_or_else(|error| panic!("{error}"));
    let mandatory = [
        Role::ProcessingCode,
        Role::Amount,
        Role::TransmissionTime,
        Role::LocalTime,
        Role::LocalDate,
        Role::Network,
        Role::Terminal,
        Role::Merchant,
        Role::Prepaid,
        Role::Currency,
    ];
    for (conduit, mut client) in clients(&running, data.path()) {
        for role in mandatory {
            let ask = Ask { omit: vec![role], ..Ask::sale("WALLET", "210000", 100, "W1") };
            let answer = client.ask(&ask);
            assert_eq!((answer.mti, answer.code.as_str()), (210, "30"), "{role:?} on {conduit}");
            assert_eq!(answer.stan(), ask.stan);
        }
        let nameless = Ask { product: String::new(), ..Ask::sale("WALLET", "210000", 100, "W1") };
        assert_eq!(client.ask(&nameless).code, "30", "no product on {conduit}");
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_a_conduit_refuses_is_of_its_networks_business_day_also_after_that_was_closed() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    // No day ends by itself while this runs.
    let minute = (support::now().wall_ms / 60_000 + 720) % 1_440;
    let networks = &mut Arc::make_mut(&mut settings.catalogue).networks;
    networks.iter_mut().for_each(|network| network.cut_over.minute = minute as u16);
    let running = topology::start(settings.clone()).unwrap_or_else(|error| panic!("{error}"));
    let sold = || Ask::sale("WALLET", "210000", 500, "W1");
    let refused = || {
        FAULTS[..7].iter().filter(|(_, code, _)| *code != "31").map(|(_, code, fault)| {
            let mut ask = sold();
            fault(&mut ask);
            (*code, ask)
        })
    };
    let day_of = |client: &mut Client, code: &str, ask: &Ask| {
        let answer = client.ask(ask);
        assert_eq!(answer.code, code);
        answer.element(15).to_owned()
    };
    let mut all = clients(&running, data.path());
    let before = day_of(&mut all[0].1, "00", &sold());
    for (conduit, client) in &mut all {
        refused()
            .for_each(|(code, ask)| assert_eq!(day_of(client, code, &ask), before, "{code} on {conduit}"));
    }
    assert_eq!(all[0].1.manage(201, "100001").code, "00");
    let after = day_of(&mut all[0].1, "00", &sold());
    assert_ne!(after, before, "the day was closed early");
    for (conduit, client) in &mut all {
        refused()
            .for_each(|(code, ask)| assert_eq!(day_of(client, code, &ask), after, "{code} on {conduit}"));
    }
    drop(all);
    running.stop().unwrap_or_else(|error| panic!("{error}"));
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    for (conduit, client) in &mut clients(&running, data.path()) {
        refused()
            .for_each(|(code, ask)| assert_eq!(day_of(client, code, &ask), after, "{code} on {conduit}"));
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn suppliers_out_of_reach_and_an_empty_stock_come_last() {
    let data = tempfile::tempdir().expect("a folder");
    let settings = tight_settings(data.path());
    stock(&settings, "VOUCHER20", 1);
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    let voucher = Ask::sale("VOUCHER20", "000000", 2_000, "");
    let nobody = Ask { supplier: "cardco".into(), ..top_up() };
    let mut clients = clients(&running, data.path());
    assert_eq!(clients[0].1.ask(&voucher.renewed()).code, "00", "the only one");
    for (conduit, client) in &mut clients {
        assert_eq!(client.ask(&voucher.renewed()).code, "79", "{conduit}");
        assert_eq!(client.ask(&nobody.renewed()).code, "92", "{conduit}");
        assert_eq!(client.ask(&top_up()).code, "91", "{conduit}");
        for supplier in ["", "telco-a", "telco-b"] {
            let named = Ask { supplier: supplier.into(), account: "0812345600".into(), ..top_up() };
            assert_eq!(client.ask(&named).code, "91", "both are down, {conduit}");
        }
        let early: &[Fault] =
            &[FAULTS[0], FAULTS[1], FAULTS[3], FAULTS[5], FAULTS[7], FAULTS[9], FAULTS[10], FAULTS[11]];
        for base in [&voucher, &nobody] {
            for (what, code, fault) in early {
                let mut ask = base.renewed();
                fault(&mut ask);
                assert_eq!(client.ask(&ask).code, *code, "{what} before the stock on {conduit}");
            }
        }
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn accounts_cards_dates_and_amounts_outside_their_product_are_refused() {
    let data = tempfile::tempdir().expect("a folder");
    let running = topology::start(settings(data.path())).unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let card = |number: &str| Ask { card: number.into(), ..Ask::sale("GIFT25", "280000", 2_500, "") };
    let metro = |terminal: &str, merchant: &str| Ask {
        network: "100002".into(),
        merchant: merchant.into(),
        terminal: terminal.into(),
        ..Ask::sale("WALLET", "210000", 100, "W1")
    };
    // Half a year away is outside the window whichever day it is today.
    let stale = |month: &[u8; 2]| {
        let mut ask = Ask::sale("WALLET", "210000", 100, "W1");
        ask.local[6..8].copy_from_slice(month);
        ask.local[8..].copy_from_slice(b"15");
        ask
    };
    let now = Ask::sale("WALLET", "210000", 100, "W1").local;
    let month = usize::from(now[6] - b'0') * 10 + usize::from(now[7] - b'0');
    let away = format!("{:02}", (month + 5) % 12 + 1);
    let far: [u8; 2] = away.as_bytes().try_into().expect("two digits");
    let cases = [
        (card("6006501234567890"), "14"),
        (card(""), "14"),
        (Ask::sale("ENERGY", "500000", 2_000, "1234567890"), "14"),
        (Ask::sale("ENERGY", "500000", 2_000, "1234567890A"), "14"),
        (Ask::sale("ENERGY", "500000", 2_000, ""), "14"),
        (Ask::sale("ENERGY", "500000", 499, "12345678901"), "13"),
        (Ask::sale("ENERGY", "500000", 50_001, "12345678901"), "13"),
        (Ask::sale("VOUCHER10", "000000", 1_001, ""), "13"),
        (Ask::sale("WALLET", "210000", 100_001, "W1"), "13"),
        (metro("T0000999", "SHOP00000000100"), "58"),
        (metro("T0000111", "SHOP00000000011"), "58"),
        (metro("T0000101", "SHOP00000000011"), "00"),
        (stale(&far), "12"),
    ];
    for (ask, code) in cases {
        assert_eq!(client.ask(&ask).code, code, "{ask:?}");
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_network_must_be_the_certificates_and_signed_on_where_that_is_asked() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.conduits[0].sign_on = true;
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    let metro = Ask {
        network: "100002".into(),
        merchant: "SHOP00000000011".into(),
        terminal: "T0000101".into(),
        ..Ask::sale("WALLET", "210000", 100, "W1")
    };
    let mut bound = tls::client(address(&running, "tls"), data.path(), "prepaid87");
    assert_eq!(bound.ask(&metro).code, "31", "the certificate is 100001's");
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let corner = Ask::sale("WALLET", "210000", 100, "W1");
    assert_eq!(client.ask(&corner.renewed()).code, "31", "not signed on");
    assert_eq!(client.manage(1, "100001").code, "00");
    assert_eq!(client.ask(&corner.renewed()).code, "00");
    assert_eq!(client.ask(&metro.renewed()).code, "31", "another network signed on");
    assert_eq!(client.manage(301, "100001").code, "00");
    assert_eq!(client.manage(1, "100003").code, "31", "suspended");
    assert_eq!(client.manage(2, "100001").code, "00");
    assert_eq!(client.ask(&corner.renewed()).code, "31", "signed off");
    let mut other = Client::connect(address(&running, "plain"), "prepaid87");
    assert_eq!(other.manage(1, "100001").code, "00");
    assert_eq!(client.ask(&corner.renewed()).code, "31", "another connection's sign-on");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

/// What the documents say of the last two digits.
const BEHAVIOURS: [(u8, &str); 11] = [
    (79, "00"),
    (80, "05"),
    (81, "14"),
    (82, "61"),
    (84, "00"),
    (85, "68"),
    (86, "68"),
    (87, "00"),
    (88, "68"),
    (90, "00"),
    (91, "00"),
];

fn behaving(product: &str, digits: u8, stem: &str) -> Ask {
    match product {
        "GIFT25" => Ask {
            card: format!("6006491234567{stem}{digits:02}"),
            ..Ask::sale("GIFT25", "280000", 2_500, "")
        },
        "ENERGY" => Ask::sale("ENERGY", "500000", 2_000, &format!("12345678{stem}{digits:02}")),
        "DATA5" => Ask::sale("DATA5", "210000", 500, &format!("0812345{stem}{digits:02}")),
        "telco-b" => Ask::sale("TOPUP", "210000", 1_000, &format!("0712345{stem}{digits:02}")),
        _ => Ask::sale("TOPUP", "210000", 1_000, &format!("0612345{stem}{digits:02}")),
    }
}

#[test]
fn every_behaviour_of_a_supplier_gives_its_code_through_every_conduit() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    let products = ["TOPUP", "telco-b", "GIFT25", "ENERGY"];
    let threads: Vec<_> = (1..)
        .zip(clients(&running, data.path()))
        .map(|(stem, (conduit, mut client))| {
            std::thread::spawn(move || {
                let cases: Vec<_> = products
                    .iter()
                    .flat_map(|p| BEHAVIOURS.map(|(digits, code)| (*p, digits, code)))
                    .collect();
                let asks: Vec<_> =
                    cases.iter().map(|(p, digits, _)| behaving(p, *digits, &stem.to_string())).collect();
                let answers = client.ask_all(&asks, asks.len());
                for ((product, digits, code), answer) in cases.iter().zip(answers) {
                    assert_eq!(answer.expect("an answer").code, *code, "{product} …{digits} on {conduit}");
                }
                // 83: telco-a performs nothing and says so.
                assert_eq!(client.ask(&behaving("TOPUP", 83, "0")).code, "91", "only telco-a, on {conduit}");
                assert_eq!(
                    client.ask(&behaving("DATA5", 83, "0")).code,
                    "00",
                    "telco-b instead, on {conduit}"
                );
                let jit = client.ask(&Ask::sale("VOUCHERJIT", "000000", 1_500, ""));
                assert_eq!((jit.code.as_str(), jit.pin.len()), ("00", 16), "on {conduit}");
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().is_ok(), "a conduit's codes are wrong");
    }
    settled(&running);
    let row = |supplier: &str| {
        running.figures().suppliers.into_iter().find(|row| row.code == supplier).expect("a supplier")
    };
    for supplier in ["telco-a", "telco-b", "cardco", "utility"] {
        support::until("each late answer of 86 is counted", || row(supplier).late == 3);
        assert_eq!(row(supplier).unmatched, 3, "each second answer of 87 is counted at {supplier}");
        assert_each_unknown_is_undone(&hosts.record(supplier), supplier);
    }
    assert_eq!((running.figures().parked, running.figures().in_flight), (0, 0));
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_link_lost_after_the_request_makes_the_outcome_unknown_at_once() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    // Where there is a link to lose, no time-out makes it unknown before the test gives up. Where there is none, nothing but a time-out does.
    let later_ms = support::PATIENCE.as_millis() as u32 * 3 / 2;
    settings.conduits.iter_mut().for_each(|conduit| conduit.deadline_ms = later_ms + 1_000);
    let suppliers = &mut Arc::make_mut(&mut settings.catalogue).suppliers;
    for supplier in suppliers {
        supplier.timeout_ms = if supplier.code.as_str().starts_with("telco") { later_ms } else { 300 };
    }
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    for (at, (conduit, mut client)) in clients(&running, data.path()).into_iter().enumerate() {
        for product in ["TOPUP", "telco-b", "GIFT25", "ENERGY"] {
            let supplier = match product {
                "GIFT25" => "cardco",
                "ENERGY" => "utility",
                "telco-b" => product,
                _ => "telco-a",
            };
            let ready = || running.figures().suppliers.iter().any(|row| row.code == supplier && row.ready);
            support::until("the supplier is ready", ready);
            let ask = behaving(product, 89, &at.to_string());
            let answer = client.ask(&ask);
            assert_eq!(answer.code, "68", "{product} on {conduit}");
            assert_eq!(client.ask(&ask).raw, answer.raw, "68 is final for its key");
        }
    }
    settled(&running);
    for supplier in ["telco-a", "telco-b", "cardco", "utility"] {
        let record = hosts.record(supplier);
        assert_eq!(record.iter().filter(|line| line.action == "perform").count(), 3, "{supplier}");
        assert_each_unknown_is_undone(&record, supplier);
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until every unknown outcome is settled.
fn settled(running: &Running) {
    support::until("every unknown outcome is settled", || {
        let figures = running.figures();
        figures.settled == figures.unknown
    });
}

/// What was performed and answered too late, or not at all, must be reversed; nothing is performed twice.
fn assert_each_unknown_is_undone(record: &[support::hosts::Line], supplier: &str) {
    for line in record.iter().filter(|line| line.action == "perform") {
        let same = |action: &str| {
            record.iter().filter(|other| other.rrn == line.rrn && other.action == action).count()
        };
        let unknown = line.account.ends_with("86") || line.account.ends_with("89");
        assert_eq!((same("perform"), same("reverse")), (1, usize::from(unknown)), "{line:?} at {supplier}");
    }
    let silent = |line: &&support::hosts::Line| {
        line.mti == "0200" && (line.account.ends_with("85") || line.account.ends_with("88"))
    };
    for line in record.iter().filter(silent) {
        let told = record.iter().any(|other| other.rrn == line.rrn && other.mti.starts_with("042"));
        assert!(told, "a reversal of {line:?} at {supplier}");
    }
}

//! Forbids: a repeat that performs again, that gets another answer than the first, or that gets none.

mod support;

use std::collections::HashSet;
use support::hosts::Hosts;
use support::{Answer, Ask, Client, address, settings, stock, tls, until};
use switchyard::settings::Settings;
use switchyard::topology::{self, Running};

fn start(settings: Settings) -> Running {
    topology::start(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn stop(running: Running) {
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

fn plain(running: &Running) -> Client {
    Client::connect(address(running, "plain"), "prepaid87")
}

/// The same request as its repeat would be: 0201, sent later.
fn repeat(ask: &Ask, second: u8) -> Ask {
    let mut repeat = Ask { mti: 201, ..ask.clone() };
    repeat.when[8..].copy_from_slice(&[b'0' + second / 10 % 6, b'0' + second % 10]);
    repeat
}

fn assert_same(first: &Answer, again: &Answer, asked: &Ask) {
    assert_eq!((first.mti, &first.code, first.lasting()), (again.mti, &again.code, again.lasting()));
    assert_eq!(again.element(support::TRANSMISSION_TIME).as_bytes(), asked.when, "DE7 is the repeat's own");
}

#[test]
fn repeats_in_flight_wait_and_each_gets_its_answer_on_its_own_connection() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a"]);
    let running = hosts.start_switch(settings);
    let ask =
        Ask { third_party: "till 7; cashier 12".into(), ..Ask::sale("TOPUP", "210000", 1_000, "0612345684") };
    let mut first = plain(&running);
    first.send(&ask.message(&first.dialect()));
    until("the request is in flight", || running.figures().in_flight == 1);

    let repeats = [repeat(&ask, 1), repeat(&ask, 2), repeat(&ask, 3)];
    let mut binary = Client::connect(address(&running, "binbitmap"), "prepaid87-binbitmap");
    let mut secure = tls::client(address(&running, "tls"), data.path(), "prepaid87");
    first.send(&repeats[0].message(&first.dialect()));
    binary.send(&repeats[1].message(&binary.dialect()));
    secure.send(&repeats[2].message(&secure.dialect()));

    let mut own = [first.receive().expect("an answer"), first.receive().expect("an answer")];
    own.sort_by_key(|answer| answer.element(support::TRANSMISSION_TIME).as_bytes() != ask.when);
    let [answer, again] = own;
    assert_eq!(answer.code, "00");
    assert_same(&answer, &again, &repeats[0]);
    assert_same(&answer, &binary.receive().expect("an answer"), &repeats[1]);
    assert_same(&answer, &secure.receive().expect("an answer"), &repeats[2]);
    assert!(answer.element(48).contains("04018till 7; cashier 12"), "{}", answer.element(48));
    assert_eq!(hosts.record("telco-a").len(), 1, "asked once");
    stop(running);
}

#[test]
fn repeats_afterwards_get_the_stored_answer_through_any_conduit_and_after_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    stock(&settings, "VOUCHER10", 10);
    let running = hosts.start_switch(settings.clone());
    let mut card = Ask::sale("GIFT25", "280000", 2_500, "");
    card.card = "6006491234567890".into();
    let asks = [
        Ask {
            unknown: vec![(*b"77", "kept"), (*b"ZZ", "too")],
            ..Ask::sale("VOUCHER10", "000000", 1_000, "")
        },
        Ask { rrn: "NETWORKSRRN1".into(), ..Ask::sale("VOUCHERJIT", "000000", 1_500, "") },
        Ask::sale("TOPUP", "210000", 1_000, "0612345600"),
        Ask::sale("TOPUP", "210000", 1_000, "0712345680"),
        Ask::sale("TOPUP", "210000", 1_000, "0612345689"),
        Ask::sale("DATA5", "210000", 500, "0812345683"),
        Ask::sale("WALLET", "210000", 500, "W1"),
        Ask::sale("ENERGY", "500000", 500, "12345678900"),
        card,
    ];
    let mut client = plain(&running);
    let answers: Vec<_> = asks.iter().map(|ask| client.ask(ask)).collect();
    let codes: Vec<_> = answers.iter().map(|answer| answer.code.as_str()).collect();
    assert_eq!(codes, ["00", "00", "00", "05", "68", "00", "00", "00", "00"]);
    assert!(answers[0].element(48).contains("77004keptZZ003too"), "{}", answers[0].element(48));
    assert_eq!(answers[1].element(37), "NETWORKSRRN1");
    assert_repeats(&running, data.path(), &asks, &answers);
    until("the doubt is settled", || running.figures().settled == 1);
    let performed = performances(&hosts);
    stop(running);

    let running = hosts.start_switch(settings);
    assert_repeats(&running, data.path(), &asks, &answers);
    assert_eq!(performances(&hosts), performed, "nothing is performed for a repeat");
    let fresh = plain(&running).ask(&Ask::sale("VOUCHER10", "000000", 1_000, ""));
    assert_eq!(fresh.code, "00");
    assert_ne!((fresh.pin, fresh.serial), (answers[0].pin.clone(), answers[0].serial.clone()));
    stop(running);
}

fn performances(hosts: &Hosts) -> usize {
    let performed = |name| hosts.record(name).iter().filter(|line| line.action == "perform").count();
    ["telco-a", "telco-b", "cardco", "utility"].into_iter().map(performed).sum()
}

fn assert_repeats(running: &Running, data: &std::path::Path, asks: &[Ask], answers: &[Answer]) {
    let mut clients = [
        plain(running),
        Client::connect(address(running, "binbitmap"), "prepaid87-binbitmap"),
        tls::client(address(running, "tls"), data, "prepaid87"),
    ];
    for client in &mut clients {
        for (second, (ask, answer)) in (10..).zip(asks.iter().zip(answers)) {
            let repeat = repeat(ask, second);
            assert_same(answer, &client.ask(&repeat), &repeat);
        }
    }
}

#[test]
fn a_repeat_may_bring_other_third_party_identifiers_and_nothing_else() {
    let data = tempfile::tempdir().expect("a folder");
    let running = start(settings(data.path()));
    let mut client = plain(&running);
    let ask = Ask { third_party: "A".into(), ..Ask::sale("WALLET", "210000", 500, "W1") };
    let answer = client.ask(&ask);
    assert_eq!(answer.code, "00");
    assert_eq!(client.ask(&Ask { third_party: "B".into(), ..ask.clone() }).raw, answer.raw);
    let others = [
        Ask { amount: 600, ..ask.clone() },
        Ask { account: "W2".into(), ..ask.clone() },
        Ask { unknown: vec![(*b"77", "x")], ..ask.clone() },
        Ask { processing: "000000", ..ask.clone() },
        Ask { processing: "211000", ..ask.clone() },
        Ask { card: "6006491234567890".into(), ..ask.clone() },
        Ask { currency: 840, ..ask.clone() },
        Ask { mti: 201, amount: 501, ..ask.clone() },
    ];
    for other in others {
        assert_eq!(client.ask(&other).code, "94", "{other:?}");
    }
    assert_eq!(client.ask(&ask).raw, answer.raw);
    let mut later = ask.clone();
    later.local[5] = b'0' + (later.local[5] - b'0' + 1) % 10;
    let elsewhere = Ask { terminal: "T0000002".into(), ..ask.clone() };
    for other in [later, elsewhere] {
        let fresh = client.ask(&other);
        assert_eq!(fresh.code, "00", "another key is another request");
        assert_ne!(fresh.element(37), answer.element(37));
    }
    stop(running);
}

#[test]
fn a_refusal_before_admission_is_not_stored() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    settings.conduits[0].sign_on = true;
    let running = start(settings);
    let mut client = plain(&running);
    let ask = Ask::sale("WALLET", "210000", 500, "W1");
    assert_eq!(client.ask(&ask).code, "31");
    assert_eq!(
        client.ask(&Ask { account: "W2".into(), ..ask.clone() }).code,
        "31",
        "not 94: there is nothing under the key"
    );
    assert_eq!(client.manage(1, "100001").code, "00");
    assert_eq!(client.ask(&ask).code, "00", "a new attempt");
    stop(running);
}

#[test]
fn a_client_that_leaves_before_the_answer_finds_it_later() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    let asks = ["0612345684", "0712345684"].map(|account| Ask::sale("TOPUP", "210000", 1_000, account));
    for ask in &asks {
        let mut client = plain(&running);
        client.send(&ask.message(&client.dialect()));
    }
    // One comes back while it is in flight, the other when it is over.
    until("both are in flight", || running.figures().in_flight == 2);
    assert_eq!(plain(&running).ask(&asks[0]).code, "00");
    until("both are over", || running.figures().approved == 2);
    assert_eq!(plain(&running).ask(&asks[1]).code, "00");
    for name in ["telco-a", "telco-b"] {
        let actions: Vec<_> = hosts.record(name).into_iter().map(|line| line.action).collect();
        assert_eq!(actions, ["perform"], "nothing is reversed at {name}");
    }
    stop(running);
}

#[test]
fn the_same_requests_at_once_on_many_connections_sell_each_voucher_once() {
    const REQUESTS: usize = 40;
    const CONNECTIONS: usize = 6;
    let data = tempfile::tempdir().expect("a folder");
    let settings = settings(data.path());
    stock(&settings, "VOUCHER10", REQUESTS as u32);
    let running = start(settings);
    let asks: Vec<_> = (0..REQUESTS).map(|_| Ask::sale("VOUCHER10", "000000", 1_000, "")).collect();
    let told: Vec<Vec<Answer>> = std::thread::scope(|scope| {
        let askers: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| plain(&running).ask_all(&asks, REQUESTS))).collect();
        let answers = askers.into_iter().map(|asker| asker.join().expect("answers"));
        answers
            .map(|answers| answers.into_iter().map(|answer| answer.expect("an answer")).collect())
            .collect()
    });
    assert!(told.iter().all(|answers| answers.iter().all(|answer| answer.code == "00")));
    assert!(told.iter().all(|answers| answers.iter().map(|a| &a.raw).eq(told[0].iter().map(|a| &a.raw))));
    let pins: HashSet<_> = told[0].iter().map(|answer| (&answer.pin, &answer.serial)).collect();
    assert_eq!(pins.len(), REQUESTS);
    let one_more = Ask::sale("VOUCHER10", "000000", 1_000, "");
    assert_eq!(plain(&running).ask(&one_more).code, "79", "every voucher is sold, none twice");
    let figures = running.figures();
    assert_eq!((figures.approved, figures.repeats), (REQUESTS as u64, (REQUESTS * (CONNECTIONS - 1)) as u64));
    stop(running);
}

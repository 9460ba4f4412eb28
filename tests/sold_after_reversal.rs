//! Forbids: a sale that stands although it was reversed, a reversal that is lost or done twice, and a PIN that is shown after it (S-4 to S-10), over real sockets.

mod support;

use std::collections::BTreeMap;
use support::hosts::{Hosts, Line};
use support::{Answer, Ask, Client, address, next_stan, settings, stock, tls};
use switchyard::topology::{self, Running};
use switchyard_core::iso8583::Role;

/// A client on each of the shipped conduits.
fn clients(running: &Running, data: &std::path::Path) -> [Client; 3] {
    [
        Client::connect(address(running, "plain"), "prepaid87"),
        Client::connect(address(running, "binbitmap"), "prepaid87-binbitmap"),
        tls::client(address(running, "tls"), data, "prepaid87"),
    ]
}

fn top_up(account: &str) -> Ask {
    Ask { stan: next_stan(), ..Ask::sale("TOPUP", "210000", 1_000, account) }
}

fn accepted(answer: &Answer, ask: &Ask) {
    assert_eq!((answer.mti, answer.code.as_str()), (ask.mti / 10 * 10 + 10, "00"), "{answer:?}");
    assert_eq!(answer.element(90), ask.original, "DE90 is echoed");
    assert_eq!(answer.stan(), ask.stan);
}

/// What stands at a supplier for an account: performed less reversed.
fn standing(record: &[Line]) -> BTreeMap<String, (usize, usize)> {
    let mut standing = BTreeMap::new();
    for line in record {
        let (performed, reversed): &mut (usize, usize) = standing.entry(line.account.clone()).or_default();
        *performed += usize::from(line.action == "perform");
        *reversed += usize::from(line.action == "reverse");
    }
    standing
}

fn quiet(running: &Running) {
    support::until("every reversal is answered by its supplier", || {
        let figures = running.figures();
        figures.in_flight == 0 && figures.suppliers.iter().all(|supplier| supplier.advices == 0)
    });
}

#[test]
fn reversals_of_every_order_leave_nothing_standing_at_the_suppliers() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = settings(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    let running = hosts.start_switch(settings);
    for (at, client) in clients(&running, data.path()).iter_mut().enumerate() {
        let dialect = client.dialect();
        // After: the approved sale is undone, once, however often that is asked.
        let after = top_up(&format!("06{at}0000011"));
        assert_eq!(client.ask(&after).code, "00");
        let reversal = after.reversal();
        let first = client.ask(&reversal);
        accepted(&first, &reversal);
        let repeat = Ask { mti: 401, ..reversal.clone() };
        assert_eq!(client.ask(&repeat).lasting(), first.lasting(), "the stored answer");
        let advice = Ask { mti: 420, ..after.reversal() };
        accepted(&client.ask(&advice), &advice);
        assert_eq!(client.ask(&after).code, "17");
        assert_eq!(client.ask(&Ask { mti: 201, ..after.clone() }).code, "17");
        // During: answered before its original, whose answer is 17.
        let during = top_up(&format!("06{at}0000084"));
        client.send(&during.message(&dialect));
        support::until("the supplier has performed it", || {
            hosts.record("telco-a").iter().any(|line| line.account == during.account)
        });
        let reversal = during.reversal();
        accepted(&client.ask(&reversal), &reversal);
        let original = client.receive().expect("the original's answer");
        assert_eq!((original.stan(), original.code.as_str()), (during.stan, "17"));
        // Before: what comes after its reversal is never performed.
        let before = top_up(&format!("06{at}0000022"));
        let reversal = before.reversal();
        accepted(&client.ask(&reversal), &reversal);
        assert_eq!(client.ask(&before).code, "17");
        // In part: refused, and nothing is undone.
        let whole = top_up(&format!("06{at}0000033"));
        assert_eq!(client.ask(&whole).code, "00");
        assert_eq!(client.ask(&Ask { amount: 400, ..whole.reversal() }).code, "13");
        assert_eq!(client.ask(&whole).code, "00");
        // With the original's own STAN and no DE90, from a terminal that is blocked.
        let own = Ask {
            mti: 400,
            original: String::new(),
            terminal: "T0000999".into(),
            merchant: "SHOP00000000100".into(),
            omit: vec![Role::Prepaid],
            ..top_up("0600000044")
        };
        assert_eq!(client.ask(&own).code, "00", "S-7: only the network is checked");
        assert_eq!(client.ask(&whole.inquiry()).code, "00");
        assert_eq!(client.ask(&after.inquiry()).code, "17");
        assert_eq!(client.ask(&top_up("0600000055").inquiry()).code, "25");
        assert_eq!(client.ask(&Ask { network: "999999".into(), ..whole.reversal() }).code, "31");
    }
    quiet(&running);
    let standing = standing(&hosts.record("telco-a"));
    for at in 0..3 {
        for (account, expected) in [("11", (1, 1)), ("84", (1, 1)), ("22", (0, 0)), ("33", (1, 0))] {
            let account = format!("06{at}00000{account}");
            assert_eq!(standing.get(&account).copied().unwrap_or_default(), expected, "{account}");
        }
    }
    let figures = running.figures();
    assert_eq!(figures.parked, 0);
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_voucher_that_was_reversed_is_never_shown_again_nor_sold() {
    let data = tempfile::tempdir().expect("a folder");
    let settings = settings(data.path());
    stock(&settings, "VOUCHER10", 20);
    let start = || topology::start(settings.clone()).unwrap_or_else(|error| panic!("{error}"));
    let running = start();
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    let sale = || Ask::sale("VOUCHER10", "000000", 1_000, "");
    let sold: Vec<(Ask, Answer)> =
        (0..5).map(|_| sale()).map(|ask| (ask.clone(), client.ask(&ask))).collect();
    for (ask, answer) in &sold {
        assert_eq!((answer.code.as_str(), answer.pin.len()), ("00", 16));
        let told = client.ask(&ask.inquiry());
        assert_eq!((told.code.as_str(), told.pin.as_str()), ("00", ""), "an inquiry shows no PIN");
        assert_eq!(told.serial, answer.serial);
        let reversal = ask.reversal();
        accepted(&client.ask(&reversal), &reversal);
    }
    running.stop().unwrap_or_else(|error| panic!("{error}"));
    let running = start();
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");
    for (ask, _) in &sold {
        let again = client.ask(ask);
        assert_eq!((again.code.as_str(), again.pin.as_str()), ("17", ""));
        assert_eq!(client.ask(&ask.inquiry()).code, "17");
    }
    for _ in 0..15 {
        let other = client.ask(&sale());
        assert_eq!(other.code, "00");
        assert!(sold.iter().all(|(_, answer)| answer.pin != other.pin && answer.serial != other.serial));
    }
    assert_eq!(client.ask(&sale()).code, "79", "what was withdrawn is not in stock");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

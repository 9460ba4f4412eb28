//! Forbids: a transaction that does not come back, comes back wrong, or comes back differently the second time.

mod support;

use support::{Ask, Client, address, settings, stock};
use switchyard::topology;

#[test]
fn every_service_without_a_host_is_approved_and_a_repeat_gets_the_same_answer() {
    let data = tempfile::tempdir().expect("a folder");
    let settings = settings(data.path());
    stock(&settings, "VOUCHER10", 100);
    let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
    let mut client = Client::connect(address(&running, "plain"), "prepaid87");

    let voucher = Ask::sale("VOUCHER10", "000000", 1_000, "");
    let mut card = Ask::sale("GIFT25", "280000", 2_500, "");
    card.card = "6006491234567890".into();
    let energy = Ask::sale("ENERGY", "500000", 2_000, "12345678901");
    let wallet = Ask::sale("WALLET", "210000", 5_000, "W1");
    for ask in [&voucher, &card, &energy, &wallet] {
        let first = client.ask(ask);
        assert_eq!((first.mti, first.code.as_str()), (210, "00"), "{}: {first:?}", ask.product);
        assert!(
            !first.element(37).is_empty() && !first.element(38).is_empty() && !first.element(15).is_empty()
        );
        let again = client.ask(ask);
        assert_eq!(first.raw, again.raw, "{}", ask.product);
    }
    let first = client.ask(&voucher);
    let second = client.ask(&Ask::sale("VOUCHER10", "000000", 1_000, ""));
    assert_eq!(first.pin.len(), 16);
    assert_ne!((&first.pin, &first.serial), (&second.pin, &second.serial));

    let mut other = voucher.clone();
    other.amount = 2_000;
    assert_eq!(client.ask(&other).code, "94");
    running.stop().unwrap_or_else(|error| panic!("{error}"));
}

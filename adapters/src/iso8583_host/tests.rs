use super::*;
use crate::Made;
use std::sync::Arc;
use switchyard_core::adapter::{Ask, ReplyTo};
use switchyard_core::catalogue::Service;
use switchyard_core::details::{self, Detail};
use switchyard_core::iso8583::{Build, Dialect, Mti, Tag};
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

const NOW: Now = Now { mono_us: 1_000_000, wall_ms: 1_798_761_599_042 };

fn host(settings: &str) -> Box<dyn Wire> {
    let table: toml::Table = settings.parse().expect("TOML");
    let context = MakeContext {
        supplier: Text::EMPTY,
        seed: 1,
        dialect: &|name| Dialect::open_shipped(name).ok().map(Arc::new),
        record: b"",
    };
    match make(&table, &context) {
        Ok(Made::Wire(wire)) => wire,
        Ok(Made::Local(_)) => panic!("a host is reached over a wire"),
        Err(error) => panic!("{error}"),
    }
}

fn later(ms: u64) -> Now {
    Now { mono_us: NOW.mono_us + ms * 1_000, wall_ms: NOW.wall_ms + ms }
}

fn order(ask: Ask) -> Order {
    Order {
        ask,
        stan: 42,
        original_stan: 42,
        transmission: *b"1231235900",
        rrn: Text::new(b"00000000001Z").expect("short"),
        service: Some(Service::Recharge),
        product: Text::new(b"TOPUP").expect("short"),
        amount: Minor(1_500),
        currency: 978,
        account: Text::new(b"0612345600").expect("short"),
        terminal: Text::new(b"T0000001").expect("short"),
        merchant: Text::new(b"SHOP00000000001").expect("short"),
        network: Text::new(b"100001").expect("short"),
        local: *b"1259581231",
        ..Order::default()
    }
}

fn prepaid87() -> Dialect {
    Dialect::open_shipped("prepaid87").unwrap_or_else(|error| panic!("{error}"))
}

fn shown(view: &View<'_>, role: Role) -> String {
    let mut text = Vec::new();
    if let Some(value) = view.value(role) {
        value.append_to(&mut text);
    }
    String::from_utf8(text).expect("ASCII")
}

/// The one message that `out` sends, as `MTI role=text …`.
fn sent(dialect: &Dialect, out: &Out) -> String {
    let [(0, range)] = &out.sends[..] else { panic!("one message, not {:?}", out.sends) };
    let view = dialect.view(&out.bytes[range.clone()]).unwrap_or_else(|broken| panic!("{broken}"));
    let mut text = view.mti().to_string();
    for role in Role::ALL {
        if view.has(*role) {
            text.push_str(&format!(" {}={}", role.name(), shown(&view, *role)));
        }
    }
    text
}

fn answer(dialect: &Dialect, mti: u16, stan: u64, fill: impl FnOnce(&mut Build<'_, '_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(mti), &mut out);
    build.number(Role::Stan, stan);
    fill(&mut build);
    build.finish().unwrap_or_else(|error| panic!("{error}"));
    out
}

fn ready_host(dialect: &Dialect) -> (Box<dyn Wire>, Out) {
    let (mut host, mut out) = (host("dialect = \"prepaid87\""), Out::default());
    host.heard(NOW, Heard::Up(0), &mut out);
    let approved = answer(dialect, 810, 1, |build| {
        build.text(Role::ResponseCode, b"00");
    });
    host.heard(NOW, Heard::Frame(0, &approved), &mut out);
    assert_eq!(out.ready, [0]);
    out.clear();
    (host, out)
}

#[test]
fn a_sale_has_the_elements_that_the_dialect_demands() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    host.ask(NOW, &order(Ask::Sale), 0, &mut out).expect("it can be asked");
    assert_eq!(
        sent(&dialect, &out),
        "0200 processing-code=210000 amount=000000001500 transmission-time=1231235900 stan=000042 \
         local-time=125958 local-date=1231 network=100001 rrn=00000000001Z terminal=T0000001 \
         merchant=SHOP00000000001 prepaid=01005TOPUP020100612345600 currency=978"
    );
}

#[test]
fn a_reversal_names_its_original_as_the_supplier_saw_it() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    for (repeat, mti) in [(false, "0420"), (true, "0421")] {
        out.clear();
        host.ask(NOW, &order(Ask::Reversal { repeat }), 0, &mut out).expect("it can be asked");
        let text = sent(&dialect, &out);
        assert!(text.starts_with(mti), "{text}");
        assert!(text.contains(" transmission-time=1231235959 stan=000042 "), "{text}");
        assert!(text.contains(" rrn=00000000001Z "), "{text}");
        assert!(text.ends_with(" original=020000004212312359000000010000100000000000"), "{text}");
    }
}

#[test]
fn a_question_for_a_status_names_the_sale_and_its_answer_is_told_apart() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    host.ask(later(5_000), &order(Ask::Status), 0, &mut out).expect("it can be asked");
    let text = sent(&dialect, &out);
    assert!(text.starts_with("0100 processing-code=300000 "), "{text}");
    assert!(text.contains(" stan=000042 ") && text.contains(" rrn=00000000001Z "), "{text}");
    assert!(text.ends_with(" original=020000004212312359000000010000100000000000"), "{text}");
    out.clear();
    let told = answer(&dialect, 110, 42, |build| {
        build.text(Role::Rrn, b"00000000001Z").text(Role::ResponseCode, b"25");
    });
    host.heard(NOW, Heard::Frame(0, &told), &mut out);
    let [reply] = &out.replies[..] else { panic!("one reply") };
    assert_eq!((reply.to, reply.stan, reply.code.as_str()), (ReplyTo::Status, 42, "25"));
}

#[test]
fn the_acquirer_and_the_reversal_type_are_settings() {
    let dialect = prepaid87();
    let mut host =
        host("dialect = \"prepaid87\"\nacquirer = \"900001\"\nsign_on = false\nreversal_mti = \"0400\"");
    let mut out = Out::default();
    host.heard(NOW, Heard::Up(0), &mut out);
    assert_eq!(out.ready, [0]);
    host.ask(NOW, &order(Ask::Reversal { repeat: true }), 0, &mut out).expect("it can be asked");
    let text = sent(&dialect, &out);
    assert!(text.starts_with("0401") && text.contains("network=900001"), "{text}");
    assert!(text.ends_with("00000900001") || text.contains("123123590000000900001"), "{text}");
}

#[test]
fn a_link_that_is_not_ready_is_asked_nothing() {
    let (mut host, mut out) = (host("dialect = \"prepaid87\""), Out::default());
    assert!(host.ask(NOW, &order(Ask::Sale), 0, &mut out).is_err());
    host.heard(NOW, Heard::Up(0), &mut out);
    out.clear();
    assert!(host.ask(NOW, &order(Ask::Sale), 0, &mut out).is_err());
    assert!(out.bytes.is_empty() && out.sends.is_empty());
}

#[test]
fn a_refused_sign_on_closes_the_link() {
    let dialect = prepaid87();
    let (mut host, mut out) = (host("dialect = \"prepaid87\""), Out::default());
    host.heard(NOW, Heard::Up(0), &mut out);
    assert!(sent(&dialect, &out).ends_with("management-code=001"));
    let refused = answer(&dialect, 810, 1, |build| {
        build.text(Role::ResponseCode, b"05");
    });
    host.heard(NOW, Heard::Frame(0, &refused), &mut out);
    assert_eq!((out.ready.len(), &out.close[..]), (0, &[0][..]));
}

#[test]
fn a_sign_on_without_an_answer_closes_the_link() {
    let (mut host, mut out) = (host("dialect = \"prepaid87\""), Out::default());
    host.heard(NOW, Heard::Up(0), &mut out);
    let [(due_us, token)] = out.wakes[..] else { panic!("one wake-up") };
    assert_eq!(due_us, NOW.mono_us + 10_000_000);
    host.heard(later(10_000), Heard::Wake(token), &mut out);
    assert_eq!(out.close, [0]);
}

#[test]
fn silence_brings_an_echo_and_then_the_end() {
    let dialect = prepaid87();
    let (mut host, mut out) = (host("dialect = \"prepaid87\"\nsign_on = false"), Out::default());
    host.heard(NOW, Heard::Up(0), &mut out);
    let [(_, first)] = out.wakes[..] else { panic!("one wake-up") };

    // A message heard in between puts the echo off.
    out.clear();
    let reply = answer(&dialect, 210, 7, |_| {});
    host.heard(later(20_000), Heard::Frame(0, &reply), &mut out);
    host.heard(later(30_000), Heard::Wake(first), &mut out);
    assert!(out.sends.is_empty());
    let [(due_us, second)] = out.wakes[..] else { panic!("one wake-up") };
    assert_eq!(due_us, later(50_000).mono_us);

    out.clear();
    host.heard(later(50_000), Heard::Wake(second), &mut out);
    assert!(sent(&dialect, &out).ends_with("management-code=301"));
    let [(_, deadline)] = out.wakes[..] else { panic!("one wake-up") };
    host.heard(later(60_000), Heard::Wake(first), &mut out);
    assert!(out.close.is_empty(), "an old wake-up means nothing");
    host.heard(later(60_000), Heard::Wake(deadline), &mut out);
    assert_eq!(out.close, [0]);
}

#[test]
fn the_suppliers_own_housekeeping_is_answered() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    for (code, answered) in [(301, "00"), (1, "00"), (101, "40")] {
        out.clear();
        let asked = answer(&dialect, 800, 9, |build| {
            build.text(Role::TransmissionTime, b"1231235959").number(Role::ManagementCode, code);
        });
        host.heard(NOW, Heard::Frame(0, &asked), &mut out);
        let text = sent(&dialect, &out);
        assert!(text.starts_with("0810 transmission-time=1231235959 stan=000009"), "{text}");
        assert!(text.contains(&format!("response-code={answered}")), "{text}");
        assert!(out.replies.is_empty() && out.faults.is_empty());
    }
}

#[test]
fn other_requests_of_the_supplier_are_refused_and_counted() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    for (mti, answered) in [(200, "0210"), (100, "0110"), (420, "0430")] {
        out.clear();
        let asked = answer(&dialect, mti, 9, |build| {
            build
                .text(Role::Pan, b"6006491234567890")
                .text(Role::TransmissionTime, b"1231235959")
                .text(Role::Rrn, b"00000000007Z")
                .number(Role::Amount, 100);
        });
        host.heard(NOW, Heard::Frame(0, &asked), &mut out);
        let text = sent(&dialect, &out);
        let wanted = "transmission-time=1231235959 stan=000009 rrn=00000000007Z response-code=40";
        assert_eq!(text, format!("{answered} {wanted}"));
        assert_eq!(out.faults, [Fault::Unexpected(0)]);
    }
}

#[test]
fn a_link_may_wait_for_the_suppliers_own_sign_on() {
    let dialect = prepaid87();
    let mut host = host("dialect = \"prepaid87\"\nawaits_sign_on = true");
    let mut out = Out::default();
    let asked = |code| {
        answer(&dialect, 800, 9, |build| {
            build.text(Role::TransmissionTime, b"1231235959").number(Role::ManagementCode, code);
        })
    };
    host.heard(NOW, Heard::Up(0), &mut out);
    assert!(out.sends.is_empty() && out.ready.is_empty());
    let [(_, late)] = out.wakes[..] else { panic!("one wake-up") };
    host.heard(NOW, Heard::Frame(0, &asked(301)), &mut out);
    assert!(out.ready.is_empty(), "an echo is no sign-on");
    assert!(host.ask(NOW, &order(Ask::Sale), 0, &mut out).is_err());
    out.clear();
    host.heard(NOW, Heard::Frame(0, &asked(1)), &mut out);
    assert!(sent(&dialect, &out).contains("response-code=00"));
    assert_eq!(out.ready, [0]);
    host.heard(later(10_000), Heard::Wake(late), &mut out);
    assert!(out.close.is_empty(), "it came in time");
    out.clear();
    host.heard(NOW, Heard::Frame(0, &asked(2)), &mut out);
    assert!(sent(&dialect, &out).contains("response-code=00"));
    assert_eq!(out.close, [0]);

    out.clear();
    host.heard(NOW, Heard::Up(1), &mut out);
    let [(_, late)] = out.wakes[..] else { panic!("one wake-up") };
    host.heard(later(10_000), Heard::Wake(late), &mut out);
    assert_eq!(out.close, [1], "it never came");
}

#[test]
fn a_reply_is_read_with_its_secrets_apart() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    let reply = answer(&dialect, 210, 42, |build| {
        build
            .text(Role::TransmissionTime, b"1231235900")
            .text(Role::Rrn, b"00000000001Z")
            .text(Role::ApprovalCode, b"A00001")
            .text(Role::ResponseCode, b"00")
            .open_tags(Role::Prepaid)
            .tag(Tag::Pin, b"1234567890123456")
            .tag(Tag::Serial, b"SN1")
            .tag(Tag::Expiry, b"20281231")
            .close_tags()
            .text(Role::Receipt, b"PIN 1234 5678 9012 3456");
    });
    host.heard(NOW, Heard::Frame(0, &reply), &mut out);
    let [reply] = &out.replies[..] else { panic!("one reply") };
    assert_eq!(
        (reply.to, reply.stan, reply.code.as_str(), reply.approval.as_str()),
        (ReplyTo::Sale, 42, "00", "A00001")
    );
    assert_eq!(reply.transmission, Some(*b"1231235900"));
    let clear = &out.details[reply.details.clone()];
    assert_eq!(details::find(clear, Detail::Serial), Some(&b"SN1"[..]));
    assert_eq!(details::find(clear, Detail::Receipt), None);
    let secret = &out.secrets.expose()[reply.secret.clone()];
    assert_eq!(details::find(secret, Detail::Pin), Some(&b"1234567890123456"[..]));
    assert_eq!(details::find(secret, Detail::Receipt), Some(&b"PIN 1234 5678 9012 3456"[..]));
    assert!(!format!("{out:?}").contains("1234567890123456"));
}

#[test]
fn ten_unreadable_messages_in_a_row_close_the_link() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    let reply = answer(&dialect, 210, 7, |_| {});
    for _ in 0..9 {
        host.heard(NOW, Heard::Frame(0, b"garbage"), &mut out);
    }
    host.heard(NOW, Heard::Frame(0, &reply), &mut out);
    for _ in 0..9 {
        host.heard(NOW, Heard::Frame(0, b"garbage"), &mut out);
    }
    assert!(out.close.is_empty());
    host.heard(NOW, Heard::Frame(0, b"garbage"), &mut out);
    assert_eq!((out.faults.len(), &out.close[..]), (19, &[0][..]));
}

#[test]
fn goodbye_signs_off_and_asks_nothing_more() {
    let dialect = prepaid87();
    let (mut host, mut out) = ready_host(&dialect);
    host.heard(NOW, Heard::Leave(0), &mut out);
    assert!(sent(&dialect, &out).ends_with("management-code=002"));
    assert!(host.ask(NOW, &order(Ask::Sale), 0, &mut out).is_err());
}

#[test]
fn every_shipped_dialect_can_carry_a_sale() {
    for name in ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"] {
        let mut host = host(&format!("dialect = \"{name}\"\nsign_on = false"));
        let mut out = Out::default();
        host.heard(NOW, Heard::Up(0), &mut out);
        host.ask(NOW, &order(Ask::Sale), 0, &mut out).unwrap_or_else(|error| panic!("{name}: {error}"));
        let dialect = Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}"));
        assert!(sent(&dialect, &out).contains("prepaid=01005TOPUP020100612345600"), "{name}");
    }
}

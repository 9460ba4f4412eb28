//! Forbids: a message that is wrong and performs something, ends the switch, or stalls those who are right (S-20).

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::tls::Identity;
use support::{Ask, Client, address, connect, settings, tls};
use switchyard::topology::{self, Running};
use switchyard_core::iso8583::{Dialect, Role};

/// How long a client waits between two bytes that it could have sent at once: a message takes longer than [`DEADLINE_MS`].
const PACE: Duration = Duration::from_millis(20);
/// Within this a message must be there. The others keep to it in a slow moment of the machine too.
const DEADLINE_MS: u32 = 2_000;
/// Where DE11 ends in a `prepaid87` request without a card: MTI, bitmap, DE3, 4, 7 and 11.
const STAN_END: usize = 4 + 16 + 6 + 12 + 10 + 6;

/// A switch, and a client that must be served whatever the others send.
struct Rig {
    running: Running,
    bystander: Client,
    _data: tempfile::TempDir,
}

impl Rig {
    fn new(adjust: impl Fn(&mut switchyard::settings::ConduitSettings)) -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut settings = settings(data.path());
        settings.conduits.iter_mut().for_each(adjust);
        let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
        let mut bystander = Client::connect(address(&running, "plain"), "prepaid87");
        // A connection that has spoken has met its first deadline.
        assert!(is_silent(&mut bystander));
        Self { running, bystander, _data: data }
    }

    fn plain(&self) -> Client {
        Client::connect(address(&self.running, "plain"), "prepaid87")
    }

    fn others_are_served(&mut self) {
        assert_eq!(self.bystander.ask(&good()).code, "00");
    }

    /// Nothing of all that was sold: only the bystander was.
    fn end(mut self, approved: u64) {
        self.others_are_served();
        assert_eq!(self.running.figures().approved, approved + 1);
        self.running.stop().unwrap_or_else(|error| panic!("{error}"));
    }
}

fn good() -> Ask {
    Ask::sale("WALLET", "210000", 100, "W1")
}

fn message(ask: &Ask) -> Vec<u8> {
    ask.message(&Dialect::open_shipped("prepaid87").expect("a dialect"))
}

/// Whether the connection lives and nothing came before the answer to an echo.
fn is_silent(client: &mut Client) -> bool {
    client.manage(301, "100001").mti == 810
}

#[test]
fn lengths_of_zero_are_ignored_and_lengths_over_the_limit_close() {
    let mut rig = Rig::new(|_| {});
    let mut client = rig.plain();
    client.send_raw(&[0; 64]);
    assert_eq!(client.ask(&good()).code, "00", "32 keep-alives, then a sale");
    client.send(&vec![b'0'; 8_192]);
    assert!(is_silent(&mut client), "the longest message that may be sent");
    client.send_raw(&8_193u16.to_be_bytes());
    assert_eq!(client.receive(), None, "one byte more, and nothing is waited for");
    for length in [0x8000u16, 0xFFFF] {
        let mut client = rig.plain();
        client.send_raw(&length.to_be_bytes());
        assert_eq!(client.receive(), None);
    }
    rig.others_are_served();
    rig.end(2);
}

#[test]
fn the_tenth_unreadable_message_in_a_row_closes() {
    let mut rig = Rig::new(|_| {});
    let mut client = rig.plain();
    for _ in 0..3 {
        for _ in 0..9 {
            client.send(b"no message in any dialect");
        }
        assert!(is_silent(&mut client), "nine are dropped, and a message between them counts anew");
    }
    for _ in 0..10 {
        client.send(b"\x00\xff\x00\xff");
    }
    assert_eq!(client.receive(), None);
    rig.others_are_served();
    rig.end(1);
}

#[test]
fn bitmaps_that_promise_absent_elements_get_30_once_the_stan_is_there() {
    let mut rig = Rig::new(|_| {});
    let whole = message(&good());
    for cut in 1..whole.len() {
        let mut client = rig.plain();
        client.send(&whole[..cut]);
        if cut < STAN_END {
            assert!(is_silent(&mut client), "cut at {cut}");
        } else {
            let answer = client.receive().expect("an answer");
            assert_eq!((answer.mti, answer.code.as_str()), (210, "30"), "cut at {cut}");
            assert!(is_silent(&mut client), "it lives, cut at {cut}");
        }
    }
    for de in 2..=128 {
        let mut client = rig.plain();
        if whole_bitmap(&whole, de) {
            continue;
        }
        client.send(&promising(&whole, de));
        match client.receive() {
            Some(answer) if answer.mti == 210 => {
                assert_eq!(answer.code, "30", "DE{de} is promised and absent")
            }
            other => panic!("DE{de}: {other:?}"),
        }
    }
    rig.others_are_served();
    rig.end(1);
}

fn bit(de: u8) -> (usize, u8) {
    let at = usize::from(de - 1);
    (at / 8, 0x80 >> (at % 8))
}

/// Whether a message's primary bitmap has that element, or the message cannot promise it after the STAN.
fn whole_bitmap(message: &[u8], de: u8) -> bool {
    let bytes = hex::decode(&message[4..20]).expect("a bitmap");
    let (byte, mask) = bit(de);
    de <= 11 || (de <= 64 && bytes[byte] & mask != 0)
}

/// The message with one more element in its bitmap, and nothing of it behind.
fn promising(message: &[u8], de: u8) -> Vec<u8> {
    let mut bitmap = hex::decode(&message[4..20]).expect("a bitmap");
    if de > 64 {
        bitmap[0] |= 0x80;
        bitmap.extend_from_slice(&[0; 8]);
    }
    let (byte, mask) = bit(de);
    bitmap[byte] |= mask;
    let mut out = message[..4].to_vec();
    out.extend_from_slice(hex::encode_upper(&bitmap).as_bytes());
    out.extend_from_slice(&message[20..]);
    out
}

/// An element's format: whether its length stands before it in so many digits, and its most characters as sent.
fn format_of(dialect: &Dialect, de: u8) -> Option<(usize, usize)> {
    let format = dialect.element(de)?.format().to_owned();
    let (kind, prefix) =
        format.split_once(' ').map_or((format.as_str(), 0), |(kind, prefix)| (kind, prefix.len()));
    let digits: String = kind.chars().skip_while(|c| !c.is_ascii_digit()).collect();
    let units: usize = digits.parse().expect("a length");
    let each = if kind.starts_with('b') { 2 } else { 1 };
    let sign = usize::from(kind.starts_with("x+"));
    Some((prefix, units * each + sign))
}

#[test]
fn every_element_one_too_long_gets_30() {
    let mut rig = Rig::new(|_| {});
    let dialect = Dialect::open_shipped("prepaid87").expect("a dialect");
    let whole = message(&good());
    let view = dialect.view(&whole).unwrap_or_else(|broken| panic!("{}", broken.error));
    let mut tried = 0;
    for de in 2..=128u8 {
        let Some((prefix, most)) = format_of(&dialect, de) else { continue };
        // Three digits cannot say a length beyond 999.
        if prefix > 0 && most + 1 >= 10usize.pow(prefix as u32) {
            continue;
        }
        let mut long = if prefix > 0 { format!("{:0prefix$}", most + 1).into_bytes() } else { Vec::new() };
        long.resize(prefix + most + 1, b'0');
        let mut bitmap = vec![0u8; 16];
        let mut body = Vec::new();
        for number in 2..=128u8 {
            let value = view.element(number);
            if value.is_none() && number != de {
                continue;
            }
            let (byte, mask) = bit(number);
            bitmap[byte] |= mask;
            match value {
                _ if number == de => body.extend_from_slice(&long),
                Some(value) => {
                    let (prefix, _) = format_of(&dialect, number).expect("a format");
                    if prefix > 0 {
                        body.extend_from_slice(format!("{:0prefix$}", value.raw().len()).as_bytes());
                    }
                    body.extend_from_slice(value.raw());
                }
                None => {}
            }
        }
        bitmap[0] |= 0x80;
        let mut bad = b"0200".to_vec();
        bad.extend_from_slice(hex::encode_upper(&bitmap).as_bytes());
        bad.extend_from_slice(&body);
        let mut client = rig.plain();
        client.send(&bad);
        let answer = client.receive().expect("an answer");
        assert_eq!((answer.mti, answer.code.as_str()), (210, "30"), "DE{de}");
        tried += 1;
    }
    assert!(tried > 60, "{tried} elements");
    rig.others_are_served();
    rig.end(1);
}

#[test]
fn prepaid_data_that_is_not_well_formed_gets_30() {
    let mut rig = Rig::new(|_| {});
    let mut client = rig.plain();
    for bad in [
        "01006WALLET01006WALLET02002W1",
        "01006WALLET02002W102002W1",
        "01006WALLET02009W1",
        "01006WALLET02002W1030",
        "01006WALLET0200",
        "0100xWALLET02002W1",
        "01999WALLET",
        "1000901006WALLE",
        "01006WALLET02031WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
        "01021WWWWWWWWWWWWWWWWWWWWW02002W1",
    ] {
        let whole = message(&good());
        let text = String::from_utf8(whole).expect("ASCII");
        let inner = "01006WALLET02002W1";
        assert!(text.contains(inner), "{text}");
        let replaced = text.replace(&format!("{:03}{inner}", inner.len()), &format!("{:03}{bad}", bad.len()));
        client.send(replaced.as_bytes());
        let answer = client.receive().expect("an answer");
        assert_eq!((answer.mti, answer.code.as_str()), (210, "30"), "{bad}");
    }
    rig.others_are_served();
    rig.end(1);
}

#[test]
fn responses_are_never_answered_and_unknown_classes_get_40() {
    let mut rig = Rig::new(|_| {});
    let mut client = rig.plain();
    for mti in [110, 210, 230, 410, 430, 510, 810] {
        for _ in 0..12 {
            client.send(&message(&Ask { mti, ..good() }));
        }
        assert!(is_silent(&mut client), "{mti}");
    }
    let answer = client.ask(&Ask { mti: 600, ..good() });
    assert_eq!((answer.mti, answer.code.as_str()), (610, "40"));
    rig.others_are_served();
    rig.end(1);
}

#[test]
fn messages_in_another_dialect_perform_nothing() {
    let mut rig = Rig::new(|_| {});
    let dialects = ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"];
    for (conduit, spoken) in [("plain", "prepaid87"), ("binbitmap", "prepaid87-binbitmap")] {
        for sent in dialects.into_iter().filter(|dialect| *dialect != spoken) {
            let mut client = Client::connect(address(&rig.running, conduit), spoken);
            let foreign = Dialect::open_shipped(sent).expect("a dialect");
            client.send(&good().message(&foreign));
            // What happens to be found where the STAN should be decides whether it is dropped or told off.
            let answer = client.manage(301, "100001");
            assert!(answer.mti == 810 || answer.code == "30", "{sent} on {conduit}: {answer:?}");
        }
    }
    rig.others_are_served();
    rig.end(1);
}

/// A connection that must end without an answer.
fn assert_closed(stream: &mut impl Read, what: &str) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("{what}: not closed")
        }
        // An alert of TLS may come before the end.
        _ => assert!(rest.len() < 64, "{what}: {} bytes", rest.len()),
    }
}

#[test]
fn plain_text_on_the_tls_port_and_tls_on_the_plain_port_are_closed() {
    let mut rig = Rig::new(|conduit| conduit.frame_ms = 300);
    let mut plain = connect(address(&rig.running, "tls"));
    let body = message(&good());
    plain.write_all(&(body.len() as u16).to_be_bytes()).expect("bytes sent");
    plain.write_all(&body).expect("bytes sent");
    assert_closed(&mut plain, "plain text on the TLS port");

    let data = rig._data.path().to_owned();
    let mut secure =
        tls::stream(address(&rig.running, "plain"), tls::config(&data, Some(&Identity::demo(&data))));
    assert!(secure.conn.complete_io(&mut secure.sock).is_err(), "TLS on the plain port");
    rig.others_are_served();
    rig.end(1);
}

#[test]
fn a_wrong_an_expired_and_no_certificate_are_refused() {
    let mut rig = Rig::new(|_| {});
    let data = rig._data.path().to_owned();
    let at = address(&rig.running, "tls");
    let refused = [
        ("a stranger's", Some(Identity::stranger("100001"))),
        ("an expired one", Some(Identity::signed(&data, "100001", 2001, 2002))),
        ("one that is not valid yet", Some(Identity::signed(&data, "100001", 2090, 2091))),
        ("none", None),
    ];
    for (what, identity) in refused {
        let mut stream = tls::stream(at, tls::config(&data, identity.as_ref()));
        let body = message(&good());
        // With TLS 1.3 the client may write before it learns that it is refused.
        let _ = stream.write_all(&(body.len() as u16).to_be_bytes()).and_then(|()| stream.write_all(&body));
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        assert!(read.is_err() && rest.is_empty(), "{what}: {read:?}");
    }
    for (name, code) in [("100001", "00"), ("100002", "31"), ("nobody", "31")] {
        let identity = Identity::signed(&data, name, 2020, 2090);
        let mut stream = tls::stream(at, tls::config(&data, Some(&identity)));
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        assert_eq!(Client::over(Box::new(stream), "prepaid87").ask(&good()).code, code, "{name}");
    }
    rig.others_are_served();
    rig.end(2);
}

/// Sends a byte at a time; whether the other end closed before the last.
fn dribble(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.set_read_timeout(Some(PACE)).expect("a time-out");
    for byte in bytes {
        if stream.write_all(&[*byte]).is_err() {
            return true;
        }
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return true,
        }
    }
    false
}

#[test]
fn a_message_that_never_ends_is_closed_at_its_deadline() {
    let mut rig = Rig::new(|conduit| {
        (conduit.frame_ms, conduit.first_byte_ms, conduit.handshake_ms) =
            (DEADLINE_MS, DEADLINE_MS, DEADLINE_MS);
    });
    let body = message(&good());
    let framed = [&(body.len() as u16).to_be_bytes()[..], &body].concat();
    assert!(PACE * framed.len() as u32 > Duration::from_millis(u64::from(DEADLINE_MS)));
    let mut slow = connect(address(&rig.running, "plain"));
    let mut cut = connect(address(&rig.running, "plain"));
    cut.write_all(&framed[..framed.len() - 1]).expect("bytes sent");
    let mut nothing = ["plain", "tls"].map(|conduit| connect(address(&rig.running, conduit)));
    assert!(dribble(&mut slow, &framed), "a byte now and then puts no deadline off");
    rig.others_are_served();

    assert_closed(&mut cut, "all but the last byte");
    nothing.iter_mut().for_each(|stream| assert_closed(stream, "nothing at all"));
    rig.others_are_served();

    let mut halves = rig.plain();
    halves.send_raw(&framed[..40]);
    halves.send_raw(&framed[40..]);
    assert_eq!(halves.receive().expect("an answer").code, "00", "two halves are a message");
    let mut gone = connect(address(&rig.running, "plain"));
    gone.write_all(&framed[..20]).expect("bytes sent");
    drop(gone);
    rig.end(3);
}

#[test]
fn three_thousand_broken_messages_sell_nothing_they_do_not_say() {
    const MESSAGES: u64 = 3_000;
    let mut rig = Rig::new(|_| {});
    let whole = message(&Ask { omit: vec![Role::Prepaid], ..good() });
    let mut client = rig.plain();
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let mut answered = 0;
    for number in 0..MESSAGES {
        let mut broken = whole.clone();
        for _ in 0..=next(4) {
            let at = next(broken.len());
            match next(4) {
                0 => broken[at] = next(256) as u8,
                1 => broken[at] ^= 1 << next(8),
                2 => broken.truncate(at.max(1)),
                _ => broken.insert(at, next(256) as u8),
            }
        }
        client.send(&broken);
        client.send(&message(&Ask { omit: vec![Role::Prepaid], ..good() }));
        // The second message is readable, so no row of ten builds up, and its answer says that the first was dealt with.
        loop {
            let answer = client.receive().unwrap_or_else(|| panic!("closed at {number}"));
            assert!(["30", "40", "31", "03", "58"].contains(&answer.code.as_str()), "{answer:?} at {number}");
            answered += 1;
            if answer.mti == 210 && answer.element(4) == "000000000100" && answer.element(49) == "978" {
                break;
            }
        }
        if number % 1_000 == 0 {
            client = rig.plain();
            rig.others_are_served();
        }
    }
    assert!(answered > MESSAGES);
    rig.end(3);
}

//! Framing: frames as peers write them, keep-alives, lengths that cannot be, streams split anywhere.

use proptest::prelude::*;
use switchyard_core::iso8583::{Frame, FrameError, Framing, HeaderMode, LengthForm};
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[derive(serde::Deserialize)]
struct Conduit {
    framing: Framing,
}

fn framing(toml: &str) -> Framing {
    toml::from_str::<Conduit>(&format!("framing = {toml}"))
        .unwrap_or_else(|error| panic!("{toml}: {error}"))
        .framing
}

fn framed(framing: &Framing, request_header: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let mark = framing.open(request_header, &mut out);
    out.extend_from_slice(body);
    framing.close(mark, &mut out).unwrap();
    out.split_off(6)
}

#[test]
fn frames_are_written_as_their_peers_write_them() {
    let table: [(&str, &[u8], &str); 11] = [
        (r#"{ length = "binary2" }"#, b"", "0003 616263"),
        (r#"{ length = "binary2", inclusive = true }"#, b"", "0005 616263"),
        (r#"{ length = "binary2", order = "little" }"#, b"", "0300 616263"),
        (r#"{ length = "binary4" }"#, b"", "00000003 616263"),
        (r#"{ length = "binary4", order = "little", inclusive = true }"#, b"", "07000000 616263"),
        (r#"{ length = "ascii4" }"#, b"", "30303033 616263"),
        (r#"{ length = "bcd4", header = { fixed = "49534F303132" } }"#, b"", "0009 49534F303132 616263"),
        (r#"{ length = "binary2", header = "tpdu" }"#, &[0x60, 0, 1, 0x80, 2], "0008 6080020001 616263"),
        (r#"{ length = "binary2", header = "tpdu" }"#, b"", "0008 6000000000 616263"),
        (
            r#"{ length = "binary2", header = { tpdu = "6000090008" }, header_mode = "rewrite" }"#,
            &[0x60, 0, 1, 0x80, 2],
            "0008 6000090008 616263",
        ),
        (r#"{ length = "binary2", header = { fixed = "4142" } }"#, b"XY", "0005 5859 616263"),
    ];
    for (toml, request_header, expected) in table {
        let framing = framing(toml);
        let wire = framed(&framing, request_header, b"abc");
        assert_eq!(wire, bytes(expected), "{toml}");
        let frame = framing.next(&wire, 100).unwrap().unwrap();
        assert_eq!((frame.total, &wire[frame.body]), (wire.len(), &b"abc"[..]), "{toml}");
    }
    assert_eq!(framing(r#"{ length = "binary2" }"#), Framing::DEFAULT);
}

#[test]
fn keep_alives_and_impossible_lengths() {
    let plain = Framing::DEFAULT;
    let inclusive = Framing { inclusive: true, ..plain };
    let tpdu = framing(r#"{ length = "bcd4", header = "tpdu" }"#);
    let ascii = Framing { length: LengthForm::Ascii4, ..plain };
    let empty = |total: usize| Ok(Some(Frame { total, header: total..total, body: total..total }));
    assert_eq!(plain.next(&[0, 0, 9], 100), empty(2));
    assert_eq!(inclusive.next(&[0, 2], 100), empty(2));
    assert_eq!(inclusive.next(&[0, 0], 100), empty(2));
    assert_eq!(inclusive.next(&[0, 1], 100), Err(FrameError::TooShort));
    assert_eq!(tpdu.next(&[0, 4], 100), Err(FrameError::TooShort));
    assert_eq!(tpdu.next(&[0, 0], 100), empty(2));
    assert_eq!(tpdu.next(&[0x0A, 0], 100), Err(FrameError::NotDigits));
    assert_eq!(
        plain.next(&[0, 101], 100),
        Err(FrameError::TooLong { most: 100 }),
        "before any of its bytes are there"
    );
    assert_eq!(plain.next(&[0], 100), Ok(None));
    assert_eq!(plain.next(&[0, 2, 7], 100), Ok(None));
    let mut out = b"before".to_vec();
    let mark = ascii.open(b"", &mut out);
    out.resize(out.len() + 10_000, b'x');
    assert_eq!(ascii.close(mark, &mut out), Err(FrameError::CannotSay));
    assert_eq!(out, b"before");
}

#[test]
fn framing_configuration_is_checked() {
    for toml in [
        r#"{ length = "binary3" }"#,
        r#"{ length = "binary2", header = "nac" }"#,
        r#"{ length = "binary2", header = { fixed = "4" } }"#,
        r#"{ length = "binary2", header = { fixed = "" } }"#,
        r#"{ length = "binary2", header = { tpdu = "60" } }"#,
        r#"{ length = "binary2", heder = "none" }"#,
        r#"{ order = "big" }"#,
    ] {
        assert!(toml::from_str::<Conduit>(&format!("framing = {toml}")).is_err(), "{toml}");
    }
}

fn any_framing() -> impl Strategy<Value = Framing> {
    let lengths = ["binary2", "binary4", "ascii4", "bcd4"];
    let headers = ["\"none\"", "\"tpdu\"", "{ fixed = \"0102030405060708\" }"];
    let choose = (0..lengths.len(), any::<bool>(), any::<bool>(), 0..headers.len(), any::<bool>());
    choose.prop_map(move |(length, little, inclusive, header, rewrite)| {
        let mut framing = framing(&format!(
            "{{ length = \"{}\", order = \"{}\", inclusive = {inclusive}, header = {} }}",
            lengths[length],
            if little { "little" } else { "big" },
            headers[header],
        ));
        framing.header_mode = if rewrite { HeaderMode::Rewrite } else { HeaderMode::Mirror };
        framing
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_read_back_however_they_are_split(
        framing in any_framing(),
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..5),
        piece in 1_usize..400,
    ) {
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(&framing, b"", body)).collect();
        let (mut input, mut found) = (Vec::new(), Vec::new());
        for part in stream.chunks(piece) {
            input.extend_from_slice(part);
            while let Some(frame) = framing.next(&input, 400).unwrap() {
                found.push(input[frame.body.clone()].to_vec());
                input.drain(..frame.total);
            }
        }
        prop_assert_eq!(found, bodies);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn no_stream_panics(framing in any_framing(), input in proptest::collection::vec(any::<u8>(), 0..40), most in 0_usize..70_000) {
        if let Ok(Some(frame)) = framing.next(&input, most) {
            prop_assert!(frame.total <= input.len() && frame.total > 0);
            prop_assert!(frame.header.end == frame.body.start && frame.body.end == frame.total);
            prop_assert!(frame.header.len() + frame.body.len() <= most);
        }
    }
}

//! The ISO 8583 codec: messages written by hand, round trips in every shipped dialect, and input that is not a message.
//!
//! What these tests forbid: bytes that change between reading and building, errors that tell a value, a panic on any input, and
//! an allocation on the path of a sound message.

use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use switchyard_core::iso8583::{
    Build, BuildRule, Content, Dialect, Element, Frame, FrameError, Framing, HeaderMode, LengthForm, Mask,
    Mti, Role, Rule, Tag,
};

fn dialect(name: &str) -> Dialect {
    Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every shipped dialect, compiled once for all cases of all tests.
fn shipped() -> &'static [Dialect] {
    static SHIPPED: LazyLock<Vec<Dialect>> =
        LazyLock::new(|| Dialect::shipped_names().map(dialect).collect());
    &SHIPPED
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn canonical(value: switchyard_core::iso8583::Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    value.append_to(&mut out);
    out
}

/// Number, then canonical value, of every element.
fn read(dialect: &Dialect, message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let view = dialect.view(message).unwrap_or_else(|broken| panic!("{}: {broken}", dialect.name()));
    view.elements().map(|(de, value)| (de, canonical(value))).collect()
}

fn rebuilt(dialect: &Dialect, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    dialect.view(message).unwrap().rebuild(&mut out).unwrap();
    out
}

const SALE: &str = "02003238000100C180002100000000000010001121224200123456224200112106100001T0000001SHOP00000000001\
                    02501005TOPUP020100612345678978";

// ---- Messages written by hand -----------------------------------------------------------------------------------------------

fn check_sale(name: &str, message: &[u8]) {
    let dialect = dialect(name);
    let view = dialect.view(message).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    assert_eq!(view.mti(), Mti::new(200), "{name}");
    assert_eq!(view.value(Role::ProcessingCode).unwrap().number(), Some(210_000), "{name}");
    assert_eq!(view.value(Role::Amount).unwrap().number(), Some(1000), "{name}");
    assert_eq!(view.value(Role::Stan).unwrap().text::<6>().unwrap().as_str(), "123456", "{name}");
    assert_eq!(view.value(Role::Network).unwrap().text::<11>().unwrap().as_str(), "100001", "{name}");
    assert_eq!(
        view.value(Role::Merchant).unwrap().text::<15>().unwrap().as_str(),
        "SHOP00000000001",
        "{name}"
    );
    assert_eq!(view.value(Role::Currency).unwrap().number(), Some(978), "{name}");
    assert_eq!(view.tag(Tag::Product).unwrap().text::<20>().unwrap().as_str(), "TOPUP", "{name}");
    assert_eq!(view.tag(Tag::Account).unwrap().text::<30>().unwrap().as_str(), "0612345678", "{name}");
    assert!(
        !view.has(Role::Pan) && view.value(Role::Pan).is_none() && view.tag(Tag::Pin).is_none(),
        "{name}"
    );
    assert_eq!(rebuilt(&dialect, message), message, "{name}");
}

#[test]
fn a_sale_reads_alike_in_every_prepaid_dialect() {
    check_sale("prepaid87", SALE.as_bytes());
    let mut binbitmap = b"0200".to_vec();
    binbitmap.extend(bytes("3238000100C18000"));
    binbitmap.extend(&SALE.as_bytes()[20..]);
    check_sale("prepaid87-binbitmap", &binbitmap);
    let mut bcd = bytes("0200 3238000100C18000 210000 000000001000 1121224200 123456 224200 1121 06 100001");
    bcd.extend(b"T0000001SHOP00000000001");
    bcd.extend(bytes("0025"));
    bcd.extend(b"01005TOPUP020100612345678");
    bcd.extend(bytes("0978"));
    check_sale("prepaid87-bcd", &bcd);
    let ebcdic = bytes(
        "F0F2F0F0 F3F2F3F8F0F0F0F1 F0F0C3F1F8F0F0F0 F2F1F0F0F0F0 F0F0F0F0F0F0F0F0F1F0F0F0 F1F1F2F1F2F2F4F2F0F0 F1F2F3F4F5F6
         F2F2F4F2F0F0 F1F1F2F1 F0F6F1F0F0F0F0F1 E3F0F0F0F0F0F0F1 E2C8D6D7F0F0F0F0F0F0F0F0F0F0F1
         F0F2F5 F0F1F0F0F5E3D6D7E4D7 F0F2F0F1F0F0F6F1F2F3F4F5F6F7F8 F9F7F8",
    );
    check_sale("prepaid87-ebcdic", &ebcdic);
}

#[test]
fn plain_dialects_read_messages_of_their_edition() {
    // 1987: a signed amount, track 2, a PIN block in hex digits, and an element of the second bitmap.
    check_plain(
        "iso8583-1987",
        "080082000010200010000400000000000000\
         1121224200D00000015244761739001010010=25122010123456789ABCDEF301",
        &[
            (7, "1121224200"),
            (28, "D00000015"),
            (35, "4761739001010010=2512201"),
            (52, "0123456789ABCDEF"),
            (70, "301"),
        ],
    );
    // 1993: chip data as BER-TLV in hex digits, its length counting bytes.
    let chip = "12102010000002000200000000261121224200000".to_owned() + "0099F02030010008A0130";
    check_plain(
        "iso8583-1993",
        &chip,
        &[(3, "000000"), (12, "261121224200"), (39, "000"), (55, "9F02030010008A0130")],
    );
    let dialect = dialect("iso8583-1993");
    let view = dialect.view(chip.as_bytes()).unwrap();
    let tags: Vec<(u32, Vec<u8>)> =
        view.value(Role::Chip).unwrap().ber().map(|(tag, value)| (tag, canonical(value))).collect();
    assert_eq!(tags, [(0x9F02, vec![0, 0x10, 0]), (0x8A, vec![0x30])]);
    check_plain(
        "iso8583-2003",
        "280402200000000000001121224200000000123456",
        &[(7, "1121224200"), (11, "000000123456")],
    );
}

fn check_plain(name: &str, message: &str, expected: &[(u8, &str)]) {
    let dialect = dialect(name);
    let view = dialect.view(message.as_bytes()).unwrap_or_else(|broken| panic!("{name}: {broken}"));
    let elements: Vec<(u8, String)> = view
        .elements()
        .map(|(de, value)| {
            let mut out = Vec::new();
            value.append_readable_to(&mut out);
            (de, String::from_utf8(out).unwrap())
        })
        .collect();
    let elements: Vec<(u8, &str)> = elements.iter().map(|(de, text)| (*de, text.as_str())).collect();
    assert_eq!(elements, expected, "{name}");
    assert_eq!(rebuilt(&dialect, message.as_bytes()), message.as_bytes(), "{name}");
}

#[test]
fn a_third_bitmap_is_announced_by_bit_65() {
    let text =
        "name = \"own\"\nextends = \"iso8583-2003\"\n[element]\n130 = { name = \"Own\", format = \"n4\" }\n";
    let dialect = Dialect::parse(text, |base| Dialect::shipped(base).map(str::to_owned)).unwrap();
    let message = b"2200A000000000000000800000000000000040000000000000002100001234";
    assert_eq!(read(&dialect, message), [(3, b"210000".to_vec()), (130, b"1234".to_vec())]);
    assert_eq!(rebuilt(&dialect, message), message);
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(2200), &mut out);
    build.element(130, b"1234").element(3, b"210000");
    build.finish().unwrap();
    assert_eq!(out, message);
}

#[test]
fn an_announced_empty_second_bitmap_is_accepted_and_kept() {
    let plain = b"080082200000000000000000000000000000".to_vec();
    let message = [&plain[..], b"1121224200123456"].concat();
    let dialect = dialect("prepaid87");
    assert_eq!(read(&dialect, &message).len(), 2);
    assert_eq!(rebuilt(&dialect, &message), message);
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(800), &mut out);
    build.text(Role::TransmissionTime, b"1121224200").text(Role::Stan, b"123456");
    build.finish().unwrap();
    assert_eq!(
        out, b"080002200000000000001121224200123456",
        "what is built has no bitmap that it does not need"
    );
}

#[test]
fn bitmap_digits_have_either_case_when_read_and_upper_when_sent() {
    let lower = SALE.replace("00C18000", "00c18000");
    assert_eq!(rebuilt(&dialect("prepaid87"), lower.as_bytes()), SALE.as_bytes());
}

#[test]
fn original_data_divides_into_its_parts() {
    for dialect in shipped().iter().filter(|dialect| dialect.de(Role::Original).is_some()) {
        let mut out = Vec::new();
        let mut build = Build::new(dialect, Mti::new(400), &mut out);
        build.text(Role::Original, b"020012345611212242000000010000100000000000");
        build.finish().unwrap();
        let view = dialect.view(&out).unwrap();
        let parts: Vec<Vec<u8>> =
            (0..).map_while(|index| view.part(Role::Original, index)).map(canonical).collect();
        let expected: [&[u8]; 5] = [b"0200", b"123456", b"1121224200", b"00000100001", b"00000000000"];
        assert_eq!(parts, expected, "{}", dialect.name());
        assert_eq!(view.part(Role::Original, 3).unwrap().number(), Some(100_001));
        assert!(view.part(Role::Stan, 0).is_none());
    }
}

#[test]
fn packed_digits_keep_odd_lengths_and_track_separators() {
    let dialect = dialect("prepaid87-bcd");
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(200), &mut out);
    build.text(Role::Pan, b"6006491234567890123").text(Role::Track2, b"6006491234567890=2512");
    build.number(Role::EntryMode, 12).element(28, b"C00000015");
    build.finish().unwrap();
    let expected = "0200 4000041020000000 19 06006491234567890123 0012 43 00000015 21 06006491234567890D2512";
    assert_eq!(out, bytes(expected));
    let view = dialect.view(&out).unwrap();
    assert_eq!(view.value(Role::Track2).unwrap().text::<37>().unwrap().as_str(), "6006491234567890=2512");
    assert_eq!(view.value(Role::EntryMode).unwrap().number(), Some(12));
    assert_eq!(view.element(28).unwrap().text::<9>().unwrap().as_str(), "C00000015");
}

#[test]
fn left_justified_digits_and_other_prefixes_are_a_matter_of_the_file() {
    let text = "name = \"own\"\nextends = \"prepaid87-bcd\"\nnumeric = \"bcd-left\"\nlength = \"binary\"\nfiller = \"F\"\n\
                [element]\n2 = { length = \"ascii\" }\n";
    let dialect = Dialect::parse(text, |base| Dialect::shipped(base).map(str::to_owned)).unwrap();
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(200), &mut out);
    build.text(Role::Pan, b"600649123").text(Role::Network, b"10001").text(Role::Receipt, &[b'x'; 300]);
    build.finish().unwrap();
    let head = bytes("0200 4000000100000004 3039 600649123F 05 10001F 012C");
    assert_eq!(out[..head.len()], head);
    assert_eq!(rebuilt(&dialect, &out), out);
    assert_eq!(dialect.view(&out).unwrap().value(Role::Pan).unwrap().number(), Some(600_649_123));
}

// ---- Building ---------------------------------------------------------------------------------------------------------------

#[test]
fn short_text_is_padded_and_long_text_refused() {
    let dialect = dialect("prepaid87");
    let mut out = b"before".to_vec();
    let mut build = Build::new(&dialect, Mti::new(210), &mut out);
    build.text(Role::Terminal, b"T1").number(Role::Amount, 1500).text(Role::ResponseCode, b"00");
    assert_eq!(build.finish(), Ok(42));
    assert_eq!(
        &out,
        b"before021010000000028000000000000015000"
            .iter()
            .chain(b"0T1      ")
            .copied()
            .collect::<Vec<u8>>()
            .as_slice()
    );
    let mut build = Build::new(&dialect, Mti::new(210), &mut out);
    build.text(Role::Terminal, b"T00000001").text(Role::Amount, b"x");
    let error = build.finish().unwrap_err();
    assert_eq!((error.element, error.rule), (Some(41), BuildRule::Format(Rule::TooLong(8))));
    assert_eq!(out.len(), 48, "the message that failed leaves nothing behind");
}

#[test]
fn what_a_dialect_does_not_have_is_passed_over_and_misuse_is_an_error() {
    let plain = dialect("iso8583-1993");
    let mut out = Vec::new();
    let mut build = Build::new(&plain, Mti::new(1200), &mut out);
    build.text(Role::LocalDate, b"1121").open_tags(Role::Prepaid).tag(Tag::Product, b"X").close_tags();
    assert_eq!(build.finish(), Ok(20));
    let prepaid = dialect("prepaid87");
    let fault = |put: &dyn Fn(&mut Build<'_, '_>)| {
        let mut out = Vec::new();
        let mut build = Build::new(&prepaid, Mti::new(200), &mut out);
        put(&mut build);
        let error = build.finish().unwrap_err();
        assert!(out.is_empty());
        error.rule
    };
    assert_eq!(fault(&|b| _ = b.number(Role::Stan, 1).number(Role::Stan, 1)), BuildRule::Twice);
    assert_eq!(fault(&|b| _ = b.element(1, b"")), BuildRule::Undefined);
    assert_eq!(fault(&|b| _ = b.element(0, b"")), BuildRule::Undefined);
    assert_eq!(fault(&|b| _ = b.element(193, b"")), BuildRule::Undefined);
    assert_eq!(fault(&|b| _ = b.tag(Tag::Pin, b"1")), BuildRule::NotOpen);
    assert_eq!(fault(&|b| _ = b.close_tags()), BuildRule::NotOpen);
    assert_eq!(fault(&|b| _ = b.open_tags(Role::Prepaid)), BuildRule::StillOpen);
    assert_eq!(fault(&|b| _ = b.open_tags(Role::Prepaid).number(Role::Stan, 1)), BuildRule::StillOpen);
    assert_eq!(fault(&|b| _ = b.open_tags(Role::Receipt)), BuildRule::NotTagged);
    let repeated = |b: &mut Build<'_, '_>| {
        b.open_tags(Role::Prepaid).tag(Tag::Pin, b"1").tag(Tag::Pin, b"2").close_tags();
    };
    assert_eq!(fault(&repeated), BuildRule::Format(Rule::TagRepeated));
    let nested = |b: &mut Build<'_, '_>| {
        b.open_tags(Role::Prepaid).open_item().open_item().close_item().close_item().close_tags();
    };
    assert_eq!(fault(&nested), BuildRule::Format(Rule::TagNesting));
}

#[test]
fn items_nest_one_level() {
    for name in ["prepaid87", "prepaid87-ebcdic"] {
        let dialect = dialect(name);
        let mut out = Vec::new();
        let mut build = Build::new(&dialect, Mti::new(200), &mut out);
        build.open_tags(Role::Prepaid);
        for reference in [b"A", b"B"] {
            build.open_item().tag(Tag::Product, b"TOPUP").tag(Tag::ItemReference, reference).close_item();
        }
        build.raw_tag(*b"zz", b"kept").close_tags();
        build.finish().unwrap();
        let view = dialect.view(&out).unwrap();
        let whole = canonical(view.value(Role::Prepaid).unwrap());
        assert_eq!(whole, b"1001601005TOPUP05001A1001601005TOPUP05001Bzz004kept");
        let references: Vec<Vec<u8>> = view
            .tags()
            .filter(|(name, _)| dialect.tag_meaning(*name) == Some(Tag::Item))
            .filter_map(|(_, item)| item.tags().nth(1))
            .map(|(_, value)| canonical(value))
            .collect();
        assert_eq!(references, [b"A", b"B"]);
        assert_eq!(rebuilt(&dialect, &out), out);
    }
}

// ---- Faults -----------------------------------------------------------------------------------------------------------------

#[test]
fn errors_name_element_offset_and_rule() {
    let table: [(&str, &str); 18] = [
        ("", "at byte 0: message type indicator is not four digits"),
        ("02x0", "at byte 0: message type indicator is not four digits"),
        ("1200", "at byte 0: message type indicator is of another edition of the standard"),
        ("020032380001", "at byte 4: bitmap cut off or not hex digits"),
        ("0200323800010000000G", "at byte 4: bitmap cut off or not hex digits"),
        ("02002000000000000000", "DE3 at byte 20: message ends before the element does"),
        ("0200200000000000000000000x", "DE3 at byte 20: holds something that is not of class n"),
        ("020020000000000000000000001", "at byte 26: bytes follow the last element"),
        ("02004000000000000000x9", "DE2 at byte 20: length prefix is not a number"),
        ("0200400000000000000020", "DE2 at byte 20: message ends before the element does"),
        ("020040000000000000002012345678901234567890", "DE2 at byte 20: longer than 19"),
        (
            "02000000000000010000003012",
            "DE48 at byte 23: tag is not two printable characters and three digits of length",
        ),
        (
            "0200000000000001000000901009abcd",
            "DE48 at byte 23: tagged element runs past the one that holds it",
        ),
        ("020000000000000100000300100", "DE48 at byte 20: message ends before the element does"),
        ("02000000000000010000012200011200012", "DE48 tag pin at byte 29: tag comes more than once"),
        (
            "0200000000000001000001706012x00000000000",
            "DE48 tag item-amount at byte 23: holds something that is not of class n",
        ),
        ("020000000000000100000090600412", "DE48 at byte 20: message ends before the element does"),
        (
            "0200000000000001000001510010100050000x",
            "DE48 at byte 28: tagged element runs past the one that holds it",
        ),
    ];
    let dialect = dialect("prepaid87");
    for (message, expected) in table {
        let broken = dialect.view(message.as_bytes()).expect_err(message);
        assert_eq!(broken.to_string(), expected, "{message}");
    }
}

#[test]
fn a_fault_leaves_what_was_read_before_it_and_the_stan() {
    let dialect = dialect("prepaid87");
    // The PAN is one digit too long; its extent is known, so the STAN behind it is found, but nothing else is given.
    let long_pan = SALE
        .replacen("3238", "7238", 1)
        .replacen("210000", "20600649123456789012342100", 1)
        .replacen("2100", "210000", 1);
    let broken = dialect.view(long_pan.as_bytes()).unwrap_err();
    assert_eq!((broken.error.element, broken.error.rule), (Some(2), Rule::TooLong(19)));
    let read = broken.read.unwrap();
    assert_eq!(read.numbers().collect::<Vec<_>>(), [11]);
    assert_eq!(read.value(Role::Stan).unwrap().number(), Some(123_456));
    // The network's length is not digits: everything before it stands.
    let broken_network = SALE.replacen("06100001", "0x100001", 1);
    let read = dialect.view(broken_network.as_bytes()).unwrap_err().read.unwrap();
    assert_eq!(read.numbers().collect::<Vec<_>>(), [3, 4, 7, 11, 12, 13]);
    // An undefined element ends what can be known.
    assert!(dialect.view(b"1200").unwrap_err().read.is_none());
}

#[test]
fn neither_errors_nor_debug_tell_a_value() {
    let dialect = dialect("prepaid87");
    let message = SALE.replacen("T0000001", "T\u{1}SECRET", 1);
    let broken = dialect.view(message.as_bytes()).unwrap_err();
    let view = dialect.view(SALE.as_bytes()).unwrap();
    let mut told = format!("{broken} {broken:?} {:?}", broken.error);
    write!(told, "{view:?} {:?} {:?}", view.value(Role::Terminal), view.value(Role::Network)).unwrap();
    for value in ["SECRET", "100001", "T0000001"] {
        assert!(!told.contains(value), "{told}");
    }
}

#[test]
fn masks_show_what_their_class_allows() {
    let dialect = dialect("prepaid87");
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(200), &mut out);
    build.text(Role::Pan, b"6006491234567890").text(Role::Track2, b"6006491234567890=2512201");
    build.text(Role::Terminal, b"T0000001");
    build.open_tags(Role::Prepaid).tag(Tag::Account, b"0612345678").tag(Tag::Pin, b"1234").close_tags();
    build.finish().unwrap();
    let view = dialect.view(&out).unwrap();
    let shown = |mask: Mask, role| {
        let mut out = Vec::new();
        mask.write(&view.value(role).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    };
    let mask_of = |role| dialect.element(dialect.de(role).unwrap()).unwrap().mask();
    assert_eq!(shown(mask_of(Role::Pan), Role::Pan), "600649******7890");
    assert_eq!(shown(mask_of(Role::Track2), Role::Track2), "600649******7890=***");
    assert_eq!(shown(mask_of(Role::Terminal), Role::Terminal), "T0000001");
    assert_eq!(shown(mask_of(Role::Prepaid), Role::Prepaid), "***");
    let tags: Vec<Mask> = view.tags().map(|(name, _)| dialect.tag_mask(name)).collect();
    assert_eq!(tags, [Mask::Account, Mask::Secret]);
    assert_eq!(dialect.tag_mask(*b"77"), Mask::Secret, "nothing is shown of what nobody knows");
}

#[test]
fn dialect_errors_say_where_and_what_was_meant() {
    let table = [
        ("name = \"x\"\nnummeric = \"ascii\"\n", "line 2, column 1", "did you mean `numeric`?"),
        (
            "name = \"x\"\n[element]\n2 = { name = \"a\", format = \"n6\", role = \"stann\" }\n",
            "line 3, column 41",
            "did you mean `stan`?",
        ),
        ("name = \"x\"\nextends = \"nothing\"\n", "line 2, column 11", "there is no dialect `nothing`"),
        ("name = \"x\"\nextends = \"x\"\n", "in base dialect `x`: line 2", "extend one another"),
        ("name = \"x\"\nextends = \"prepaid87\"\n[element]\n60 = { role = \"stan\" }\n", "line 4", "already"),
        (
            "name = \"x\"\nextends = \"prepaid87\"\n[element]\n60 = { format = \"n..100 LL\" }\n",
            "line 4, column 17",
            "does not fit",
        ),
        (
            "name = \"x\"\nextends = \"prepaid87\"\n[element]\n193 = { format = \"n6\" }\n",
            "line 4",
            "from 2 to 192",
        ),
        (
            "name = \"x\"\nextends = \"prepaid87\"\n[element]\n130 = { name = \"a\", format = \"n6\" }\n",
            "line 4",
            "beyond",
        ),
        ("name = \"x\"\nextends = \"prepaid87\"\n[element]\n90 = { parts = [4, 6] }\n", "line 4", "add up"),
        (
            "name = \"x\"\nextends = \"prepaid87\"\n[element]\n37 = { encoding = \"bcd\" }\n",
            "line 4",
            "cannot be encoded",
        ),
        (
            "name = \"x\"\nextends = \"prepaid87\"\n[tag]\nserial = { tag = \"20\" }\n",
            "tag",
            "written the same",
        ),
        ("name = \"x\"\n", "the dialect does not say", "`mti`"),
    ];
    for (text, place, meaning) in table {
        let bases = |base: &str| {
            if base == "x" { Some(text.to_owned()) } else { Dialect::shipped(base).map(str::to_owned) }
        };
        let error = Dialect::parse(text, bases).unwrap_err().to_string();
        assert!(error.contains(place) && error.contains(meaning), "{text}\n{error}");
    }
}

#[test]
fn every_shipped_dialect_has_its_own_name_and_the_prepaid_ones_every_role_and_tag() {
    for name in Dialect::shipped_names() {
        assert_eq!(dialect(name).name(), name);
    }
    for dialect in shipped().iter().filter(|dialect| dialect.name().starts_with("prepaid87")) {
        for role in Role::ALL {
            let de = dialect.de(*role).unwrap_or_else(|| panic!("{} has no {}", dialect.name(), role.name()));
            assert_eq!(dialect.role(de), Some(*role));
            assert_eq!(Role::parse(role.name()), Some(*role));
        }
        for tag in Tag::ALL {
            assert_eq!(dialect.tag_meaning(dialect.tag(*tag).unwrap()), Some(*tag));
        }
        assert!((2..=128).all(|de| dialect.element(de).is_some()), "{}", dialect.name());
    }
}

// ---- Nothing is allocated ---------------------------------------------------------------------------------------------------

#[test]
fn a_sound_message_is_read_and_built_again_without_allocating() {
    for dialect in shipped().iter().filter(|dialect| dialect.de(Role::Prepaid).is_some()) {
        let mut message = Vec::new();
        let source = Dialect::open_shipped("prepaid87").unwrap();
        transcode(&source, SALE.as_bytes(), dialect, &mut message);
        let mut out = Vec::with_capacity(2 * message.len());
        let counted = allocation_counter::measure(|| {
            let view = dialect.view(&message).unwrap();
            assert_eq!(view.value(Role::Amount).and_then(|value| value.number()), Some(1000));
            assert!(view.tag(Tag::Account).and_then(|value| value.text::<30>()).is_some());
            assert_eq!(view.tags().count(), 2);
            let mut build = Build::new(dialect, Mti::new(210), &mut out);
            for (de, value) in view.elements() {
                build.copy(de, &value);
            }
            // Out of order, and with a bitmap that was not there.
            build
                .text(Role::ManagementCode, b"301")
                .text(Role::Pan, b"6006491234567890")
                .text(Role::ResponseCode, b"00");
            build.finish().unwrap();
        });
        assert_eq!(counted.count_total, 0, "{}", dialect.name());
    }
}

fn transcode(from: &Dialect, message: &[u8], to: &Dialect, out: &mut Vec<u8>) {
    let view = from.view(message).unwrap();
    let mut build = Build::new(to, view.mti(), out);
    for (de, value) in view.elements() {
        build.copy(de, &value);
    }
    build.finish().unwrap_or_else(|error| panic!("{} to {}: {error}", from.name(), to.name()));
}

// ---- Round trips ------------------------------------------------------------------------------------------------------------

/// Class and whether the length varies, from the format as the dialect writes it.
fn class_of(element: &Element) -> (Content, bool) {
    let format = element.format();
    let end = format.find(|c: char| c.is_ascii_digit() || c == '.').unwrap();
    (Content::parse(&format[..end]).unwrap(), format.contains(".."))
}

fn legal_text(
    content: Content,
    length: impl Into<proptest::collection::SizeRange> + Clone,
) -> BoxedStrategy<Vec<u8>> {
    let from =
        |set: &'static [u8]| proptest::collection::vec(proptest::sample::select(set), length.clone()).boxed();
    match content {
        Content::Digits => from(b"0123456789"),
        Content::Letters => from(b"abcdeABCDE "),
        Content::Alphanumeric | Content::Padded => from(b"0123abcXYZ "),
        Content::Printable => proptest::collection::vec(b' '..=b'~', length).boxed(),
        Content::Lines => from(b"receipt 1234\n\r\t!|[]^"),
        Content::Track => proptest::collection::vec(b'0'..=b'?', length).boxed(),
        Content::Bytes => proptest::collection::vec(any::<u8>(), length).boxed(),
        Content::Signed => unreachable!("made by its caller"),
    }
}

fn prepaid_data() -> BoxedStrategy<Vec<u8>> {
    let known = [
        (*b"01", legal_text(Content::Alphanumeric, 0..=20)),
        (*b"04", legal_text(Content::Printable, 0..=200)),
        (*b"06", legal_text(Content::Digits, 12)),
        (*b"10", Just(b"01002XY77000".to_vec()).boxed()),
        (*b"77", legal_text(Content::Printable, 0..=30)),
        (*b"Zz", legal_text(Content::Printable, 0..=30)),
        (*b"!~", Just(Vec::new()).boxed()),
    ];
    let chosen = subsequence(Vec::from_iter(0..known.len()), 0..=known.len()).prop_shuffle();
    let values: Vec<_> = known.iter().map(|(_, value)| value.clone()).collect();
    (chosen, values)
        .prop_map(move |(chosen, values)| {
            let mut out = Vec::new();
            for index in chosen {
                out.extend_from_slice(&known[index].0);
                out.extend_from_slice(format!("{:03}", values[index].len()).as_bytes());
                out.extend_from_slice(&values[index]);
            }
            out
        })
        .boxed()
}

fn legal_value(dialect: &Dialect, de: u8) -> BoxedStrategy<Vec<u8>> {
    let element = dialect.element(de).unwrap();
    let (content, is_variable) = class_of(element);
    let most = element.max_len();
    if element.role() == Some(Role::Prepaid) {
        return prepaid_data();
    }
    if content == Content::Bytes && element.role() == Some(Role::Chip) && dialect.version().year() != 1987 {
        return legal_text(Content::Bytes, 0..=120)
            .prop_map(|value| [&[0x9F, 0x26, value.len() as u8][..], &value].concat())
            .boxed();
    }
    if content == Content::Signed {
        let sign = proptest::sample::select(&b"CD"[..]);
        return (sign, legal_text(Content::Digits, most - 1))
            .prop_map(|(sign, digits)| [&[sign][..], &digits].concat())
            .boxed();
    }
    // Long fields are kept short enough that messages stay within their own limit.
    if is_variable { legal_text(content, 0..=most.min(300)) } else { legal_text(content, most) }
}

/// A dialect and a set of legal elements for it.
fn legal_message() -> impl Strategy<Value = (usize, Vec<(u8, Vec<u8>)>)> {
    (0..Dialect::shipped_names().count()).prop_flat_map(|index| {
        let dialect = &shipped()[index];
        let defined: Vec<u8> = (2..=192).filter(|de| dialect.element(*de).is_some()).collect();
        let values: Vec<_> = defined.iter().map(|de| legal_value(dialect, *de)).collect();
        (Just(index), subsequence(Vec::from_iter(0..defined.len()), 0..30), values).prop_map(
            move |(index, chosen, mut values)| {
                let elements =
                    chosen.into_iter().map(|at| (defined[at], std::mem::take(&mut values[at]))).collect();
                (index, elements)
            },
        )
    })
}

fn build(dialect: &Dialect, elements: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(dialect.version().digit() * 1000 + 200), &mut out);
    for (de, value) in elements {
        build.element(*de, value);
    }
    build.finish().unwrap_or_else(|error| panic!("{}: {error}", dialect.name()));
    out
}

/// Reads without trusting anything: every accessor, on whatever could be read.
fn read_all(dialect: &Dialect, input: &[u8]) {
    let mut out = Vec::new();
    let broken;
    let view = match dialect.view(input) {
        Ok(view) => {
            view.rebuild(&mut out).unwrap();
            assert_eq!(out.len(), input.len());
            Some(view)
        }
        Err(error) => {
            broken = error;
            assert!(broken.error.offset <= input.len());
            broken.read.clone()
        }
    };
    let Some(view) = view else { return };
    for (de, value) in view.elements() {
        out.clear();
        dialect.element(de).unwrap().mask().write(&value, &mut out);
        value.append_to(&mut out);
        assert!(value.raw().len() <= input.len() && value.len() <= 2 * input.len());
        let _ = (value.number(), value.text::<40>(), value.tags().count(), value.ber().count());
    }
    for role in Role::ALL {
        let _ = (view.value(*role), view.part(*role, 0), view.part(*role, 4));
    }
    let _ = (view.tags().count(), view.tag(Tag::Item).map(|item| item.tags().count()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_reads_back_and_builds_again_to_the_same_bytes((index, elements) in legal_message()) {
        let dialect = &shipped()[index];
        let message = build(dialect, &elements);
        prop_assert_eq!(&read(dialect, &message), &elements);
        prop_assert_eq!(&rebuilt(dialect, &message), &message);
    }

    #[test]
    fn the_order_of_putting_does_not_matter((index, elements) in legal_message(), seed in any::<u64>()) {
        let dialect = &shipped()[index];
        let mut shuffled = elements.clone();
        shuffled.sort_by_key(|(de, _)| u64::from(*de).wrapping_mul(seed | 1).rotate_left(17));
        prop_assert_eq!(build(dialect, &shuffled), build(dialect, &elements));
    }

    #[test]
    fn a_message_moves_between_dialects_unaltered((index, elements) in legal_message()) {
        let dialects = shipped();
        let from = &dialects[index];
        let message = build(from, &elements);
        for to in dialects.iter().filter(|to| from.name().starts_with("prepaid87") && to.name().starts_with("prepaid87")) {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            transcode(from, &message, to, &mut there);
            transcode(to, &there, from, &mut back);
            prop_assert_eq!(&back, &message);
        }
    }

    #[test]
    fn cut_anywhere_a_message_is_an_error_and_no_panic((index, elements) in legal_message()) {
        let dialect = &shipped()[index];
        let message = build(dialect, &elements);
        for length in 0..message.len() {
            prop_assert!(dialect.view(&message[..length]).is_err());
            read_all(dialect, &message[..length]);
        }
    }

    #[test]
    fn a_message_with_wrong_bytes_is_read_or_refused(
        (index, elements) in legal_message(),
        wrong in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let dialect = &shipped()[index];
        let mut message = build(dialect, &elements);
        for (place, byte) in wrong {
            let at = place.index(message.len());
            message[at] = byte;
        }
        read_all(dialect, &message);
    }

    #[test]
    fn no_input_panics(head in 0_usize..3, input in proptest::collection::vec(any::<u8>(), 0..600)) {
        for dialect in shipped() {
            let start = build(dialect, &[]);
            let input = [&start[..start.len() * head / 2], &input].concat();
            read_all(dialect, &input);
        }
    }

    #[test]
    fn broken_input_costs_no_more_memory_than_its_view(input in proptest::collection::vec(any::<u8>(), 0..600)) {
        let dialect = dialect("prepaid87");
        let input = [b"0200", &input[..]].concat();
        let counted = allocation_counter::measure(|| drop(dialect.view(&input)));
        prop_assert!(counted.count_total <= 1 && counted.bytes_total < 1024);
    }
}

// ---- Framing ----------------------------------------------------------------------------------------------------------------

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
            prop_assert!(frame.header.len() + frame.body.len() <= most.max(0));
        }
    }
}

//! The ISO 8583 codec: messages written by hand, building, faults, masks and dialect files.
//!
//! What these tests forbid: bytes that change between reading and building, and errors that tell a value.

mod codec_support;

use std::fmt::Write as _;

use codec_support::{SALE, canonical, dialect, read, rebuilt, shipped};
use switchyard_core::iso8583::{Build, BuildRule, Dialect, Mask, Mti, Role, Rule, Tag};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

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
    let table: [(&str, &str); 19] = [
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
        ("0200000000000001000001510010100050000x", "DE48 tag item at byte 28: items lie within items"),
        (
            "020000000000000100000131000801004xyz",
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

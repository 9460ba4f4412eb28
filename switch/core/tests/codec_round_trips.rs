//! The ISO 8583 codec: round trips in every shipped dialect, input that is not a message, and what reading costs.

mod codec_support;

use codec_support::{SALE, dialect, read, rebuilt, shipped};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use switchyard_core::iso8583::{Build, Content, Dialect, Element, Mti, Role, Tag};
use switchyard_core::text::Text;
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
    let first = dialect.mti_of(input);
    let Some(view) = view else { return };
    assert_eq!(first, Some(view.mti()));
    // What is found by number, by role and by going through all is the same, also where a message is broken.
    let numbers: Vec<u8> = view.numbers().collect();
    assert!(view.elements().map(|(de, _)| de).eq(numbers.iter().copied()));
    assert!(view.elements().all(|(de, value)| view.element(de) == Some(value)));
    for role in Role::ALL {
        assert_eq!(view.has(*role), dialect.de(*role).is_some_and(|de| numbers.contains(&de)));
    }
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
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

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
    fn elements_that_are_echoed_at_once_are_those_echoed_one_by_one(
        (index, elements) in legal_message(),
        roles in subsequence(Role::ALL, 1..6),
    ) {
        let dialect = &shipped()[index];
        let message = build(dialect, &elements);
        let view = dialect.view(&message).unwrap();
        // Beside everything of the message, a run of neighbours: what roles alone seldom are.
        let neighbours: Vec<Role> = view.numbers().filter_map(|de| dialect.role(de)).skip(index).take(3).collect();
        for roles in [&roles, &neighbours] {
            let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
            let mut building = Build::again(&view, &mut at_once);
            building.echo_all(&view, roles);
            let at_once_ended = building.finish();
            let mut building = Build::again(&view, &mut one_by_one);
            roles.iter().for_each(|role| { building.echo(&view, *role); });
            let one_by_one_ended = building.finish();
            prop_assert_eq!(at_once_ended, one_by_one_ended);
            prop_assert_eq!(at_once, one_by_one);
        }
    }

    #[test]
    fn characters_of_a_known_number_are_put_as_any_text(
        index in 0..shipped().len(),
        roles in subsequence(Role::ALL, 1..3),
        ascii in legal_text(Content::Printable, 0..=12),
        digits in any::<u64>().prop_map(|number| format!("{number:020}")),
        is_number: bool,
    ) {
        let dialect = &shipped()[index];
        let text = if is_number { &digits.as_bytes()[20 - ascii.len()..] } else { &ascii[..] };
        let short = Text::<12>::new(text).unwrap();
        let put = |how: fn(&mut Build<'_, '_>, Role, &Text<12>)| {
            let mut out = Vec::new();
            let mut building = Build::new(dialect, Mti::new(200), &mut out);
            roles.iter().for_each(|role| how(&mut building, *role, &short));
            let ended = building.finish();
            (ended, out)
        };
        let as_text = put(|building, role, text| { building.text(role, text.as_bytes()); });
        prop_assert_eq!(&put(|building, role, text| { building.short_text(role, text); }), &as_text);
        let by_length = put(|building, role, text| {
            let bytes = text.as_bytes();
            match bytes.len() {
                2 => building.characters(role, bytes.as_array::<2>().unwrap()),
                4 => building.characters(role, bytes.as_array::<4>().unwrap()),
                6 => building.characters(role, bytes.as_array::<6>().unwrap()),
                10 => building.characters(role, bytes.as_array::<10>().unwrap()),
                _ => building.text(role, bytes),
            };
        });
        prop_assert_eq!(&by_length, &as_text);
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

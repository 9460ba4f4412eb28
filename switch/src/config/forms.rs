//! Texts with rules of their own: codes, amounts, times, addresses, meanings of a supplier's codes.
//!
//! Owns: a `Form` for the table of keys and, beside it, the function that reads such a text.
//! Invariants: a form's check accepts exactly what its function reads.

use crate::settings::AddressRange;
use iso_currency::Currency;
use std::net::{Ipv6Addr, SocketAddr};
use switchyard_core::catalogue::{Meaning, ReversalMeaning, StatusMeaning, TimeWindow};
use switchyard_core::code::Code;
use switchyard_core::iso8583::Header;
use switchyard_core::money::Minor;
use switchyard_core::schema::Form;
use switchyard_core::text::Text;

/// A retail network's code (DE32, n..11).
pub(super) const NETWORK: Form = Form {
    name: "a network's code",
    range: "1 to 11 digits",
    check: |text| text.len() <= 11 && is_digits(text),
};

/// A merchant's code (DE42, ans15).
pub(super) const MERCHANT: Form = Form {
    name: "a merchant's code",
    range: "1 to 15 printable ASCII characters",
    check: |text| is_code::<15>(text),
};

/// A terminal's code (DE41, ans8).
pub(super) const TERMINAL: Form = Form {
    name: "a terminal's code",
    range: "1 to 8 printable ASCII characters",
    check: |text| is_code::<8>(text),
};

/// A product's code (DE48 tag 01, an..20).
pub(super) const PRODUCT: Form = Form {
    name: "a product's code",
    range: "1 to 20 printable ASCII characters",
    check: |text| is_code::<20>(text),
};

/// A supplier's code (DE48 tag 03, an..12).
pub(super) const SUPPLIER: Form = Form {
    name: "a supplier's code",
    range: "1 to 12 printable ASCII characters",
    check: |text| is_code::<12>(text),
};

/// The beginning of an account (DE48 tag 02, ans..30) or card.
pub(super) const ACCOUNT_PREFIX: Form = Form {
    name: "the beginning of an account",
    range: "1 to 30 printable ASCII characters",
    check: |text| is_code::<30>(text),
};

/// A response code of a supplier (DE39).
pub(super) const ANSWER_CODE: Form = Form {
    name: "a supplier's response code",
    range: "1 to 4 printable ASCII characters",
    check: |text| is_code::<4>(text),
};

/// An amount of money in units of its currency.
pub(super) const AMOUNT: Form = Form {
    name: "an amount",
    range: "such as \"10.00\", 0 to 999_999_999_999",
    check: |text| amount(text, 4).is_some(),
};

/// A time of day.
pub(super) const TIME: Form =
    Form { name: "a time of day", range: "\"00:00\" to \"23:59\"", check: |text| time(text).is_some() };

/// A part of the day.
pub(super) const WINDOW: Form = Form {
    name: "a part of the day",
    range: "\"08:00-20:00\", UTC, may pass midnight, until \"24:00\"",
    check: |text| window(text).is_some(),
};

/// A time zone.
pub(super) const ZONE: Form = Form {
    name: "a time zone",
    range: "a name of the IANA time zone database",
    check: |text| zone(text).is_some(),
};

/// Where to listen.
pub(super) const LISTEN: Form = Form {
    name: "an address to listen on",
    range: "an IP address and a port, such as \"127.0.0.1:8583\" or \"[::]:8583\"; port 0: any free one",
    check: |text| listen(text).is_some(),
};

/// A range of addresses.
pub(super) const ADDRESSES: Form = Form {
    name: "an address or a range of addresses",
    range: "such as \"10.0.0.0/8\", \"192.0.2.7\" or \"2001:db8::/32\"",
    check: |text| AddressRange::parse(text).is_some(),
};

/// A host to connect to.
pub(super) const HOST: Form =
    Form { name: "a host", range: "a host name or an IP address, without a port", check: is_host };

/// A host to connect to, with its port.
pub(super) const DIAL: Form = Form {
    name: "a host and a port to dial",
    range: "a host name or an IP address, and a port, such as \"iso.network.example:8583\" or \"[2001:db8::7]:8583\"",
    check: |text| dial(text).is_some(),
};

/// The name of an environment variable.
pub(super) const VARIABLE: Form = Form {
    name: "the name of an environment variable",
    range: "letters, digits and underscores, not beginning with a digit",
    check: is_variable,
};

/// What a supplier's code means for a sale.
pub(super) const SALE_MEANING: Form = Form {
    name: "a meaning",
    range: "\"approved\" | \"declined:CC\" | \"not-performed:CC\" | \"unknown\", CC our response code, not 00, 10, 17, 68 or 94",
    check: |text| sale_meaning(text).is_some(),
};

/// What a supplier's code means for a reversal.
pub(super) const REVERSAL_MEANING: Form = Form {
    name: "a meaning",
    range: "\"reversed\" | \"not-found\" | \"refused\" | \"retry\"",
    check: |text| reversal_meaning(text).is_some(),
};

/// What a supplier's code means for a question for a sale's status.
pub(super) const STATUS_MEANING: Form = Form {
    name: "a meaning",
    range: "\"performed\" | \"not-performed\" | \"unknown\"",
    check: |text| status_meaning(text).is_some(),
};

/// What stands between length and message.
pub(super) const HEADER: Form = Form {
    name: "a header",
    range: "\"none\" | \"tpdu\" | \"tpdu:6000010002\" | \"fixed:HEX\", HEX 1 to 32 bytes",
    check: |text| header(text).is_some(),
};

/// Whether `text` is a number of decimal digits, at least one.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `text` is 1 to `N` printable ASCII characters, without spaces at its ends.
fn is_code<const N: usize>(text: &str) -> bool {
    code::<N>(text).is_some()
}

/// `text` as a code: 1 to `N` printable ASCII characters, without spaces at its ends.
pub(super) fn code<const N: usize>(text: &str) -> Option<Text<N>> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (printable && !text.is_empty() && text.trim() == text).then(|| Text::new(text.as_bytes()))?
}

/// An amount in units of a currency with `exponent` decimal places, as minor units; thousands may be
/// parted by underscores.
pub(crate) fn amount(text: &str, exponent: u8) -> Option<Minor> {
    let (units, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let units = units.replace('_', "");
    let width = usize::from(exponent);
    if !is_digits(&units) || !is_digits(fraction) || units.len() > 12 {
        return None;
    }
    let significant = fraction.trim_end_matches('0');
    let has_point = text.contains('.');
    if significant.len() > width || (has_point && fraction.len() > width) {
        return None;
    }
    let minor: i64 = format!("{units}{significant:0<width$}").parse().ok()?;
    Some(Minor(minor))
}

/// Decimal places of the currency with numeric code `numeric` (ISO 4217); `None` where there is none such.
pub(crate) fn exponent(numeric: u16) -> Option<u8> {
    let currency = Currency::from_numeric(numeric)?;
    Some(currency.exponent().and_then(|places| u8::try_from(places).ok()).unwrap_or(0))
}

/// `HH:MM` as minutes after midnight, 0 to 1439.
pub(super) fn time(text: &str) -> Option<u16> {
    minute(text).filter(|minute| *minute < 24 * 60)
}

/// `HH:MM` as minutes after midnight, 0 to 1440.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 || !is_digits(hours) || !is_digits(minutes) {
        return None;
    }
    let minutes: u16 = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let minute = hours.parse::<u16>().ok()? * 60 + minutes;
    (minute <= 24 * 60).then_some(minute)
}

/// `HH:MM-HH:MM`, the ends different.
pub(super) fn window(text: &str) -> Option<TimeWindow> {
    let (from, until) = text.split_once('-')?;
    let window = TimeWindow { from: time(from)?, until: minute(until)? };
    (window.from != window.until).then_some(window)
}

/// A time zone by its IANA name.
pub(super) fn zone(text: &str) -> Option<jiff::tz::TimeZone> {
    jiff::tz::TimeZone::get(text).ok()
}

/// An address to listen on.
pub(super) fn listen(text: &str) -> Option<SocketAddr> {
    text.parse().ok()
}

/// A host and a port to dial; an IPv6 address stands in brackets (RFC 3986, 3.2.2).
pub(super) fn dial(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|number| *number > 0 && is_digits(port))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_sound = match bare {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => !host.contains(':') && is_host(host),
    };
    is_sound.then_some((bare.unwrap_or(host), port))
}

fn is_host(text: &str) -> bool {
    let is_name = text.len() <= 253
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    is_name || text.parse::<std::net::IpAddr>().is_ok()
}

fn is_variable(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A header: none, a TPDU (of our own addresses where they are said), or fixed bytes.
pub(super) fn header(text: &str) -> Option<Header> {
    let value = match text.split_once(':') {
        None => toml::Value::from(text),
        Some((form, hex)) => toml::Table::from_iter([(form.to_string(), hex.into())]).into(),
    };
    value.try_into().ok()
}

/// What a supplier's code means for a sale (S-11). Our own code has two letters or digits; approved
/// (00), unknown (68) and other contents (94) are no reasons to decline.
pub(super) fn sale_meaning(text: &str) -> Option<Meaning> {
    match text.split_once(':') {
        None if text == "approved" => Some(Meaning::Approved),
        None if text == "unknown" => Some(Meaning::Unknown),
        Some(("declined", code)) => our_code(code).map(Meaning::Declined),
        Some(("not-performed", code)) => our_code(code).map(Meaning::NotPerformed),
        _ => None,
    }
}

/// Codes that say another thing than that nothing was sold: a terminal that gets one of them for a decline hands goods over, or waits for money.
const NO_REASONS: [Code; 5] =
    [Code::APPROVED, Code::PARTIAL, Code::CANCELLED, Code::UNKNOWN, Code::OTHER_CONTENTS];

/// A response code of ours, with which nothing was sold.
fn our_code(text: &str) -> Option<Code> {
    let code = Code(<[u8; 2]>::try_from(text.as_bytes()).ok()?);
    (code.meaning().is_some() && !NO_REASONS.contains(&code)).then_some(code)
}

/// What a supplier's code means for a reversal (S-8, S-9).
pub(super) fn reversal_meaning(text: &str) -> Option<ReversalMeaning> {
    match text {
        "reversed" => Some(ReversalMeaning::Reversed),
        "not-found" => Some(ReversalMeaning::NotFound),
        "refused" => Some(ReversalMeaning::Refused),
        "retry" => Some(ReversalMeaning::Retry),
        _ => None,
    }
}

/// What a supplier's code means for a question for a sale's status.
pub(super) fn status_meaning(text: &str) -> Option<StatusMeaning> {
    match text {
        "performed" => Some(StatusMeaning::Performed),
        "not-performed" => Some(StatusMeaning::NotPerformed),
        "unknown" => Some(StatusMeaning::Unknown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_in_units_of_their_currency() {
        assert_eq!(amount("10.00", 2), Some(Minor(1_000)));
        assert_eq!(amount("10", 2), Some(Minor(1_000)));
        assert_eq!(amount("10.5", 2), Some(Minor(1_050)));
        assert_eq!(amount("10_000_000.00", 2), Some(Minor(1_000_000_000)));
        assert_eq!(amount("500", 0), Some(Minor(500)));
        assert_eq!(amount("1.234", 3), Some(Minor(1_234)));
        for wrong in ["", ".", "1.", ".5", "-1", "1,00", "1.000", "1e3", "_", "9999999999999"] {
            assert_eq!(amount(wrong, 2), None, "{wrong}");
        }
        assert_eq!(amount("5.0", 0), None);
    }

    #[test]
    fn times_and_windows_stay_within_the_day() {
        assert_eq!(time("00:00"), Some(0));
        assert_eq!(time("23:59"), Some(1_439));
        for wrong in ["24:00", "1:00", "12:60", "12", "+1:00", "12:00:00"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
        assert_eq!(window("22:00-06:00"), Some(TimeWindow { from: 1_320, until: 360 }));
        assert_eq!(window("08:00-24:00"), Some(TimeWindow { from: 480, until: 1_440 }));
        assert_eq!(window("08:00-08:00"), None);
    }

    #[test]
    fn meanings_never_decline_with_a_code_that_says_something_else() {
        assert_eq!(sale_meaning("declined:05"), Some(Meaning::Declined(Code::REFUSED)));
        assert_eq!(sale_meaning("not-performed:91"), Some(Meaning::NotPerformed(Code::SUPPLIER)));
        for wrong in ["00", "10", "17", "68", "94", "5", "5x", "999"] {
            assert_eq!(sale_meaning(&format!("declined:{wrong}")), None, "{wrong}");
            assert_eq!(sale_meaning(&format!("not-performed:{wrong}")), None, "{wrong}");
        }
        assert_eq!((sale_meaning("declined"), sale_meaning("Approved")), (None, None));
    }

    #[test]
    fn a_header_is_nothing_a_tpdu_or_bytes() {
        assert_eq!(header("none"), Some(Header::None));
        assert_eq!(header("tpdu:6000010002"), Some(Header::Tpdu([0x60, 0, 1, 0, 2])));
        assert!(matches!(header("tpdu"), Some(Header::Tpdu(_))));
        assert!(matches!(header("fixed:49534F"), Some(Header::Fixed(_))));
        for wrong in ["", "fixed:", "fixed:1", "tpdu:60", "fixed:XX", "none:00"] {
            assert_eq!(header(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_dialled_has_a_host_and_a_port() {
        assert_eq!(dial("iso.network.example:8583"), Some(("iso.network.example", 8_583)));
        assert_eq!(dial("192.0.2.7:1"), Some(("192.0.2.7", 1)));
        assert_eq!(dial("[2001:db8::7]:65535"), Some(("2001:db8::7", 65_535)));
        for wrong in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:+1",
            "host:65536",
            "2001:db8::7:1",
            "[host]:1",
            "a b:1",
        ] {
            assert_eq!(dial(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn currencies_bring_their_decimal_places() {
        assert_eq!(exponent(978), Some(2));
        assert_eq!(exponent(392), Some(0));
        assert_eq!(exponent(414), Some(3));
        assert_eq!(exponent(1), None);
    }

    proptest! {
        #[test]
        fn an_amount_that_prints_is_read_again(minor in 0i64..1_000_000_000_000, exponent in 0u8..=4) {
            let text = Minor(minor).display(exponent).to_string();
            prop_assert_eq!(amount(&text, exponent), Some(Minor(minor)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,40}") {
            for form in [&NETWORK, &TERMINAL, &AMOUNT, &TIME, &WINDOW, &LISTEN, &ADDRESSES, &HOST, &DIAL, &SALE_MEANING] {
                let _ = (form.check)(&text);
            }
        }
    }
}

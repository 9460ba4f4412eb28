use super::*;

const DIALECTS: [&str; 4] = ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"];

fn dialect(name: &str) -> Dialect {
    Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}"))
}

fn shown(value: Option<Value<'_>>) -> String {
    let mut text = Vec::new();
    value.unwrap_or_else(|| panic!("the element is there")).append_to(&mut text);
    String::from_utf8(text).expect("ASCII")
}

#[test]
fn what_is_patched_reads_back_in_every_dialect() {
    let profile = Profile::demonstration();
    for name in DIALECTS {
        let dialect = dialect(name);
        let frames =
            Frames::new(&profile, &dialect, &Framing::DEFAULT).unwrap_or_else(|error| panic!("{error}"));
        for number in 0..2_000u64 {
            let request = Request {
                number,
                terminal: (number % 999) as u32,
                stan: number as u32 + 1,
                moment: 1_121_225_900,
                random: number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            };
            let mut out = vec![0xAA];
            frames.write(&request, &mut out);
            let frame = Framing::DEFAULT.next(&out[1..], 8_192).expect("a frame").expect("a whole one");
            assert_eq!(frame.total, out.len() - 1);
            assert_repeated(&frames, &request, &dialect, &out[1..]);
            let body = &out[1..][frame.body];
            let view = dialect.view(body).unwrap_or_else(|broken| panic!("{name}: {broken}"));
            let asker = &profile.terminals[(number % 999) as usize];
            assert_eq!(view.value(Role::Stan).and_then(|stan| stan.number()), Some(number + 1));
            assert_eq!(shown(view.value(Role::TransmissionTime)), "1121225900");
            assert_eq!(shown(view.value(Role::LocalTime)), "225900");
            assert_eq!(shown(view.value(Role::LocalDate)), "1121");
            assert_eq!(shown(view.value(Role::Terminal)), asker.terminal);
            assert_eq!(shown(view.value(Role::Merchant)), asker.merchant);
            assert_eq!(shown(view.value(Role::Network)), asker.network);
            check_item(&profile, &view);
        }
    }
}

/// A repeat differs from its request in the message type and DE7 alone.
fn assert_repeated(frames: &Frames, request: &Request, dialect: &Dialect, frame: &[u8]) {
    let mut repeat = Vec::new();
    frames.write_repeat(request, 1_122_000_001, &mut repeat);
    let view = |bytes: &[u8]| -> Vec<(u8, String)> {
        let body = Framing::DEFAULT.next(bytes, 8_192).expect("a frame").expect("a whole one").body;
        let view = dialect.view(&bytes[body]).unwrap_or_else(|broken| panic!("{broken}"));
        let mti = [(0, view.mti().number().to_string())];
        mti.into_iter().chain(view.elements().map(|(de, value)| (de, shown(Some(value))))).collect()
    };
    let differing: Vec<_> = std::iter::zip(view(frame), view(&repeat)).filter(|(a, b)| a != b).collect();
    let pair = |de, a: &str, b: &str| ((de, a.to_owned()), (de, b.to_owned()));
    assert_eq!(differing, [pair(0, "200", "201"), pair(7, "1121225900", "1122000001")]);
}

#[test]
fn no_two_requests_have_one_account() {
    let profile = Profile::demonstration();
    let dialect = dialect("prepaid87");
    let frames = Frames::new(&profile, &dialect, &Framing::DEFAULT).unwrap_or_else(|error| panic!("{error}"));
    let mut accounts = std::collections::HashSet::new();
    for number in 999_990..1_009_990u64 {
        let random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let request = Request { number, terminal: 1, stan: 1, moment: 1_121_225_900, random };
        let described = frames.describe(&request, &dialect, &Framing::DEFAULT);
        if !described.account.is_empty() && described.product != "WALLET" {
            assert!(accounts.insert(described.account));
        }
    }
    assert!(accounts.len() > 5_000);
}

fn check_item(profile: &Profile, view: &View<'_>) {
    let product = shown(view.tag(Tag::Product));
    let item = profile.items.iter().find(|item| item.product == product).expect("a product of the profile");
    let amount = view.value(Role::Amount).and_then(|amount| amount.number()).expect("an amount");
    assert!(item.amounts.contains(&amount), "{product} {amount}");
    let code = view.value(Role::ProcessingCode).and_then(|code| code.number());
    assert_eq!(code, Some(u64::from(item.service.processing()) * 10_000));
    let account = match &item.account {
        Account::None => return assert!(view.tag(Tag::Account).is_none() && !view.has(Role::Pan)),
        Account::Account { .. } => shown(view.tag(Tag::Account)),
        Account::Card { .. } => shown(view.value(Role::Pan)),
    };
    assert!(beginnings(&item.account).iter().any(|beginning| account.starts_with(beginning)), "{account}");
    let ending: u8 = account[account.len() - 2..].parse().expect("digits");
    assert!(profile.endings.table().contains(&ending), "{account}");
}

#[test]
fn the_mix_has_its_weights() {
    let profile = Profile::demonstration();
    let frames = Frames::new(&profile, &dialect("prepaid87"), &Framing::DEFAULT)
        .unwrap_or_else(|error| panic!("{error}"));
    let total: u32 = profile.items.iter().map(|item| item.weight).sum();
    let top_ups = frames.mix.iter().filter(|template| **template < 3).count();
    assert_eq!(top_ups * total as usize, frames.mix.len() * 50);
}

#[test]
fn a_profile_without_products_is_refused() {
    let mut profile = Profile::demonstration();
    let _ = profile.mix(&[]);
    assert!(matches!(
        Frames::new(&profile, &dialect("prepaid87"), &Framing::DEFAULT),
        Err(FramesError::Empty)
    ));
}

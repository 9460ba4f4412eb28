use super::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A sale in `prepaid87`.
const SALE: &[u8] =
    b"02003238000100C180002100000000000010001121224200123456224200112106100001T0000001SHOP00000000001\
    02501005TOPUP020100612345678978";

/// The same sale in every dialect of prepaid transactions.
fn sales() -> Vec<(Dialect, Vec<u8>)> {
    let source = Dialect::open_shipped("prepaid87").unwrap();
    let sale = source.view(SALE).unwrap_or_else(|broken| panic!("{broken}"));
    let names = Dialect::shipped_names().filter(|name| name.starts_with("prepaid87"));
    names
        .map(|name| {
            let (dialect, mut out) = (Dialect::open_shipped(name).unwrap(), Vec::new());
            let mut build = Build::new(&dialect, sale.mti(), &mut out);
            sale.elements().for_each(|(de, value)| {
                build.copy(de, &value);
            });
            build.finish().unwrap_or_else(|error| panic!("{error}"));
            (dialect, out)
        })
        .collect()
}

/// What one of the two walks makes of a message: the roles that it found, and where; nothing where it does not pass.
fn walked(
    dialect: &Dialect,
    message: &[u8],
    walk: impl Fn(&mut View<'_>, usize) -> bool,
) -> Option<Vec<(Role, (usize, usize))>> {
    let mut view = View { dialect, message, layout: Layout::NONE };
    let at = view.read_head().ok()?;
    let found = Role::ALL.iter().copied();
    walk(&mut view, at)
        .then(|| found.filter(|role| view.has(*role)).map(|role| (role, view.layout.place(role))).collect())
}

proptest! {
    #[test]
    fn both_walks_pass_the_same_messages_and_find_the_same(
        wrong in proptest::collection::vec((any::<Index>(), prop_oneof![select(&b"0123456789AZ az~=\n"[..]), any::<u8>()]), 0..4),
        cut in proptest::option::of(any::<Index>()),
    ) {
        for (dialect, mut message) in sales() {
            for (at, byte) in &wrong {
                *at.get_mut(&mut message[..]) = *byte;
            }
            let length = cut.map_or(message.len(), |cut| cut.index(message.len()));
            let message = &message[..length];
            let quick = walked(&dialect, message, |view, at| view.skim(at));
            let careful = walked(&dialect, message, |view, at| view.walk(at).is_ok());
            prop_assert_eq!(quick, careful, "{}", dialect.name());
        }
    }
}

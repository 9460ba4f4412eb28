use super::*;
use crate::site::Position;

fn deed(rrn: &str, asked: u32, performed: u32, undone: u32) -> Deed {
    Deed {
        supplier: "telco-a".into(),
        rrn: rrn.into(),
        asked,
        performed,
        undone,
        amount: 500,
        ..Deed::default()
    }
}

fn books(posted: &[(&str, i64, i64)]) -> Books {
    let position = |(account, posted_minor, reserved_minor): &(&str, i64, i64)| Position {
        account: (*account).into(),
        posted_minor: *posted_minor,
        reserved_minor: *reserved_minor,
    };
    Books { positions: posted.iter().map(position).collect(), ..Books::default() }
}

fn broken(evidence: &Evidence) -> Vec<Rule> {
    let verdict = check(&[], evidence);
    verdict.rules.iter().filter(|line| line.broken > 0).map(|line| line.rule).collect()
}

#[test]
fn what_stands_and_belongs_to_nobody_is_found() {
    let of = |deed| broken(&Evidence { deeds: vec![deed], books: None });
    assert_eq!(of(deed("A", 1, 1, 0)), [Rule::Nothing]);
    assert_eq!(of(deed("A", 1, 1, 1)), []);
    assert_eq!(of(deed("A", 1, 0, 0)), []);
}

#[test]
fn what_was_asked_or_performed_twice_is_found() {
    let of = |deeds: Vec<Deed>| broken(&Evidence { deeds, books: None });
    assert_eq!(of(vec![deed("A", 2, 1, 1)]), [Rule::Performed]);
    assert_eq!(of(vec![deed("A", 1, 2, 2)]), [Rule::Performed]);
    let elsewhere = Deed { supplier: "telco-b".into(), ..deed("A", 1, 0, 0) };
    assert_eq!(of(vec![deed("A", 1, 0, 0), elsewhere]), [Rule::Performed]);
}

#[test]
fn books_that_do_not_settle_are_found() {
    let before = books(&[("network/1", 1_000, 0), ("contra", -1_000, 0)]);
    let of = |after: Books| broken(&Evidence { deeds: vec![], books: Some((before.clone(), after)) });
    assert_eq!(of(before.clone()), []);
    // Nothing was sold: what moved was paid for nothing. What waits in suspense was not paid to anybody.
    assert_eq!(
        of(books(&[("network/1", 900, 0), ("supplier/a", 100, 0), ("contra", -1_000, 0)])),
        [Rule::Money]
    );
    assert_eq!(of(books(&[("network/1", 900, 0), ("suspense/a", 100, 0), ("contra", -1_000, 0)])), []);
    assert_eq!(of(books(&[("network/1", 1_000, 5), ("contra", -1_000, 0)])), [Rule::Settled]);
    assert_eq!(of(Books { in_flight: 1, ..before.clone() }), [Rule::Settled]);
    assert_eq!(of(Books { parked: 1, ..before.clone() }), [Rule::Parked]);
    assert_eq!(of(Books::default()), [Rule::Settled, Rule::Money], "pages that were not read");
}

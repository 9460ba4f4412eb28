use super::*;

fn refused(text: &str) -> String {
    match Plan::parse(text) {
        Ok(plan) => panic!("accepted: {plan:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_file_that_says_nothing_is_the_demonstration() {
    let plan = Plan::parse("about = 'x'").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.connections, plan.length), (8, Length::Time(Duration::from_secs(10))));
    assert_eq!(plan.pace, Pace::Closed { in_flight: 16 });
    assert_eq!(plan.profile.terminals.len(), 999);
    assert!(!plan.profile.follow_ups.any());
}

#[test]
fn unknown_keys_are_refused_where_they_stand() {
    assert_eq!(
        refused("about = 'x'\n[reversals]\n  aproved_percent = 1.0\n"),
        "line 3, column 3: unknown key `aproved_percent`; did you mean `approved_percent`?"
    );
    assert_eq!(
        refused("about = 'x'\nsecond = 1\n"),
        "line 2, column 1: unknown key `second`; did you mean `seconds`?"
    );
    let far = refused("about = 'x'\n[pace]\nzzz = 1\n");
    assert_eq!(far, "line 3, column 1: unknown key `zzz`; known are in_flight, per_second, phase");
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (text, what) in [
        ("[repeats]\nanswered_percent = 101.0", "repeats.answered_percent: 0 to 100, not 101"),
        ("[pace]\nin_flight = 1\nper_second = 1.0", "pace: give one of"),
        ("[[pace.phase]]\nseconds = 1.0\nfrom_per_second = 1.0", "pace.phase: give per_second, or"),
        ("[[pace.phase]]\nseconds = 1.0\nper_second = 0.0", "pace.phase: all phases are rests"),
        ("[mix]\nTOPPUP = 1", "mix: there is no product `TOPPUP`; did you mean `TOPUP`?"),
        ("[[behaviour]]\nendings = '80-70'\nweight = 1", "endings `80-70`"),
        ("[[product]]\ncode = 'A'\nservice = 'vouchers'\namount_minor_min = 1", "did you mean `voucher`?"),
        (
            "[[terminals]]\nnetwork = '1'\nmerchant = 'M1'\nfirst = 'T8'\ncount = 3",
            "terminals.first: `T8` has too few digits",
        ),
    ] {
        let error = refused(&format!("about = 'x'\n{text}\n"));
        assert!(error.contains(what), "{error}");
    }
    assert!(refused("").contains("about"));
}

#[test]
fn terminals_and_merchants_count_up() {
    let text = "about = 'x'\n[[terminals]]\nnetwork = '100001'\nmerchant = 'SHOP09'\nfirst = 'T0998'\ncount = 4\nper_merchant = 2\nexcept = ['T0999']\n";
    let plan = Plan::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let shown: Vec<_> = plan
        .profile
        .terminals
        .iter()
        .map(|t| format!("{} {} {}", t.terminal, t.merchant, t.network))
        .collect();
    assert_eq!(shown, ["T0998 SHOP09 100001", "T1000 SHOP10 100001", "T1001 SHOP10 100001"]);
}

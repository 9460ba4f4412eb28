//! Forbids: a stop that loses an answer, keeps a client waiting, or does not say what happened and what to do; a full journal that turns reversals and outcomes
//! away, or sales for longer than it is full; a switch that must be stopped to show another certificate.

mod support;

use std::process::Command;
use support::demo::PROGRAM;
use support::run::{Place, Run};
use support::{Answer, Ask, Client, tls, until};
use switchyard::EXIT_JOURNAL;
use switchyard::cli::exit::Exit;

/// Prepaid data that the switch echoes and does not look at: it makes facts long.
const FILLING: &str = "################################################################################\
    ################################################################################\
    ################################################################################\
    ################################################################################\
    ################################################################################";
/// Requests of a round.
const ROUND: usize = 400;
/// Rounds after which a journal of such small segments must be full.
const ROUNDS_MAX: usize = 200;

fn wallet(number: usize) -> Ask {
    let unknown = vec![(*b"99", FILLING)];
    Ask { unknown, ..Ask::sale("WALLET", "210000", 100, &format!("W{number}")) }
}

fn top_up(account: &str) -> Ask {
    Ask::sale("TOPUP", "210000", 1_000, account)
}

/// What an operator is told.
fn operator(place: &Place, line: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(line).arg("--data").arg(place.data()).output().expect("it runs");
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends requests until one gets 96; how many rounds that took.
fn fill(client: &mut Client) {
    for round in 0..ROUNDS_MAX {
        let asks: Vec<Ask> = (0..ROUND).map(|at| wallet(round * ROUND + at)).collect();
        let answers = client.ask_all(&asks, 64);
        let codes: Vec<_> = answers.iter().flatten().map(|answer| answer.code.as_str()).collect();
        assert_eq!(codes.len(), ROUND, "every request is answered");
        assert!(codes.iter().all(|code| ["00", "96"].contains(code)), "{codes:?}");
        if codes.contains(&"96") {
            return;
        }
    }
    panic!("the journal does not fill");
}

/// Waits until all segments are made that are to be made ahead: the next one is made when one is used up.
fn made(run: &Run) {
    until("the segments are made", || run.metric("switchyard_gate_segments_prepared") == Some(2.0));
}

#[test]
fn a_full_journal_turns_away_sales_alone_and_says_so_when_nothing_fits_any_more() {
    let place = Place::new();
    let run = place.start();
    made(&run);
    let obstacle = place.take_room();
    let mut client = run.client();
    let kept = wallet(1_000_000);
    let stands = client.ask(&kept);
    let sold = top_up("0612345600");
    assert_eq!((stands.code.as_str(), client.ask(&sold).code.as_str()), ("00", "00"));
    fill(&mut client);
    assert!(run.errors().contains("the journal has no room for sales"), "{}", run.errors());

    let (status, why) = run.page("/readyz");
    assert!(status == 503 && why.contains("no room for sales"), "{status}: {why}");
    assert_eq!(run.page("/healthz").0, 200, "it lives");

    // Outcomes and reversals still fit: this one goes to the supplier and comes back.
    assert_eq!(client.ask(&sold.reversal()).code, "00");
    let stan = sold.stan.to_string();
    until("the reversal is answered by its supplier", || {
        operator(&place, &["transaction", "find", "--stan", &stan]).contains("reversed at the supplier")
    });
    assert_eq!(client.ask(&wallet(1_000_001)).code, "96");
    assert_eq!(client.ask(&kept).raw, stands.raw, "what was answered stands");

    std::fs::remove_dir(&obstacle).expect("room again");
    let mut number = 1_000_002;
    until("sales are taken again", || {
        number += 1;
        client.ask(&wallet(number)).code == "00"
    });
    until("it is ready again", || run.page("/readyz").0 == 200);

    // Reversals of what never came are the smallest thing that must fit: now until nothing does.
    made(&run);
    let obstacle = place.take_room();
    fill(&mut client);
    let last = exhaust(&mut client, run);
    for words in ["the journal is full", "Every answer that was given stands", "Make room on the disk"] {
        assert!(last.contains(words), "{last}");
    }
    std::fs::remove_dir(&obstacle).expect("room again");
    let run = place.start();
    let mut client = run.client();
    assert_eq!(client.ask(&kept).raw, stands.raw, "what was answered stands");
    assert_eq!(client.ask(&wallet(2_000_000)).code, "00");
    run.terminate();
    assert_eq!(run.ended().0, Some(0));
}

/// Sends reversals until the switch is gone; the last line that it wrote.
fn exhaust(client: &mut Client, run: Run) -> String {
    for _ in 0..ROUNDS_MAX {
        let asks: Vec<Ask> = (0..ROUND).map(|at| wallet(at).reversal()).collect();
        let answers = client.ask_all(&asks, 64);
        assert!(answers.iter().flatten().all(|answer| answer.code == "00"), "a reversal is turned away");
        if answers.iter().any(Option::is_none) {
            let (code, last) = run.ended();
            assert_eq!(code, Some(EXIT_JOURNAL), "{last}");
            return last;
        }
    }
    panic!("the journal does not end");
}

#[test]
fn a_disk_that_fails_ends_the_switch_with_a_line_that_says_what_to_do() {
    for (fault, said, todo) in [
        ("fdatasync:error=EIO", "cannot sync", "Look at the disk"),
        ("pwrite64:error=ENOSPC", "cannot write", "Make room on the disk"),
    ] {
        let place = Place::new();
        let call = fault.split(':').next().unwrap_or_default();
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        traced.args(["-e", &format!("inject={fault}:when=15+")]).arg(PROGRAM);
        let run = place.start_as(traced);
        let mut client = run.client();
        let mut answered: Vec<(Ask, Answer)> = Vec::new();
        for number in 0..ROUND {
            let ask = wallet(number);
            let dialect = client.dialect();
            let answer = client.offer(&ask.message(&dialect)).then(|| client.receive()).flatten();
            let Some(answer) = answer else { break };
            answered.push((ask, answer));
        }
        let (code, last) = run.ended();
        assert_eq!(code, Some(EXIT_JOURNAL), "{fault}: {last}");
        for words in [said, "Every answer that was given stands", todo, "it recovers by itself"] {
            assert!(last.contains(words), "{fault}: {last}");
        }
        assert!(!answered.is_empty(), "{fault} came before anything was answered");
        let run = place.start();
        let mut client = run.client();
        for (ask, answer) in answered {
            assert_eq!(client.ask(&ask).raw, answer.raw, "{fault}: what was answered stands");
        }
    }
}

/// A sale that its supplier has, and did not answer.
fn open_sale(place: &Place, client: &mut Client, account: &str) -> Ask {
    let ask = top_up(account);
    client.send(&ask.message(&client.dialect()));
    until("its supplier has it", || place.hosts.record("telco-a").iter().any(|line| line.account == account));
    ask
}

#[test]
fn an_end_in_order_answers_what_is_open_and_a_second_signal_does_not_wait() {
    let place = Place::new();
    let run = place.start();
    let mut client = run.client();
    let late = open_sale(&place, &mut client, "0612345684");
    let silent = open_sale(&place, &mut client, "0612345685");
    run.terminate();
    let answers = [client.receive().expect("an answer"), client.receive().expect("an answer")];
    let told = answers.map(|answer| (answer.stan(), answer.code));
    assert_eq!(told, [(late.stan, "00".to_owned()), (silent.stan, "68".to_owned())]);
    assert!(client.receive().is_none(), "the connection is closed");
    let (code, last) = run.ended();
    assert_eq!((code, last.as_str()), (Some(0), "switchyard: ended in order; the journal is sealed"));

    let run = place.start();
    let mut client = run.client();
    let open = open_sale(&place, &mut client, "0622345685");
    run.terminate();
    until("it has heard the first signal", || run.errors().contains("ending in order"));
    run.terminate();
    let (code, last) = run.ended();
    assert_eq!(code, Some(i32::from(Exit::Aborted.code())), "{last}");
    assert_eq!(
        last,
        "switchyard: ended at once; every answer that was given stands, the next start recovers"
    );
    let run = place.start();
    let mut client = run.client();
    assert_eq!(client.ask(&open).code, "68", "it is in doubt, and resolved by itself");
    assert_eq!(client.ask(&silent).code, "68");
    assert_eq!(client.ask(&late).code, "00");
    let stan = open.stan.to_string();
    until("it is reversed", || {
        operator(&place, &["transaction", "find", "--stan", &stan]).contains("reversed at the supplier")
    });
    run.terminate();
    assert_eq!(run.ended().0, Some(0));
}

#[test]
fn certificates_are_renewed_by_a_signal_while_who_is_in_is_served() {
    let place = Place::new();
    let run = place.start();
    let certificates = place.data().join("tls");
    let mut before = tls::client(run.tls(), &place.data(), "prepaid87");
    assert_eq!(before.ask(&top_up("0612345600")).code, "00");

    // A file that is wrong is said, and changes nothing.
    let authority = std::fs::read(certificates.join("ca.pem")).expect("the authority");
    std::fs::write(certificates.join("ca.pem"), "no certificate").expect("written");
    run.hang_up();
    until("it says what is wrong", || run.errors().contains("a certificate is not renewed"));
    assert!(run.errors().contains("ca.pem"), "{}", run.errors());
    std::fs::write(certificates.join("ca.pem"), authority).expect("written");
    let mut still = tls::client(run.tls(), &place.data(), "prepaid87");
    assert_eq!(still.ask(&top_up("0612345601")).code, "00");

    // Another authority, and what it signed.
    for name in ["ca.pem", "ca.key"] {
        std::fs::remove_file(certificates.join(name)).expect("there");
    }
    switchyard::tls::demo_authority(&certificates).expect("another authority");
    let renewed = || tls::handshake(run.tls(), &place.data()).is_ok();
    assert!(!renewed(), "the certificate in use is not of that authority");
    run.hang_up();
    until("the new certificate is shown", renewed);
    let mut after = tls::client(run.tls(), &place.data(), "prepaid87");
    assert_eq!(after.ask(&top_up("0612345602")).code, "00");
    assert_eq!(before.ask(&top_up("0612345603")).code, "00", "who was in stays in");
    run.terminate();
    assert_eq!(run.ended().0, Some(0));
}

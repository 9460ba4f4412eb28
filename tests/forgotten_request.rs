//! Forbids: a request that is performed again, or a reversal that finds nothing, because memory gave its key to a file.

mod support;

use std::path::Path;
use support::hosts::Hosts;
use support::{Answer, Ask, Client, address, settings, stock, until};
use switchyard::settings::Settings;
use switchyard::topology::{self, Running};

/// Requests under way at a time.
const WINDOW: usize = 64;
/// Requests that fill memory: several runs of about a thousand each.
const FILLERS: usize = 8_000;

fn small(data: &Path) -> Settings {
    let mut settings = settings(data);
    // About ten thousand requests, of which half stay in memory.
    settings.gate.duplicate_bytes_max = 1 << 20;
    settings
}

fn start(settings: &Settings) -> Running {
    topology::start(settings.clone()).unwrap_or_else(|error| panic!("{error}"))
}

fn plain(running: &Running) -> Client {
    Client::connect(address(running, "plain"), "prepaid87")
}

fn run_files(data: &Path) -> usize {
    std::fs::read_dir(data.join("runs")).map_or(0, |files| files.filter_map(Result::ok).count())
}

/// Everything that is sold, each with an end of its own.
fn asks() -> Vec<Ask> {
    (0..24u32)
        .map(|number| match number % 4 {
            0 => Ask::sale("VOUCHER10", "000000", 1_000, ""),
            1 => Ask::sale("TOPUP", "210000", 1_000, &format!("06123456{:02}", number % 80)),
            2 => Ask::sale("TOPUP", "210000", 1_000, "0712345680"),
            _ => Ask::sale("WALLET", "210000", 500, "W1"),
        })
        .collect()
}

fn ask_all(running: &Running, asks: &[Ask]) -> Vec<Answer> {
    let answers = plain(running).ask_all(asks, WINDOW);
    answers.into_iter().map(|answer| answer.expect("an answer")).collect()
}

/// Repeats get what was answered first; the same key with other contents gets 94.
fn assert_remembered(running: &Running, asks: &[Ask], answers: &[Answer]) {
    let repeats: Vec<_> = asks.iter().map(|ask| Ask { mti: 201, ..ask.clone() }).collect();
    for (first, again) in answers.iter().zip(ask_all(running, &repeats)) {
        assert_eq!((first.mti, &first.code, first.lasting()), (again.mti, &again.code, again.lasting()));
    }
    let others: Vec<_> = asks.iter().map(|ask| Ask { amount: ask.amount + 1, ..ask.clone() }).collect();
    assert!(ask_all(running, &others).iter().all(|answer| answer.code == "94"));
}

fn performances(hosts: &Hosts) -> usize {
    let performed = |name| hosts.record(name).iter().filter(|line| line.action == "perform").count();
    ["telco-a", "telco-b"].into_iter().map(performed).sum()
}

#[test]
fn what_memory_gave_away_is_repeated_refused_and_reversed_as_if_it_were_there() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = small(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    stock(&settings, "VOUCHER10", 40);
    let running = start(&settings);
    let asks = asks();
    let answers = ask_all(&running, &asks);
    let fillers: Vec<_> = (0..FILLERS).map(|_| Ask::sale("WALLET", "210000", 100, "W2")).collect();
    assert!(ask_all(&running, &fillers).iter().all(|answer| answer.code == "00"));
    until("the oldest lie in runs", || run_files(data.path()) >= 2);
    let performed = performances(&hosts);

    assert_remembered(&running, &asks, &answers);
    // Two repeats of one request are away at the same time.
    let twice: Vec<_> = asks.iter().flat_map(|ask| [ask.clone(), ask.clone()]).collect();
    let mut client = plain(&running);
    twice.iter().for_each(|ask| client.send(&ask.message(&client.dialect())));
    for _ in &twice {
        let answer = client.receive().expect("an answer");
        let first = asks.iter().position(|ask| ask.stan == answer.stan()).expect("asked");
        assert_eq!(answer.raw, answers[first].raw);
    }
    assert_eq!(performances(&hosts), performed, "nothing is performed for a repeat");
    running.stop().expect("an orderly stop");

    let running = start(&settings);
    assert_remembered(&running, &asks, &answers);
    assert_eq!(performances(&hosts), performed, "nothing is performed for a repeat");
    running.stop().expect("an orderly stop");
}

//! Forbids: a request that is performed again, or a reversal that finds nothing, because memory gave its key to a file.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::demo::PROGRAM;
use support::hosts::Hosts;
use support::{Answer, Ask, Client, address, settings, stock, until};
use switchyard::settings::Settings;
use switchyard::topology::Running;

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

/// Sales that spill everything before them.
fn fill(running: &Running, data: &Path) {
    let before = run_files(data);
    let fillers: Vec<_> = (0..FILLERS).map(|_| Ask::sale("WALLET", "210000", 100, "W2")).collect();
    assert!(ask_all(running, &fillers).iter().all(|answer| answer.code == "00"));
    until("the oldest lie in runs", || run_files(data) >= before + 2);
}

#[test]
fn what_memory_gave_away_is_repeated_and_refused_as_if_it_were_there() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = small(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a", "telco-b"]);
    stock(&settings, "VOUCHER10", 40);
    let running = hosts.start_switch(settings.clone());
    let asks = asks();
    let answers = ask_all(&running, &asks);
    fill(&running, data.path());
    let performed = performances(&hosts);

    assert_remembered(&running, &asks, &answers);
    // Two repeats of one request are away at the same time.
    let mut client = plain(&running);
    let dialect = client.dialect();
    asks.iter().flat_map(|ask| [ask, ask]).for_each(|ask| client.send(&ask.message(&dialect)));
    for _ in 0..2 * asks.len() {
        let answer = client.receive().expect("an answer");
        let first = asks.iter().position(|ask| ask.stan == answer.stan()).expect("asked");
        assert_eq!(answer.raw, answers[first].raw);
    }
    assert_eq!(performances(&hosts), performed, "nothing is performed for a repeat");
    running.stop().expect("an orderly stop");

    let running = hosts.start_switch(settings.clone());
    assert_remembered(&running, &asks, &answers);
    assert_eq!(performances(&hosts), performed, "nothing is performed for a repeat");
    running.stop().expect("an orderly stop");
}

#[test]
fn reversals_and_inquiries_find_what_memory_gave_away() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = small(data.path());
    let hosts = Hosts::start(&mut settings, &["telco-a"]);
    let running = hosts.start_switch(settings.clone());
    let mut client = plain(&running);
    let top_up = |account: &str| Ask::sale("TOPUP", "210000", 1_000, account);
    let [sold, reversed, never, seen] = ["0612345611", "0612345622", "0612345633", "0612345644"].map(top_up);
    for ask in [&sold, &reversed, &seen] {
        assert_eq!(client.ask(ask).code, "00");
    }
    // Its repeat has a transmission time of its own, and a reversal may name that.
    let mut repeated = Ask { mti: 201, ..seen.clone() };
    repeated.when[8..].copy_from_slice(if seen.when[8..] == *b"00" { b"01" } else { b"00" });
    assert_eq!(client.ask(&repeated).code, "00");
    let (reversal, early) = (reversed.reversal(), never.reversal());
    let answers = [client.ask(&reversal), client.ask(&early)];
    assert!(answers.iter().all(|answer| answer.code == "00"));
    fill(&running, data.path());

    for (reversal, answer) in [&reversal, &early].into_iter().zip(&answers) {
        let again = client.ask(&Ask { mti: 401, ..reversal.clone() });
        assert_eq!(again.lasting(), answer.lasting(), "the stored answer of a reversal");
    }
    assert_eq!(client.ask(&reversed).code, "17");
    assert_eq!(client.ask(&reversed.inquiry()).code, "17");
    assert_eq!(client.ask(&never).code, "17", "what comes after its reversal is never performed");
    assert_eq!(client.ask(&sold.inquiry()).code, "00");
    for late in [&sold, &repeated] {
        assert_eq!(client.ask(&late.reversal()).code, "00");
        assert_eq!(client.ask(&late.reversal()).code, "00", "reversed already");
        assert_eq!(client.ask(late).code, "17");
    }
    until("every reversal has ended", || {
        let undone = hosts.record("telco-a").iter().filter(|line| line.action == "reverse").count();
        undone == 3
    });
    running.stop().expect("an orderly stop");
}

/// What `/readyz` answers.
fn readyz(running: &Running) -> (u16, String) {
    let url = format!("http://{}/readyz", running.admin().expect("pages"));
    let asked = ureq::get(&url).config().http_status_as_error(false).build().call();
    let mut answer = asked.unwrap_or_else(|error| panic!("{url}: {error}"));
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
}

#[test]
fn a_full_index_turns_sales_away_and_says_so() {
    let data = tempfile::tempdir().expect("a folder");
    let mut settings = small(data.path());
    settings.gate.duplicate_bytes_max = 1 << 18;
    settings.admin.listen = Some("127.0.0.1:0".parse().expect("an address"));
    let hosts = Hosts::start(&mut settings, &[]);
    let running = hosts.start_switch(settings.clone());
    let mut client = plain(&running);
    let load = || Ask::sale("WALLET", "210000", 100, "W2");
    let kept = load();
    let first = client.ask(&kept);
    assert_eq!((first.code.as_str(), readyz(&running).0), ("00", 200));
    // Runs cannot be written: where their folder was is a file.
    let (runs, aside) = (data.path().join("runs"), data.path().join("aside"));
    std::fs::rename(&runs, &aside).expect("moved");
    std::fs::write(&runs, "").expect("an obstacle");
    let fillers: Vec<_> = (0..FILLERS).map(|_| load()).collect();
    let codes: Vec<_> = client.ask_all(&fillers, WINDOW).into_iter().flatten().map(|a| a.code).collect();
    assert_eq!(codes.last().map(String::as_str), Some("96"), "it is full");
    let (status, why) = readyz(&running);
    assert!(
        status == 503 && why.contains("the duplicate index is full") && why.contains("make room"),
        "{why}"
    );
    assert_eq!(
        client.ask(&Ask { mti: 201, ..kept.clone() }).lasting(),
        first.lasting(),
        "nothing is forgotten"
    );
    assert_eq!(client.ask(&kept.reversal()).code, "00", "reversals are taken");
    std::fs::remove_file(&runs).expect("no obstacle");
    std::fs::rename(&aside, &runs).expect("moved back");
    until("it is ready again", || readyz(&running).0 == 200);
    assert_eq!(client.ask(&load()).code, "00");
    running.stop().expect("an orderly stop");
}

/// The shipped configuration with little memory, every port free, as files of its own.
fn write_config(folder: &Path) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    copy_folder(&shipped, folder);
    let file = folder.join("switchyard.toml");
    let text = std::fs::read_to_string(&file).expect("the main file");
    let ports = ["8080", "8583", "8584", "8585"];
    let text =
        ports.iter().fold(text, |text, port| text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0"));
    let wanted = "#duplicate_bytes_max = 1_073_741_824";
    assert!(text.contains(wanted));
    std::fs::write(&file, text.replace(wanted, "duplicate_bytes_max = 1_048_576")).expect("written");
    file
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            // Nobody listens where its suppliers would be.
            let text = std::fs::read_to_string(&from).expect("a text");
            std::fs::write(&to, text.replace("port = 958", "port = 1")).expect("a file");
        }
    }
}

/// The switch as a process, and where it listens in clear.
struct Process(Child, SocketAddr);

impl Process {
    fn start(config: &Path, data: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "--color", "never", "--config"]).arg(config).arg("--data").arg(data);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map(|line| line.expect("a line"));
        let line = lines.find(|line| line.trim_start().starts_with("conduit plain")).expect("it is ready");
        let address = line.split_whitespace().last().and_then(|word| word.parse().ok());
        Self(child, address.expect("an address"))
    }

    fn client(&self) -> Client {
        Client::connect(self.1, "prepaid87")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("a process to kill");
        self.0.wait().expect("its end");
    }
}

#[test]
fn what_memory_gave_away_is_remembered_across_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let (config, data) = (write_config(&folder.path().join("config")), folder.path().join("data"));
    switchyard::tls::demo_authority(&data.join("tls")).expect("an authority");
    let asks: Vec<_> = (0..20).map(|_| Ask::sale("WALLET", "210000", 500, "W1")).collect();
    let mut answers: Vec<Answer> = Vec::new();
    for round in 0..3 {
        let process = Process::start(&config, &data);
        let mut client = process.client();
        let asked = client.ask_all(&asks, WINDOW).into_iter().map(|answer| answer.expect("an answer"));
        let asked: Vec<_> = asked.collect();
        assert!(asked.iter().all(|answer| answer.code == "00"));
        if round == 0 {
            answers = asked;
            let fillers: Vec<_> = (0..FILLERS).map(|_| Ask::sale("WALLET", "210000", 100, "W2")).collect();
            assert!(client.ask_all(&fillers, WINDOW).iter().flatten().all(|answer| answer.code == "00"));
            until("the oldest lie in runs", || run_files(&data) >= 2);
        } else {
            assert!(asked.iter().zip(&answers).all(|(again, first)| again.raw == first.raw));
            let other = client.ask(&Ask { amount: 1, ..asks[0].clone() });
            assert_eq!(other.code, "94");
        }
    }
}

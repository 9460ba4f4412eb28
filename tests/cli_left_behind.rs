//! Forbids: a demonstration that loses an answer to a kill, starts its suppliers twice, or leaves a process behind.

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use support::until;
use switchyard::cli::exit::Exit;
use switchyard::cli::suppliers::HostFolder;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchyard");

/// A running demonstration. It ends by itself, should the test not end it.
struct Demo {
    process: Child,
    page: Vec<String>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Demo {
    fn start(data: &Path, options: &[&str]) -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["demo", "--port-base", "0", "--seconds", "120", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut page = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            let is_last = line.contains("send DATA5 --tls");
            page.push(line);
            if is_last {
                return Self { process, page, lines };
            }
        }
        panic!("the demonstration did not start: {page:?}, {:?}", process.wait());
    }

    /// The word after this one at the start of a line of the page.
    fn told(&self, what: &str) -> &str {
        let told = self.page.iter().find_map(|line| line.trim().strip_prefix(what));
        let told = told.unwrap_or_else(|| panic!("no {what} in {:?}", self.page));
        told.split_whitespace().next().unwrap_or_default()
    }

    /// Whether it says so before its end.
    fn said(&mut self, words: &str) -> bool {
        self.lines.by_ref().map_while(Result::ok).any(|line| line.contains(words))
    }

    fn signal(&mut self, signal: Signal) -> ExitStatus {
        let pid = i32::try_from(self.process.id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("it runs");
        self.process.wait().expect("it ends")
    }

    /// Asks for a product; the exit code and the answer's elements by id.
    fn send(&self, options: &[&str]) -> (Option<i32>, serde_json::Value) {
        let sent = Command::new(PROGRAM)
            .args(["send", "--json", "--show-secrets", "--to", self.told("plain")])
            .args(options)
            .output()
            .expect("the program runs");
        let answer = serde_json::from_slice(&sent.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&sent.stderr)));
        (sent.status.code(), answer)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
        }
    }
}

fn part(answer: &serde_json::Value, id: &str) -> String {
    let elements = answer["elements"].as_array().expect("elements");
    let parts = elements.iter().flat_map(|element| element["parts"].as_array().into_iter().flatten());
    let found = elements.iter().chain(parts).find(|element| element["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {answer}"))["value"].as_str().expect("text").to_owned()
}

fn is_served(data: &Path) -> bool {
    let lock = HostFolder::new(data).and_then(|folder| folder.lock()).expect("a lock");
    lock.try_lock().is_err()
}

#[test]
fn a_killed_demonstration_comes_back_with_its_answers_and_its_suppliers() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("demo");
    let mut first = Demo::start(&data, &["--no-traffic"]);
    let ask = ["VOUCHER10", "--stan", "4711", "--time"];
    let time = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let (code, sold) = first.send(&[&ask[..], &[&time]].concat());
    assert_eq!(code, Some(Exit::Done.code().into()), "{sold}");
    let (code, _) = first.send(&["TOPUP", "--account", "0612345680"]);
    assert_eq!(code, Some(Exit::Negative.code().into()));
    let host = HostFolder::new(&data).expect("a folder").read().expect("it says where it is");
    assert!(!first.signal(Signal::SIGKILL).success());
    assert!(is_served(&data), "the suppliers went with the switch");

    let mut second = Demo::start(&data, &["--no-traffic"]);
    let found = HostFolder::new(&data).expect("a folder").read().expect("it says where it is");
    assert_eq!((found.pid, &found.ports), (host.pid, &host.ports), "the suppliers were started twice");
    assert!(second.page.iter().any(|line| line.contains("found running")), "{:?}", second.page);
    let (code, again) = second.send(&[&ask[..], &[&time, "--repeat"]].concat());
    assert_eq!(code, Some(Exit::Done.code().into()), "{again}");
    for id in ["37", "38", "48.20", "48.21"] {
        assert_eq!(part(&sold, id), part(&again, id), "DE{id} of the repeat");
    }
    let (code, other) = second.send(&["VOUCHER10"]);
    assert_eq!(code, Some(Exit::Done.code().into()), "{other}");
    assert_ne!(part(&sold, "48.20"), part(&other, "48.20"), "a voucher was sold twice");
    let (code, explained) =
        second.send(&["DATA5", "--explain", "--admin", second.told("pages").trim_start_matches("http://")]);
    assert_eq!(code, Some(Exit::Done.code().into()), "{explained}");
    assert_eq!(explained["explanation"]["candidates"][0]["supplier"], "telco-a", "{explained}");
    assert!(second.signal(Signal::SIGTERM).success());
    assert!(!is_served(&data), "the suppliers were left behind");
}

#[test]
fn a_killed_supplier_process_is_started_again_where_it_was_and_ended_with_the_demonstration() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Demo::start(folder.path(), &["--no-traffic"]);
    let suppliers = HostFolder::new(folder.path()).expect("a folder");
    let host = || suppliers.read().expect("it says where it is");
    let kill_it = |pid: u32| kill(Pid::from_raw(pid as i32), Signal::SIGKILL).expect("it runs");
    let top_up =
        |demo: &Demo| demo.send(&["TOPUP", "--account", "0712345600"]).0 == Some(Exit::Done.code().into());
    let before = host();
    kill_it(before.pid);
    until("another process is there", || host().pid != before.pid);
    assert_eq!(host().ports, before.ports, "the links dial where they did");
    until("its suppliers sell", || top_up(&first));
    // One that is found is tended as well; its end is noticed by its lock.
    assert!(!first.signal(Signal::SIGKILL).success());
    let mut second = Demo::start(folder.path(), &["--no-traffic"]);
    let found = host();
    assert!(second.page.iter().any(|line| line.contains("found running")), "{:?}", second.page);
    kill_it(found.pid);
    until("a third process is there", || host().pid != found.pid);
    until("its suppliers sell", || top_up(&second));
    assert!(second.said("was started again"), "it says so");
    let last = host().pid;
    assert!(second.signal(Signal::SIGTERM).success());
    assert!(!is_served(folder.path()), "process {last} was left behind");
}

#[test]
fn a_demonstration_on_a_data_folder_in_use_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Demo::start(folder.path(), &[]);
    let second = Command::new(PROGRAM)
        .args(["demo", "--port-base", "0", "--no-traffic", "--data"])
        .arg(folder.path())
        .output()
        .expect("the program runs");
    assert_eq!(second.status.code(), Some(Exit::Data.code().into()));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"));
    assert!(is_served(folder.path()), "the second took the first one's suppliers with it");
    assert!(first.signal(Signal::SIGINT).success());
    assert!(!is_served(folder.path()), "the suppliers were left behind");
}

#[test]
fn a_stock_is_shown_and_loaded_while_the_switch_runs_and_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("demo");
    let file = folder.path().join("vouchers.csv");
    std::fs::write(&file, "serial,pin\nX1,7391846250917283\nX2,7391846250917284\n").expect("own folder");
    let mut demo = Demo::start(&data, &["--no-traffic"]);
    let stock = |options: &[&str]| {
        let output = Command::new(PROGRAM).arg("stock").args(options).arg("--data").arg(&data).output();
        let output = output.expect("the program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let file = file.to_string_lossy();
    let load = ["load", &file, "--product", "VOUCHER20", "--batch", "mine"];
    assert!(stock(&load).contains("2 vouchers of VOUCHER20 loaded, 100002 in stock"));
    assert!(stock(&["show"]).contains("mine"));
    assert!(demo.signal(Signal::SIGTERM).success());
    assert!(stock(&load).contains("loaded already"));
    assert!(stock(&["show", "--product", "VOUCHER20"]).contains("mine"));
}

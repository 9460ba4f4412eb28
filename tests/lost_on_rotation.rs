//! Forbids: a PIN, a voucher or a folder lost by an exchange of the key-encryption key, whenever it happens and wherever it is cut off.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::Ask;
use support::demo::{Demo, PROGRAM};
use switchyard::cli::exit::Exit;

/// Runs the program, and says how it ended: its exit code and everything that it printed.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn keys(verb: &str, data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["keys", verb, "--data"]).arg(data);
    if verb == "rotate" {
        command.args(["--reason", "a test of rotation"]);
    }
    command
}

/// The fingerprints of a folder's keys, the present one first; everything that is wrapped opens with one of them.
fn shown(data: &Path) -> Vec<String> {
    let (code, printed) = run(&mut keys("show", data));
    assert_eq!(code, Some(0), "{printed}");
    printed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn code(exit: Exit) -> Option<i32> {
    Some(i32::from(exit.code()))
}

fn asks() -> [Ask; 2] {
    [Ask::sale("VOUCHER10", "000000", 1_000, ""), Ask::sale("VOUCHERJIT", "000000", 1_500, "")]
}

#[test]
fn a_rotation_under_a_running_switch_loses_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(data.path());
    let mut sold = Vec::new();
    for _ in 0..3 {
        let mut client = demo.client("plain");
        sold.extend(asks().map(|ask| (client.ask(&ask), ask)));
        let (exit, printed) = run(&mut keys("rotate", data.path()));
        assert_eq!(exit, Some(0), "{printed}");
        for (answer, ask) in &sold {
            assert!(answer.code == "00" && !answer.pin.is_empty(), "{answer:?}");
            assert_eq!(client.ask(ask).raw, answer.raw, "the answer stands");
        }
    }
    let names = shown(data.path());
    assert_eq!(names.len(), 4, "{names:?}");
    let file = data.path().join("keys/kek");
    let (exit, printed) = run(keys("rotate", data.path()).arg("--old-file").arg(&file));
    assert!(exit == code(Exit::Data) && printed.contains("end the switch"), "{printed}");
    demo.end();
    let demo = Demo::start(data.path());
    let mut client = demo.client("plain");
    for (answer, ask) in &sold {
        assert_eq!(client.ask(ask).raw, answer.raw, "the answer stands after a start");
    }
    assert_eq!(shown(data.path()), names);
    assert_eq!(on_record(data.path()), 3, "each is in the audit trail, once");
    demo.end();
}

/// Rotations in the audit trail, all by this user and with the reason given.
fn on_record(data: &Path) -> usize {
    let mut command = Command::new(PROGRAM);
    let (exit, printed) = run(command.args(["audit", "--json", "--data"]).arg(data));
    assert_eq!(exit, Some(0), "{printed}");
    let of_keys = |line: &&str| line.contains("keys rotated at ");
    let mut count = 0;
    for line in printed.lines().filter(of_keys) {
        assert!(line.contains("a test of rotation"), "{line}");
        count += 1;
    }
    count
}

/// Calls by which a rotation changes something. Cut off before each of them, it is cut off after each of them too.
const CALLS: [&str; 3] = ["/^rename", "fsync", "write"];

/// Runs a command that is killed before its n-th call of this kind; how it ended, none where it was killed.
fn cut_off(command: &Command, call: &str, at: usize, log: &Path) -> Option<i32> {
    let inject = format!("inject={call}:signal=KILL:when={at}");
    let mut traced = Command::new("strace");
    traced.args(["-qq", "-e", &inject, "-o"]).arg(log).arg(command.get_program()).args(command.get_args());
    run(&mut traced).0
}

#[test]
fn a_rotation_cut_off_anywhere_leaves_a_folder_that_starts() {
    let data = tempfile::tempdir().expect("a folder");
    let log = data.path().join("trace.log");
    let demo = Demo::start(data.path());
    let mut client = demo.client("plain");
    let sold = asks().map(|ask| (client.ask(&ask), ask));
    demo.end();
    let mut names = shown(data.path());
    let (mut cuts, mut rotated_all_the_same) = (0, 0);
    for call in CALLS {
        for at in 1.. {
            let ended = cut_off(&keys("rotate", data.path()), call, at, &log);
            let found = shown(data.path());
            if found != names {
                assert_eq!(found[1..], names, "one key more, or as before: {call} {at}");
                names = found;
                rotated_all_the_same += u32::from(ended.is_none());
            }
            if ended.is_some() {
                assert_eq!(ended, Some(0), "{call} {at}");
                break;
            }
            cuts += 1;
        }
    }
    assert!(
        cuts >= 10 && rotated_all_the_same >= 2,
        "{cuts} cuts, {rotated_all_the_same} after the new key's turn"
    );
    let demo = Demo::start(data.path());
    let mut client = demo.client("plain");
    for (answer, ask) in &sold {
        assert_eq!(client.ask(ask).raw, answer.raw, "the answer stands");
    }
    assert_eq!(on_record(data.path()), names.len() - 1, "the start has put each on record");
    demo.end();
    let left: Vec<_> = std::fs::read_dir(data.path().join("keys")).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 3, "no other key lies about: {left:?}");
}

/// A folder that is to get its key from elsewhere: the old key in one file, the new one where the configuration says.
struct FromElsewhere<'d> {
    data: &'d Path,
    keys_made: u64,
}

impl FromElsewhere<'_> {
    fn present(&self) -> PathBuf {
        self.data.join("keys/kek")
    }

    fn old(&self) -> PathBuf {
        self.data.join("old")
    }

    fn hand_out_a_new_key(&mut self) {
        self.keys_made += 1;
        std::fs::copy(self.present(), self.old()).expect("a copy");
        std::fs::write(self.present(), format!("{:064x}", self.keys_made)).expect("own file");
    }

    /// Whether the new key opens the folder; if it does not, it is said why, and the old one does.
    fn is_followed(&self) -> bool {
        let (exit, printed) = run(&mut keys("show", self.data));
        if exit == Some(0) {
            return true;
        }
        assert!(exit == code(Exit::Data) && printed.contains("is opened by key"), "{printed}");
        let new = self.data.join("new");
        std::fs::rename(self.present(), &new).expect("own file");
        std::fs::copy(self.old(), self.present()).expect("own file");
        shown(self.data);
        std::fs::rename(&new, self.present()).expect("own file");
        false
    }
}

#[test]
fn a_key_from_elsewhere_cut_off_anywhere_leaves_the_old_key_or_the_new_one() {
    let data = tempfile::tempdir().expect("a folder");
    let log = data.path().join("trace.log");
    Demo::start(data.path()).end();
    let mut place = FromElsewhere { data: data.path(), keys_made: 0 };
    let (mut cuts, mut followed) = (0, true);
    for call in CALLS {
        for at in 1.. {
            if followed {
                place.hand_out_a_new_key();
            }
            let mut command = keys("rotate", data.path());
            command.arg("--old-file").arg(place.old());
            let ended = cut_off(&command, call, at, &log);
            followed = place.is_followed();
            if ended.is_some() {
                assert!(ended == Some(0) && followed, "{call} {at}");
                break;
            }
            cuts += 1;
        }
    }
    assert!(cuts >= 5 && place.keys_made >= 4, "{cuts} cuts, {} keys", place.keys_made);
    Demo::start(data.path()).end();
}

#[test]
fn keys_from_the_environment_are_rotated_and_shown() {
    let data = tempfile::tempdir().expect("a folder");
    Demo::start(data.path()).end();
    let config = data.path().join("switchyard.toml");
    let text = "data = \".\"\n[keys]\nenv = \"SWITCHYARD_KEK\"\n[[conduit]]\nname = \"plain\"\n\
        listen = \"127.0.0.1:0\"\ndialect = \"prepaid87\"\n";
    std::fs::write(&config, text).expect("own file");
    let old = std::fs::read_to_string(data.path().join("keys/kek")).expect("the old key");
    std::fs::remove_file(data.path().join("keys/kek")).expect("own file");
    let new = "5a".repeat(32);
    let with = |verb: &str, key: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["keys", verb, "--config"]).arg(&config);
        if verb == "rotate" {
            command.args(["--reason", "a test of rotation"]);
        }
        command.env("SWITCHYARD_KEK", key).env("OLD_KEK", &old);
        command
    };
    for (command, exit, says) in [
        (&mut with("show", &old), 0, "now"),
        (&mut with("show", &new), Exit::Data.code(), "run `switchyard keys rotate` with"),
        (&mut with("rotate", &new), Exit::Data.code(), "is opened by key"),
        (&mut with("rotate", &old), Exit::Usage.code(), "which the switch cannot change"),
        (
            with("rotate", &new).args(["--old-env", "NO_SUCH_KEY"]),
            Exit::Usage.code(),
            "NO_SUCH_KEY is not set",
        ),
        (with("rotate", &old).args(["--old-env", "OLD_KEK"]), Exit::Usage.code(), "the old and the new one"),
        (with("rotate", &new).args(["--old-env", "OLD_KEK"]), 0, "is in use"),
        (with("rotate", &new).args(["--old-env", "OLD_KEK"]), 0, "is in use"),
        (&mut with("show", &new), 0, "now"),
        (&mut with("show", &old), Exit::Data.code(), "was retired at"),
    ] {
        let (code, printed) = run(command);
        assert!(code == Some(exit.into()) && printed.contains(says), "{command:?}: {code:?} {printed}");
        assert!(![old.trim(), &new].iter().any(|key| printed.contains(key)), "a key is printed: {printed}");
    }
}

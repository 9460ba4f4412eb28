//! Forbids: a command whose exit code, message or advice misleads a script or a person, and one that shows a secret.

use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use switchyard::cli::exit::Exit;
use switchyard_core::iso8583::{Build, Dialect, Mti, Role, Tag};

const PIN: &str = "7391846250917283";
const PAN: &str = "6006491234567890";

/// Runs the program with this on its standard input.
fn run(line: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchyard"))
        .args(line)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("the program ends")
}

/// What a run printed to both streams, and whether it ended as it should.
fn check(line: &[&str], input: &[u8], exit: Exit) -> (String, String) {
    let output = run(line, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit.code().into()), "{line:?}\n{out}\n{err}");
    (out, err)
}

fn message(dialect: &str) -> Vec<u8> {
    let dialect = Dialect::open_shipped(dialect).expect("shipped");
    let mut out = Vec::new();
    let mut build = Build::new(&dialect, Mti::new(210), &mut out);
    build
        .text(Role::Pan, PAN.as_bytes())
        .number(Role::Amount, 1_000)
        .number(Role::Stan, 7)
        .text(Role::ResponseCode, b"00");
    build.open_tags(Role::Prepaid).tag(Tag::Pin, PIN.as_bytes()).tag(Tag::Serial, b"S1").close_tags();
    build.number(Role::Currency, 978);
    build.finish().expect("fits the dialect");
    out
}

#[test]
fn a_message_is_decoded_however_it_is_written() {
    use base64::Engine as _;
    let raw = message("prepaid87");
    let hex = hex::encode(&raw);
    let base64 = base64::engine::general_purpose::STANDARD.encode(&raw);
    let framed: Vec<u8> = (raw.len() as u16).to_be_bytes().iter().chain(&raw).copied().collect();
    let twice = [framed.as_slice(), &framed].concat();
    for input in [raw.as_slice(), hex.as_bytes(), base64.as_bytes(), &framed, &twice] {
        let (out, _) = check(&["decode"], input, Exit::Done);
        assert!(out.starts_with("0210 sale response\n"), "{out}");
        assert!(
            out.contains("10.00 EUR") && out.contains("approved") && out.contains("600649******7890"),
            "{out}"
        );
        assert!(!out.contains(PIN) && !out.contains(PAN), "a secret is shown: {out}");
    }
    let (out, _) = check(&["decode", &hex, "--show-secrets"], b"", Exit::Done);
    assert!(out.contains(PIN) && out.contains(PAN), "{out}");
    let (out, _) = check(&["decode", &hex, "--json"], b"", Exit::Done);
    let json: serde_json::Value = serde_json::from_str(&out).expect("one object");
    assert_eq!((&json["mti"], &json["elements"][0]["value"]), (&"0210".into(), &"600649******7890".into()));
}

#[test]
fn the_message_of_the_readme_is_decoded() {
    let readme = include_str!("../README.md");
    let hex =
        readme.lines().find_map(|line| line.strip_prefix("switchyard decode 30")).expect("a message in hex");
    let (out, _) = check(&["decode", &format!("30{hex}")], b"", Exit::Done);
    assert!(out.starts_with("0800 network management request\n") && out.contains("301  echo"), "{out}");
}

#[test]
fn a_wrong_request_is_told_what_a_right_one_is() {
    let (_, err) = check(&["send", "TOPUP", "--time", "yesterday"], b"", Exit::Usage);
    assert!(err.contains("such as 2026-11-21T23:00:59"), "{err}");
    let (_, err) = check(&["send"], b"", Exit::Usage);
    assert!(err.contains("--reverse, --inquire"), "{err}");
}

#[test]
fn every_shipped_dialect_is_decoded() {
    let (listed, _) = check(&["decode", "--dialects"], b"", Exit::Done);
    for name in Dialect::shipped_names() {
        assert!(listed.contains(name), "{listed}");
    }
    for name in ["prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"] {
        let (out, _) = check(&["decode", "--dialect", name], &message(name), Exit::Done);
        assert!(out.contains("Prepaid data") && !out.contains(PIN), "{out}");
        let (_, err) = check(&["decode"], &message(name), Exit::Negative);
        assert!(err.contains(&format!("it can be read as {name}")), "{err}");
    }
}

#[test]
fn a_fault_is_shown_where_it_is_and_nothing_secret_with_it() {
    let mut raw = message("prepaid87");
    // The length of the PIN's tag: two characters of tag, then this.
    let at = raw.windows(PIN.len()).position(|window| window == PIN.as_bytes()).expect("in it") - 3;
    raw[at] = b'9';
    let (out, err) = check(&["decode"], &raw, Exit::Negative);
    assert!(err.contains("DE48") && err.contains(&format!("at byte {}", at - 2)), "{err}");
    assert!(out.contains("^^") && out.contains("** **"), "{out}");
    let shown = format!("{out}{err}");
    assert!(!shown.contains(PIN) && !shown.contains(PAN), "a secret is shown: {shown}");
    let digits: String = PIN.bytes().map(|digit| format!("{digit:02X} ")).collect();
    assert!(
        !shown.contains(digits.trim()) && !shown.contains(&digits[..12]),
        "a secret is shown in hex: {shown}"
    );
}

#[test]
fn what_is_mistyped_is_named_with_what_was_meant() {
    let (_, err) = check(&["decode", "00", "--dialect", "prepaid78"], b"", Exit::Usage);
    assert!(err.contains("did you mean `prepaid87`?"), "{err}");
    check(&["decode"], b"", Exit::Usage);
    check(&["decode", "xyz", "--form", "hex"], b"", Exit::Usage);
    check(&["send"], b"", Exit::Usage);
    let (_, err) = check(&["send", "TOPUP", "--amount", "1.234"], b"", Exit::Usage);
    assert!(err.contains("`1.234` is no amount"), "{err}");
    check(&["sned"], b"", Exit::Usage);
    let (_, err) = check(&["stock", "show"], b"", Exit::Usage);
    assert!(err.contains("--config") && err.contains("--data"), "{err}");
}

#[test]
fn a_wrong_configuration_is_said_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("switchyard.toml");
    std::fs::write(
        &file,
        "windw = 1\n[[conduit]]\nname = \"a\"\nlisten = \"nowhere\"\ndialect = \"prepaid78\"\n",
    )
    .expect("own folder");
    let (_, err) = check(&["check", "--config", &file.to_string_lossy()], b"", Exit::Usage);
    for wanted in ["switchyard.toml:1:1: error", ":4:", ":5:", "errors"] {
        assert!(err.contains(wanted), "{wanted} is not in {err}");
    }
    let (_, err) = check(&["run", "--config", "/nowhere/switchyard.toml"], b"", Exit::Usage);
    assert!(err.contains("/nowhere/switchyard.toml"), "{err}");
}

#[test]
fn nobody_there_and_no_answer_are_told_apart() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let (out, err) = check(&["send", "TOPUP", "--to", &address, "--timeout-ms", "300"], b"", Exit::Unknown);
    assert!(out.contains("0200 sale request") && err.contains("did not answer in time"), "{out}{err}");
    assert!(err.contains("--repeat"), "how to repeat it is not said: {err}");
    let closes = std::thread::spawn(move || {
        // The one that timed out waits in the queue before the one that comes now.
        for stream in listener.incoming().take(2) {
            let mut request = [0; 2];
            let _ = stream.expect("a client").read_exact(&mut request);
        }
        listener
    });
    let (_, err) = check(&["send", "--echo", "--to", &address], b"", Exit::Unknown);
    assert!(err.contains("closed the connection without an answer"), "{err}");
    let listener = closes.join().expect("no panic");
    let speaks_tls = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = [0; 2];
        let _ = stream.read_exact(&mut request);
        // A fatal alert, as a TLS server gives to what is not TLS.
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        listener
    });
    let (_, err) = check(&["send", "--echo", "--to", &address], b"", Exit::Unreachable);
    assert!(err.contains("nothing was performed") && err.contains("--tls"), "{err}");
    drop(speaks_tls.join().expect("no panic"));
    // It keeps the port, so that nobody else listens there.
    let away = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    away.set_reuse_address(true).expect("an address for itself");
    away.bind(&address.parse::<SocketAddr>().expect("an address").into()).expect("its address");
    let (_, err) = check(&["send", "TOPUP", "--to", &address], b"", Exit::Unreachable);
    assert!(err.contains("is the switch running?"), "{err}");
}

#[test]
fn completions_are_there_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, _) = check(&["completions", shell], b"", Exit::Done);
        assert!(out.contains("switchyard") && out.contains("decode"), "{shell}");
    }
}

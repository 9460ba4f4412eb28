//! `switchyard run` as a process of its own, on a copy of the shipped configuration with small segments, free ports and suppliers of the test.

use super::demo::PROGRAM;
use super::hosts::Hosts;
use super::{Client, child, settings};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use switchyard::settings::LinkSettings;

/// Segments of this length fill in seconds.
const SEGMENT_BYTES: u64 = 4 << 20;

/// Where a switch runs: configuration, data, suppliers.
pub struct Place {
    folder: tempfile::TempDir,
    pub hosts: Hosts,
}

impl Place {
    /// A place with `telco-a`; no other supplier over a wire listens.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = settings(&folder.path().join("data"));
        let hosts = Hosts::start(&mut settings, &["telco-a"]);
        let telco = settings.suppliers.iter().find(|supplier| supplier.code == "telco-a").expect("telco-a");
        let LinkSettings::Dial(link) = &telco.links[0] else { panic!("telco-a is dialled") };
        let port = link.port;
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").join("config");
        copy(&shipped, &folder.path().join("config"), &|text| rewrite(text, port));
        Self { folder, hosts }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The numbers of the journal's segments.
    pub fn segments(&self) -> Vec<u64> {
        let folder = std::fs::read_dir(self.data().join("journal")).expect("a journal");
        let names = folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut numbers: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".segment")?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Takes the room for more segments away: what bears the next one's name while it is made is a folder. It is given back by removing that.
    pub fn take_room(&self) -> PathBuf {
        let next = self.segments().last().expect("segments") + 1;
        let obstacle = self.data().join("journal").join(format!("{next:014}.making"));
        std::fs::create_dir(&obstacle).expect("an obstacle");
        obstacle
    }

    pub fn start(&self) -> Run {
        self.start_as(Command::new(PROGRAM))
    }

    /// Starts it by a command that ends in the program: a tracer may stand before it.
    pub fn start_as(&self, mut command: Command) -> Run {
        let errors = self.folder.path().join("errors.log");
        let config = self.folder.path().join("config").join("switchyard.toml");
        command.args(["run", "--color", "never", "--config"]).arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&errors).expect("a file"));
        let mut child = command.spawn().expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut run = Run { child, plain: None, tls: None, pages: None, errors };
        for line in output.lines().map_while(Result::ok) {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                ["conduit", "plain", at] => run.plain = at.parse().ok(),
                ["conduit", "tls", at] => run.tls = at.parse().ok(),
                // It comes last.
                ["pages", at] => {
                    run.pages = Some(at.to_owned());
                    return run;
                }
                _ => {}
            }
        }
        panic!("not ready: {}", run.errors());
    }
}

/// Everything below a folder, each text rewritten.
fn copy(from: &Path, to: &Path, rewrite: &dyn Fn(&str) -> String) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, rewrite);
        } else {
            let text = std::fs::read_to_string(entry.path()).expect("a text");
            std::fs::write(target, rewrite(&text)).expect("written");
        }
    }
}

/// Small segments, free ports, the test's own supplier; nobody listens on port 1.
fn rewrite(text: &str, telco_a: u16) -> String {
    let line = |line: &str| match line {
        "[journal]" => format!("[journal]\nsegment_bytes = {SEGMENT_BYTES}\nsegments_prepared_min = 2"),
        "port = 9583" => format!("port = {telco_a}"),
        port if port.starts_with("port = ") => "port = 1".to_owned(),
        listen if listen.starts_with("listen = \"127.0.0.1:") => "listen = \"127.0.0.1:0\"".to_owned(),
        other => other.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// A running switch. It is killed when it is dropped.
pub struct Run {
    child: Child,
    plain: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    pages: Option<String>,
    errors: PathBuf,
}

impl Run {
    pub fn client(&self) -> Client {
        Client::connect(self.plain.expect("it was ready"), "prepaid87")
    }

    /// Where it takes TLS.
    pub fn tls(&self) -> SocketAddr {
        self.tls.expect("it was ready")
    }

    /// A number that it shows.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.pages.as_ref().expect("it was ready"));
        let mut answer = ureq::get(&url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// What a page answers: its status and its text.
    pub fn page(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.pages.as_ref().expect("it was ready"));
        let asked = ureq::get(&url).config().http_status_as_error(false).build().call();
        let mut answer = asked.unwrap_or_else(|error| panic!("{url}: {error}"));
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        child::terminate(&self.child);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) {
        child::hang_up(&self.child);
    }

    /// What it wrote to standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).expect("a file")
    }

    /// Waits until it ends: its exit code, and the last line that it wrote.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = child::ended(&mut self.child);
        let last = self.errors().lines().last().unwrap_or_default().to_owned();
        (status.code(), last)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        child::put_down(&mut self.child);
    }
}

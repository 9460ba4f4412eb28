//! The documents drift from the code: a module or a dependency that is not explained, a command that does not exist, a metric or a code that means something else.
//!
//! A failure says which line to add or take away, and in which document.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use switchyard::board::{CheckpointRow, GateRow, SupplierRow, SupplyRow};
use switchyard::cli::exit::Exit;
use switchyard::conduit::ConduitCounters;
use switchyard::door::DoorCounters;
use switchyard_core::code::Code;

/// Documents whose commands and links are held against the repository.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "RELIABILITY.md",
    "STYLE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "adapters/README.md",
];

/// The crates: their folder.
const CRATES: [&str; 4] = ["switch/core", "switch", "adapters", "loadtest"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_owned()
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// Fails with what is only in one of both.
fn compare(document: &str, what: &str, documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let stale: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "{document}, {what}: add {missing:?}; take away {stale:?}"
    );
}

/// The lines of a section, without its heading.
fn section<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let level = heading.chars().take_while(|character| *character == '#').count();
    let is_end = move |line: &str| {
        let depth = line.chars().take_while(|character| *character == '#').count();
        (1..=level).contains(&depth) && line[depth..].starts_with(' ')
    };
    let mut lines = text.lines();
    assert!(lines.any(|line| line.starts_with(heading)), "no section `{heading}`");
    lines.take_while(move |line| !is_end(line))
}

/// The text of the first `code` in a line, after `opening`.
fn code_after<'a>(line: &'a str, opening: &str) -> Option<&'a str> {
    line.strip_prefix(opening)?.strip_prefix('`')?.split_once('`').map(|(code, _)| code)
}

/// The cells of a table's rows.
fn rows<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Vec<&'a str>> {
    let cells =
        |line: &'a str| -> Vec<&'a str> { line.trim_matches('|').split('|').map(str::trim).collect() };
    lines.filter(|line| line.starts_with('|') && !line.starts_with("|---")).map(cells)
}

/// Module files below a folder, but the test modules beside them.
fn modules(folder: &Path, below: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("an entry of a folder");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{below}{name}");
        if entry.path().is_dir() && name != "tests" {
            modules(&entry.path(), &format!("{path}/"), found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.insert(path);
        }
    }
}

#[test]
fn the_code_map_is_whole() {
    let text = read("ARCHITECTURE.md");
    for folder in CRATES.map(|folder| format!("{folder}/src")) {
        let mut real = BTreeSet::new();
        modules(&root().join(&folder), "", &mut real);
        let heading = format!("### `{folder}`");
        let documented =
            section(&text, &heading).filter_map(|line| code_after(line, "- ")).map(str::to_owned).collect();
        compare("ARCHITECTURE.md", &heading, &documented, &real);
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let mut real = BTreeSet::new();
    for folder in CRATES {
        let manifest: toml::Table = read(&format!("{folder}/Cargo.toml")).parse().expect("a manifest");
        let tables =
            ["dependencies", "dev-dependencies", "build-dependencies"].map(|name| manifest.get(name));
        real.extend(
            tables
                .into_iter()
                .flatten()
                .filter_map(toml::Value::as_table)
                .flat_map(|table| table.keys().cloned()),
        );
    }
    real.retain(|name| !name.starts_with("switchyard"));
    let text = read("ARCHITECTURE.md");
    let documented = rows(section(&text, "## Dependencies"))
        .filter_map(|cells| code_after(cells[0], "").map(str::to_owned))
        .collect();
    compare("ARCHITECTURE.md", "dependencies", &documented, &real);
    let workspace: toml::Table = read("Cargo.toml").parse().expect("a manifest");
    let declared = workspace["workspace"]["dependencies"].as_table().expect("the workspace's dependencies");
    let unused: Vec<_> =
        declared.keys().filter(|name| !name.starts_with("switchyard") && !real.contains(*name)).collect();
    assert!(unused.is_empty(), "Cargo.toml: no crate uses {unused:?}");
}

/// Names of functions in the Rust files below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry of a folder").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a file in UTF-8");
            let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            found.extend(names.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_fault_has_tests_that_exist() {
    let mut real = BTreeSet::new();
    for folder in ["tests", "switch", "adapters", "loadtest"] {
        functions(&root().join(folder), &mut real);
    }
    let text = read("RELIABILITY.md");
    let faults: Vec<_> = rows(section(&text, "## Faults")).filter(|cells| cells[0] != "fault").collect();
    assert!(faults.len() >= 25, "only {} faults were found", faults.len());
    for cells in faults {
        let names: Vec<_> = cells[2].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "RELIABILITY.md: nothing shows `{}`", cells[0]);
        let missing: Vec<_> = names.into_iter().filter(|name| !real.contains(*name)).collect();
        assert!(missing.is_empty(), "RELIABILITY.md, {}: there is no test {missing:?}", cells[0]);
    }
}

#[test]
fn facts_of_the_journal_are_explained() {
    let source = read("switch/core/src/fact.rs");
    let is_variant =
        |line: &&str| line.starts_with("    ") && line.as_bytes().get(4).is_some_and(u8::is_ascii_uppercase);
    let name = |line: &str| line.trim().chars().take_while(char::is_ascii_alphanumeric).collect::<String>();
    let body = source
        .split_once("pub enum Fact<'a> {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .expect("the facts")
        .0;
    let real = body.lines().filter(is_variant).map(name).collect();
    let text = read("ARCHITECTURE.md");
    let documented = rows(section(&text, "## Facts"))
        .filter_map(|cells| code_after(cells[0], "").map(str::to_owned))
        .collect();
    compare("ARCHITECTURE.md", "facts", &documented, &real);
}

/// Command lines of `switchyard` in a document's blocks of shell, without their comments.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let mut in_shell = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_shell = language == "sh";
        }
        if in_shell && let Some(words) = command_line(line) {
            found.push(words);
        }
    }
    found
}

fn command_line(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next()?.trim();
    let arguments = ["switchyard ", "cargo run --release -- "]
        .into_iter()
        .find_map(|program| line.strip_prefix(program))?;
    Some(std::iter::once("switchyard").chain(arguments.split_whitespace()).map(str::to_owned).collect())
}

#[test]
fn commands_of_the_documents_are_understood() {
    let mut lines = 0;
    for document in DOCUMENTS {
        for words in command_lines(&read(document)) {
            if let Err(error) = switchyard::cli::command().try_get_matches_from(&words) {
                // Help is no error.
                assert!(!error.use_stderr(), "{document}: `{}`: {error}", words.join(" "));
            }
            lines += 1;
        }
    }
    assert!(lines >= 15, "only {lines} commands were found");
}

#[test]
fn every_command_is_in_the_readme() {
    let documented =
        command_lines(&read("README.md")).into_iter().filter_map(|words| words.into_iter().nth(1)).collect();
    let command = switchyard::cli::command();
    let real = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| sub.get_name().to_owned())
        .collect();
    compare("README.md", "commands", &documented, &real);
}

#[test]
fn the_metrics_are_those_of_the_board() {
    let row = |owner: &str, row: Vec<(&'static str, u64)>| -> Vec<String> {
        row.into_iter().map(|(name, _)| format!("switchyard_{owner}_{name}")).collect()
    };
    let mut real: BTreeSet<_> = row("gate", GateRow::default().read()).into_iter().collect();
    real.extend(row("supplier", SupplierRow::default().read()));
    real.extend(row("supplier", SupplyRow::default().read()));
    real.extend(row("conduit", ConduitCounters::default().read().to_vec()));
    real.extend(row("door", DoorCounters::default().read().to_vec()));
    real.extend(row("checkpoint", CheckpointRow::default().read(0).to_vec()));
    real.insert("switchyard_conduit_closed".to_owned());
    let text = read("README.md");
    let mut documented = BTreeSet::new();
    for cells in rows(text.lines()) {
        let Some(name) = code_after(cells[0], "").filter(|name| name.starts_with("switchyard_")) else {
            continue;
        };
        let is_counter = name.ends_with("_total");
        assert_eq!(cells[1], if is_counter { "counter" } else { "gauge" }, "README.md: the kind of {name}");
        documented.insert(name.trim_end_matches("_total").to_owned());
    }
    // Percentiles are no number of a row.
    assert!(documented.remove("switchyard_answer_latency_us"), "README.md: the latency is not explained");
    compare("README.md", "metrics", &documented, &real);
}

#[test]
fn response_codes_mean_what_the_code_says() {
    let mut real = BTreeMap::new();
    for number in 0..100u8 {
        let code = Code([b'0' + number / 10, b'0' + number % 10]);
        if let Some(meaning) = code.meaning() {
            real.insert(code.to_string(), meaning.to_owned());
        }
    }
    let text = read("README.md");
    let documented: BTreeMap<_, _> = rows(section(&text, "### Response codes"))
        .filter(|cells| cells[0] != "code")
        .map(|cells| (cells[0].to_owned(), cells[1].to_owned()))
        .collect();
    assert_eq!(documented, real, "README.md, response codes");
}

#[test]
fn exit_codes_mean_what_the_code_says() {
    let real: BTreeMap<_, _> =
        Exit::ALL.iter().map(|exit| (exit.code().to_string(), exit.meaning().to_owned())).collect();
    let text = read("README.md");
    let documented: BTreeMap<_, _> = rows(section(&text, "## Operating it"))
        .filter(|cells| cells[0].parse::<u8>().is_ok())
        .map(|cells| (cells[0].to_owned(), cells[1].replace('`', "")))
        .collect();
    assert_eq!(documented, real, "README.md, exit codes");
}

#[test]
fn adapters_are_those_of_the_registry() {
    let text = read("README.md");
    let documented = rows(section(&text, "## Connecting a supplier"))
        .filter_map(|cells| code_after(cells[0], "").map(str::to_owned))
        .collect();
    let real = switchyard_adapters::ADAPTERS.iter().map(|adapter| adapter.name.to_owned()).collect();
    compare("README.md", "adapters", &documented, &real);
}

/// Targets of Markdown links, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split('#').next())
}

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let text = read(document);
        let folder = root().join(document).parent().expect("a file lies in a folder").to_owned();
        for target in links(&text).filter(|target| !target.is_empty() && !target.contains("://")) {
            assert!(folder.join(target).exists(), "{document}: there is no {target}");
        }
    }
}

#[test]
fn paths_in_the_documents_are_there() {
    let is_path = |code: &&str| {
        let known = ["switch/", "adapters/", "loadtest/", "tests/", "config/", ".ci/"];
        known.iter().any(|folder| code.starts_with(folder)) && !code.contains([' ', '*', ':'])
    };
    for document in DOCUMENTS.into_iter().filter(|document| !document.contains('/')) {
        let text = read(document);
        // The code map's paths are relative to its headings, and have a test of their own.
        let lines = text.lines().filter(|line| !line.starts_with("- `"));
        for path in lines.flat_map(|line| line.split('`')).filter(is_path) {
            assert!(root().join(path).exists(), "{document}: there is no {path}");
        }
    }
}

#[test]
fn steps_of_the_ci_are_those_of_the_test_command() {
    use std::os::unix::fs::PermissionsExt;
    for script in ["tests/run", ".ci/run"] {
        let mode = fs::metadata(root().join(script))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
            .permissions()
            .mode();
        assert!(mode & 0o111 != 0, "{script} cannot be run");
    }
    assert!(read(".ci/run").contains("tests/run"), ".ci/run does not call the test command");
}

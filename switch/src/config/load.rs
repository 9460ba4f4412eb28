//! From files to settings, in a straight line.
//!
//! Owns: the order of the steps, includes, and the joining of files.
//! Invariants: no step is skipped because an earlier one found faults, so that one report has them all.

use super::check;
use super::dialects::Dialects;
use super::faults::Faults;
use super::inuse;
use super::reader::Reader;
use super::report::{Finding, Place, Report, Severity};
use super::schema::ROOT;
use super::sources::{At, Files, Source, Sources, at};
use super::table::{Item, Table, Value};
use super::typed::{self, Known, Names};
use crate::settings::Settings;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::schema::{AdapterKeys, Key, Kind};
use toml::de::DeTable;

/// Most files that one configuration includes.
pub const FILES_MAX: usize = 1_000;

/// Reads the configuration in `file` and everything it includes, and checks it as a whole.
/// `adapters` are the registered ones.
///
/// # Errors
/// Everything that is wrong, in the order of the files; warnings among it. The author of the files is
/// at fault; loading again helps only once they are mended.
pub fn load(file: &Path, adapters: &[AdapterKeys]) -> Result<Settings, Report> {
    load_from(Files::Disk, file, adapters)
}

/// Like [`load`], from `files`.
///
/// # Errors
/// As [`load`].
pub fn load_from(files: Files<'_>, file: &Path, adapters: &[AdapterKeys]) -> Result<Settings, Report> {
    let mut sources = Sources { secrets: secrets(adapters), ..Sources::default() };
    if let Err(error) = add(&mut sources, files, file) {
        return Err(unreadable(file, &error));
    }
    let missing = add_includes(&mut sources, files);
    let csv = add_lists(&mut sources, files);
    settings(&sources, files, adapters, missing, &csv)
}

/// A file that was named and could not be read: where it was named, and why.
type Missing = (At, String);

/// The files of merchants, their positions and terminals, by number, and those that could not be read.
#[derive(Default)]
struct Lists {
    merchants: Vec<usize>,
    positions: Vec<usize>,
    terminals: Vec<usize>,
    missing: Vec<Missing>,
}

fn add(sources: &mut Sources, files: Files<'_>, path: &Path) -> std::io::Result<usize> {
    let text = files.read(path)?;
    sources.files.push(Source::new(path.to_path_buf(), text));
    Ok(sources.files.len() - 1)
}

fn unreadable(file: &Path, error: &std::io::Error) -> Report {
    let place = Place { file: file.display().to_string(), line: 1, column: 1, width: 1, text: String::new() };
    let wrong = format!("the file cannot be read: {error}");
    let suggestion = "name a configuration file, such as config/switchyard.toml".to_string();
    Report { findings: vec![Finding { severity: Severity::Error, place: Some(place), wrong, suggestion }] }
}

/// Reads what the main file includes.
fn add_includes(sources: &mut Sources, files: Files<'_>) -> Vec<Missing> {
    let mut missing = Vec::new();
    for (_, pattern, at) in paths(sources, 0, &["include"]) {
        match expand(files, &sources.folder(at).join(&pattern)) {
            Ok(found) if found.is_empty() => missing.push((at, "no file fits this pattern".to_string())),
            Ok(found) => {
                for path in found.iter().take(FILES_MAX.saturating_sub(sources.files.len())) {
                    missing.extend(add(sources, files, path).err().map(|error| (at, error.to_string())));
                }
            }
            Err(error) => missing.push((at, error.to_string())),
        }
    }
    missing
}

/// Reads the files of merchants and terminals that any of the files names.
fn add_lists(sources: &mut Sources, files: Files<'_>) -> Lists {
    let mut lists = Lists::default();
    for file in 0..sources.files.len() {
        for (key, path, at) in paths(sources, file, &["merchants", "positions", "terminals"]) {
            let path = sources.folder(at).join(path);
            let list = match key {
                "merchants" => &mut lists.merchants,
                "positions" => &mut lists.positions,
                _ => &mut lists.terminals,
            };
            match add(sources, files, &path) {
                Ok(number) => list.push(number),
                Err(error) => lists.missing.push((at, error.to_string())),
            }
        }
    }
    lists
}

/// Key, path and place of every path in the lists `keys` of file `file`. Faults of the file are found
/// later, when it is read as a whole.
fn paths<'k>(sources: &Sources, file: usize, keys: &[&'k str]) -> Vec<(&'k str, String, At)> {
    let text = sources.files.get(file).map_or("", |source| source.text.as_str());
    let (root, _) = DeTable::parse_recoverable(text);
    let mut paths = Vec::new();
    for key in keys {
        let items = root.get_ref().get(*key).and_then(|value| value.get_ref().as_array());
        for item in items.map_or(&[][..], |items| items) {
            let path = item.get_ref().as_str().map(str::to_string);
            paths.extend(path.map(|path| (*key, path, at(file, item.span()))));
        }
    }
    paths
}

/// The files that `pattern` stands for, sorted. `*` in its last part stands for any part of a name.
fn expand(files: Files<'_>, pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let Some((first, last)) = name.split_once('*') else {
        return Ok(vec![pattern.to_path_buf()]);
    };
    let folder = pattern.parent().unwrap_or(Path::new(""));
    let fits = |name: &String| {
        name.len() >= first.len() + last.len() && name.starts_with(first) && name.ends_with(last)
    };
    Ok(files.names(folder)?.iter().filter(|name| fits(name)).map(|name| folder.join(name)).collect())
}

fn settings(
    sources: &Sources,
    files: Files<'_>,
    adapters: &[AdapterKeys],
    missing: Vec<Missing>,
    lists: &Lists,
) -> Result<Settings, Report> {
    let mut reader = Reader { faults: Faults::new(sources), adapters, dialects: Vec::new() };
    let root = read(&mut reader, lists);
    let Reader { mut faults, dialects, .. } = reader;
    for (at, why) in missing.iter().chain(&lists.missing) {
        faults.error(
            *at,
            format!("the file cannot be read: {why}"),
            "paths are relative to the file that names them",
        );
    }
    let beside = sources.files.first().map_or(Path::new(""), Source::folder);
    let dialects = Dialects::load(&dialects, files, beside, &mut faults);
    let made = make(&root, adapters, dialects, beside, lists, &mut faults);
    let values = inuse::values(&root, ROOT, &faults);
    finish(made, values, faults.findings())
}

/// Reads every file against the keys and joins them.
fn read(reader: &mut Reader<'_>, lists: &Lists) -> Table {
    let configuration = (0..reader.faults.sources.files.len()).filter(|file| {
        ![&lists.merchants, &lists.positions, &lists.terminals].iter().any(|list| list.contains(file))
    });
    let mut tables = configuration.map(|file| reader.file(file, ROOT)).collect::<Vec<_>>().into_iter();
    let mut root = tables.next().unwrap_or(Table { at: at(0, 0..0), items: Default::default() });
    for table in tables {
        join(&mut root, table, &mut reader.faults);
    }
    root
}

/// Adds what `table` sets to `root`: lists and tables grow, anything else may be set once.
fn join(root: &mut Table, table: Table, faults: &mut Faults<'_>) {
    for (key, item) in table.items.into_iter().filter(|(_, item)| item.set) {
        if key == "include" {
            faults.error(item.at, "only the main file may include others", "move it there");
            continue;
        }
        match root.items.get_mut(key) {
            Some(Item { set: true, value: Value::Tables(known), .. }) => known.extend(tables(item.value)),
            Some(Item { set: true, value: Value::List(known), .. }) => known.extend(list(item.value)),
            Some(Item { set: true, at, .. }) => {
                let first = faults.line(*at);
                faults.error(item.at, format!("`{key}` is there twice"), format!("the first is at {first}"));
            }
            _ => {
                root.items.insert(key, item);
            }
        }
    }
}

fn tables(value: Value) -> Vec<Table> {
    if let Value::Tables(tables) = value { tables } else { Vec::new() }
}

fn list(value: Value) -> Vec<Item> {
    if let Value::List(items) = value { items } else { Vec::new() }
}

/// Makes settings of the tables. Where something is wrong they are of no use, and never leave.
fn make(
    root: &Table,
    adapters: &[AdapterKeys],
    dialects: Dialects,
    beside: &Path,
    lists: &Lists,
    faults: &mut Faults<'_>,
) -> Settings {
    let data = beside.join(root.text("data"));
    // Absolute, so that what is below it is found again from wherever it is joined.
    let data = std::path::absolute(&data).unwrap_or(data);
    let empty = Table { at: root.at, items: Default::default() };
    let part = |key: &str| root.table(key).unwrap_or(&empty);
    Names::new("conduit", root.tables("conduit"), "name", faults);
    let networks = Names::new("network", root.tables("network"), "code", faults);
    let catalogue = catalogue(root, adapters, &networks, lists, faults);
    let conduits = typed::conduits(root.tables("conduit"), &networks, &dialects, &data, faults);
    let (admin, gate) = (typed::admin(part("admin")), typed::gate(part("gate")));
    check::addresses(root, &conduits, &admin, faults);
    check::hosts(root, &conduits, faults);
    check::windows(root, &conduits, gate.tickets_max, faults);
    check::deadlines(root, &conduits, &catalogue, faults);
    check::routes(root, &catalogue, faults);
    Settings {
        conduits,
        admin,
        journal: typed::journal(part("journal"), faults),
        keys: typed::keys(part("keys"), &data),
        gate,
        dialects: dialects.list,
        catalogue: Arc::new(catalogue),
        suppliers: typed::suppliers(root.tables("supplier"), &data, faults),
        data,
        warnings: Vec::new(),
        values: Vec::new(),
    }
}

fn catalogue(
    root: &Table,
    adapters: &[AdapterKeys],
    networks: &Names<'_>,
    lists: &Lists,
    faults: &mut Faults<'_>,
) -> Catalogue {
    let suppliers = Names::new("supplier", root.tables("supplier"), "code", faults);
    let prefix_tables = Names::new("prefix table", root.tables("prefix_table"), "name", faults);
    Names::new("product", root.tables("product"), "code", faults);
    let known = Known { networks, suppliers: &suppliers, prefix_tables: &prefix_tables };
    let (mut merchants, merchant_names) = typed::merchants(&lists.merchants, networks, faults);
    let mut catalogue = Catalogue::default();
    catalogue.networks = typed::networks(root.tables("network"), faults);
    typed::positions(&lists.positions, &merchant_names, &catalogue.networks, &mut merchants, faults);
    catalogue.terminals = typed::terminals(&lists.terminals, &merchant_names, faults);
    catalogue.merchants = merchants;
    catalogue.suppliers = typed::catalogue_suppliers(root.tables("supplier"), adapters, faults);
    catalogue.prefix_tables = typed::prefix_tables(root.tables("prefix_table"), &suppliers, faults);
    catalogue.products = typed::products(root.tables("product"), &known, faults);
    // What is there twice was found above, with its place.
    let _ = catalogue.index();
    catalogue
}

fn finish(
    made: Settings,
    values: Vec<super::ValueInUse>,
    findings: Vec<Finding>,
) -> Result<Settings, Report> {
    let report = Report { findings };
    if report.errors() > 0 {
        return Err(report);
    }
    Ok(Settings { warnings: report.findings, values, ..made })
}

/// The names of secret keys, of adapters too.
fn secrets(adapters: &[AdapterKeys]) -> Vec<&'static str> {
    let mut names = Vec::new();
    let tables = adapters.iter().map(|adapter| adapter.keys).chain([ROOT]);
    tables.for_each(|keys| add_secrets(keys, &mut names));
    names
}

fn add_secrets(keys: &'static [Key], names: &mut Vec<&'static str>) {
    for key in keys {
        if key.secret {
            names.push(key.name);
        }
        if let Kind::Table(keys) | Kind::Tables(keys) = key.kind {
            add_secrets(keys, names);
        }
    }
}

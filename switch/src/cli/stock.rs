//! `switchyard stock`: loading vouchers and showing what is there.
//!
//! Owns: the options, what is printed, and `StockBooks`, what the two commands need of a switch.
//! Invariants: nothing that is printed comes from a supplier's file. A load that is told as done is
//! durable: `append` returns only then.
//! Deliberately absent: how the books are reached. Beside a switch that stands still that is its data
//! folder's journal, beside one that runs its control socket; both are a `StockBooks`.

use crate::keys::Kek;
use crate::stock::{Layout, LoadAsk, Loaded, StockError, StockProduct, load};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use switchyard_core::ids::Now;
use switchyard_core::shelf::Date;
use switchyard_core::stock::{Batch, Stock, StockBatch};

/// Load vouchers into the stock, and see what is there.
#[derive(Clone, Debug, Subcommand)]
pub enum StockCommand {
    /// Load a supplier's file of vouchers, all or nothing.
    ///
    /// The file has a header and one voucher a line: serial, pin, and where there are such, expiry (YYYYMMDD or
    /// YYYY-MM-DD) and receipt. It is checked as a whole first; what is wrong is said with line and column,
    /// and nothing is loaded then. The vouchers are sealed into the data folder; delete the supplier's file
    /// yourself. Loading the same vouchers under the same name again does nothing.
    #[command(after_help = "Examples:\n  \
        switchyard stock load vouchers.csv --product VOUCHER10 --batch 2026-05-a --data data\n  \
        switchyard stock load cards.txt --product VOUCHER20 --batch 77 --columns 'serial=Card,pin=Code' --delimiter ';'")]
    Load(LoadArgs),
    /// Show every batch: how many vouchers were loaded, sold, passed over (expired or damaged), and are left.
    Show(ShowArgs),
}

/// Where the switch is.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct PlaceArgs {
    /// The configuration that the switch runs with.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub config: Option<PathBuf>,
    /// The data folder of a demonstration.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Options of `stock load`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct LoadArgs {
    /// The supplier's file.
    pub file: PathBuf,
    /// The product that the vouchers are of, by its code.
    #[arg(long, value_name = "CODE")]
    pub product: String,
    /// A name for the batch: letters, digits, `-`, `_`, `.`; at most 40.
    #[arg(long, value_name = "NAME")]
    pub batch: String,
    /// What the file's columns are called, for example `serial=Card,pin=Code,expiry=Until`; others are ignored.
    #[arg(long, value_name = "LIST")]
    pub columns: Option<String>,
    /// What stands between cells: one character, or `tab`.
    #[arg(long, value_name = "CHARACTER", default_value = ",")]
    pub delimiter: String,
    /// Where the stock is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// Options of `stock show`.
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct ShowArgs {
    /// Only this product, by its code.
    #[arg(long, value_name = "CODE")]
    pub product: Option<String>,
    /// Print JSON, one object a batch and line.
    #[arg(long)]
    pub json: bool,
    /// Where the stock is.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// What the stock commands need of a switch.
pub trait StockBooks {
    /// The stock as the journal knows it.
    fn stock(&self) -> &Stock;
    /// The voucher products of the configuration.
    fn products(&self) -> &[StockProduct];
    /// The folder of the batch files.
    fn folder(&self) -> &Path;
    /// The key-encryption key of the data folder.
    fn kek(&self) -> &Kek;
    /// Appends the fact of a batch and waits until it is durable; `stock` then has it.
    ///
    /// # Errors
    /// Why it could not, for people. The batch is no stock; loading it again is safe.
    fn append(&mut self, batch: &StockBatch) -> Result<(), String>;
}

/// Why a stock command failed. Nothing became stock.
#[derive(Debug, thiserror::Error)]
pub enum StockCommandError {
    /// No voucher product of that code.
    #[error("no voucher product has the code `{code}`; {help}")]
    Product {
        /// The code that was asked for.
        code: String,
        /// The nearest one, or all there are.
        help: String,
    },
    /// The file, the options or the batch files.
    #[error(transparent)]
    Stock(#[from] StockError),
    /// The fact could not be appended; a retry is safe.
    #[error("the vouchers are sealed, but are no stock yet: {0}; load them again under the same name")]
    Append(String),
}

/// Loads a file; answers what to print.
///
/// # Errors
/// See [`StockCommandError`].
pub fn run_load(args: &LoadArgs, books: &mut dyn StockBooks, now: Now) -> Result<String, StockCommandError> {
    let product = product(books.products(), &args.product)?;
    let layout = Layout::new(args.columns.as_deref(), Some(&args.delimiter)).map_err(StockError::from)?;
    let ask = LoadAsk {
        file: &args.file,
        layout: &layout,
        product,
        batch: &args.batch,
        today: Date::after(now, 0),
    };
    let progress = progress();
    let loaded = load(books.folder(), &ask, books.stock(), books.kek(), &progress);
    progress.finish_and_clear();
    match loaded? {
        Loaded::New(batch) => {
            books.append(&batch).map_err(StockCommandError::Append)?;
            let (count, left) = (batch.count, books.stock().left(product.id));
            Ok(format!(
                "batch `{}`: {count} vouchers of {} loaded, {left} in stock",
                batch.name, product.code
            ))
        }
        Loaded::Already(batch) => Ok(format!(
            "batch `{}` is loaded already, with these {} vouchers: nothing to do",
            batch.name, batch.count
        )),
    }
}

/// Shows the stock; answers what to print.
///
/// # Errors
/// A product is asked for that is not there.
pub fn run_show(args: &ShowArgs, books: &dyn StockBooks) -> Result<String, StockCommandError> {
    let products = match &args.product {
        Some(code) => vec![product(books.products(), code)?],
        None => books.products().to_vec(),
    };
    let mut out = String::new();
    if !args.json {
        line(&mut out, ["PRODUCT", "BATCH", "LOADED", "SOLD", "PASSED OVER", "LEFT"]);
    }
    for product in products {
        let batches = books.stock().batches(product.id);
        for batch in batches {
            show(&mut out, &product, batch, args.json);
        }
        if batches.is_empty() && !args.json {
            line(&mut out, [product.code.as_str(), "-", "0", "0", "0", "0"]);
        }
    }
    Ok(out)
}

fn show(out: &mut String, product: &StockProduct, batch: &Batch, as_json: bool) {
    let (code, name) = (product.code.as_str(), batch.fact.name.as_str());
    let (loaded, sold, passed, left) = (batch.fact.count, batch.sold, batch.passed_over(), batch.left());
    if as_json {
        let object = json!({
            "product": code, "batch": name, "loaded": loaded, "sold": sold, "passed_over": passed, "left": left,
        });
        let _ = writeln!(out, "{object}");
    } else {
        let [loaded, sold, passed, left] = [loaded, sold, passed, left].map(|number| number.to_string());
        line(out, [code, name, &loaded, &sold, &passed, &left]);
    }
}

/// Writing to a `String` does not fail.
fn line(out: &mut String, [product, batch, loaded, sold, passed, left]: [&str; 6]) {
    let _ = writeln!(out, "{product:<20} {batch:<40} {loaded:>10} {sold:>10} {passed:>12} {left:>10}");
}

fn product(products: &[StockProduct], code: &str) -> Result<StockProduct, StockCommandError> {
    let found = products.iter().find(|product| product.code.as_str() == code);
    found
        .copied()
        .ok_or_else(|| StockCommandError::Product { code: code.to_owned(), help: help(products, code) })
}

fn help(products: &[StockProduct], code: &str) -> String {
    let near = products.iter().min_by_key(|product| strsim::damerau_levenshtein(product.code.as_str(), code));
    match near {
        Some(near) => format!("did you mean `{}`?", near.code),
        None => "the configuration has no voucher product".to_owned(),
    }
}

/// A bar on a terminal; nothing where the output goes elsewhere.
fn progress() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {elapsed}");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::folder;
    use clap::Parser;
    use switchyard_core::ids::ProductId;
    use switchyard_core::money::Minor;
    use switchyard_core::text::Text;

    const NOW: Now = Now { mono_us: 0, wall_ms: 1_767_268_800_000 };

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: StockCommand,
    }

    struct Books {
        data: tempfile::TempDir,
        folder: PathBuf,
        kek: Kek,
        stock: Stock,
        products: [StockProduct; 1],
        refuses: bool,
    }

    impl StockBooks for Books {
        fn stock(&self) -> &Stock {
            &self.stock
        }
        fn products(&self) -> &[StockProduct] {
            &self.products
        }
        fn folder(&self) -> &Path {
            &self.folder
        }
        fn kek(&self) -> &Kek {
            &self.kek
        }
        fn append(&mut self, batch: &StockBatch) -> Result<(), String> {
            if self.refuses {
                return Err("the switch stopped".into());
            }
            self.stock.add(batch).map_err(|fault| fault.to_string())
        }
    }

    fn books() -> Books {
        let data = tempfile::tempdir().expect("a temporary folder");
        let kek = Kek::create_file(&data.path().join("keys/kek")).expect("a key");
        let product = StockProduct {
            id: ProductId(3),
            code: Text::new(b"VOUCHER10").expect("short"),
            face_value: Minor(1_000),
            currency: 978,
        };
        let folder = folder(data.path());
        Books { data, folder, kek, stock: Stock::default(), products: [product], refuses: false }
    }

    fn load_in(books: &mut Books, options: &[&str]) -> Result<String, String> {
        let file = books.data.path().join("vouchers.csv");
        std::fs::write(&file, "Card;Code\nS1;7391846250917283\nS2;7391846250917284\n").expect("own folder");
        let file = file.to_string_lossy().into_owned();
        let line = ["stock", "load", &file].into_iter().chain(options.iter().copied());
        let StockCommand::Load(args) = Cli::try_parse_from(line).expect("a command line").command else {
            panic!("not a load");
        };
        run_load(&args, books, NOW).map_err(|error| error.to_string())
    }

    const OWN: [&str; 8] =
        ["--product", "VOUCHER10", "--batch", "a", "--columns", "serial=Card,pin=Code", "--delimiter", ";"];

    #[test]
    fn a_load_says_what_became_of_it() {
        let mut books = books();
        let loaded = load_in(&mut books, &OWN).expect("loads");
        assert_eq!(loaded, "batch `a`: 2 vouchers of VOUCHER10 loaded, 2 in stock");
        let again = load_in(&mut books, &OWN).expect("does nothing");
        assert_eq!(again, "batch `a` is loaded already, with these 2 vouchers: nothing to do");
    }

    #[test]
    fn a_load_whose_fact_fails_can_be_done_again() {
        let mut books = books();
        books.refuses = true;
        let error = load_in(&mut books, &OWN).expect_err("no fact");
        assert!(error.contains("the switch stopped; load them again"), "{error}");
        books.refuses = false;
        assert!(load_in(&mut books, &OWN).is_ok());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let mut books = books();
        let error =
            load_in(&mut books, &["--product", "VOUCHER1", "--batch", "a"]).expect_err("no such product");
        assert_eq!(error, "no voucher product has the code `VOUCHER1`; did you mean `VOUCHER10`?");
        let error =
            load_in(&mut books, &["--product", "VOUCHER10", "--batch", "a"]).expect_err("not our columns");
        assert!(error.contains("vouchers.csv:1:1: ") && !error.contains("73918"), "{error}");
        let both = ["stock", "show", "--config", "c", "--data", "d"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn the_stock_is_shown() {
        let mut books = books();
        load_in(&mut books, &OWN).expect("loads");
        books.stock.sold(ProductId(3), 1, 1).expect("in stock");
        let show = |json| {
            let place = PlaceArgs { config: None, data: None };
            run_show(&ShowArgs { product: None, json, place }, &books).expect("a product")
        };
        assert_eq!(
            show(true),
            "{\"batch\":\"a\",\"left\":0,\"loaded\":2,\"passed_over\":1,\"product\":\"VOUCHER10\",\"sold\":1}\n"
        );
        let words: Vec<_> =
            show(false).lines().nth(1).unwrap_or_default().split_whitespace().map(String::from).collect();
        assert_eq!(words, ["VOUCHER10", "a", "2", "1", "1", "0"]);
    }
}

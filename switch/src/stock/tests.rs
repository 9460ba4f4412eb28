use super::file::path;
use super::*;
use crate::keys::Kek;
use indicatif::ProgressBar;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use switchyard_core::batch::{BatchError, HEADER_BYTES, open};
use switchyard_core::details::{Detail, find};
use switchyard_core::ids::Now;
use switchyard_core::seal::{KeyId, Keyring};
use switchyard_core::secret::Secret;
use switchyard_core::shelf::{Date, Shelf};
use switchyard_core::stock::{Place, Stock, StockBatch};
use tempfile::TempDir;

const CANARY: &str = "7391846250917283";
/// 2026-01-01, noon in UTC.
const NOW: Now = Now { mono_us: 0, wall_ms: 1_767_268_800_000 };
const TRAY: usize = 4;

fn product(id: u16) -> StockProduct {
    StockProduct {
        id: ProductId(id),
        code: Text::new(b"VOUCHER10").expect("short"),
        face_value: Minor(1_000),
        currency: 978,
    }
}

/// A data folder with a key and a stock.
struct Desk {
    data: TempDir,
    kek: Kek,
    stock: Stock,
    loads: Cell<u32>,
}

impl Desk {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let kek = Kek::create_file(&data.path().join("keys/kek")).expect("a key");
        Self { data, kek, stock: Stock::default(), loads: Cell::new(0) }
    }

    fn folder(&self) -> PathBuf {
        folder(self.data.path())
    }

    fn load_as(
        &self,
        text: &[u8],
        layout: &Layout,
        product: StockProduct,
        batch: &str,
    ) -> Result<Loaded, StockError> {
        self.loads.set(self.loads.get() + 1);
        let file = self.data.path().join(format!("vouchers-{}.csv", self.loads.get()));
        fs::write(&file, text).expect("own folder");
        let ask = LoadAsk { file: &file, layout, product, batch, today: Date::after(NOW, 0) };
        load(&self.folder(), &ask, &self.stock, &self.kek, &ProgressBar::hidden())
    }

    fn load(&self, text: &str, batch: &str) -> Result<Loaded, StockError> {
        self.load_as(text.as_bytes(), &Layout::default(), product(1), batch)
    }

    /// Loads and makes it stock.
    fn stock_up(&mut self, text: &str, batch: &str) -> StockBatch {
        match self.load(text, batch) {
            Ok(Loaded::New(fact)) => {
                self.stock.add(&fact).expect("a new batch");
                fact
            }
            other => panic!("not loaded: {other:?}"),
        }
    }

    fn reader(&self, keyring: &Keyring) -> Result<StockReader, StockError> {
        StockReader::open_all(&self.folder(), &self.stock, &self.kek, keyring)
    }

    /// Every voucher as serial, expiry, PIN and receipt, and the indexes of damaged ones.
    fn read(&self, batch: &StockBatch) -> (Vec<String>, Vec<u32>) {
        let keyring = Keyring::new();
        let mut reader = self.reader(&keyring).expect("opens");
        let key = keyring.key(KeyId::stock(batch.number)).expect("in the ring");
        let mut found = Vec::new();
        let from = Place { batch: batch.number, index: 0 };
        let filled = reader.fill(from, batch.count, |voucher| {
            let mut secret = Secret::new();
            open(&key, &voucher, &mut secret).expect("its own key");
            let text = |detail| {
                String::from_utf8_lossy(find(secret.expose(), detail).unwrap_or_default()).into_owned()
            };
            found.push(format!(
                "{} {} {} {}",
                voucher.serial,
                voucher.expiry,
                text(Detail::Pin),
                text(Detail::Receipt)
            ));
        });
        let filled = filled.expect("reads");
        assert_eq!(filled.vouchers as usize, found.len());
        (found, filled.damaged)
    }

    fn damage(&self, batch: &StockBatch, at: u64) {
        let file = path(&self.folder(), batch.name);
        let mut bytes = fs::read(&file).expect("there");
        bytes[at as usize] ^= 1;
        fs::write(&file, bytes).expect("own folder");
    }

    fn files(&self) -> Vec<String> {
        let Ok(found) = fs::read_dir(self.folder()) else { return Vec::new() };
        found.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    }
}

fn layout(columns: &str, delimiter: &str) -> Layout {
    Layout::new(Some(columns), Some(delimiter)).expect("a layout")
}

const THREE: &str = "serial,pin,expiry,receipt\n\
    S1,7391846250917283,20271231,Keep it safe\n\
    S2,7391846250917284,2028-02-29,\n\
    S3,\"73918\"\"6250917285\",,\n";

#[test]
fn a_file_is_loaded_and_read_back() {
    let mut desk = Desk::new();
    let fact = desk.stock_up(THREE, "first");
    assert_eq!((fact.number, fact.count, fact.name.as_str()), (1, 3, "first"));
    let (found, damaged) = desk.read(&fact);
    let expected = [
        "S1 20271231 7391846250917283 Keep it safe",
        "S2 20280229 7391846250917284 ",
        "S3  73918\"6250917285 ",
    ];
    assert_eq!((found, damaged), (expected.map(String::from).to_vec(), vec![]));
    assert_eq!(desk.files(), ["first"]);
}

#[test]
fn a_suppliers_own_layout_is_read() {
    let desk = Desk::new();
    let text =
        b"\xef\xbb\xbfNo;Card Number;Secret Code;Valid Until\r\n1; S1 ;7391846250917283;2027-12-31\r\n";
    let layout = layout("serial=card number,pin=Secret Code,expiry=Valid Until", ";");
    assert!(
        matches!(desk.load_as(text, &layout, product(1), "own"), Ok(Loaded::New(fact)) if fact.count == 1)
    );
}

#[test]
fn no_pin_lies_in_clear_in_the_folder() {
    let mut desk = Desk::new();
    let fact = desk.stock_up(THREE, "first");
    let bytes = fs::read(path(&desk.folder(), fact.name)).expect("there");
    assert!(bytes.len() > HEADER_BYTES);
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    assert!(!bytes.windows(4).any(|window| window == b"Keep"));
}

#[test]
fn a_load_is_done_once_by_the_name_of_its_batch() {
    let mut desk = Desk::new();
    let fact = desk.stock_up(THREE, "first");
    let before = fs::read(path(&desk.folder(), fact.name)).expect("there");
    let again = THREE.replace("2028-02-29", "20280229").replace('\n', "\r\n");
    assert!(matches!(desk.load(&again, "first"), Ok(Loaded::Already(known)) if known == fact));
    let others = THREE.replace("S1", "S9");
    assert!(matches!(desk.load(&others, "first"), Err(StockError::OtherContents { .. })));
    let other_product = desk.load_as(THREE.as_bytes(), &Layout::default(), product(2), "first");
    assert!(matches!(other_product, Err(StockError::OtherProduct { .. })));
    assert_eq!(fs::read(path(&desk.folder(), fact.name)).expect("there"), before);
}

#[test]
fn a_serial_in_stock_is_not_loaded_again_for_its_product() {
    let mut desk = Desk::new();
    let fact = desk.stock_up(THREE, "first");
    desk.stock.sold(ProductId(1), fact.number, 2).expect("in stock");
    let next = "serial,pin\nS8,1111111111\nS2,2222222222\n";
    let error = desk.load(next, "second").expect_err("S2 is there");
    assert!(
        error
            .to_string()
            .ends_with("vouchers-2.csv:3:1: this serial is in the stock already, in batch `first`")
    );
    assert!(matches!(
        desk.load_as(next.as_bytes(), &Layout::default(), product(2), "second"),
        Ok(Loaded::New(_))
    ));
}

#[test]
fn what_is_wrong_in_a_file_is_said_where_it_is() {
    let table: &[(&str, &[&str])] = &[
        ("", &["1:1: the file is empty; it needs a header and vouchers"]),
        ("serial,pin\n", &["1:1: there is no voucher after the header"]),
        (
            "serial,code\nS1,7391846250917283\n",
            &[
                "1:1: the header has no column `pin`; name the file's own columns with --columns",
                "1:8: not one of the columns serial, pin, expiry, receipt; the first line must be a header; a supplier's own columns are named with --columns",
            ],
        ),
        (
            "serial,pin,expirey\n",
            &["1:12: not one of the columns serial, pin, expiry, receipt; did you mean `expiry`?"],
        ),
        ("serial,pin,pin\n", &["1:12: the column `pin` is there twice"]),
        (
            "S1,7391846250917283\nS2,7391846250917284\n",
            &[
                "1:1: not one of the columns serial, pin, expiry, receipt; the first line must be a header; a supplier's own columns are named with --columns",
                "1:1: the header has no column `serial`; name the file's own columns with --columns",
                "1:1: the header has no column `pin`; name the file's own columns with --columns",
                "1:4: not one of the columns serial, pin, expiry, receipt; the first line must be a header; a supplier's own columns are named with --columns",
            ],
        ),
        ("serial,pin\nS1\n", &["2:1: 1 cells, but the header has 2"]),
        ("serial,pin\nS1,7391846250917283,x\n", &["2:1: 3 cells, but the header has 2"]),
        ("serial,pin\n,7391846250917283\nS2,\n", &["2:1: the serial is empty", "3:4: the pin is empty"]),
        ("serial,pin\nS1,\"7391846250917283\n", &["2:4: a quote is opened here and never closed"]),
        ("serial,pin\nS1,\"7391846250917283\"7\n", &["2:22: there is text after a closing quote"]),
        (
            "serial,pin\nS1,7391846250917283\nS2,7391846250917283\nS1,7391846250917285\n",
            &["3:4: the same PIN as in line 2", "4:1: the same serial as in line 2"],
        ),
        ("serial,pin\nS1,1234\nS1x,1234\nS1,1234\n", &["4:1: the same serial as in line 2"]),
        ("serial,pin\nS1,739184ä250917283\n", &["2:4: the pin has a character that is not printable ASCII"]),
        (
            "serial,pin\nS1,73918462509172837391846250917283739184625\n",
            &["2:4: the pin is longer than 40 characters"],
        ),
        (
            "serial,pin\nS234567890123456789012345678901,7391846250917283\n",
            &["2:1: the serial is longer than 30 characters"],
        ),
        (
            "serial,pin,expiry\nS1,1,20270230\nS2,2,2027\nS3,3,20251231\nS4,4,+2027123\n",
            &[
                "2:6: the expiry is not a date; YYYYMMDD and YYYY-MM-DD are taken",
                "3:6: the expiry is not a date; YYYYMMDD and YYYY-MM-DD are taken",
                "4:6: the voucher has expired",
                "5:6: the expiry is not a date; YYYYMMDD and YYYY-MM-DD are taken",
            ],
        ),
        (
            "serial,pin,receipt\nS1,1,\"two\nlines\"\n",
            &["2:6: the receipt has a character that is not printable ASCII"],
        ),
    ];
    let desk = Desk::new();
    for (text, expected) in table {
        let error = desk.load(text, "wrong").expect_err("wrong in some way");
        let StockError::Rows { faults, more: 0, .. } = &error else { panic!("{error}") };
        let found: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(found, *expected, "{text:?}");
        assert!(!format!("{error} {error:?}").contains(&CANARY[..10]), "{text:?}");
    }
    assert_eq!(desk.files(), [""; 0]);
}

#[test]
fn a_column_that_the_options_name_must_be_there() {
    let desk = Desk::new();
    let layout = layout("serial=Card,pin=Code,expiry=Until", ",");
    let error = desk.load_as(b"Card,Code\nS1,1\n", &layout, product(1), "b").expect_err("no expiry");
    assert!(
        error
            .to_string()
            .ends_with(":1:1: the header has no column `Until`, which --columns names as the expiry")
    );
}

#[test]
fn many_faults_are_counted() {
    let desk = Desk::new();
    let text: String = std::iter::once("serial,pin\n").chain(std::iter::repeat_n("S1,\n", 50)).collect();
    let error = desk.load(&text, "b").expect_err("no PINs").to_string();
    assert_eq!(error.lines().count(), 22);
    assert!(error.ends_with("… and 30 more"), "{error}");
}

#[test]
fn a_receipt_may_be_as_long_as_a_record_allows() {
    let desk = Desk::new();
    let text = |length| format!("serial,pin,receipt\nS1,{CANARY},{}\n", "R".repeat(length));
    assert!(matches!(desk.load(&text(80), "fits"), Ok(Loaded::New(_))));
    let error = desk.load(&text(81), "too-long").expect_err("too long").to_string();
    assert!(error.ends_with(":2:21: the receipt is longer than 80 characters"), "{error}");
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let desk = Desk::new();
    for name in ["", ".hidden", "../up", "a/b", "a b", "ä", &"n".repeat(41)] {
        assert!(matches!(desk.load(THREE, name), Err(StockError::Name { .. })), "{name:?}");
    }
    assert!(desk.load(THREE, "2026-01_a.B").is_ok());
}

#[test]
fn a_damaged_record_is_left_out_and_reported() {
    let mut desk = Desk::new();
    let fact = desk.stock_up(THREE, "first");
    let bytes = fs::metadata(path(&desk.folder(), fact.name)).expect("there").len();
    let record = (bytes - HEADER_BYTES as u64) / 3;
    desk.damage(&fact, HEADER_BYTES as u64 + record + 5);
    let (found, damaged) = desk.read(&fact);
    assert_eq!(damaged, [1]);
    assert_eq!(found.len(), 2);

    let mut reader = desk.reader(&Keyring::new()).expect("opens");
    let mut shelf = Shelf::default();
    let damaged = fill_tray(&mut reader, &mut shelf, &desk.stock, ProductId(1), TRAY).expect("reads");
    assert_eq!(damaged, [Place { batch: 1, index: 1 }]);
    assert_eq!((shelf.len(ProductId(1)), shelf.wanted(ProductId(1), &desk.stock)), (2, None));
}

#[test]
fn a_stock_that_is_not_whole_stops_the_start() {
    let refused = |change: &dyn Fn(&Path)| {
        let mut desk = Desk::new();
        let fact = desk.stock_up(THREE, "first");
        change(&path(&desk.folder(), fact.name));
        desk.reader(&Keyring::new()).expect_err("not whole")
    };
    let rewrite = |file: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(file).expect("there");
        change(&mut bytes);
        fs::write(file, bytes).expect("own folder");
    };
    assert!(matches!(refused(&|file| fs::remove_file(file).expect("there")), StockError::Io { .. }));
    let damaged = refused(&|file| rewrite(file, &|bytes| bytes[20] ^= 1));
    assert!(matches!(damaged, StockError::Batch { error: BatchError::Header, .. }));
    let cut = refused(&|file| rewrite(file, &|bytes| bytes.truncate(bytes.len() - 1)));
    assert!(matches!(cut, StockError::Size { .. }));
    let empty = refused(&|file| rewrite(file, &Vec::clear));
    assert!(matches!(empty, StockError::Batch { error: BatchError::Foreign, .. }));
    let other = refused(&|file| {
        let mut other = Desk::new();
        let fact = other.stock_up(&THREE.replace("S1", "S9"), "first");
        fs::copy(path(&other.folder(), fact.name), file).expect("own folder");
    });
    assert!(matches!(other, StockError::Foreign { .. }));
}

#[test]
fn another_key_is_told() {
    let mut desk = Desk::new();
    desk.stock_up(THREE, "first");
    desk.kek = Desk::new().kek;
    let error = desk.reader(&Keyring::new()).expect_err("another key").to_string();
    assert!(error.contains("key-encryption key") && error.contains("stock 1"), "{error}");
}

#[test]
fn what_was_never_finished_leaves_no_file() {
    let desk = Desk::new();
    fs::create_dir_all(desk.folder().join("first")).expect("own folder");
    assert!(matches!(desk.load(THREE, "first"), Err(StockError::Io { doing: "name", .. })));
    assert_eq!(desk.files(), ["first"]);
}

#[test]
fn generated_vouchers_are_different_sealed_and_made_once() {
    let mut desk = Desk::new();
    let ask = |batch, seed| GenerateAsk {
        product: product(1),
        batch,
        count: 5_000,
        seed,
        serial_prefix: "V10-",
        now: NOW,
    };
    let Ok(Loaded::New(fact)) = generate(&desk.folder(), &ask("demo", 7), &desk.stock, &desk.kek) else {
        panic!("not generated");
    };
    desk.stock.add(&fact).expect("a new batch");
    let (found, damaged) = desk.read(&fact);
    assert_eq!(found[0].split(' ').take(2).collect::<Vec<_>>(), ["V10-00000001", "20280101"]);
    assert!(damaged.is_empty());
    for word in [0, 2] {
        let different: HashSet<_> = found.iter().filter_map(|voucher| voucher.split(' ').nth(word)).collect();
        assert_eq!(different.len(), 5_000);
    }
    let again = generate(&desk.folder(), &ask("demo", 7), &desk.stock, &desk.kek);
    assert!(matches!(again, Ok(Loaded::Already(known)) if known == fact));
    let other = generate(&desk.folder(), &ask("demo", 8), &desk.stock, &desk.kek);
    assert!(matches!(other, Err(StockError::OtherContents { .. })));
}

#[test]
fn a_batch_that_was_never_opened_is_not_read() {
    let mut desk = Desk::new();
    let mut reader = desk.reader(&Keyring::new()).expect("an empty stock");
    let fact = desk.stock_up(THREE, "first");
    let from = Place { batch: 1, index: 0 };
    assert!(matches!(reader.fill(from, 1, |_| ()), Err(StockError::Closed { number: 1 })));
    reader.open(&fact, &desk.kek, &Keyring::new()).expect("there");
    let filled = reader.fill(from, 2, |_| ()).expect("reads");
    assert_eq!(filled, Filled { vouchers: 2, reached: Place { batch: 1, index: 1 }, damaged: vec![] });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the batches, the trays and the restarts: every voucher once, in order.
    #[test]
    fn trays_hand_out_every_voucher_once(
        counts in prop::collection::vec(1u32..9, 1..4),
        tray in 1usize..7,
        takes in prop::collection::vec(prop::option::weighted(0.9, 1usize..7), 1..12),
    ) {
        let mut desk = Desk::new();
        for (batch, &count) in counts.iter().enumerate() {
            let rows: String = (0..count).map(|index| format!("S{batch}-{index},pin-{batch}-{index}\n")).collect();
            desk.stock_up(&format!("serial,pin\n{rows}"), &format!("b{batch}"));
        }
        let mut reader = desk.reader(&Keyring::new()).expect("opens");
        let (mut shelf, mut sold) = (Shelf::default(), Vec::new());
        for take in takes.into_iter().chain(std::iter::repeat_n(Some(9), 30)) {
            let Some(take) = take else {
                shelf = Shelf::default();
                continue;
            };
            fill_tray(&mut reader, &mut shelf, &desk.stock, ProductId(1), tray).expect("reads");
            prop_assert!(shelf.len(ProductId(1)) <= tray);
            for _ in 0..take {
                let Some(voucher) = shelf.take(ProductId(1)) else { break };
                prop_assert_eq!(desk.stock.next(ProductId(1)), Some(voucher.place()));
                desk.stock.sold(ProductId(1), voucher.batch, voucher.index).expect("never twice");
                sold.push(voucher.serial.as_str().to_owned());
            }
        }
        let all: Vec<_> = counts.iter().enumerate()
            .flat_map(|(batch, &count)| (0..count).map(move |index| format!("S{batch}-{index}")))
            .collect();
        prop_assert_eq!(sold, all);
    }
}

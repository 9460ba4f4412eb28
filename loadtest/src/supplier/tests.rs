use super::*;
use switchyard_core::iso8583::{Build, Mti, Role, Tag};

fn dialect(name: &str) -> Arc<Dialect> {
    Arc::new(Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}")))
}

fn host(name: &str, record: Option<PathBuf>) -> SupplierHost {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let host = SupplierHost::instant("telco", listen, dialect(name));
    SupplierHost { record, mode: Mode::Scripted, refuses_83: true, ..host }
}

fn request(dialect: &Dialect, mti: u16, stan: u64, account: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mark = Framing::DEFAULT.open(&[], &mut out);
    let mut build = Build::new(dialect, Mti::new(mti), &mut out);
    build
        .number(Role::ProcessingCode, 210_000)
        .number(Role::Amount, 1_000)
        .text(Role::TransmissionTime, b"1121225900")
        .number(Role::Stan, stan)
        .text(Role::Rrn, format!("{stan:012}").as_bytes())
        .open_tags(Role::Prepaid)
        .tag(Tag::Account, account.as_bytes())
        .close_tags()
        .number(Role::Currency, 978);
    build.finish().unwrap_or_else(|error| panic!("{error}"));
    Framing::DEFAULT.close(mark, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

/// Serves `host` while `talk` talks to it.
fn with<F: Future<Output = ()>>(host: SupplierHost, talk: impl FnOnce(SocketAddr) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async {
        let stop = CancellationToken::new();
        let bound = bind(host).await.unwrap_or_else(|error| panic!("{error}"));
        let address = bound.address;
        let served = stop.clone();
        LocalSet::new()
            .run_until(async {
                let server = tokio::task::spawn_local(async move { bound.serve(served).await });
                talk(address).await;
                stop.cancel();
                server
                    .await
                    .unwrap_or_else(|error| panic!("{error}"))
                    .unwrap_or_else(|error| panic!("{error}"));
            })
            .await;
    });
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Sends, and reads until `count` frames came, as `MTI STAN code`; `garbage` for what is no message; fewer where the link ended.
async fn exchange(stream: &mut TcpStream, dialect: &Dialect, bytes: &[u8], count: usize) -> Vec<String> {
    stream.write_all(bytes).await.unwrap_or_else(|error| panic!("{error}"));
    let (mut input, mut read) = (BytesMut::new(), Vec::new());
    while read.len() < count {
        if stream.read_buf(&mut input).await.unwrap_or(0) == 0 {
            break;
        }
        while let Ok(Some(frame)) = Framing::DEFAULT.next(&input, FRAME_BYTES_MAX) {
            read.push(shown(dialect, &input[frame.body]));
            input.advance(frame.total);
        }
    }
    read
}

fn shown(dialect: &Dialect, body: &[u8]) -> String {
    let Ok(view) = dialect.view(body) else { return "garbage".into() };
    let number = |role| view.value(role).and_then(|value| value.number()).unwrap_or_default();
    let code = view.value(Role::ResponseCode).and_then(|code| code.text::<2>()).unwrap_or_default();
    format!("{} {} {code}", view.mti(), number(Role::Stan))
}

fn actions(path: &Path) -> Vec<String> {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{error}"));
    record::read(&text).map(|past| format!("{} {}", past.mti, past.action.name())).collect()
}

#[test]
fn every_behaviour_answers_as_the_table_says_in_every_dialect() {
    for name in ["prepaid87", "prepaid87-bcd"] {
        with(host(name, None), async |address| {
            let dialect = dialect(name);
            let mut stream = connected(address).await;
            let table: [(&str, &[&str]); 7] = [
                ("0600", &["0210 7 00"]),
                ("0680", &["0210 7 05"]),
                ("0681", &["0210 7 14"]),
                ("0682", &["0210 7 61"]),
                ("0683", &["0210 7 91"]),
                ("0687", &["0210 7 00", "0210 7 00"]),
                ("0688", &["garbage"]),
            ];
            for (at, (account, answers)) in (0u64..).zip(table) {
                // An RRN of its own for each, so that none is a repeat; the STAN shown is the same.
                let mut bytes = request(&dialect, 200, 7 + at, account);
                let read = exchange(&mut stream, &dialect, &bytes, answers.len()).await;
                let expected: Vec<_> =
                    answers.iter().map(|text| text.replace(" 7 ", &format!(" {} ", 7 + at))).collect();
                assert_eq!(read, expected, "{name} {account}");
                bytes.clear();
            }
        });
    }
}

#[test]
fn delayed_answers_come_after_the_others() {
    with(host("prepaid87", None), async |address| {
        let dialect = dialect("prepaid87");
        let mut stream = connected(address).await;
        let bytes = [(1, "0686"), (2, "0684"), (3, "0685"), (4, "0600")]
            .map(|(stan, account)| request(&dialect, 200, stan, account))
            .concat();
        let start = Instant::now();
        let read = exchange(&mut stream, &dialect, &bytes, 3).await;
        assert_eq!(read, ["0210 4 00", "0210 2 00", "0210 1 00"]);
        assert!(start.elapsed() >= Duration::from_secs(4));
    });
}

#[test]
fn the_link_is_dropped_after_89_and_what_was_done_is_remembered() {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let path = folder.path().join("suppliers/telco.jsonl");
    let dialect = dialect("prepaid87");
    with(host("prepaid87", Some(path.clone())), async |address| {
        let mut stream = connected(address).await;
        assert!(exchange(&mut stream, &dialect, &request(&dialect, 200, 1, "0689"), 1).await.is_empty());
    });
    assert_eq!(actions(&path), ["0200 perform"]);

    // A kill may leave a part of a line; the supplier starts again on whole ones.
    let mut file = OpenOptions::new().append(true).open(&path).unwrap_or_else(|error| panic!("{error}"));
    file.write_all(b"{\"time\":\"20").unwrap_or_else(|error| panic!("{error}"));
    with(host("prepaid87", Some(path.clone())), async |address| {
        let mut stream = connected(address).await;
        for (mti, answered) in [(420, "0430 1 00"), (421, "0430 1 00"), (200, "0210 1 17")] {
            let read = exchange(&mut stream, &dialect, &request(&dialect, mti, 1, "0689"), 1).await;
            assert_eq!(read, [answered]);
        }
    });
    assert_eq!(actions(&path), ["0200 perform", "0420 reverse", "0421 ignore", "0200 refuse"]);
}

#[test]
fn housekeeping_is_answered_and_broken_framing_ends_the_link() {
    with(host("prepaid87", None), async |address| {
        let dialect = dialect("prepaid87");
        let mut stream = connected(address).await;
        let mut bytes = Vec::new();
        let mark = Framing::DEFAULT.open(&[], &mut bytes);
        let mut build = Build::new(&dialect, Mti::new(800), &mut bytes);
        build.number(Role::Stan, 5).number(Role::ManagementCode, 301);
        build.finish().unwrap_or_else(|error| panic!("{error}"));
        Framing::DEFAULT.close(mark, &mut bytes).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(exchange(&mut stream, &dialect, &bytes, 1).await, ["0810 5 00"]);
        assert!(exchange(&mut stream, &dialect, &[0xFF; 2], 1).await.is_empty());
    });
}

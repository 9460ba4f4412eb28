use super::*;
use crate::load::{Length, Load, Pace, run};
use crate::profile::Profile;
use crate::report::{Errors, LiveCounters};
use crate::supplier::{self, SupplierHost};
use std::sync::Arc;
use switchyard_core::iso8583::Dialect;
use tokio_util::sync::CancellationToken;

fn dialect() -> Arc<Dialect> {
    Arc::new(Dialect::open_shipped("prepaid87").unwrap_or_else(|error| panic!("{error}")))
}

fn supplier() -> SupplierHost {
    SupplierHost::instant("floor", SocketAddr::from(([127, 0, 0, 1], 0)), dialect())
}

fn load(target: SocketAddr) -> Load {
    let (pace, length) = (Pace::Closed { in_flight: 8 }, Length::Requests(2_000));
    Load { connections: 4, ..Load::plain(target, dialect(), Profile::demonstration(), pace, length) }
}

#[tokio::test]
async fn every_answer_goes_to_the_connection_that_asked_with_its_stan() {
    let (tell, listening) = tokio::sync::oneshot::channel();
    let mut tell = Some(tell);
    let serving = supplier::serve(vec![supplier()], CancellationToken::new(), |_, address| {
        let _ = tell.take().map(|tell| tell.send(address));
    });
    let loading = async {
        let supplier = listening.await.unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("{error}"));
        tokio::select! {
            ended = relay(listener, supplier) => panic!("{ended:?}"),
            report = run(load(address), CancellationToken::new(), Arc::new(LiveCounters::default())) => report,
        }
    };
    let report = tokio::select! {
        served = serving => panic!("{served:?}"),
        report = loading => report.unwrap_or_else(|error| panic!("{error}")),
    };
    assert_eq!((report.sent, report.answered, report.errors), (2_000, 2_000, Errors::default()));
    assert_eq!(report.outcomes.keys().collect::<Vec<_>>(), ["00"]);
}

#[test]
fn the_stan_is_found_behind_what_the_bitmap_has() {
    let find = |message: &str| {
        let mut frame = (message.len() as u16).to_be_bytes().to_vec();
        frame.extend_from_slice(message.as_bytes());
        stan_of(&mut frame).map(|stan| *stan).map_err(|error| error.kind())
    };
    assert_eq!(find("02003020000000000000123456000000001000654321"), Ok(*b"654321"));
    assert_eq!(find("02006020000000000000041234123456654321"), Ok(*b"654321"));
    assert_eq!(find("080082200000000000000400000000000000112208251200000199"), Ok(*b"000001"));
    for strange in [
        "",
        "0200",
        "02003000000000000000123456000000001000",
        "02007020000000000000xx",
        "0200302000000000000012345600000000100065432",
    ] {
        assert_eq!(find(strange), Err(io::ErrorKind::InvalidData), "{strange}");
    }
}

#[test]
fn a_stan_leads_back_to_who_asked() {
    let mut open = Open::new();
    let first = open.put(3, *b"000777");
    let second = open.put(4, *b"000777");
    assert_eq!(
        (open.asked_by(&first), open.asked_by(&second)),
        (Some((3, *b"000777")), Some((4, *b"000777")))
    );
    assert_eq!(open.asked_by(b"12x456"), None);
    assert_eq!(open.asked_by(b"999999"), None);
}

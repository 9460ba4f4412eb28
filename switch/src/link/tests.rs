//! Links against a supplier's listener that the test plays.

use super::*;

mod berths;
use crate::door::Door;
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bound on every wait; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

struct Rig {
    listener: TcpListener,
    link: Link,
    _door: Door,
}

impl Rig {
    async fn start(write_ms: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let dial = DialSettings { host: address.ip().to_string(), port: address.port(), tls: None };
        let door = Door::start(&[], std::path::Path::new("/")).expect("a thread");
        let link = Link::new(&supplier(write_ms), Way::Dial(dial, None), door.handle(), 1);
        Self { listener, link, _door: door }
    }
}

fn supplier(write_ms: u32) -> SupplierSettings {
    SupplierSettings {
        code: "telco-a".to_owned(),
        adapter: "iso8583-host".to_owned(),
        adapter_settings: toml::Table::new(),
        links: Vec::new(),
        framing: Framing::DEFAULT,
        frame_bytes_max: 1_000,
        connect_ms: 5_000,
        reconnect_first_ms: 1,
        reconnect_max_ms: 20,
        write_ms,
        record: None,
    }
}

impl Rig {
    async fn event(&mut self) -> LinkEvent {
        patiently(poll_fn(|cx| {
            self.link.flush(cx);
            self.link.poll_event(cx)
        }))
        .await
    }

    async fn up(&mut self) -> TcpStream {
        assert!(matches!(self.event().await, LinkEvent::Up));
        patiently(self.listener.accept()).await.expect("the link").0
    }

    async fn flush(&mut self) {
        patiently(poll_fn(|cx| {
            self.link.flush(cx);
            if self.link.queued_to() == self.link.written_to() { Poll::Ready(()) } else { Poll::Pending }
        }))
        .await;
    }
}

#[test]
fn messages_go_both_ways_and_keep_alives_are_ignored() {
    run(async {
        let mut rig = Rig::start(5_000).await;
        assert_eq!(rig.link.queue(b"early"), Err(NotQueued::Down));
        let mut supplier = rig.up().await;
        assert_eq!(rig.link.queue(b"one"), Ok(0));
        assert_eq!(rig.link.queue(b"three"), Ok(5));
        assert_eq!((rig.link.written_to(), rig.link.queued_to()), (0, 12));
        rig.flush().await;
        let mut read = [0; 12];
        patiently(supplier.read_exact(&mut read)).await.expect("both");
        assert_eq!(&read, b"\0\x03one\0\x05three");
        supplier.write_all(b"\0\0\0\x02ok\0\0\0\x05al").await.expect("sent");
        assert!(matches!(rig.event().await, LinkEvent::Frame));
        assert_eq!(rig.link.frame(), b"ok");
        supplier.write_all(b"so!").await.expect("sent");
        assert!(matches!(rig.event().await, LinkEvent::Frame));
        assert_eq!(rig.link.frame(), b"also!");
        let counters = rig.link.counters();
        assert_eq!((counters.frames_in, counters.frames_out, counters.keep_alives), (2, 2, 2));
    });
}

#[test]
fn a_lost_link_tells_what_was_sent_and_is_dialled_again() {
    run(async {
        let mut rig = Rig::start(5_000).await;
        let mut supplier = rig.up().await;
        let sent = rig.link.queue(b"sent").expect("up");
        rig.flush().await;
        let unsent = rig.link.queue(b"not sent").expect("up");
        let mut read = [0; 6];
        patiently(supplier.read_exact(&mut read)).await.expect("the first");
        drop(supplier);
        // No flush here: what is queued after the loss stays certainly unsent.
        let event = patiently(poll_fn(|cx| rig.link.poll_event(cx))).await;
        let LinkEvent::Down { written_to, reason } = event else { panic!("{event:?}") };
        assert!(matches!(reason, DownReason::Closed), "{reason}");
        assert!(sent < written_to && unsent >= written_to);
        assert!(rig.link.queue(b"later").is_err() && rig.link.frame().is_empty());
        let mut supplier = rig.up().await;
        // Positions go on, so that an old one is never taken for a new one.
        let next = rig.link.queue(b"again").expect("up");
        assert!(next > unsent && rig.link.written_to() == next);
        rig.flush().await;
        let mut read = [0; 7];
        patiently(supplier.read_exact(&mut read)).await.expect("only the new one");
        assert_eq!(&read, b"\0\x05again");
        assert_eq!(rig.link.counters().ups, 2);
    });
}

#[test]
fn answers_that_came_before_the_loss_are_read_first() {
    run(async {
        let mut rig = Rig::start(5_000).await;
        let mut supplier = rig.up().await;
        supplier.write_all(b"\0\x01a\0\x01b").await.expect("sent");
        drop(supplier);
        for body in [b"a", b"b"] {
            assert!(matches!(rig.event().await, LinkEvent::Frame));
            assert_eq!(rig.link.frame(), body);
        }
        assert!(matches!(rig.event().await, LinkEvent::Down { reason: DownReason::Closed, .. }));
    });
}

#[test]
fn a_supplier_that_takes_no_bytes_loses_its_link() {
    run(async {
        let mut rig = Rig::start(50).await;
        let _supplier = rig.up().await;
        let body = [b'x'; 900];
        while rig.link.queue(&body).is_ok() {}
        assert_eq!(rig.link.queue(&body), Err(NotQueued::Full));
        // More than the sockets' buffers hold is queued again and again until nothing is taken.
        let event = patiently(poll_fn(|cx| {
            while rig.link.queue(&body).is_ok() {}
            rig.link.flush(cx);
            rig.link.poll_event(cx)
        }))
        .await;
        let LinkEvent::Down { written_to, reason } = event else { panic!("{event:?}") };
        assert!(matches!(reason, DownReason::Slow), "{reason}");
        assert!(written_to > 0 && written_to < rig.link.queued_to());
    });
}

#[test]
fn broken_framing_and_a_close_by_us_bring_it_down() {
    run(async {
        let mut rig = Rig::start(5_000).await;
        let mut supplier = rig.up().await;
        supplier.write_all(&[0xff, 0xff]).await.expect("sent");
        assert!(matches!(rig.event().await, LinkEvent::Down { reason: DownReason::Frame(_), .. }));
        let mut supplier = rig.up().await;
        // Whoever polls the link is woken by the close, also when nothing else happens.
        let mut asked = false;
        let event = patiently(poll_fn(|cx| {
            let event = rig.link.poll_event(cx);
            if !std::mem::replace(&mut asked, true) {
                assert!(event.is_pending());
                rig.link.close();
            }
            event
        }));
        assert!(matches!(event.await, LinkEvent::Down { reason: DownReason::Asked, .. }));
        assert_eq!(patiently(supplier.read(&mut [0; 1])).await.expect("closed"), 0);
        rig.up().await;
        rig.link.stop();
        assert!(poll_fn(|cx| Poll::Ready(rig.link.poll_event(cx))).await.is_pending());
    });
}

#[test]
fn waits_double_within_their_bounds() {
    let mut backoff = Backoff::new(50, 5_000, 7);
    for wanted_ms in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
        let wait_ms = backoff.next().as_millis() as u64;
        assert!(wait_ms <= wanted_ms && wait_ms >= wanted_ms - wanted_ms / 4, "{wait_ms} of {wanted_ms}");
    }
    backoff.reset();
    assert!(backoff.next().as_millis() <= 50);
    let waits = |seed| {
        let mut backoff = Backoff::new(1_000, 1_000, seed);
        [backoff.next(), backoff.next(), backoff.next()]
    };
    assert_ne!(waits(1), waits(2));
}

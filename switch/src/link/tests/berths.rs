//! Links on which a supplier, which the test plays, dials in.

use super::*;
use crate::settings::{AddressRange, ListenSettings};

struct Berthed {
    link: Link,
    address: SocketAddr,
    _door: Door,
}

impl Berthed {
    /// Listens for a supplier from this address.
    async fn start(takeover_ms: u32, from: &str) -> Self {
        let settings = ListenSettings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            allow: AddressRange::parse(from).into_iter().collect(),
            tls: None,
            certificate_names: Vec::new(),
            takeover_ms,
        };
        let mut door = Door::start(&[], std::path::Path::new("/")).expect("a thread");
        let berth = door.berth(&supplier(5_000), &settings, std::path::Path::new("/")).expect("a listener");
        let address = berth.address();
        assert!(TcpStream::connect(address).await.is_err(), "nobody connects before the link is polled");
        let link = Link::new(&supplier(5_000), Way::Berth(berth), door.handle(), 1);
        let mut berthed = Self { link, address, _door: door };
        assert!(berthed.poll().await.is_pending());
        berthed
    }

    async fn poll(&mut self) -> Poll<LinkEvent> {
        poll_fn(|cx| Poll::Ready(self.link.poll_event(cx))).await
    }

    async fn event(&mut self) -> LinkEvent {
        patiently(poll_fn(|cx| {
            self.link.flush(cx);
            self.link.poll_event(cx)
        }))
        .await
    }

    async fn flush(&mut self) {
        patiently(poll_fn(|cx| {
            self.link.flush(cx);
            if self.link.queued_to() == self.link.written_to() { Poll::Ready(()) } else { Poll::Pending }
        }))
        .await;
    }

    async fn dial(&self) -> TcpStream {
        patiently(TcpStream::connect(self.address)).await.expect("a connection")
    }

    async fn up(&mut self) -> TcpStream {
        let supplier = self.dial().await;
        assert!(matches!(self.event().await, LinkEvent::Up));
        supplier
    }
}

/// Whether the other end closed it without a word.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(patiently(stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
}

#[test]
fn a_supplier_dials_in_and_dials_again_after_a_loss() {
    run(async {
        let mut berthed = Berthed::start(60_000, "127.0.0.1").await;
        let mut supplier = berthed.up().await;
        supplier.write_all(b"\0\x05hello").await.expect("sent");
        assert!(matches!(berthed.event().await, LinkEvent::Frame));
        assert_eq!(berthed.link.frame(), b"hello");
        let first = berthed.link.queue(b"one").expect("up");
        drop(supplier);
        let LinkEvent::Down { written_to, reason } =
            patiently(poll_fn(|cx| berthed.link.poll_event(cx))).await
        else {
            panic!("the link is lost")
        };
        assert!(matches!(reason, DownReason::Closed) && written_to <= first, "{reason}");
        assert!(berthed.poll().await.is_pending() && !berthed.link.is_up());
        let mut supplier = berthed.up().await;
        assert!(berthed.link.queue(b"two").expect("up") > first, "positions go on");
        let mut read = [0; 5];
        berthed.flush().await;
        patiently(supplier.read_exact(&mut read)).await.expect("only the new one");
        assert_eq!(&read, b"\0\x03two");
    });
}

#[test]
fn a_second_connection_is_refused_while_the_first_lives() {
    run(async {
        let mut berthed = Berthed::start(60_000, "127.0.0.1").await;
        let mut supplier = berthed.up().await;
        for refused in 1..=3 {
            let mut second = berthed.dial().await;
            patiently(poll_fn(|cx| {
                assert!(berthed.link.poll_event(cx).is_pending());
                if berthed.link.counters().refused == refused { Poll::Ready(()) } else { Poll::Pending }
            }))
            .await;
            assert!(is_closed(&mut second).await);
        }
        supplier.write_all(b"\0\x02ok").await.expect("sent");
        assert!(matches!(berthed.event().await, LinkEvent::Frame));
    });
}

#[test]
fn a_second_connection_takes_over_from_a_silent_one() {
    run(async {
        let mut berthed = Berthed::start(0, "127.0.0.1").await;
        let mut silent = berthed.up().await;
        let mut second = berthed.dial().await;
        assert!(matches!(berthed.event().await, LinkEvent::Down { reason: DownReason::Replaced, .. }));
        assert!(matches!(berthed.event().await, LinkEvent::Up));
        assert!(is_closed(&mut silent).await);
        second.write_all(b"\0\x02ok").await.expect("sent");
        assert!(matches!(berthed.event().await, LinkEvent::Frame));
        assert_eq!(berthed.link.counters().ups, 2);
    });
}

#[test]
fn an_address_that_is_not_the_suppliers_is_turned_away() {
    run(async {
        let mut berthed = Berthed::start(0, "192.0.2.7").await;
        let mut stranger = berthed.dial().await;
        assert!(is_closed(&mut stranger).await);
        assert!(berthed.poll().await.is_pending() && !berthed.link.is_up());
    });
}

#[test]
fn what_was_said_before_the_switch_closes_is_still_said() {
    run(async {
        let mut berthed = Berthed::start(0, "127.0.0.1").await;
        let mut supplier = berthed.up().await;
        berthed.link.queue(b"hello").expect("up");
        berthed.flush().await;
        berthed.link.queue(b"bye").expect("up");
        berthed.link.close();
        let event = berthed.poll().await;
        let said =
            matches!(event, Poll::Ready(LinkEvent::Down { reason: DownReason::Asked, written_to: 12 }));
        assert!(said, "{event:?}");
        let mut read = Vec::new();
        patiently(supplier.read_to_end(&mut read)).await.expect("closed");
        assert_eq!(read, b"\0\x05hello\0\x03bye");
    });
}

#[test]
fn a_link_that_is_gone_accepts_nobody() {
    run(async {
        let berthed = Berthed::start(0, "127.0.0.1").await;
        let Berthed { link, address, _door } = berthed;
        drop(link);
        patiently(async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

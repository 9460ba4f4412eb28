//! Conduits over real sockets, with a gate that answers when the test says so.

mod rig;

use super::*;
use crate::io;
use crate::settings::{ClientCertificate, ClientTls, ConduitSettings, TlsSettings, TlsVersion};
use crate::tls::{LinkTls, demo_authority};
use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use rig::{Client, Rig, catalogue, fields, framed, management, patiently, run, said, sale, settings};
use std::future::poll_fn;
use std::task::{Poll, ready};
use switchyard_core::iso8583::Framing;
use tokio::io::AsyncWriteExt;

#[test]
fn an_answer_reaches_the_connection_that_asked() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let (mut one, mut other) = (rig.connect().await, rig.connect().await);
        one.sell(1).await;
        let first = rig.asked().await;
        other.sell(2).await;
        let second = rig.asked().await;
        assert_ne!(first.place, second.place);
        assert_eq!(
            (first.window, first.relaxed, first.deadline_us - first.received_us),
            (8, false, 5_000_000)
        );
        rig.approve(second);
        rig.approve(first);
        assert_eq!(one.response().await, said(210, 1, "00"));
        assert_eq!(other.response().await, said(210, 2, "00"));
        rig.until(|counters| counters.tickets.value() == 0).await;
        assert_eq!((rig.counters.admitted.value(), rig.counters.answered.value()), (2, 2));
    });
}

#[test]
fn a_bad_message_costs_one_message() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let sound = sale(&rig.dialect, 3);
        // Length zero, a cut message, a response, a class that is not done, then a sound one.
        client.send(&[0, 0]).await;
        client.send(&framed(&sound[..sound.len() - 1])).await;
        assert_eq!(client.response().await, said(210, 3, "30"));
        let mut response = sound.clone();
        response[..4].copy_from_slice(b"0210");
        client.send(&framed(&response)).await;
        let mut totals = sound.clone();
        totals[..4].copy_from_slice(b"0500");
        client.send(&framed(&totals)).await;
        assert_eq!(client.response().await, said(510, 3, "40"));
        client.sell(4).await;
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 4, "00"));
        let counters = &rig.counters;
        assert_eq!((counters.keep_alives.value(), counters.format_errors.value()), (1, 1));
        assert_eq!((counters.responses_in.value(), counters.refused.value()), (1, 2));
    });
}

#[test]
fn refusals_beyond_a_turns_share_are_answered_in_later_turns_and_hold_up_nobody() {
    const REFUSED: usize = 400;
    run(async {
        let rig = Rig::start(settings(), 64);
        let (mut flooding, mut other) = (rig.connect().await, rig.connect().await);
        let sound = sale(&rig.dialect, 1);
        let cut = framed(&sound[..sound.len() - 1]);
        let mut flood = cut.repeat(REFUSED);
        flood.extend(framed(&sale(&rig.dialect, 2)));
        flooding.send(&flood).await;
        other.sell(3).await;
        let (one, two) = (rig.asked().await, rig.asked().await);
        rig.approve(one);
        rig.approve(two);
        assert_eq!(other.response().await, said(210, 3, "00"));
        for _ in 0..REFUSED {
            assert_eq!(flooding.response().await, said(210, 1, "30"));
        }
        assert_eq!(flooding.response().await, said(210, 2, "00"));
        assert_eq!(rig.counters.refused.value(), REFUSED as u64);
    });
}

#[test]
fn ten_unreadable_messages_in_a_row_close_the_connection() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        for _ in 0..9 {
            client.send(&framed(b"what?")).await;
        }
        client.manage(5, 301).await;
        assert_eq!(client.response().await, said(810, 5, "00"));
        for _ in 0..10 {
            client.send(&framed(b"what?")).await;
        }
        assert!(client.is_closed().await);
        drop(client);
        rig.until(|counters| counters.closed(Closed::Unreadable) == 1).await;
        assert_eq!(rig.counters.unreadable.value(), 19);
    });
}

#[test]
fn a_length_over_the_limit_closes_after_what_came_before_it() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let mut bytes = framed(&management(&rig.dialect, 6, 301));
        bytes.extend_from_slice(&2_001u16.to_be_bytes());
        bytes.extend_from_slice(&[b'x'; 500]);
        client.send(&bytes).await;
        assert_eq!(client.response().await, said(810, 6, "00"));
        assert!(client.is_closed().await);
        drop(client);
        rig.until(|counters| counters.closed(Closed::Framing) == 1).await;
    });
}

#[test]
fn sales_wait_for_the_sign_on_where_it_is_required() {
    run(async {
        let rig = Rig::start(ConduitSettings { sign_on: true, ..settings() }, 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        assert_eq!(client.response().await, said(210, 1, "31"));
        client.manage(2, 1).await;
        assert_eq!(client.response().await, said(810, 2, "00"));
        // Network 100001 moves to another index: it stays signed on.
        let reload = Reload { catalogue: catalogue(&["999999", "100001"]), networks: Vec::new() };
        rig.conduit.send(reload).await.expect("alive");
        client.sell(3).await;
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 3, "00"));
        client.manage(4, 2).await;
        assert_eq!(client.response().await, said(810, 4, "00"));
        client.sell(5).await;
        assert_eq!(client.response().await, said(210, 5, "31"));
        client.manage(6, 101).await;
        assert_eq!(client.response().await, said(810, 6, "40"));
    });
}

#[test]
fn a_certificate_speaks_for_its_network_only() {
    run(async {
        let data = tempfile::tempdir().expect("a folder");
        demo_authority(data.path()).expect("certificates");
        let tls = TlsSettings {
            certificate: "server.pem".into(),
            key: "server.key".into(),
            client_ca: Some("ca.pem".into()),
            client: ClientCertificate::Required,
            version_min: TlsVersion::V1_2,
            bind_names: true,
        };
        let rig = Rig::start_in(data.path(), ConduitSettings { tls: Some(tls), ..settings() }, 64);
        let reload = Reload { catalogue: catalogue(&["100002", "100001"]), networks: Vec::new() };
        rig.conduit.send(reload).await.expect("alive");
        let link = ClientTls {
            ca: "ca.pem".into(),
            certificate: Some("client-100001.pem".into()),
            key: Some("client-100001.key".into()),
            server_name: "localhost".to_owned(),
        };
        let link = LinkTls::new(&link, data.path()).expect("sound files");
        let connection = rustls::ClientConnection::new(link.config, link.name).expect("a configuration");
        let stream = rig.connect().await.stream;
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        let shaken = io::handshake(stream, rustls::Connection::Client(connection), deadline).await;
        let mut client = shaken.expect("a handshake");
        let echo = management(&rig.dialect, 1, 301);
        let other = echo.windows(6).position(|digits| digits == b"100001").expect("the network");
        let mut of_another = echo.clone();
        of_another[other..other + 6].copy_from_slice(b"100002");
        let mut out = io::OutBuffer::new();
        for body in [&of_another, &echo, &sale(&rig.dialect, 2)] {
            out.tail().extend_from_slice(&framed(body));
        }
        patiently(poll_fn(|cx| client.poll_write(cx, &mut out))).await.expect("sent");
        rig.approve(rig.asked().await);
        let mut input = BytesMut::new();
        for wanted in [said(810, 1, "31"), said(810, 1, "00"), said(210, 2, "00")] {
            let frame = patiently(poll_fn(|cx| {
                loop {
                    if let Ok(Some(frame)) = Framing::DEFAULT.next(&input, 2_000) {
                        return Poll::Ready(frame);
                    }
                    ready!(client.poll_read(cx, &mut input, 4_096)).expect("more");
                }
            }))
            .await;
            assert_eq!(fields(&rig.dialect, &input[frame.body.clone()]), wanted);
            input.advance(frame.total);
        }
    });
}

#[test]
fn sales_without_a_credit_wait_and_management_overtakes_them() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        let mut bytes = Vec::new();
        for stan in 1..=20 {
            bytes.extend_from_slice(&framed(&sale(&rig.dialect, stan)));
        }
        bytes.extend_from_slice(&framed(&management(&rig.dialect, 99, 301)));
        client.send(&bytes).await;
        assert_eq!(client.response().await, said(810, 99, "00"));
        // Seven of the window's eight are for sales.
        assert_eq!((rig.counters.admitted.value(), rig.requests.len()), (7, 7));
        for stan in 1..=20 {
            rig.approve(rig.asked().await);
            assert_eq!(client.response().await, said(210, stan, "00"));
        }
        assert_eq!(rig.counters.admitted.value(), 20);
    });
}

#[test]
fn connections_share_the_tickets_and_none_starves() {
    run(async {
        let rig = Rig::start(settings(), 8);
        let mut clients = Vec::new();
        for _ in 0..4 {
            let mut client = rig.connect().await;
            for stan in 1..=7 {
                client.sell(stan).await;
            }
            clients.push(client);
        }
        for _ in 0..28 {
            rig.approve(rig.asked().await);
        }
        for client in &mut clients {
            for stan in 1..=7 {
                assert_eq!(client.response().await, said(210, stan, "00"));
            }
        }
        assert_eq!(rig.counters.answered.value(), 28);
    });
}

#[test]
fn a_slow_reader_loses_only_itself() {
    run(async {
        let rig = Rig::start(ConduitSettings { write_ms: 100, ..settings() }, 64);
        let (mut slow, mut other) = (rig.connect().await, rig.connect().await);
        let echo = framed(&management(&rig.dialect, 1, 301)).repeat(64);
        let flood = actix_rt::spawn(async move { while slow.stream.write_all(&echo).await.is_ok() {} });
        rig.until(|counters| counters.stalled.value() > 0).await;
        other.sell(2).await;
        rig.approve(rig.asked().await);
        assert_eq!(other.response().await, said(210, 2, "00"));
        rig.until(|counters| counters.closed(Closed::SlowReader) == 1).await;
        patiently(flood).await.expect("the flood ends with its connection");
        assert_eq!(rig.output.used_bytes(), 0);
    });
}

#[test]
fn silence_and_halves_of_messages_close_in_their_time() {
    let cases: [(ConduitSettings, &[u8], Closed); 4] = [
        (ConduitSettings { first_byte_ms: 30, ..settings() }, &[], Closed::FirstByte),
        (ConduitSettings { frame_ms: 30, ..settings() }, &[0], Closed::FrameTime),
        (ConduitSettings { frame_ms: 30, ..settings() }, &[0, 0, 1, 0, b'0'], Closed::FrameTime),
        (ConduitSettings { idle_ms: 30, ..settings() }, &[0, 0], Closed::Idle),
    ];
    for (settings, bytes, why) in cases {
        run(async {
            let rig = Rig::start(settings, 64);
            let mut client = rig.connect().await;
            client.send(bytes).await;
            assert!(client.is_closed().await, "{why:?}");
            rig.until(|counters| counters.closed(why) == 1).await;
        });
    }
}

#[test]
fn a_silent_client_is_asked_once_whether_it_is_there_and_its_answer_ends_the_silence() {
    run(async {
        let rig = Rig::start(ConduitSettings { echo_ms: 30, idle_ms: 2_000, ..settings() }, 64);
        let mut client = rig.connect().await;
        client.send(&[0, 0]).await;
        for stan in 1..=3 {
            let (mti, asked, _) = client.response().await;
            assert_eq!((mti, asked), (800, stan));
            if stan < 3 {
                let mut answer = management(&rig::dialect(), stan, 301);
                // The digits of 0800 become those of 0810.
                answer[2] = b'1';
                client.send(&framed(&answer)).await;
            }
        }
        // The third is not answered, and no fourth follows.
        assert!(client.is_closed().await);
        rig.until(|counters| counters.closed(Closed::Idle) == 1 && counters.responses_in.value() == 2).await;
    });
}

#[test]
fn a_byte_now_and_then_does_not_extend_a_message() {
    run(async {
        let rig = Rig::start(ConduitSettings { frame_ms: 50, ..settings() }, 64);
        let mut client = rig.connect().await;
        client.send(&[2, 0]).await;
        let drip = async {
            while client.stream.write_all(b"0").await.is_ok() {
                tokio::task::yield_now().await
            }
        };
        let closed = rig.until(|counters| counters.closed(Closed::FrameTime) == 1);
        tokio::select! { () = drip => {}, () = closed => {} }
        rig.until(|counters| counters.closed(Closed::FrameTime) + counters.closed(Closed::Framing) == 1)
            .await;
    });
}

#[test]
fn every_ticket_is_answered_or_stale_when_its_client_is_gone() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        drop(client);
        rig.approve(ticket);
        rig.until(|counters| counters.connections.value() == 0).await;
        let mut again = rig.connect().await;
        again.sell(2).await;
        let ticket = rig.asked().await;
        // The same slot, and yet another connection.
        assert_eq!((ticket.place.slot, ticket.place.generation), (0, 1));
        rig.approve(ticket);
        assert_eq!(again.response().await, said(210, 2, "00"));
        let counters = &rig.counters;
        assert_eq!(counters.admitted.value(), counters.answered.value() + counters.stale.value());
    });
}

#[test]
fn tickets_of_a_lost_connection_come_back_as_stale() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        rig.conduit.send(Close).await.expect("alive");
        rig.until(|counters| counters.closed(Closed::Stopped) == 1).await;
        assert!(client.is_closed().await);
        rig.approve(ticket);
        rig.until(|counters| counters.stale.value() == 1 && counters.tickets.value() == 0).await;
    });
}

#[test]
fn a_client_that_stops_sending_still_gets_its_answers() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        client.stream.shutdown().await.expect("half closed");
        rig.approve(rig.asked().await);
        assert_eq!(client.response().await, said(210, 1, "00"));
        assert!(client.is_closed().await);
        rig.until(|counters| counters.closed(Closed::Client) == 1).await;
    });
}

#[test]
fn a_drain_answers_what_is_open_and_reads_no_more() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let ticket = rig.asked().await;
        let (done, mut drained) = oneshot::channel();
        rig.conduit.send(Drain { done }).await.expect("alive");
        client.sell(2).await;
        assert!(drained.try_recv().is_err());
        rig.approve(ticket);
        assert_eq!(client.response().await, said(210, 1, "00"));
        assert!(client.is_closed().await);
        drop(client);
        patiently(drained).await.expect("drained");
        assert_eq!((rig.counters.admitted.value(), rig.counters.closed(Closed::Drained)), (1, 1));
    });
}

#[test]
fn an_answer_that_cannot_be_built_is_counted_and_not_invented() {
    run(async {
        let rig = Rig::start(settings(), 64);
        let mut client = rig.connect().await;
        client.sell(1).await;
        let mut ticket = rig.asked().await;
        ticket.outcome.clear();
        assert!(rig.answers.push(ticket).is_ok());
        rig.answers.wake();
        rig.until(|counters| counters.unanswerable.value() == 1).await;
        client.manage(2, 301).await;
        assert_eq!(client.response().await, said(810, 2, "00"));
    });
}

/// Sends `parts` one by one, each only when the switch has read the one before: every part is a read of its own.
async fn send_in_parts(client: &mut Client, parts: &[&[u8]]) {
    for part in parts {
        client.send(part).await;
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_message_is_answered_once_however_it_is_cut(cuts in proptest::collection::vec(1usize..400, 1..40)) {
        run(async {
            let rig = Rig::start(settings(), 64);
            let mut client = rig.connect().await;
            let mut bytes = Vec::new();
            for stan in 1..=6 {
                bytes.extend_from_slice(&framed(&management(&rig.dialect, stan, 301)));
                bytes.extend_from_slice(&[0, 0]);
            }
            let mut parts = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = after;
            }
            parts.push(rest);
            send_in_parts(&mut client, &parts).await;
            for stan in 1..=6 {
                assert_eq!(client.response().await, said(810, stan, "00"));
            }
            client.stream.shutdown().await.expect("half closed");
            assert!(client.is_closed().await);
        });
    }

    #[test]
    fn garbage_is_survived_and_the_next_client_is_served(garbage in proptest::collection::vec(any::<u8>(), 1..3_000)) {
        run(async {
            let rig = Rig::start(ConduitSettings { frame_ms: 50, ..settings() }, 64);
            let mut client = rig.connect().await;
            client.send(&garbage).await;
            // The switch may have closed for cause already.
            let _ = client.stream.shutdown().await;
            drop(client);
            let mut next = rig.connect().await;
            next.manage(1, 301).await;
            assert_eq!(next.response().await, said(810, 1, "00"));
        });
    }
}

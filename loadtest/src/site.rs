//! Where the switch is, and what its pages say.
//!
//! Owns: `Site`, the positions and figures that an end waits for, and that wait. Invariants: every wait and read is bounded.
//! Deliberately absent: any other page, and any way to change something.

use crate::report::LiveCounters;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Longest wait for a page.
const PAGE: Duration = Duration::from_secs(5);
/// Most bytes of a page.
const PAGE_BYTES_MAX: u64 = 16 << 20;
/// How often the pages are asked again.
const LOOK: Duration = Duration::from_millis(100);

/// Where a switch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The conduit.
    pub conduit: SocketAddr,
    /// Its pages, where they are known.
    pub pages: Option<SocketAddr>,
}

/// What an account holds, as `/api/positions` says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Position {
    /// `network/100001`, `suspense/telco-a` and so on.
    pub account: String,
    /// Minor units.
    pub posted_minor: i64,
    /// Minor units.
    pub reserved_minor: i64,
}

#[derive(Deserialize)]
struct Figures {
    in_flight: u64,
    parked: u64,
    suppliers: Vec<SupplierFigures>,
}

#[derive(Deserialize)]
struct SupplierFigures {
    advices: u64,
}

/// What the switch says of its books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// All accounts.
    pub positions: Vec<Position>,
    /// Requests under way.
    pub in_flight: u64,
    /// Reversals that suppliers have not confirmed yet.
    pub advices: u64,
    /// Reversals parked since the switch started.
    pub parked: u64,
}

impl Books {
    /// Asks the pages.
    ///
    /// # Errors
    /// They cannot be reached, or do not answer as the switch does.
    pub async fn read(pages: SocketAddr) -> io::Result<Self> {
        let positions = serde_json::from_slice(&page(pages, "/api/positions").await?)?;
        let figures: Figures = serde_json::from_slice(&page(pages, "/api/figures").await?)?;
        Ok(Self {
            positions,
            in_flight: figures.in_flight,
            advices: figures.suppliers.iter().map(|supplier| supplier.advices).sum(),
            parked: figures.parked,
        })
    }

    /// What is posted on all accounts together: zero.
    pub fn sum(&self) -> i64 {
        self.positions.iter().map(|position| position.posted_minor).sum()
    }

    /// What is reserved on all accounts together.
    pub fn reserved(&self) -> i64 {
        self.positions.iter().map(|position| position.reserved_minor).sum()
    }

    /// Whether nothing is under way any more.
    pub fn is_at_rest(&self) -> bool {
        self.in_flight == 0 && self.advices == 0 && self.reserved() == 0
    }

    /// What is posted on all accounts of a kind together: those whose name begins so.
    pub(crate) fn posted(&self, kind: &str) -> i64 {
        let of_kind = self.positions.iter().filter(|position| position.account.starts_with(kind));
        of_kind.map(|position| position.posted_minor).sum()
    }
}

async fn page(pages: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let got = tokio::time::timeout(PAGE, get(pages, path)).await;
    got.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("{pages}{path}: no answer in time")))
    })
}

async fn get(pages: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(pages).await?;
    // In HTTP/1.0 the answer ends with the connection, and needs no other reading.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {pages}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer).await?;
    let good = answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200");
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").filter(|_| good);
    let head = head.ok_or_else(|| io::Error::other(format!("{pages}{path} is no page of a switch")))?;
    Ok(answer.split_off(head + 4))
}

/// Waits until nothing is under way any more, for so long at most; the books then. `None` where the pages are not known, or
/// could not be read at the end of that time.
pub async fn at_rest(site: &watch::Receiver<Site>, bound: Duration, live: &LiveCounters) -> Option<Books> {
    let began = Instant::now();
    loop {
        let pages = site.borrow().pages?;
        let books = Books::read(pages).await.ok();
        let over = began.elapsed() >= bound;
        if let Some(books) = &books {
            live.unsettled.store(books.in_flight + books.advices, Ordering::Relaxed);
        }
        if over || books.as_ref().is_some_and(Books::is_at_rest) {
            return books;
        }
        tokio::time::sleep(LOOK).await;
    }
}

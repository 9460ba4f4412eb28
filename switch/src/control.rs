//! The control plane: pages, API, health and metrics over HTTP, beside the data plane.
//!
//! Owns: the HTTP server, the snapshot that all viewers share, and the `metrics` recorder that is fed from it.
//! Invariants: viewers share no lock with the data plane (`plane-apart`): they read the board, and ask the gate at most by a control message; no secret is shown.
//! Deliberately absent: anything that changes money, stock or configuration (operators' commands come over a socket of their own).

pub mod advices;
pub mod operate;
pub mod position;
pub mod socket;

use crate::board::{Board, quantile};
use crate::conduit::Closed;
use crate::gate::{Explain, GateActor, Positions, WINDOW_FULL_ADVICE};
use crate::journal::ROOM_PREPARED_MIN;
use actix::Addr;
use actix_web::dev::Server;
use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, Responder, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;
use switchyard_core::breaker::Position;
use switchyard_core::text::Text;

/// The page: everything it shows it asks of the API.
const PAGE: &str = include_str!("control/page.html");

/// Connections to the pages at a time; more wait in the system.
pub const PAGES_CONNECTIONS_MAX: usize = 256;
/// What the server may hold for one of them: a request's head, and a page on its way.
pub const PAGES_CONNECTION_BYTES: usize = 96 << 10;

/// What the handlers share.
struct Shared {
    board: Arc<Board>,
    ready: Arc<AtomicBool>,
    gate: Addr<GateActor>,
    metrics: PrometheusHandle,
}

/// What a page or a script sees at once.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Messages taken in.
    pub tickets: u64,
    /// Messages answered.
    pub answers: u64,
    /// Refusals that performed nothing.
    pub refused: u64,
    /// Items approved.
    pub approved: u64,
    /// Items declined after admission.
    pub declined: u64,
    /// Items whose outcome became unknown.
    pub unknown: u64,
    /// Unknown outcomes settled by a reversal.
    pub settled: u64,
    /// Reversals that an operator must settle.
    pub parked: u64,
    /// Repeats answered from the store.
    pub repeats: u64,
    /// Items under way.
    pub in_flight: u64,
    /// Half of the answers were released within this, microseconds.
    pub p50_us: Option<u64>,
    /// 99 % of the answers were released within this, microseconds.
    pub p99_us: Option<u64>,
    /// Suppliers.
    pub suppliers: Vec<SupplierFigures>,
}

/// A supplier's part of the figures.
#[derive(Debug, Serialize)]
pub struct SupplierFigures {
    /// Its code.
    pub code: String,
    /// Whether sales can be sent to it.
    pub ready: bool,
    /// Links that are connected.
    pub links_up: u64,
    /// Sales sent.
    pub asked: u64,
    /// Sales answered in time.
    pub answered: u64,
    /// Sales without an answer in time, or whose link was lost.
    pub unknown: u64,
    /// Answers that came after the time-out.
    pub late: u64,
    /// Answers that belong to nothing, were there before, or say otherwise than the one before.
    pub unmatched: u64,
    /// Sales and reversals open at it.
    pub open: u64,
    /// Sales under way.
    pub in_flight: u64,
    /// Sales that may be under way.
    pub window: u64,
    /// Sales and reversals not at their end.
    pub advices: u64,
    /// Reversals that wait to be sent.
    pub reversals_waiting: u64,
    /// Answers that may still come late.
    pub late_open: u64,
    /// As many as there may be; beyond it no sale is asked.
    pub late_max: u64,
    /// How often a sale was not asked because there were as many.
    pub late_full: u64,
    /// Reversals that wait for an operator.
    pub parked: u64,
    /// As many as there may be; beyond it no sale is asked, and reversals get 96.
    pub parked_max: u64,
    /// Reversals that got 96 because there were as many.
    pub parked_refused: u64,
    /// Its breaker: `closed`, `half-open` or `open`.
    pub breaker: &'static str,
}

/// Reads the board.
pub fn figures(board: &Board) -> Figures {
    let gate = &board.gate;
    let latency = board.latency.read();
    Figures {
        tickets: gate.tickets.load(Relaxed),
        answers: gate.answers.load(Relaxed),
        refused: gate.refused.load(Relaxed),
        approved: gate.approved.load(Relaxed),
        declined: gate.declined.load(Relaxed),
        unknown: gate.unknown.load(Relaxed),
        settled: gate.settled.load(Relaxed),
        parked: gate.parked.load(Relaxed),
        repeats: gate.repeats.load(Relaxed) + gate.joined.load(Relaxed),
        in_flight: gate.in_flight.load(Relaxed),
        p50_us: quantile(&latency, 0.50),
        p99_us: quantile(&latency, 0.99),
        suppliers: board
            .suppliers
            .iter()
            .zip(&board.supplies)
            .map(|((code, row), supply)| SupplierFigures {
                code: code.clone(),
                ready: row.ready.load(Relaxed) == 1,
                links_up: row.links_up.load(Relaxed),
                asked: row.asked.load(Relaxed),
                answered: row.answered.load(Relaxed),
                unknown: row.timed_out.load(Relaxed) + row.cut.load(Relaxed),
                late: row.late.load(Relaxed),
                unmatched: row.unmatched.load(Relaxed)
                    + row.duplicate.load(Relaxed)
                    + row.contradictory.load(Relaxed),
                open: row.open.load(Relaxed),
                in_flight: supply.in_flight.load(Relaxed),
                window: supply.window.load(Relaxed),
                advices: supply.advices.load(Relaxed),
                reversals_waiting: row.reversals_waiting.load(Relaxed),
                late_open: supply.late_open.load(Relaxed),
                late_max: supply.late_max.load(Relaxed),
                late_full: supply.late_full.load(Relaxed),
                parked: supply.parked.load(Relaxed),
                parked_max: supply.parked_max.load(Relaxed),
                parked_refused: supply.parked_refused.load(Relaxed),
                breaker: Position::of(supply.breaker.load(Relaxed)).name(),
            })
            .collect(),
    }
}

/// Binds the address of the pages.
///
/// # Errors
/// It cannot be had.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address)
}

/// The server; run it on the control plane's own thread.
///
/// # Errors
/// The recorder was installed before, or the socket cannot be used.
pub fn serve(
    listener: TcpListener,
    board: Arc<Board>,
    ready: Arc<AtomicBool>,
    gate: Addr<GateActor>,
) -> std::io::Result<Server> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // A second switch in one process (tests) keeps the first one's recorder.
    let _ = metrics::set_global_recorder(recorder);
    let shared = web::Data::new(Shared { board, ready, gate, metrics });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/", web::get().to(page))
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(show_metrics))
            .route("/api/figures", web::get().to(api_figures))
            .route("/api/positions", web::get().to(api_positions))
            .route("/api/explain", web::get().to(api_explain))
    });
    Ok(server.workers(1).max_connections(PAGES_CONNECTIONS_MAX).disable_signals().listen(listener)?.run())
}

async fn page() -> impl Responder {
    HttpResponse::Ok().content_type(ContentType::html()).body(PAGE)
}

async fn healthz() -> impl Responder {
    "ok\n"
}

/// Whether sales are taken: not before the start is over, nor while the journal or the duplicate index has no room for them.
async fn readyz(shared: web::Data<Shared>) -> impl Responder {
    if !shared.ready.load(Ordering::Acquire) {
        return HttpResponse::ServiceUnavailable().body("not ready\n".to_owned());
    }
    match without_room(&shared.board) {
        None => HttpResponse::Ok().body("ready\n"),
        Some(why) => HttpResponse::ServiceUnavailable().body(format!("not ready: {why}\n")),
    }
}

/// Why every sale gets 96, and what to do.
fn without_room(board: &Board) -> Option<String> {
    let gate = &board.gate;
    if gate.segments_prepared.load(Relaxed) < ROOM_PREPARED_MIN as u64 {
        return Some("the journal has no room for sales, they get 96; make room on the disk".to_owned());
    }
    let full = gate.window_bytes.load(Relaxed) >= gate.window_bytes_max.load(Relaxed);
    full.then(|| format!("the duplicate index is full, sales get 96; {WINDOW_FULL_ADVICE}"))
}

async fn api_figures(shared: web::Data<Shared>) -> impl Responder {
    web::Json(figures(&shared.board))
}

async fn api_positions(shared: web::Data<Shared>) -> impl Responder {
    #[derive(Serialize)]
    struct Position {
        account: String,
        posted_minor: i64,
        reserved_minor: i64,
    }
    match shared.gate.send(Positions).await {
        Ok(positions) => HttpResponse::Ok().json(
            positions
                .into_iter()
                .map(|(account, posted_minor, reserved_minor)| Position {
                    account,
                    posted_minor,
                    reserved_minor,
                })
                .collect::<Vec<_>>(),
        ),
        Err(_) => HttpResponse::ServiceUnavailable().body("the switch is stopping\n"),
    }
}

#[derive(Deserialize)]
struct ExplainQuery {
    terminal: Option<String>,
    stan: Option<String>,
}

/// What `/api/explain` wants.
const EXPLAIN_FORM: &str = "give terminal (DE41, 1 to 8 ASCII characters) and stan (DE11, 0 to 999999) of a sale: /api/explain?terminal=T0000001&stan=42\n";

impl ExplainQuery {
    fn ask(&self) -> Option<Explain> {
        let terminal = self.terminal.as_ref().filter(|terminal| !terminal.is_empty())?;
        let stan = self.stan.as_ref()?.parse().ok().filter(|stan| *stan <= 999_999)?;
        Some(Explain { terminal: Text::new(terminal.as_bytes())?, stan })
    }
}

async fn api_explain(shared: web::Data<Shared>, query: web::Query<ExplainQuery>) -> impl Responder {
    let Some(ask) = query.ask() else {
        return HttpResponse::BadRequest().body(EXPLAIN_FORM);
    };
    match shared.gate.send(ask).await {
        Ok(Some(explained)) => HttpResponse::Ok().json(serde_json::json!({
            "product": explained.product,
            "policy": explained.policy,
            "candidates": explained
                .candidates
                .iter()
                .map(|(supplier, reason)| serde_json::json!({ "supplier": supplier, "reason": reason }))
                .collect::<Vec<_>>(),
        })),
        Ok(None) => HttpResponse::NotFound().body("no route was chosen for that terminal and STAN lately\n"),
        Err(_) => HttpResponse::ServiceUnavailable().body("the switch is stopping\n"),
    }
}

async fn show_metrics(shared: web::Data<Shared>) -> impl Responder {
    for (name, value) in shared.board.gate.read() {
        feed(&format!("switchyard_gate_{name}"), value, &[]);
    }
    for ((code, row), supply) in shared.board.suppliers.iter().zip(&shared.board.supplies) {
        for (name, value) in row.read().into_iter().chain(supply.read()) {
            feed(&format!("switchyard_supplier_{name}"), value, &[("supplier", code.clone())]);
        }
    }
    for (conduit, counters) in &shared.board.conduits {
        for (name, value) in counters.read() {
            feed(&format!("switchyard_conduit_{name}"), value, &[("conduit", conduit.clone())]);
        }
        for why in Closed::ALL {
            let labels = [("conduit", conduit.clone()), ("reason", why.name().to_owned())];
            feed("switchyard_conduit_closed", counters.closed(why), &labels);
        }
    }
    for (conduit, counters) in &shared.board.doors {
        for (name, value) in counters.read() {
            feed(&format!("switchyard_door_{name}"), value, &[("conduit", conduit.clone())]);
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    for (name, value) in shared.board.checkpoints.read(now.as_millis() as u64) {
        feed(&format!("switchyard_checkpoint_{name}"), value, &[]);
    }
    let latency = shared.board.latency.read();
    for (share, label) in [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99"), (0.999, "0.999")] {
        if let Some(value) = quantile(&latency, share) {
            metrics::gauge!("switchyard_answer_latency_us", "quantile" => label).set(value as f64);
        }
    }
    shared.metrics.run_upkeep();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(shared.metrics.render())
}

/// Numbers that go up and down; all others only count up.
const GAUGES: [&str; 26] = [
    "switchyard_checkpoint_age_s",
    "switchyard_supplier_backlog",
    "switchyard_conduit_connections",
    "switchyard_conduit_tickets",
    "switchyard_gate_in_flight",
    "switchyard_gate_window_requests",
    "switchyard_gate_window_bytes",
    "switchyard_gate_window_bytes_max",
    "switchyard_gate_window_held_bytes",
    "switchyard_gate_runs",
    "switchyard_gate_written_bytes",
    "switchyard_gate_durable_bytes",
    "switchyard_gate_segments_prepared",
    "switchyard_gate_accounts_sum",
    "switchyard_supplier_open",
    "switchyard_supplier_reversals_waiting",
    "switchyard_supplier_in_flight",
    "switchyard_supplier_window",
    "switchyard_supplier_advices",
    "switchyard_supplier_late_open",
    "switchyard_supplier_late_max",
    "switchyard_supplier_parked",
    "switchyard_supplier_parked_max",
    "switchyard_supplier_breaker",
    "switchyard_supplier_links_up",
    "switchyard_supplier_ready",
];

fn feed(name: &str, value: u64, labels: &[(&'static str, String)]) {
    let labels: Vec<metrics::Label> =
        labels.iter().map(|(key, value)| metrics::Label::new(*key, value.clone())).collect();
    if GAUGES.contains(&name) {
        metrics::gauge!(name.to_owned(), labels).set(value as i64 as f64);
    } else {
        metrics::counter!(format!("{name}_total"), labels).absolute(value);
    }
}

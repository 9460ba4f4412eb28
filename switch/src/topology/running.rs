//! A running switch: where it is reached, what it counts, and how it is stopped.
//!
//! Invariants: the door closes first, so that nothing new comes in; the gate closes last, behind everybody who may still tell it something.

use super::{StartError, StopError};
use crate::board::Board;
use crate::checkpointer::CheckpointThread;
use crate::conduit::{self, Conduit, ConduitCounters, Drain};
use crate::control;
use crate::door::Door;
use crate::gate::{Close, GateActor};
use crate::journal::Replayed;
use crate::keeper::Keeper;
use crate::supplier::{Leave, SupplierActor};
use crate::tls::DialTls;
use actix::{Addr, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use switchyard_core::gate::Recovered;
use tokio::sync::oneshot;

/// How long a stop waits for the yard to answer, beside the drain itself.
const STOP_WAIT_MS: u64 = 10_000;
/// How long a stop waits for the last checkpoint.
const CHECKPOINT_WAIT_MS: u64 = 30_000;

/// A running switch.
#[derive(Debug)]
pub struct Running {
    pub(super) addresses: Vec<(String, SocketAddr)>,
    pub(super) dialled: Vec<(String, String)>,
    pub(super) berths: Vec<(String, SocketAddr)>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) board: Arc<Board>,
    /// What the start found.
    pub replayed: Replayed,
    /// What the start resolved.
    pub recovered: Recovered,
    /// How long the start took, until the conduits opened.
    pub ready_after: Duration,
    pub(super) door: Door,
    /// TLS of the suppliers' links that are dialled, by their codes.
    pub(super) dial_tls: Vec<(String, Arc<DialTls>)>,
    pub(super) yard: Yard,
    pub(super) keeper: Keeper,
    pub(super) checkpoints: CheckpointThread,
    pub(super) ready: Arc<AtomicBool>,
    pub(super) system: System,
    pub(super) control: Option<JoinHandle<()>>,
    pub(super) drain_ms: u32,
}

/// The actors of the data plane.
#[derive(Debug, Clone)]
pub(super) struct Yard {
    pub(super) gate: Addr<GateActor>,
    pub(super) conduits: Vec<Addr<Conduit>>,
    pub(super) suppliers: Vec<Addr<SupplierActor>>,
}

impl Running {
    /// Conduits that listen, and where.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Conduits that dial, and what, as host and port.
    pub fn dialled(&self) -> &[(String, String)] {
        &self.dialled
    }

    /// Suppliers that dial in, by code, and where: a line for each such link.
    pub fn berths(&self) -> &[(String, SocketAddr)] {
        &self.berths
    }

    /// Where the pages are.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What the conduit of that name counts.
    pub fn conduit(&self, name: &str) -> Option<&ConduitCounters> {
        self.board.conduits.iter().find(|(known, _)| known == name).map(|(_, counters)| &**counters)
    }

    /// What happened so far.
    pub fn figures(&self) -> control::Figures {
        control::figures(&self.board)
    }

    /// Reads certificates, keys and authorities of all conduits and links again: handshakes that begin now have them, connections keep what they have. What was wrong; its place keeps
    /// what it had, all others are renewed.
    pub fn renew_certificates(&self) -> Vec<String> {
        let mut wrong: Vec<String> = self.door.reload().iter().map(ToString::to_string).collect();
        for (supplier, tls) in &self.dial_tls {
            if let Err(source) = tls.reload() {
                wrong.push(StartError::Tls { supplier: supplier.clone(), source }.to_string());
            }
        }
        wrong
    }

    /// Stops: the door closes, conduits answer what is open, suppliers sign off, the journal is sealed.
    ///
    /// # Errors
    /// See `StopError`.
    pub fn stop(mut self) -> Result<(), StopError> {
        self.ready.store(false, Ordering::Release);
        self.door.close();
        let yard = self.yard.clone();
        let drain_ms = self.drain_ms;
        let (tell, told) = mpsc::channel();
        self.system.arbiter().spawn(async move {
            let _ = tell.send(drain(yard, drain_ms).await);
        });
        let wait = Duration::from_millis(u64::from(drain_ms) + STOP_WAIT_MS);
        let closed = told.recv_timeout(wait);
        self.keeper.stop();
        self.system.stop();
        if let Some(control) = self.control.take() {
            let _ = control.join();
        }
        if !self.checkpoints.wait(Duration::from_millis(CHECKPOINT_WAIT_MS)) {
            tracing::warn!(
                "the last checkpoint was not finished in time; the next start takes longer and loses nothing"
            );
        }
        match closed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(StopError::Journal(reason)),
            Err(_) => Err(StopError::Late),
        }
    }
}

async fn drain(yard: Yard, drain_ms: u32) -> Result<(), String> {
    let mut drained = Vec::new();
    for conduit in &yard.conduits {
        let (done, told) = oneshot::channel();
        conduit.do_send(Drain { done });
        drained.push(told);
    }
    let all = async {
        for told in drained {
            let _ = told.await;
        }
    };
    // A conduit that does not drain in time closes what is left: the outcomes are durable, repeats fetch them.
    if tokio::time::timeout(Duration::from_millis(u64::from(drain_ms)), all).await.is_err() {
        yard.conduits.iter().for_each(|conduit| conduit.do_send(conduit::Close));
    }
    for supplier in &yard.suppliers {
        let _ = supplier.send(Leave).await;
    }
    match yard.gate.send(Close).await {
        Ok(closed) => closed,
        Err(error) => Err(error.to_string()),
    }
}

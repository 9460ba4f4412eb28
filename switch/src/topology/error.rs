//! Why the switch does not start, and why a stop was not clean.

use crate::door::DoorError;
use crate::journal::JournalError;
use crate::keys::KeyError;
use crate::runs::RunsError;
use crate::stock::StockError;
use crate::tls::TlsError;
use std::net::SocketAddr;

/// Why the switch does not start. Nothing was sent and nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("the data folder {folder} cannot be used: {source}")]
    Data {
        /// Which.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A key is missing or wrong.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// The stock of vouchers.
    #[error("{0}")]
    Stock(#[from] StockError),
    /// A conduit's address or certificates; of one that dials, its certificates.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// The runs of the duplicate index.
    #[error("{0}")]
    Runs(#[from] RunsError),
    /// A supplier's certificates.
    #[error("supplier `{supplier}`: {source}")]
    Tls {
        /// Which supplier.
        supplier: String,
        /// What is wrong.
        source: TlsError,
    },
    /// An adapter's settings.
    #[error("supplier `{supplier}`: {reason}")]
    Adapter {
        /// Which supplier.
        supplier: String,
        /// What is wrong.
        reason: String,
    },
    /// The pages' address.
    #[error("the pages cannot be served on {address}: {source}; is another process listening there?")]
    Admin {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The journal's own key is missing: a fault of the switch.
    #[error("the journal's own key is not on the ring; this is a fault of the switch")]
    OwnKey,
    /// The operators' socket.
    #[error("the operators' socket in {folder} cannot be made: {source}")]
    Socket {
        /// The data folder.
        folder: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A thread.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why a stop was not clean. What was answered stands in any case.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The yard did not answer in time.
    #[error(
        "the switch did not stop in time; every answer that was given stands, and what was open is resolved at the next start"
    )]
    Late,
    /// The journal could not be closed.
    #[error(
        "the journal was not closed: {0}; every answer that was given stands, and what was open is resolved at the next start"
    )]
    Journal(String),
}

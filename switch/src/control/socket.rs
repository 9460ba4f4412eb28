//! The operators' socket: commands to a running switch, from the same machine.
//!
//! Owns: `DATA/control.sock`, one JSON object a line each way. Who may use it is decided by the file's permissions: its owner (0600).
//! Invariants: a command that is answered as done is durable; one load at a time.
//! Deliberately absent: the commands that come with their own rules of who may what (positions, terminals, suppliers).

use crate::cli::keys::rotate_live;
use crate::cli::stock::{LoadArgs, ShowArgs, StockBooks, run_load, run_show};
use crate::gate::{GateActor, StockArrived, StockNow};
use crate::keeper::KeeperWish;
use crate::keys::Kek;
use crate::ring::Ring;
use crate::stock::{self, StockProduct};
use actix::Addr;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::stock::{Stock, StockBatch};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest command, in bytes.
pub(crate) const COMMAND_BYTES_MAX: u64 = 64 << 10;
/// Commands at a time.
pub(crate) const COMMANDS_MAX: usize = 4;
/// How long a command may take to arrive.
const COMMAND_MS: u64 = 5_000;

/// The socket of a data folder.
pub fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// A command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// `stock load`; the file's path is absolute.
    StockLoad(LoadArgs),
    /// `stock show`.
    StockShow(ShowArgs),
    /// `keys rotate`.
    KeysRotate,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// What to print.
    Ok(String),
    /// Why not.
    Failed(String),
}

/// What commands need of the running switch.
#[derive(Clone)]
pub struct Operations {
    /// The gate.
    pub gate: Addr<GateActor>,
    /// The keeper's ring of wishes.
    pub wishes: Arc<Ring<KeeperWish>>,
    /// The voucher products.
    pub products: Arc<[StockProduct]>,
    /// The data folder.
    pub data: PathBuf,
    /// The key-encryption key.
    pub kek: Arc<Kek>,
    /// The process's clock.
    pub clock: crate::clock::Clock,
}

/// Makes the socket; a stale one of an earlier process is replaced, which is safe because the data folder is locked.
///
/// # Errors
/// The socket cannot be made.
pub fn bind(data: &Path) -> std::io::Result<UnixListener> {
    let path = path(data);
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves commands until the control thread ends.
pub async fn serve(listener: UnixListener, operations: Operations) {
    let places = Arc::new(tokio::sync::Semaphore::new(COMMANDS_MAX));
    let one_load = Arc::new(tokio::sync::Mutex::new(()));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (operations, one_load) = (operations.clone(), Arc::clone(&one_load));
        actix_rt::spawn(async move {
            if let Err(error) = answer(stream, operations, &one_load).await {
                tracing::debug!(%error, "a command was not answered");
            }
            drop(place);
        });
    }
}

async fn answer(
    mut stream: UnixStream,
    operations: Operations,
    one_load: &tokio::sync::Mutex<()>,
) -> std::io::Result<()> {
    let mut line = String::new();
    {
        let mut reader = BufReader::new((&mut stream).take(COMMAND_BYTES_MAX));
        let wait = std::time::Duration::from_millis(COMMAND_MS);
        tokio::time::timeout(wait, reader.read_line(&mut line)).await.map_err(std::io::Error::other)??;
    }
    let done = match serde_json::from_str::<Command>(&line) {
        Err(error) => Done::Failed(format!("the command cannot be read: {error}")),
        Ok(command) => {
            let _one = one_load.lock().await;
            carry_out(command, operations).await
        }
    };
    let mut text = serde_json::to_string(&done).map_err(std::io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await
}

async fn carry_out(command: Command, operations: Operations) -> Done {
    let Ok(stock) = operations.gate.send(StockNow).await else {
        return Done::Failed("the switch is stopping".into());
    };
    let runtime = tokio::runtime::Handle::current();
    let worked = tokio::task::spawn_blocking(move || {
        let now = operations.clock.now();
        let folder = stock::folder(&operations.data);
        let mut books = LiveBooks { stock, folder, operations, runtime };
        match &command {
            Command::StockLoad(args) => run_load(args, &mut books, now).map_err(|error| error.to_string()),
            Command::StockShow(args) => run_show(args, &books).map_err(|error| error.to_string()),
            Command::KeysRotate => rotate_live(&books.operations.kek, &books.operations.data, now),
        }
    });
    match worked.await {
        Ok(Ok(text)) => Done::Ok(text),
        Ok(Err(error)) => Done::Failed(error),
        Err(error) => Done::Failed(error.to_string()),
    }
}

/// The books of the running switch.
struct LiveBooks {
    stock: Stock,
    folder: PathBuf,
    operations: Operations,
    runtime: tokio::runtime::Handle,
}

impl StockBooks for LiveBooks {
    fn stock(&self) -> &Stock {
        &self.stock
    }

    fn products(&self) -> &[StockProduct] {
        &self.operations.products
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn kek(&self) -> &Kek {
        &self.operations.kek
    }

    /// The keeper opens the batch first, so that its key is on the ring before a voucher of it can be sold; then the gate makes it stock.
    fn append(&mut self, batch: &StockBatch) -> Result<(), String> {
        let (opened, told) = std::sync::mpsc::channel();
        self.operations
            .wishes
            .push(KeeperWish::Open(*batch, opened))
            .map_err(|_| "the keeper has too much to do; try again")?;
        self.operations.wishes.wake();
        told.recv().map_err(|_| "the switch is stopping")?.map_err(|error| error.to_string())?;
        let (durable, told) = tokio::sync::oneshot::channel();
        self.operations.gate.do_send(StockArrived { batch: *batch, durable });
        self.runtime.block_on(told).map_err(|_| "the switch stopped before the batch was durable")?;
        self.stock.add(batch).map_err(|error| error.to_string())
    }
}

/// Sends a command to the switch of a data folder; `None` where none listens there.
///
/// # Errors
/// The switch listens, and does not answer.
pub fn send(data: &Path, command: &Command) -> std::io::Result<Option<Done>> {
    use std::io::{BufRead, Write};
    let mut stream = match std::os::unix::net::UnixStream::connect(path(data)) {
        Ok(stream) => stream,
        Err(_) => return Ok(None),
    };
    let mut text = serde_json::to_string(command).map_err(std::io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    std::io::BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map(Some).map_err(std::io::Error::other)
}

//! The operators' socket: commands to a running switch, from the same machine.
//!
//! Owns: `DATA/control.sock`, one JSON object a line each way. Who may use it is decided by the file's permissions: its owner (0600).
//! Invariants: a command that is answered as done is durable; one command at a time changes something; who gave it is what the system says of the other end, never
//! what the command says. Deliberately absent: what commands do (`control::operate`, `history`, `cli::stock`).

use super::advices;
use super::operate::{self, Actors};
use super::position;
use crate::cli::keys::{rotate_live, told};
use crate::cli::operators::{AuditArgs, FindArgs, OperatorCommand, TransactionCommand};
use crate::cli::stock::{LoadArgs, ShowArgs, StockBooks, run_load, run_show};
use crate::gate::{Operate, StockArrived, StockNow};
use crate::history::{Source, print};
use crate::journal::JournalPlace;
use crate::keeper::KeeperWish;
use crate::keys::{By, Kek};
use crate::ring::Ring;
use crate::stock::{self, StockProduct};
use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::ids::Now;
use switchyard_core::iso8583::Dialect;
use switchyard_core::operate::{Operator, reason};
use switchyard_core::seal::Keyring;
use switchyard_core::stock::{Stock, StockBatch};
use switchyard_core::text::Text;
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
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `stock load`; the file's path is absolute.
    StockLoad(LoadArgs),
    /// `stock show`.
    StockShow(ShowArgs),
    /// `keys rotate`.
    KeysRotate {
        /// Why.
        reason: String,
    },
    /// Any other.
    Operator(OperatorCommand),
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
    /// The actors.
    pub actors: Actors,
    /// The journal, for questions about the past.
    pub journal: JournalPlace,
    /// The configured dialects.
    pub dialects: Arc<[Arc<Dialect>]>,
    /// The keeper's ring of wishes.
    pub wishes: Arc<Ring<KeeperWish>>,
    /// The voucher products.
    pub products: Arc<[StockProduct]>,
    /// The data folder.
    pub data: PathBuf,
    /// The key-encryption key.
    pub kek: Arc<Kek>,
    /// The data keys.
    pub keyring: Arc<Keyring>,
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
    let one = Arc::new(tokio::sync::Mutex::new(()));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (operations, one) = (operations.clone(), Arc::clone(&one));
        actix_rt::spawn(async move {
            if let Err(error) = answer(stream, operations, &one).await {
                tracing::debug!(%error, "a command was not answered");
            }
            drop(place);
        });
    }
}

async fn answer(
    mut stream: UnixStream,
    operations: Operations,
    one: &tokio::sync::Mutex<()>,
) -> std::io::Result<()> {
    let by = who(&stream)?;
    let mut line = String::new();
    {
        let mut reader = BufReader::new((&mut stream).take(COMMAND_BYTES_MAX));
        let wait = std::time::Duration::from_millis(COMMAND_MS);
        tokio::time::timeout(wait, reader.read_line(&mut line)).await.map_err(std::io::Error::other)??;
    }
    let done = match serde_json::from_str::<Command>(&line) {
        Err(error) => Done::Failed(format!(
            "the switch does not understand the command ({error}); is it of another release?"
        )),
        Ok(command) => carry_out(command, by, operations, one).await,
    };
    let mut text = serde_json::to_string(&done).map_err(std::io::Error::other)?;
    text.push('\n');
    let wait = std::time::Duration::from_millis(COMMAND_MS);
    tokio::time::timeout(wait, stream.write_all(text.as_bytes())).await.map_err(std::io::Error::other)?
}

/// The user at the other end.
fn who(stream: &UnixStream) -> std::io::Result<Operator> {
    Ok(operator(stream.peer_cred()?.uid()))
}

/// A user of this machine.
pub fn operator(uid: u32) -> Operator {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = user.and_then(|user| Text::new(user.name.as_bytes())).unwrap_or_default();
    Operator { uid, name }
}

/// Questions about the past run beside everything else; all other commands one after the other.
async fn carry_out(
    command: Command,
    by: Operator,
    operations: Operations,
    one: &tokio::sync::Mutex<()>,
) -> Done {
    let done = match command {
        Command::Operator(OperatorCommand::Audit(args)) => ask_past(Question::Audit(args), operations).await,
        Command::Operator(OperatorCommand::Transaction(TransactionCommand::Find(args))) => {
            ask_past(Question::Find(args), operations).await
        }
        Command::Operator(command) => {
            let _one = one.lock().await;
            operator_command(command, by, &operations.actors).await
        }
        Command::StockLoad(_) | Command::StockShow(_) | Command::KeysRotate { .. } => {
            let _one = one.lock().await;
            stock_command(command, by, operations).await
        }
    };
    done.map_or_else(Done::Failed, Done::Ok)
}

async fn operator_command(command: OperatorCommand, by: Operator, actors: &Actors) -> Result<String, String> {
    match command {
        OperatorCommand::Position(command) => position::position(&command, by, actors).await,
        OperatorCommand::Advices(command) => advices::advices(&command, by, actors).await,
        OperatorCommand::Terminal(command) => operate::terminal(&command, by, actors).await,
        OperatorCommand::Supplier(command) => operate::supplier(&command, by, actors).await,
        OperatorCommand::Day(command) => operate::day(&command, by, actors).await,
        OperatorCommand::Audit(_) | OperatorCommand::Transaction(_) => {
            Err("that is a question about the past".to_owned())
        }
    }
}

/// A question about the past.
enum Question {
    Audit(AuditArgs),
    Find(FindArgs),
}

/// Reads the journal on a thread of its own, for which a stop of the switch does not wait.
async fn ask_past(question: Question, operations: Operations) -> Result<String, String> {
    let sight = operate::look(&operations.actors).await?;
    let now_ms = operations.clock.now().wall_ms;
    let (tell, told) = tokio::sync::oneshot::channel();
    let read = move || {
        let reader = operations.journal.reader();
        let keyring = &operations.keyring;
        let source = Source { reader: &reader, upto: sight.durable, names: &sight.names, keyring };
        let answer = match &question {
            Question::Audit(args) => print::run_audit(args, &source, now_ms),
            Question::Find(args) => print::run_find(args, source, &operations.dialects, now_ms),
        };
        // Who asked may have gone.
        let _ = tell.send(answer);
    };
    let thread = std::thread::Builder::new().name("history".into()).spawn(read);
    thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
    told.await.map_err(|_| "the journal could not be read".to_owned())?
}

async fn stock_command(command: Command, by: Operator, operations: Operations) -> Result<String, String> {
    let stock = operations.actors.gate.send(StockNow).await.map_err(|_| "the switch is stopping")?;
    let runtime = tokio::runtime::Handle::current();
    let worked = tokio::task::spawn_blocking(move || {
        let now = operations.clock.now();
        let folder = stock::folder(&operations.data);
        let mut books = LiveBooks { stock, folder, by, operations, runtime };
        match &command {
            Command::StockLoad(args) => run_load(args, &mut books, now).map_err(|error| error.to_string()),
            Command::StockShow(args) => run_show(args, &books).map_err(|error| error.to_string()),
            Command::KeysRotate { reason } => books.rotate_keys(reason, now),
            Command::Operator(_) => Err("that is no command of the stock".to_owned()),
        }
    });
    worked.await.map_err(|error| error.to_string())?
}

/// The books of the running switch.
struct LiveBooks {
    stock: Stock,
    folder: PathBuf,
    by: Operator,
    operations: Operations,
    runtime: tokio::runtime::Handle,
}

impl LiveBooks {
    /// Rotates the key-encryption key, and puts that on record.
    fn rotate_keys(&self, why: &str, now: Now) -> Result<String, String> {
        let reason = reason(why).ok_or(operate::REASON_FORM)?;
        let by = By::of(self.by, reason);
        let rotated = rotate_live(&self.operations.kek, &self.operations.data, &by, now)?;
        let (durable, on_record) = tokio::sync::oneshot::channel();
        let instruction = rotated.instruction(now.wall_ms);
        self.operations.actors.gate.do_send(Operate { instruction, by: self.by, reason, durable });
        Ok(match self.runtime.block_on(on_record) {
            Ok(()) => told(&rotated),
            Err(_) => format!("{}\nThe switch stops; its next start puts that on record", told(&rotated)),
        })
    }
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
        self.operations.actors.gate.do_send(StockArrived { batch: *batch, by: self.by, durable });
        self.runtime.block_on(told).map_err(|_| "the switch stopped before the batch was durable")?;
        self.stock.add(batch).map_err(|error| error.to_string())
    }
}

/// Sends a command to the switch of a data folder; `None` where none listens there.
///
/// # Errors
/// The socket may not be used by this user, or the switch listens and does not answer.
pub fn send(data: &Path, command: &Command) -> std::io::Result<Option<Done>> {
    use std::io::{BufRead, Write};
    let mut stream = match std::os::unix::net::UnixStream::connect(path(data)) {
        Ok(stream) => stream,
        // No socket, or one that a killed switch has left.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut text = serde_json::to_string(command).map_err(std::io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    std::io::BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map(Some).map_err(std::io::Error::other)
}

//! The door: where connections come in, and from where links, and the hosts of retail networks, are dialled.
//!
//! Owns: the listeners, the handshakes of both roles, the counts per conduit and address, the directory of who is
//! connected, and the thread on which all of that happens. Invariants: every listener is bound before anything else
//! starts, and none listens before `open` (recovery is done then); a connection holds a seat from its accept to its
//! end, and dropping the seat gives the counts back; connections are counted before their handshake begins, and
//! only so many handshakes of those who come in run at a time; no host is dialled before `open` either, nor after `close`; an accept that fails backs off and never spins.
//! Deliberately absent: messages. A finished connection goes to its conduit's actor, a link that was dialled, and one of a supplier
//! that dials in, to its link.

mod berth;
mod caller;
mod dial;
mod directory;
mod gateway;

pub use berth::{BERTH_HANDSHAKES_MAX, Berth};
pub use dial::{Dial, DialError, Dialled, Dialling};
pub use directory::{Connected, Directory, Party, Seat};
pub use gateway::{Arrival, Debounce, DoorCounters};

use crate::machine;
use crate::settings::{ConduitSettings, ConduitWay, ListenSettings, SupplierSettings};
use crate::tls::{ServerTls, TlsError};
use actix::Recipient;
use berth::Quay;
use caller::Caller;
use gateway::Gateway;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Handshakes at a time, over all conduits: each costs about a millisecond of the door's thread.
pub const HANDSHAKES_MAX: usize = 64;
/// Connections that the system keeps for a listener until they are accepted.
const BACKLOG: i32 = 1_024;
/// What the system may hold of a connection's requests before they are read. Left alone it would take megabytes from a client that is not read, and what is read then is old: its terminal
/// has given up long ago, and nobody can tell.
pub const RECEIVE_BYTES: usize = 64 * 1_024;
/// What it may hold of answers that the client has not taken: a slow reader's backlog is ours to count.
pub const SEND_BYTES: usize = 128 * 1_024;
/// Errands (dials, mostly) that may wait for the door's thread.
const ERRANDS_MAX: usize = 1_024;

/// Why the door does not open: the configuration's or the machine's fault. Put it right and start again.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// An address that cannot be had.
    #[error("conduit `{conduit}` cannot listen on {address}: {source}; is another process listening there?")]
    Listen {
        /// Which conduit.
        conduit: String,
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// An address that cannot be had, for a supplier that dials in.
    #[error(
        "the link of supplier `{supplier}` cannot listen on {address}: {source}; is another process listening there?"
    )]
    Berth {
        /// Which supplier.
        supplier: String,
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// TLS that cannot be configured, of a supplier that dials in.
    #[error("the link of supplier `{supplier}`: {source}")]
    BerthTls {
        /// Which supplier.
        supplier: String,
        /// What is wrong.
        source: TlsError,
    },
    /// TLS that cannot be configured.
    #[error("conduit `{conduit}`: {source}")]
    Tls {
        /// Which conduit.
        conduit: String,
        /// What is wrong.
        source: TlsError,
    },
    /// No thread, or no runtime on it.
    #[error("the door's thread cannot be started: {0}")]
    Thread(std::io::Error),
}

enum Errand {
    Listen(std::net::TcpListener, Arc<Gateway>),
    Call(Arc<Caller>, Recipient<Arrival>),
    Dial(Dial, oneshot::Sender<Result<Dialled, DialError>>),
    Berth(std::net::TcpListener, Arc<Quay>, mpsc::Sender<Dialled>),
    Close,
    Stop,
}

/// What links hold of the door.
#[derive(Clone, Debug)]
pub struct DoorHandle(mpsc::Sender<Errand>);

impl DoorHandle {
    /// Dials, on the door's thread. The answer comes within the dial's `connect_ms`.
    pub fn dial(&self, dial: Dial) -> Dialling {
        let (answer, dialling) = oneshot::channel();
        if let Err(refused) = self.0.try_send(Errand::Dial(dial, answer))
            && let Errand::Dial(_, answer) = refused.into_inner()
        {
            let _ = answer.send(Err(DialError::Closed));
        }
        dialling
    }

    /// Control errands are few; one that finds no place would mean that the thread hangs.
    fn tell(&self, errand: Errand) {
        if self.0.try_send(errand).is_err() {
            warn!("the door's thread takes no errands");
        }
    }
}

/// The door.
#[derive(Debug)]
pub struct Door {
    handle: DoorHandle,
    bound: Vec<(Socket, Arc<Gateway>)>,
    /// Who dials once the door opens.
    to_call: Vec<Arc<Caller>>,
    callers: Vec<Arc<Caller>>,
    counters: Vec<Arc<DoorCounters>>,
    gateways: Vec<Arc<Gateway>>,
    quays: Vec<Arc<Quay>>,
    directory: Arc<Directory>,
    handshakes: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    /// Binds every listener and starts the thread. Links can be dialled; nobody can connect before `open`.
    /// Relative paths of certificates are below `data`.
    ///
    /// # Errors
    /// [`DoorError`]: refuse to start.
    pub fn start(conduits: &[ConduitSettings], data: &Path) -> Result<Self, DoorError> {
        let directory = Arc::new(Directory::new(conduits, machine::connections_max()));
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let (mut bound, mut callers, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for (index, settings) in (0u16..).zip(conduits) {
            match &settings.way {
                ConduitWay::Listen(listen) => {
                    let (socket, address) = bind_conduit(settings, *listen)?;
                    let gateway = Gateway::new(index, settings, address, data, &directory, &handshakes)?;
                    counters.push(Arc::clone(&gateway.counters));
                    bound.push((socket, Arc::new(gateway)));
                }
                ConduitWay::Dial(way) => {
                    let caller = Caller::new(index, settings, way, data, &directory)?;
                    counters.push(Arc::clone(&caller.counters));
                    callers.push(Arc::new(caller));
                }
            }
        }
        let gateways = bound.iter().map(|(_, gateway)| Arc::clone(gateway)).collect();
        let (errands, to_do) = mpsc::channel(ERRANDS_MAX);
        let thread = start_thread(to_do, Arc::clone(&directory)).map_err(DoorError::Thread)?;
        let handle = DoorHandle(errands);
        let to_call = callers.clone();
        Ok(Self {
            handle,
            bound,
            to_call,
            callers,
            counters,
            gateways,
            quays: Vec::new(),
            directory,
            handshakes,
            thread: Some(thread),
        })
    }

    /// Listens and dials, and sends the connections of conduit `i` to `conduits[i]`. Waits for nobody who is dialled. Does nothing the second time.
    ///
    /// # Errors
    /// [`DoorError::Listen`]: another process took an address meanwhile.
    pub fn open(&mut self, conduits: &[Recipient<Arrival>]) -> Result<(), DoorError> {
        for (socket, gateway) in std::mem::take(&mut self.bound) {
            let Some(conduit) = conduits.get(usize::from(gateway.conduit)) else { continue };
            let address = gateway.address;
            let fault = |source| DoorError::Listen { conduit: gateway.name.clone(), address, source };
            socket.listen(BACKLOG).map_err(fault)?;
            gateway.lead_to(conduit.clone());
            self.tell(Errand::Listen(socket.into(), Arc::clone(&gateway)));
        }
        for caller in std::mem::take(&mut self.to_call) {
            let Some(conduit) = conduits.get(usize::from(caller.conduit())) else { continue };
            self.tell(Errand::Call(caller, conduit.clone()));
        }
        Ok(())
    }

    /// Stops listening and dialling: new connections are refused by the system, handshakes under way are dropped.
    pub fn close(&self) {
        self.tell(Errand::Close);
    }

    /// Where those conduits listen that do, in their order; the port that the system chose where the settings say 0.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| gateway.address).collect()
    }

    /// Binds the listener of a link on which the supplier dials in. Relative paths of certificates are below `data`.
    ///
    /// # Errors
    /// [`DoorError`]: refuse to start.
    pub fn berth(
        &mut self,
        supplier: &SupplierSettings,
        link: &ListenSettings,
        data: &Path,
    ) -> Result<Berth, DoorError> {
        let (berth, quay) = Berth::new(supplier, link, data, &self.directory, &self.handshakes)?;
        self.quays.push(quay);
        Ok(berth)
    }

    /// What links need to dial.
    pub fn handle(&self) -> DoorHandle {
        self.handle.clone()
    }

    /// Who is connected.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// What happened at each conduit's door, in their order.
    pub fn counters(&self) -> Vec<Arc<DoorCounters>> {
        self.counters.clone()
    }

    /// Reads certificates, keys and authorities again, of all conduits and of the links on which suppliers dial in. What was wrong: its place keeps what it had, all others have theirs
    /// replaced.
    pub fn reload(&self) -> Vec<DoorError> {
        let mut wrong = Vec::new();
        for gateway in &self.gateways {
            if let Some(Err(source)) = gateway.tls.as_ref().map(ServerTls::reload) {
                wrong.push(DoorError::Tls { conduit: gateway.name.clone(), source });
            }
        }
        wrong.extend(self.callers.iter().filter_map(|caller| caller.reload().err()));
        wrong.extend(self.quays.iter().filter_map(|quay| quay.reload().err()));
        wrong
    }

    fn tell(&self, errand: Errand) {
        self.handle.tell(errand);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.tell(Errand::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// The socket, and its address: the port that the system chose where the settings say 0.
fn bind_conduit(settings: &ConduitSettings, listen: SocketAddr) -> Result<(Socket, SocketAddr), DoorError> {
    let fault = |source| DoorError::Listen { conduit: settings.name.clone(), address: listen, source };
    let socket = bind(listen).map_err(fault)?;
    let bound = socket.local_addr().map_err(fault)?.as_socket();
    Ok((socket, bound.unwrap_or(listen)))
}

fn bind(listen: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Set before it listens, so that every connection has them from its first byte; the system doubles them for its own records.
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.bind(&listen.into())?;
    Ok(socket)
}

fn start_thread(to_do: mpsc::Receiver<Errand>, directory: Arc<Directory>) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("door".to_owned()).spawn(move || {
        runtime.block_on(work(to_do, directory));
        // A name look-up may hang in the system; the process does not wait for it.
        runtime.shutdown_background();
    })
}

async fn work(mut to_do: mpsc::Receiver<Errand>, directory: Arc<Directory>) {
    let closing = CancellationToken::new();
    while let Some(errand) = to_do.recv().await {
        match errand {
            Errand::Listen(listener, gateway) => match TcpListener::from_std(listener) {
                Ok(listener) => {
                    let closing = closing.clone();
                    tokio::spawn(async move { gateway.serve(listener, closing).await });
                }
                Err(error) => warn!(conduit = gateway.name, %error, "the conduit cannot listen"),
            },
            Errand::Call(caller, conduit) => caller.serve(&conduit, &closing),
            Errand::Dial(dial, answer) => {
                let directory = Arc::clone(&directory);
                tokio::spawn(async move {
                    // A link that no longer waits has its supplier stopped; the connection closes.
                    let _ = answer.send(dial::connect(dial, &directory).await);
                });
            }
            Errand::Berth(listener, quay, arrived) => {
                tokio::spawn(quay.serve(listener, arrived));
            }
            Errand::Close => closing.cancel(),
            Errand::Stop => return,
        }
    }
}

#[cfg(test)]
mod tests;

//! What the configuration says, typed and checked.
//!
//! Owns: the settings of every part of the shell, and the catalogue that the core works on.
//! Invariants: a `Settings` that exists was checked as a whole: every number lies in the range
//! its key documents, every index points into the list it names, `suppliers` is in the order of
//! `catalogue.suppliers`, and no supplier's time-out reaches a conduit's deadline.
//! Deliberately absent: reading (`config`), and secrets. Keys are named by file or variable, never held.

mod conduit;

pub use conduit::{ConduitDial, ConduitSettings, ConduitWay, Durability};

use crate::config::{Finding, ValueInUse};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::iso8583::{Dialect, Framing};

/// Fewest requests of a connection's window: an eighth of it is kept for reversals (S-19), and half of
/// the rest may be one supplier's.
pub const WINDOW_REQUESTS_MIN: u32 = 8;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder. Paths of keys, certificates and records are below it.
    pub data: PathBuf,
    /// Where requests arrive, at least one.
    pub conduits: Vec<ConduitSettings>,
    /// The pages, API and metrics.
    pub admin: AdminSettings,
    /// The journal.
    pub journal: JournalSettings,
    /// The key-encryption key.
    pub keys: KeySettings,
    /// The gate and the bounds of the process.
    pub gate: GateSettings,
    /// The dialects that conduits or suppliers use, each once.
    pub dialects: Vec<Arc<Dialect>>,
    /// Networks, merchants, terminals, products, routes, suppliers.
    pub catalogue: Arc<Catalogue>,
    /// What the shell needs of each supplier, in the order of `catalogue.suppliers`.
    pub suppliers: Vec<SupplierSettings>,
    /// What is legal and yet worth a look.
    pub warnings: Vec<Finding>,
    /// Every key with the value it has, in the order of the files; secrets as `***`.
    pub values: Vec<ValueInUse>,
}

impl Settings {
    /// The dialect called `name`, if a conduit or supplier uses it.
    pub fn dialect(&self, name: &str) -> Option<&Arc<Dialect>> {
        self.dialects.iter().find(|dialect| dialect.name() == name)
    }

    /// Moves everything below the data folder to `data`, paths of keys, certificates and records too.
    pub fn relocate(&mut self, data: PathBuf) {
        let data = std::path::absolute(&data).unwrap_or(data);
        let old = std::mem::replace(&mut self.data, data);
        let new = &self.data;
        let conduits = self.conduits.iter_mut().flat_map(ConduitSettings::files);
        let suppliers = self.suppliers.iter_mut().flat_map(|supplier| {
            supplier.links.iter_mut().flat_map(LinkSettings::files).chain(supplier.record.as_mut())
        });
        for path in conduits.chain(suppliers).chain([&mut self.keys.file]) {
            if let Ok(below) = path.strip_prefix(&old) {
                *path = new.join(below);
            }
        }
    }

    /// The conduit's dialect.
    pub fn dialect_of(&self, conduit: &ConduitSettings) -> Option<&Arc<Dialect>> {
        self.dialects.get(conduit.dialect)
    }
}

/// TLS of a conduit, or of a link on which the supplier dials in.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authority that signs client certificates, PEM; there unless `client` is `None`.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client: ClientCertificate,
    /// The oldest version that is spoken.
    pub version_min: TlsVersion,
    /// Whether the certificate's name decides which retail network its holder may speak for.
    pub bind_names: bool,
}

impl TlsSettings {
    fn files(&mut self) -> [Option<&mut PathBuf>; 3] {
        [Some(&mut self.certificate), Some(&mut self.key), self.client_ca.as_mut()]
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not asked.
    None,
    /// They are asked, and may refuse.
    Optional,
    /// Without one the handshake fails.
    Required,
}

impl ClientCertificate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Optional, Self::Required];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    V1_2,
    /// 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// The name in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// A range of addresses: an address and how many of its leading bits count (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    prefix: u8,
}

impl AddressRange {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address alone. `None` where it is none of these,
    /// or where bits are set that do not count.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => prefix.parse().ok()?,
            Some(_) => return None,
            None => bits,
        };
        let range = Self { address, prefix };
        (prefix <= bits && range.holds(address) && range.is_base()).then_some(range)
    }

    /// Whether no bit is set that does not count.
    fn is_base(self) -> bool {
        let (bits, width) = leading(self.address);
        self.prefix >= width || bits << self.prefix == 0
    }

    /// Whether `address` lies in it. An IPv4 address is the same however it is written (RFC 4291, 2.5.5.2).
    pub fn holds(self, address: IpAddr) -> bool {
        let (bits, width) = leading(address.to_canonical());
        let (base, base_width) = leading(self.address);
        let shared = (bits ^ base).leading_zeros();
        width == base_width && shared >= u32::from(self.prefix)
    }
}

/// An address as the leading bits of a number, and how many bits it has.
fn leading(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(Ipv4Addr::to_bits(v4)) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The pages, API and metrics.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where they are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// The journal.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// Size of a segment, a multiple of 4,096.
    pub segment_bytes: u64,
    /// Segments kept prepared ahead.
    pub segments_prepared_min: u32,
    /// Longest wait of a fact for its sync to begin (design: group commit).
    pub sync_interval_us: u32,
    /// So many waiting facts start a sync at once.
    pub sync_facts_min: u32,
    /// A checkpoint is made after so many facts.
    pub checkpoint_facts: u64,
    /// Segments are kept for at least so many days (S-3).
    pub keep_days: u32,
}

/// Where the key-encryption key comes from (S-18).
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// A file, mode 0600, below the data folder unless absolute.
    pub file: PathBuf,
    /// An environment variable that holds it; where set it comes before `file`.
    pub env: Option<String>,
    /// Whether a missing file is made with a random key.
    pub create: bool,
}

/// The gate and the bounds of the process.
#[derive(Clone, Debug)]
pub struct GateSettings {
    /// How long a request's key is remembered (S-3).
    pub duplicate_window_h: u32,
    /// Most memory for remembered keys, in bytes; full means 96, never an early eviction (S-3).
    pub duplicate_bytes_max: u64,
    /// How long a request is found when a reversal or an inquiry names it (S-3).
    pub reversal_window_days: u32,
    /// Most reversals open at suppliers at a time.
    pub reversals_max: u32,
    /// Most parked reversals of one supplier.
    pub parked_max: u32,
    /// Vouchers taken back that a terminal is credited for by itself on a business day (S-10).
    pub voucher_credits_max: u16,
    /// Most messages open at a time, over all conduits.
    pub tickets_max: u32,
    /// Most bytes of answers that wait for slow readers, over all connections.
    pub output_bytes_max: u64,
    /// Longest wait for open requests when the switch ends.
    pub drain_ms: u32,
    /// Sealed vouchers held ready per product.
    pub tray_vouchers: u32,
}

/// Hours by which time zones may move a local time either way (S-3), both together.
const ZONES_H: u64 = 28;

impl GateSettings {
    /// How long after its admission a request can be repeated, milliseconds: its local time must lie in the window, give or take time zones (S-3).
    pub fn repeatable_ms(&self) -> u64 {
        (u64::from(self.duplicate_window_h) + ZONES_H) * 3_600_000
    }

    /// How long after its admission a request can be reversed, milliseconds: never shorter than it can be repeated.
    pub fn reversible_ms(&self) -> u64 {
        (u64::from(self.reversal_window_days) * 24 * 3_600_000).max(self.repeatable_ms())
    }
}

/// What the shell needs of a supplier.
#[derive(Clone, Debug)]
pub struct SupplierSettings {
    /// Its code, as in the catalogue.
    pub code: String,
    /// The adapter's registered name.
    pub adapter: String,
    /// The adapter's own keys, checked against its table, defaults filled in.
    pub adapter_settings: toml::Table,
    /// Where it is reached.
    pub links: Vec<LinkSettings>,
    /// How messages are cut out of the stream.
    pub framing: Framing,
    /// Longest message, in bytes, with its header and without its length.
    pub frame_bytes_max: u32,
    /// Longest wait for a connection, TLS included.
    pub connect_ms: u32,
    /// Wait before the first new attempt after a link was lost; doubles, with jitter.
    pub reconnect_first_ms: u32,
    /// Longest wait between attempts.
    pub reconnect_max_ms: u32,
    /// A link that takes no bytes for so long is closed.
    pub write_ms: u32,
    /// The file that a simulated supplier records in, below the data folder.
    pub record: Option<PathBuf>,
}

/// A link to a supplier: the switch dials it, or the supplier dials in.
#[derive(Clone, Debug)]
pub enum LinkSettings {
    /// The switch dials.
    Dial(DialSettings),
    /// The supplier dials.
    Listen(ListenSettings),
}

impl LinkSettings {
    /// Makes it one that the switch dials, there. Its TLS stays, where it was one already.
    pub fn dial_at(&mut self, host: &str, port: u16) {
        let tls = match self {
            Self::Dial(dial) => dial.tls.take(),
            Self::Listen(_) => None,
        };
        *self = Self::Dial(DialSettings { host: host.to_owned(), port, tls });
    }

    /// The files that its TLS is made of.
    fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let (dial, listen) = match self {
            Self::Dial(dial) => (dial.tls.as_mut(), None),
            Self::Listen(listen) => (None, listen.tls.as_mut()),
        };
        let dial = dial.into_iter().flat_map(ClientTls::files);
        dial.chain(listen.into_iter().flat_map(TlsSettings::files)).flatten()
    }
}

impl fmt::Display for LinkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(dial) => write!(f, "{dial}"),
            Self::Listen(listen) => write!(f, "{} (it dials in)", listen.listen),
        }
    }
}

/// What the switch dials: a supplier, or a retail network's host.
#[derive(Clone, Debug)]
pub struct DialSettings {
    /// A host name or address.
    pub host: String,
    /// A TCP port.
    pub port: u16,
    /// TLS; `None`: plain TCP.
    pub tls: Option<ClientTls>,
}

impl fmt::Display for DialSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        // A port behind colons needs brackets (RFC 3986, 3.2.2).
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A link on which the supplier dials in. One connection at a time is the link.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where it is listened for the supplier; unique.
    pub listen: SocketAddr,
    /// Addresses that may connect; empty: all, where a client certificate is asked for.
    pub allow: Vec<AddressRange>,
    /// TLS; `None`: plain TCP.
    pub tls: Option<TlsSettings>,
    /// Names of which the supplier's certificate must carry one; empty: any that the authority signed.
    pub certificate_names: Vec<String>,
    /// A new connection takes the place of one on which nothing was heard for so long; before, it is refused.
    pub takeover_ms: u32,
}

/// TLS towards what the switch dials.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The authority that signs the other end's certificate, PEM.
    pub ca: PathBuf,
    /// The certificate that the switch shows, PEM; `None`: none.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM; there when `certificate` is.
    pub key: Option<PathBuf>,
    /// The name that the other end's certificate must carry; the host that is dialled unless said.
    pub server_name: String,
}

impl ClientTls {
    fn files(&mut self) -> [Option<&mut PathBuf>; 3] {
        [Some(&mut self.ca), self.certificate.as_mut(), self.key.as_mut()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, address: &str) -> bool {
        let range = AddressRange::parse(range).unwrap_or_else(|| panic!("{range} is a range"));
        range.holds(address.parse().unwrap_or_else(|_| panic!("{address} is an address")))
    }

    #[test]
    fn an_address_lies_in_its_range() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "203.0.113.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
    }

    #[test]
    fn a_range_is_refused_where_it_is_not_one() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "::/129", "host/8"] {
            assert_eq!(AddressRange::parse(text), None, "{text}");
        }
    }
}

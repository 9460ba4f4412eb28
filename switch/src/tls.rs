//! TLS: what conduits present and ask for, what links trust, and the names on a certificate.
//!
//! Owns: `ServerTls` (a conduit's configuration, replaced whole by a reload), `LinkTls` (a link's), the names of a
//! peer's certificate, and the authority that the demonstration makes for itself.
//! Invariants: a configuration is checked as a whole before it replaces the one in use; private keys are read from
//! files, never logged, and the ones made here are mode 0600; the provider is aws-lc-rs and never chosen implicitly.
//! Deliberately absent: sockets and handshakes (`io`, `door`), which network a name stands for (`conduit`), and
//! revocation lists.

mod dial;

pub use dial::DialTls;

use crate::settings::{ClientCertificate, ClientTls, TlsSettings, TlsVersion};
use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, Connection, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that the demonstration's server certificate carries.
const DEMO_SERVER_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];
/// The network that the demonstration's client certificate stands for.
const DEMO_CLIENT: &str = "100001";
/// Years that the demonstration's authority is valid for.
const DEMO_AUTHORITY_YEARS: i32 = 10;
/// Years that its certificates are valid for.
const DEMO_CERTIFICATE_YEARS: i32 = 2;

/// Why TLS cannot be configured: the configuration's fault, or its files'. Nothing in use has changed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there, cannot be read, or is not PEM of the right kind.
    #[error("{path}: {why}; it must be a readable PEM file with {wanted}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What it must hold.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Files that do not go together, such as a key of another certificate.
    #[error("{path}: {source}; check that certificate, key and authority belong together")]
    Unfit {
        /// The certificate, or the authority.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A server name that is none.
    #[error("`{0}` is not a server name; give a DNS name or an address")]
    Name(String),
    /// The demonstration's certificates could not be made.
    #[error("the demonstration's certificates could not be made in {path}: {why}")]
    Demo {
        /// Their folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Makes aws-lc-rs the process's provider, for libraries that ask for one. Call it once, first thing in `main`.
pub fn install_provider() {
    // An error says that one is installed already, which is this one.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// TLS of a conduit. Handshakes take the configuration that is current when they begin.
#[derive(Debug)]
pub struct ServerTls {
    settings: TlsSettings,
    data: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads certificate, key and authority; relative paths are below `data`.
    ///
    /// # Errors
    /// [`TlsError`]: refuse to start.
    pub fn new(settings: TlsSettings, data: &Path) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(server_config(&settings, data)?);
        Ok(Self { settings, data: data.to_path_buf(), current })
    }

    /// Reads the files again. New handshakes use what they hold now, connections keep what they have.
    ///
    /// # Errors
    /// [`TlsError`]: nothing has changed.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(server_config(&self.settings, &self.data)?));
        Ok(())
    }

    /// The configuration for a handshake that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn server_config(settings: &TlsSettings, data: &Path) -> Result<ServerConfig, TlsError> {
    let path = data.join(&settings.certificate);
    let chain = certificates(&path)?;
    let key = private_key(&data.join(&settings.key))?;
    let unfit = |source| TlsError::Unfit { path: path.clone(), source };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(settings.version_min))
        .map_err(unfit)?;
    let builder = match (settings.client, &settings.client_ca) {
        (ClientCertificate::None, _) | (_, None) => builder.with_no_client_auth(),
        (asked, Some(ca)) => builder.with_client_cert_verifier(client_verifier(&data.join(ca), asked)?),
    };
    builder.with_single_cert(chain, key).map_err(unfit)
}

/// All versions, newest first.
static VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match min {
        TlsVersion::V1_2 => &VERSIONS,
        TlsVersion::V1_3 => &VERSIONS[..1],
    }
}

fn client_verifier(ca: &Path, asked: ClientCertificate) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
    let builder = match asked {
        ClientCertificate::Required => builder,
        ClientCertificate::None | ClientCertificate::Optional => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|why| TlsError::File {
        path: ca.to_path_buf(),
        wanted: "the authority's certificate",
        why: why.to_string(),
    })
}

fn roots(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|source| TlsError::Unfit { path: ca.to_path_buf(), source })?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |why: String| TlsError::File { path: path.to_path_buf(), wanted: "a certificate", why };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|why| fault(why.to_string()))?.collect();
    match found {
        Ok(found) if found.is_empty() => Err(fault("no certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(why) => Err(fault(why.to_string())),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|why| TlsError::File {
        path: path.to_path_buf(),
        wanted: "a private key",
        why: why.to_string(),
    })
}

/// TLS of a link to a supplier.
#[derive(Clone, Debug)]
pub struct LinkTls {
    /// What the handshake is done with.
    pub config: Arc<ClientConfig>,
    /// The name that the supplier's certificate must carry.
    pub name: ServerName<'static>,
}

impl LinkTls {
    /// Reads authority, certificate and key; relative paths are below `data`.
    ///
    /// # Errors
    /// [`TlsError`]: refuse to start.
    pub fn new(settings: &ClientTls, data: &Path) -> Result<Self, TlsError> {
        let ca = data.join(&settings.ca);
        let unfit = |path: &Path| {
            let path = path.to_path_buf();
            move |source| TlsError::Unfit { path, source }
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(TlsVersion::V1_2))
            .map_err(unfit(&ca))?
            .with_root_certificates(roots(&ca)?);
        let config = match (&settings.certificate, &settings.key) {
            (Some(certificate), Some(key)) => {
                let path = data.join(certificate);
                let chain = certificates(&path)?;
                builder.with_client_auth_cert(chain, private_key(&data.join(key))?).map_err(unfit(&path))?
            }
            _ => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(settings.server_name.clone())
            .map_err(|_| TlsError::Name(settings.server_name.clone()))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

/// The names on the certificate that the other end showed: its CN, then its DNS names (RFC 5280, 4.2.1.6). None
/// where it showed none. The handshake has verified the certificate.
pub fn peer_names(connection: &Connection) -> Vec<String> {
    let Some(certificate) = connection.peer_certificates().and_then(|chain| chain.first()) else {
        return Vec::new();
    };
    names(certificate)
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let mut names: Vec<String> = common.map(str::to_owned).collect();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        }));
    }
    names
}

/// Makes the demonstration's authority and certificates in `dir`: `ca.pem`, `ca.key`, `server.pem`, `server.key`,
/// `client-100001.pem`, `client-100001.key`. What is there and valid is kept; keys are mode 0600.
///
/// # Errors
/// [`TlsError::Demo`]: the folder cannot be written.
pub fn demo_authority(dir: &Path) -> Result<(), TlsError> {
    make_demo(dir).map_err(|why| TlsError::Demo { path: dir.to_path_buf(), why: why.to_string() })
}

type DemoResult<T> = Result<T, Box<dyn std::error::Error>>;

fn make_demo(dir: &Path) -> DemoResult<()> {
    fs::create_dir_all(dir)?;
    let params = authority_params(this_year())?;
    let key = match kept_authority(dir) {
        Some(key) => key,
        None => {
            let key = rcgen::KeyPair::generate()?;
            write_secret(&dir.join("ca.key"), &key.serialize_pem())?;
            fs::write(dir.join("ca.pem"), params.self_signed(&key)?.pem())?;
            key
        }
    };
    let issuer = rcgen::Issuer::new(params, key);
    for (name, params) in [("server", server_params()?), (&client_file(), client_params()?)] {
        if !is_valid(dir, name) {
            let key = rcgen::KeyPair::generate()?;
            write_secret(&dir.join(format!("{name}.key")), &key.serialize_pem())?;
            fs::write(dir.join(format!("{name}.pem")), params.signed_by(&key, &issuer)?.pem())?;
        }
    }
    Ok(())
}

fn client_file() -> String {
    format!("client-{DEMO_CLIENT}")
}

/// The authority's key, where key and certificate are there, belong together and are valid for a while.
fn kept_authority(dir: &Path) -> Option<rcgen::KeyPair> {
    let key = rcgen::KeyPair::from_pem(&fs::read_to_string(dir.join("ca.key")).ok()?).ok()?;
    let chain = certificates(&dir.join("ca.pem")).ok()?;
    let (_, certificate) = X509Certificate::from_der(chain.first()?).ok()?;
    let same_key = certificate.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(&key);
    (same_key && certificate.validity().is_valid()).then_some(key)
}

/// Whether certificate and key `name` are there, belong together, and are the authority's and still valid.
fn is_valid(dir: &Path, name: &str) -> bool {
    check_certificate(dir, name).unwrap_or(false)
}

fn check_certificate(dir: &Path, name: &str) -> DemoResult<bool> {
    let chain = certificates(&dir.join(format!("{name}.pem")))?;
    let key = private_key(&dir.join(format!("{name}.key")))?;
    let roots = Arc::new(roots(&dir.join("ca.pem"))?);
    let certificate = chain.first().cloned().ok_or("no certificate")?;
    CertifiedKey::from_der(chain, key, &provider())?;
    if name == "server" {
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?;
        for name in DEMO_SERVER_NAMES {
            let name = ServerName::try_from(name)?;
            verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())?;
        }
        return Ok(true);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
    verifier.verify_client_cert(&certificate, &[], UnixTime::now())?;
    Ok(names(&certificate).iter().any(|name| name == DEMO_CLIENT))
}

fn this_year() -> i32 {
    i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year())
}

fn params(common_name: &str, names: &[&str], year: i32, years: i32) -> DemoResult<rcgen::CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + years, 12, 31);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn authority_params(year: i32) -> DemoResult<rcgen::CertificateParams> {
    let mut params = params("Switchyard demonstration authority", &[], year, DEMO_AUTHORITY_YEARS)?;
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params() -> DemoResult<rcgen::CertificateParams> {
    let mut params =
        params("Switchyard demonstration", &DEMO_SERVER_NAMES, this_year(), DEMO_CERTIFICATE_YEARS)?;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn client_params() -> DemoResult<rcgen::CertificateParams> {
    let mut params = params(DEMO_CLIENT, &[], this_year(), DEMO_CERTIFICATE_YEARS)?;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// Writes a file that only its owner reads; an old one is replaced.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn settings(client: ClientCertificate) -> TlsSettings {
        TlsSettings {
            certificate: "server.pem".into(),
            key: "server.key".into(),
            client_ca: Some("ca.pem".into()),
            client,
            version_min: TlsVersion::V1_2,
            bind_names: true,
        }
    }

    #[test]
    fn the_demonstration_keeps_what_is_valid_and_renews_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
        demo_authority(dir.path()).unwrap();
        let (ca, server, client) = (read("ca.pem"), read("server.pem"), read("client-100001.pem"));
        for key in ["ca.key", "server.key", "client-100001.key"] {
            let mode = fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        fs::write(dir.path().join("client-100001.pem"), &server).unwrap();
        demo_authority(dir.path()).unwrap();
        assert_eq!((read("ca.pem"), read("server.pem")), (ca, server));
        assert_ne!(read("client-100001.pem"), client);
        assert!(is_valid(dir.path(), "server") && is_valid(dir.path(), "client-100001"));
        let chain = certificates(&dir.path().join("client-100001.pem")).unwrap();
        assert_eq!(names(&chain[0]), ["100001"]);
        let chain = certificates(&dir.path().join("server.pem")).unwrap();
        assert_eq!(names(&chain[0]), ["Switchyard demonstration", "localhost"]);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        demo_authority(dir.path()).unwrap();
        for client in ClientCertificate::ALL {
            let tls = ServerTls::new(settings(client), dir.path()).unwrap();
            let before = tls.config();
            let key = fs::read(dir.path().join("server.key")).unwrap();
            fs::copy(dir.path().join("ca.key"), dir.path().join("server.key")).unwrap();
            assert!(matches!(tls.reload(), Err(TlsError::Unfit { .. })));
            assert!(Arc::ptr_eq(&before, &tls.config()));
            fs::write(dir.path().join("server.key"), key).unwrap();
            tls.reload().unwrap();
            assert!(!Arc::ptr_eq(&before, &tls.config()));
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = ServerTls::new(settings(ClientCertificate::None), dir.path()).unwrap_err();
        assert!(error.to_string().contains("server.pem"), "{error}");
        assert!(error.to_string().contains("a certificate"), "{error}");
    }
}

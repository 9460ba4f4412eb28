//! TLS clients: with the demonstration's certificate, with another's, with none.

use super::{Client, connect};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The name of the demonstration's authority.
const AUTHORITY: &str = "Switchyard demonstration authority";

/// A certificate with its key, both PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Identity {
    /// The one that the demonstration makes for network 100001.
    pub fn demo(data: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(data.join("tls").join(name)).expect("a PEM file");
        Self { certificate: read("client-100001.pem"), key: read("client-100001.key") }
    }

    /// One for `name` that the demonstration's authority signed, good in these years.
    pub fn signed(data: &Path, name: &str, from: i32, until: i32) -> Self {
        Self::made(name, from, until, &demo_authority(data))
    }

    /// One for `name` of an authority that nobody here knows.
    pub fn stranger(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::Issuer::new(params, rcgen::KeyPair::generate().expect("a key"));
        Self::made(name, 2020, 2090, &issuer)
    }

    /// One for a host at `address` that speaks for `name`, and that the demonstration's authority signed.
    pub fn host(data: &Path, name: &str, address: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(vec![address.to_owned()]).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        Self::of(params, &demo_authority(data))
    }

    fn made(name: &str, from: i32, until: i32, issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 12, 31);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        Self::of(params, issuer)
    }

    fn of(params: rcgen::CertificateParams, issuer: &rcgen::Issuer<'_, rcgen::KeyPair>) -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// As TLS wants it.
    fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        (chain.expect("a chain"), key)
    }
}

/// The demonstration's authority, to sign with.
fn demo_authority(data: &Path) -> rcgen::Issuer<'static, rcgen::KeyPair> {
    let key = rcgen::KeyPair::from_pem(&read(data, "ca.key")).expect("the authority's key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, AUTHORITY);
    rcgen::Issuer::new(params, key)
}

/// What the demonstration's authority signed is trusted.
fn roots(data: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(read(data, "ca.pem").as_bytes()).expect("a certificate");
    roots.add(ca).expect("an authority");
    roots
}

/// What a host that the switch dials is set to; it asks for a certificate of the demonstration's authority.
pub fn host_config(data: &Path, identity: &Identity) -> Arc<ServerConfig> {
    switchyard::tls::install_provider();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(data))).build().expect("a verifier");
    let (chain, key) = identity.parts();
    let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
    Arc::new(builder.with_single_cert(chain, key).expect("an identity"))
}

fn read(data: &Path, name: &str) -> String {
    std::fs::read_to_string(data.join("tls").join(name)).expect("a PEM file")
}

/// What a client of the switch with that data folder is set to.
pub fn config(data: &Path, identity: Option<&Identity>) -> Arc<ClientConfig> {
    switchyard::tls::install_provider();
    let builder = ClientConfig::builder().with_root_certificates(roots(data));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.parts();
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
    })
}

/// A TLS stream whose handshake is yet to be done, by its first read or write.
pub fn stream(
    to: SocketAddr,
    config: Arc<ClientConfig>,
) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(config, name).expect("a TLS client"), connect(to))
}

/// A client over TLS with the demonstration's certificate.
pub fn client(to: SocketAddr, data: &Path, dialect: &str) -> Client {
    let mut stream = stream(to, config(data, Some(&Identity::demo(data))));
    stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    Client::over(Box::new(stream), dialect)
}

/// Whether the switch shows a certificate of the authority in that data folder now.
pub fn handshake(to: SocketAddr, data: &Path) -> std::io::Result<()> {
    let mut stream = stream(to, config(data, Some(&Identity::demo(data))));
    stream.conn.complete_io(&mut stream.sock).map(drop)
}

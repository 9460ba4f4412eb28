//! TLS of a supplier's link that is dialled, read again when it is asked for.
//!
//! Owns: the files' place and what they held last. Invariants: what is wrong changes nothing; a dial takes what is current when it begins.
//! Deliberately absent: the handshake (`door::dial`), and connections that are up, which keep what they have.

use super::{LinkTls, TlsError};
use crate::settings::ClientTls;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};

/// TLS of a link.
#[derive(Debug)]
pub struct DialTls {
    settings: ClientTls,
    data: PathBuf,
    current: ArcSwap<LinkTls>,
}

impl DialTls {
    /// Reads authority, certificate and key; relative paths are below `data`.
    ///
    /// # Errors
    /// [`TlsError`]: refuse to start.
    pub fn new(settings: ClientTls, data: &Path) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(LinkTls::new(&settings, data)?);
        Ok(Self { settings, data: data.to_path_buf(), current })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// [`TlsError`]: nothing has changed.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(LinkTls::new(&self.settings, &self.data)?.into());
        Ok(())
    }

    /// For a dial that begins now.
    pub fn current(&self) -> LinkTls {
        LinkTls::clone(&self.current.load())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::demo_authority;

    #[test]
    fn what_is_dialled_next_has_the_new_files_and_what_is_wrong_changes_nothing() {
        let data = tempfile::tempdir().expect("a folder");
        demo_authority(data.path()).expect("certificates");
        let (ca, server_name) = ("ca.pem".into(), "localhost".to_owned());
        let tls = DialTls::new(ClientTls { ca, certificate: None, key: None, server_name }, data.path());
        let tls = tls.expect("sound files");
        let before = tls.current().config;
        std::fs::remove_file(data.path().join("ca.pem")).expect("there");
        assert!(tls.reload().is_err());
        assert!(std::sync::Arc::ptr_eq(&before, &tls.current().config));
        std::fs::remove_file(data.path().join("ca.key")).expect("there");
        demo_authority(data.path()).expect("another authority");
        tls.reload().expect("sound files");
        assert!(!std::sync::Arc::ptr_eq(&before, &tls.current().config));
    }
}

//! TLS, where the operator wants it ended here: a certificate and its key from two files, read at the start and again when asked to.
//!
//! There is no redirect from `http` and no second port. What the files may hold is said where it is refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The server's side of TLS. Clones share one certificate.
#[derive(Clone)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    now: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the certificate chain and the key, both PEM. The process must have chosen its cryptography before.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let now = Arc::new(RwLock::new(Arc::new(config(cert, key)?)));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), now })
    }

    /// Reads both files again, for connections from now on. If anything is wrong, all stays as it is.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = Arc::new(config(&self.cert, &self.key)?);
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

fn config(cert: &Path, key: &Path) -> Result<ServerConfig, String> {
    let wrong = |file: &Path, what: &dyn fmt::Display| format!("{}: {what}", file.display());
    let chain = CertificateDer::pem_file_iter(cert).map_err(|error| wrong(cert, &error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| wrong(cert, &error))?;
    if chain.is_empty() {
        return Err(wrong(cert, &"holds no certificate (-----BEGIN CERTIFICATE-----)"));
    }
    // Its own words never hold what is in the file.
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret);
    let mut config =
        config.map_err(|error| format!("{} and {} do not go together: {error}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

//! TLS: the certificate, which is read again when its files change, and the handshake. What happens to
//! bytes afterwards is in `session`.

mod session;

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

pub use session::TlsSession;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a client may take for the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A certificate chain and its key in PEM files, and TLS with it. Clones are the same.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// Reads both files. What is wrong with them is said with their names.
    pub fn load(cert: &Path, key: &Path) -> anyhow::Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let files = Files {
            cert: cert.to_owned(),
            key: key.to_owned(),
        };
        // Before they are read: a change in between is a change.
        let loaded = files.stamp();
        let certificate = Arc::new(Certificate {
            current: RwLock::new(files.read(&provider)?),
            loaded,
            provider: provider.clone(),
            files,
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        })
    }

    /// A client's connection, once its handshake is done.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<TlsSession> {
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(socket));
        let (socket, connection) = handshake.await??.into_inner();
        Ok(TlsSession::new(socket, connection))
    }

    /// Takes a new certificate when its files have changed, for the connections that come from then on.
    /// Never ends.
    pub(crate) async fn watch(&self) {
        let certificate = &self.certificate;
        let mut seen = certificate.loaded;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamp = certificate.files.stamp();
            if stamp == seen {
                continue;
            }
            seen = stamp;
            match certificate.files.read(&certificate.provider) {
                Ok(new) => {
                    tracing::info!(cert = %certificate.files.cert.display(), "the certificate was read again");
                    *certificate
                        .current
                        .write()
                        .unwrap_or_else(PoisonError::into_inner) = new;
                }
                // The one of the two files that is still missing its change comes later, or a correction.
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the certificate's files have changed and cannot be used: the one from before stays"
                ),
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.certificate.files).finish()
    }
}

/// The certificate that clients are shown.
#[derive(Debug)]
struct Certificate {
    files: Files,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The state that the files had at first.
    loaded: [Stamp; 2],
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// Tells one state of a file from another, also where it is replaced by way of a link.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Files {
    fn read(&self, provider: &CryptoProvider) -> anyhow::Result<Arc<CertifiedKey>> {
        let cert = self.cert.display();
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.cert)
            .and_then(Iterator::collect)
            .with_context(|| format!("cannot read the certificate {cert}"))?;
        ensure!(
            !chain.is_empty(),
            "{cert} has no certificate: it must have the server's and those that vouch for it, in PEM"
        );
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("cannot read the private key {}", self.key.display()))?;
        let pair = CertifiedKey::from_der(chain, key, provider).with_context(|| {
            let key = self.key.display();
            format!("{cert} and {key} cannot be used together")
        })?;
        Ok(Arc::new(pair))
    }

    fn stamp(&self) -> [Stamp; 2] {
        let stamp = |file: Metadata| {
            let (seconds, nanoseconds) = (file.mtime(), file.mtime_nsec());
            (file.dev(), file.ino(), file.size(), seconds, nanoseconds)
        };
        [&self.cert, &self.key].map(|path| std::fs::metadata(path).ok().map(stamp))
    }
}

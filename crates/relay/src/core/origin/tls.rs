//! TLS to the app: whom the relay trusts, and what is wrong with an app that it cannot trust, in words for whoever set
//! it up. What goes over the connection is not seen here.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Makes a TLS session of each connection to one host.
pub struct Secure {
    connector: TlsConnector,
    host: ServerName<'static>,
}

impl Secure {
    /// `host`: as in a URL. `authorities`: the PEM file of those who may vouch for the app; none: those whom this
    /// machine trusts.
    pub fn to(host: &str, authorities: Option<&Path>) -> anyhow::Result<Secure> {
        // An address of IPv6 is in brackets there.
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let host = ServerName::try_from(name.to_owned())
            .with_context(|| format!("{host} is no name that a certificate can be for"))?;
        let roots = match authorities {
            Some(file) => of_file(file)?,
            None => of_this_machine()?,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Secure {
            connector: TlsConnector::from(Arc::new(config)),
            host,
        })
    }

    /// The error says what is wrong with the app's certificate, and what to do.
    pub async fn connect<S>(&self, stream: S) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let session = self.connector.connect(self.host.clone(), stream).await;
        session.map_err(|error| problem(&error, &self.host.to_str()))
    }
}

fn of_file(file: &Path) -> anyhow::Result<RootCertStore> {
    let shown = file.display();
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read the authorities in {shown}"))?;
    ensure!(
        !certificates.is_empty(),
        "{shown} has no certificate: it must have that of the authority that has signed the app's, in PEM"
    );
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .with_context(|| format!("{shown} has a certificate that cannot be an authority's"))?;
    }
    Ok(roots)
}

fn of_this_machine() -> anyhow::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Machines have certificates in their stores that are too odd for rustls; the others are good all the same.
    let (good, _) = roots.add_parsable_certificates(found.certs);
    let why = found.errors.first().map(|error| format!(" ({error})"));
    ensure!(
        good > 0,
        "this machine has no authorities that could vouch for the app{}: install its package ca-certificates, or name \
         them with --origin-ca FILE",
        why.unwrap_or_default()
    );
    Ok(roots)
}

fn problem(error: &io::Error, host: &str) -> String {
    let cause = error.get_ref().and_then(|it| it.downcast_ref::<Error>());
    let Some(cause) = cause else {
        return format!("the TLS handshake failed: {error}");
    };
    match cause {
        Error::InvalidCertificate(certificate) => match certificate {
            // Another authority of the same name has not signed it either.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "nobody who is trusted here vouches for its certificate: name the file of the authority that has signed \
                 it with --origin-ca FILE"
                    .to_owned()
            }
            CertificateError::NotValidForName => not_for(host, &[]),
            CertificateError::NotValidForNameContext { presented, .. } => not_for(host, presented),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: renew it, or correct this machine's clock".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: correct this machine's clock".to_owned()
            }
            other => format!("its certificate cannot be used: {other}"),
        },
        Error::InvalidMessage(_) => "it does not speak TLS: give --origin http://…".to_owned(),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        | Error::NoApplicationProtocol => {
            "it does not speak HTTP/1.1: let it offer http/1.1 by ALPN".to_owned()
        }
        other => format!("the TLS handshake failed: {other}"),
    }
}

fn not_for(host: &str, names: &[String]) -> String {
    let names = match names {
        [] => String::new(),
        // As rustls words them: DnsName("a.example"), IpAddress(127.0.0.1).
        names => format!(" but for {}", names.join(", ")),
    };
    format!("its certificate is not for {host}{names}: give in --origin a name that it is for")
}

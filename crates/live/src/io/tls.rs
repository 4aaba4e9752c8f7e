//! TLS that verifies: chain and host name, or no connection. TLS 1.2 or later, by ring.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Why no certificate can be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// Neither the system nor the configuration has an issuer.
    #[error(
        "the system has no certificates of issuers; install them (package ca-certificates), or set ca_file to a PEM file"
    )]
    None,
    /// The file cannot be read.
    #[error("ca_file {}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
        /// The cause.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The library refused its settings.
    #[error("setting up TLS")]
    Setup(#[source] rustls::Error),
}

/// Verifies by the issuers of the system and those of `ca_file`.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, CertificatesError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "reading a certificate of the system failed");
    }
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "certificates of the system that are not understood");
    }
    if let Some(path) = ca_file {
        add_file(path, &mut roots)?;
    }
    if roots.is_empty() {
        return Err(CertificatesError::None);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(CertificatesError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add_file(path: &Path, roots: &mut RootCertStore) -> Result<(), CertificatesError> {
    let error = |problem, source: Option<Box<dyn Error + Send + Sync>>| {
        let path = path.to_owned();
        CertificatesError::File { path, problem, source }
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| error("cannot be read as PEM", Some(cause.into())))?;
    if certificates.is_empty() {
        return Err(error("holds no certificate", None));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|cause| error("holds a certificate that cannot be used", Some(cause.into())))?;
    }
    Ok(())
}

/// Why a TLS handshake failed, in plain words, with the remedy.
pub(super) fn reason(error: &std::io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return format!("the TLS handshake failed: {error}");
    };
    let text = match tls {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name; connect by a name it holds"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet; check the clocks"
            }
            CertificateError::UnknownIssuer => {
                "the issuer of the server's certificate is not known; set ca_file to its certificate"
            }
            other => return format!("the server's certificate is refused: {other:?}"),
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS here",
        rustls::Error::PeerIncompatible(_) => "the server offers no version of TLS from 1.2 on that is accepted here",
        other => return format!("the TLS handshake failed: {other}"),
    };
    text.to_owned()
}

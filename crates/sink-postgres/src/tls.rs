//! Encryption that verifies: chain and host name, or no connection.

use crate::config::PostgresConfig;
use crate::error::fatal;
use feedd_core::SinkError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The connector; without issuers when the connection is not encrypted.
///
/// # Errors
/// [`SinkError::Fatal`] when the issuers cannot be read.
pub(crate) fn connector(config: &PostgresConfig) -> Result<MakeRustlsConnect, SinkError> {
    let roots = if config.encrypts()? { roots(config)? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| fatal("setting up TLS".to_owned(), Some(e.into())))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(client))
}

fn roots(config: &PostgresConfig) -> Result<RootCertStore, SinkError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &config.tls_ca else {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "reading a certificate of the system failed");
        }
        let (_, ignored) = roots.add_parsable_certificates(found.certs);
        if ignored > 0 {
            tracing::debug!(ignored, "certificates of the system that are not understood");
        }
        if roots.is_empty() {
            return Err(fatal("the system has no certificates of issuers; set tls_ca to a PEM file".to_owned(), None));
        }
        return Ok(roots);
    };
    let what = |problem: &str| format!("tls_ca {}: {problem}", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| fatal(what("cannot be read"), Some(e.into())))?;
    if certificates.is_empty() {
        return Err(fatal(what("holds no certificate"), None));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|e| fatal(what("holds a certificate that cannot be used"), Some(e.into())))?;
    }
    Ok(roots)
}

/// Why a certificate was refused, in plain words, with the remedy.
pub(crate) fn reason(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(certificate) = error else { return "TLS failed" };
    match certificate {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name; connect by a name it holds"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the server's certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check the clocks"
        }
        CertificateError::UnknownIssuer => {
            "the issuer of the server's certificate is not known; set tls_ca to its certificate"
        }
        _ => "the server's certificate is refused",
    }
}

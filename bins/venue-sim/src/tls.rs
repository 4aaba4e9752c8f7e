//! A certificate authority of the server's own, and a certificate for loopback: made at the start, trusted by nobody who
//! was not told to.

use crate::server::StartError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::sync::Arc;

/// What TLS needs, and the authority's certificate.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) ca_pem: String,
}

/// Makes both. `listen` is named in the certificate beside the names of loopback.
pub(crate) fn make(listen: IpAddr) -> Result<Tls, StartError> {
    let error = |error: rcgen::Error| StartError::Tls(error.to_string());
    let mut authority = CertificateParams::new(Vec::new()).map_err(error)?;
    authority.distinguished_name.push(DnType::CommonName, "venue-sim test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(error)?).map_err(error)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.is_loopback() && !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    let key = KeyPair::generate().map_err(error)?;
    let certificate = CertificateParams::new(names).map_err(error)?.signed_by(&key, &authority).map_err(error)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
        .map_err(|error| StartError::Tls(error.to_string()))?;
    Ok(Tls { config: Arc::new(config), ca_pem: authority.pem() })
}

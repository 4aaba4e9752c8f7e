//! A venue that cannot prove who it is is refused, and the log says why.

use crate::harness::{Recorder, config, exchange};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::io::Write as _;
use std::sync::Arc;

/// A server that offers a certificate and shakes hands with whoever accepts it.
struct Impostor {
    address: std::net::SocketAddr,
    ca: tempfile::NamedTempFile,
}

fn impostor(change: impl FnOnce(&mut CertificateParams)) -> Impostor {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut server = rustls::ServerConnection::new(config.clone()).unwrap();
            // The client hangs up.
            let _ = server.complete_io(&mut stream);
        }
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(ca_certificate.pem().as_bytes()).unwrap();
    Impostor { address, ca: file }
}

/// What the recorder says about a server whose issuer it is told to trust, or not.
fn refusal(impostor: &Impostor, host: &str, trusts: bool) -> String {
    let server = exchange(|config| config.tls = true);
    let mut config = config(&server);
    config.endpoints.ws = vec![format!("wss://{host}:{}", impostor.address.port())];
    config.endpoints.ca_file =
        if trusts { Some(impostor.ca.path().to_owned()) } else { server.ca_path().map(Into::into) };
    let told = Told::default();
    let mut recorder = Recorder::start_small(&config, 64, told.log());
    recorder.until("refused", |recorder| recorder.counters.session.connections_failed.get() >= 1);
    recorder.until("told", |_| !told.text().is_empty());
    assert_eq!(recorder.opened(), 0);
    recorder.stop();
    told.text()
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl Told {
    /// Where it comes from: a source's thread, not all threads, for tests run side by side.
    pub(crate) fn log(&self) -> tracing::Dispatch {
        let told = self.clone();
        tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(move || told.clone()).with_ansi(false).finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn bad_certificates_are_refused_and_the_reason_is_named() {
    let good = impostor(|_| {});
    let expired = impostor(|params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let early = impostor(|params| params.not_before = date_time_ymd(2099, 1, 1));
    let cases = [
        (
            "unknown issuer",
            &good,
            "localhost",
            false,
            "the issuer of the server's certificate is not known; set ca_file",
        ),
        ("wrong name", &good, "127.0.0.1", true, "the server's certificate is for another name"),
        ("expired", &expired, "localhost", true, "the server's certificate has expired"),
        ("not yet", &early, "localhost", true, "the server's certificate is not valid yet"),
    ];
    for (name, impostor, host, trusts, expected) in cases {
        let told = refusal(impostor, host, trusts);
        assert!(told.contains(expected), "{name}: {told}");
    }
}

#[test]
fn a_server_without_tls_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // As web servers answer what they do not understand.
            stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
    let told = refusal(&Impostor { address, ca: impostor(|_| {}).ca }, "localhost", true);
    assert!(told.contains("the server does not speak TLS here"), "{told}");
}

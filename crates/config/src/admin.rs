//! What operators and their programs look at: `[admin]`.

use crate::error::Wrong;
use crate::reader::{Reader, Section};
use crate::secret::SecretRef;
use crate::tree::Node;
use crate::values::{Parsed, count, credential, flag, list_or_none, path, text, variable_name};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `[admin]`: status, metrics and dashboard over HTTP, and the socket of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address of the HTTP server, or `"off"`. Default `"127.0.0.1:9717"`. One that others can reach needs a token and a
    /// certificate.
    pub listen: Option<SocketAddr>,
    /// Whether `feedd status` and its like can ask over a socket in the data folder. Default true.
    pub socket: bool,
    /// Names by which browsers may call the server, beside its address and `localhost`. Default: none.
    pub hosts: Vec<String>,
    /// Where the token lies that requests must carry (`Authorization: Bearer`): `token_file`, `token_env` or
    /// `token_credential`. Default: there is none.
    pub token: Option<SecretRef>,
    /// File of the server's certificates (PEM). Default: none, no TLS.
    pub tls_certificate: Option<PathBuf>,
    /// File of its private key (PEM). Default: none.
    pub tls_key: Option<PathBuf>,
    /// Most connections at once, over HTTP and over the socket each; 1 to 1,024. Default 64.
    pub connections_max: usize,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT))),
            socket: true,
            hosts: Vec::new(),
            token: None,
            tls_certificate: None,
            tls_key: None,
            connections_max: 64,
        }
    }
}

pub(crate) fn read_admin(s: &mut Section<'_, '_>, admin: &mut Admin) {
    s.key("listen", &mut admin.listen, listen);
    s.key("socket", &mut admin.socket, flag);
    s.key("hosts", &mut admin.hosts, list_or_none("host", text));
    let reference = |parse: fn(&Node) -> Parsed<SecretRef>| move |node: &Node| parse(node);
    s.optional("token_file", &mut admin.token, reference(|node| path(node).map(SecretRef::File)));
    s.optional("token_env", &mut admin.token, reference(|node| variable_name(node).map(SecretRef::Variable)));
    s.optional("token_credential", &mut admin.token, reference(|node| credential(node).map(SecretRef::Credential)));
    s.optional("tls_certificate", &mut admin.tls_certificate, path);
    s.optional("tls_key", &mut admin.tls_key, path);
    s.key("connections_max", &mut admin.connections_max, count(1..=1_024));
}

/// Finds values that are each in range but contradict each other.
pub(crate) fn check_together(admin: &Admin, reader: &mut Reader) {
    reader.at_most_one(&TOKEN_KEYS, "the token");
    if admin.tls_certificate.is_some() != admin.tls_key.is_some() {
        let (origin, key) = reader.origin_of(&["admin.tls_certificate", "admin.tls_key"]);
        reader.fault(origin, &key, "tls_certificate and tls_key belong together; give both or none");
    }
    let Some(listen) = admin.listen.filter(|listen| !listen.ip().to_canonical().is_loopback()) else { return };
    if admin.token.is_none() || admin.tls_certificate.is_none() {
        let (origin, key) = reader.origin_of(&["admin.listen"]);
        let message = format!(
            "{listen} can be reached by others; name a token (token_file) and a certificate (tls_certificate, tls_key), \
             or listen on 127.0.0.1"
        );
        reader.fault(origin, &key, message);
    }
}

/// `"off"`, or an address and a port.
fn listen(node: &Node) -> Parsed<Option<SocketAddr>> {
    match node.text() {
        Some("off") => Some(None),
        Some(text) => text.trim().parse().ok().map(Some),
        None => None,
    }
    .ok_or_else(|| {
        Wrong::new(format!("{} is not an address; write \"off\", or one such as \"127.0.0.1:9717\"", node.value))
    })
}

const DEFAULT_PORT: u16 = 9_717;

const TOKEN_KEYS: [&str; 3] = ["admin.token_file", "admin.token_env", "admin.token_credential"];

#[cfg(test)]
mod tests {
    use crate::{Config, Machine, Overrides, load};

    fn loaded(sets: &[&str]) -> Result<Config, String> {
        let flags = Overrides { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Overrides::default() };
        let machine = Machine { cores: &[0], venues: &[] };
        load(None, std::iter::empty(), &flags, &machine).map(|l| l.config).map_err(|e| e.to_string())
    }

    #[test]
    fn only_this_machine_is_let_in_without_token_and_certificate() {
        for listen in ["127.0.0.1:0", "127.8.9.1:9717", "[::1]:80", "[::ffff:127.0.0.1]:80", "off"] {
            assert!(loaded(&[&format!("admin.listen={listen}")]).is_ok(), "{listen}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            std::fs::write(dir.path().join(name), "").unwrap();
            dir.path().join(name).display().to_string()
        };
        let token = "admin.token_env=TOKEN";
        let certificate = &*format!("admin.tls_certificate={}", file("cert.pem"));
        let key = &*format!("admin.tls_key={}", file("key.pem"));
        for listen in ["0.0.0.0:9717", "192.168.1.4:80", "[::]:80", "[2001:db8::1]:80"] {
            let listen = format!("admin.listen={listen}");
            for sets in [&[listen.as_str()][..], &[&listen, token], &[&listen, certificate, key]] {
                let found = loaded(sets).unwrap_err();
                assert!(found.contains("can be reached by others; name a token"), "{sets:?}: {found}");
            }
            assert!(loaded(&[&listen, token, certificate, key]).is_ok(), "{listen}");
        }
        assert!(loaded(&[certificate]).unwrap_err().contains("belong together"));
        let missing = loaded(&["admin.tls_certificate=no/such", key]).unwrap_err();
        assert!(missing.contains("cannot read no/such"), "{missing}");
        let missing = loaded(&["admin.token_file=no/such"]).unwrap_err();
        assert!(missing.contains("cannot read no/such; name a file that holds the secret alone"), "{missing}");
        let twice = loaded(&["admin.token_credential=feedd-token", token]).unwrap_err();
        assert!(twice.contains("the token is given by admin.token_env, too; keep one of them"), "{twice}");
        assert!(loaded(&["admin.listen=localhost"]).unwrap_err().contains("is not an address"));
    }
}

//! Who is let in: host, method, token. Pure.
//!
//! The check of the Host header is what keeps a page of another site, whose name was made to point at this machine (DNS
//! rebinding), from reading ours.

use feedd_config::Secret;
use std::net::SocketAddr;

/// Over what a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The HTTP address: reading only.
    Tcp,
    /// The socket in the data folder: its rights are the file system's.
    Socket,
}

/// The rules of one server.
pub(super) struct Guard {
    /// The address it listens on.
    pub(super) listen: Option<SocketAddr>,
    /// Further names it is called by.
    pub(super) hosts: Vec<String>,
    /// What every request over TCP must carry.
    pub(super) token: Option<Secret>,
}

/// What is looked at of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    pub(super) host: Option<&'a str>,
    pub(super) authorization: Option<&'a str>,
    /// Whether it brings a body.
    pub(super) has_body: bool,
    /// Whether it asks for what is the same for everyone: a file of the dashboard.
    pub(super) is_public: bool,
}

/// Why a request is turned away: HTTP status and words.
pub(super) type Refusal = (u16, &'static str);

impl Guard {
    /// Whether a request changes something; or why it is turned away.
    pub(super) fn judge(&self, way: Way, head: Head<'_>) -> Result<bool, Refusal> {
        if head.has_body {
            return Err((413, "no request here has a body\n"));
        }
        if way == Way::Tcp {
            if !head.host.is_some_and(|host| self.is_ours(host)) {
                return Err((421, "unknown host; name it in admin.hosts\n"));
            }
            if let Some(token) = &self.token
                && !head.is_public
                && !head.authorization.and_then(bearer).is_some_and(|given| is_equal(given, token.expose()))
            {
                return Err((401, "a token is needed: Authorization: Bearer TOKEN\n"));
            }
        }
        match (head.method, way) {
            ("GET" | "HEAD", _) => Ok(false),
            ("POST", Way::Socket) => Ok(true),
            ("POST", Way::Tcp) => Err((405, "nothing can be changed over HTTP; use the feedd command\n")),
            _ => Err((405, "only GET and HEAD\n")),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let (name, port) = split(host);
        let (name, listen) = (name.to_ascii_lowercase(), self.listen);
        let is_port = port.is_none_or(|port| listen.is_none_or(|listen| port == listen.port().to_string()));
        let is_address = listen.is_some_and(|listen| {
            let address = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
            address.is_some_and(|address: std::net::IpAddr| {
                // Listening on all addresses, each of them is ours; another site's page can only be called by a name.
                address.to_canonical() == listen.ip().to_canonical()
                    || listen.ip().is_unspecified()
                    || (address.to_canonical().is_loopback() && listen.ip().to_canonical().is_loopback())
            })
        });
        let is_loopback = listen.is_some_and(|listen| listen.ip().to_canonical().is_loopback());
        let is_named = self.hosts.iter().any(|known| known.eq_ignore_ascii_case(&name));
        is_port && (is_address || is_named || (is_loopback && name == "localhost"))
    }
}

/// Name and port of a Host header.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares without telling by its time where the first difference stands.
fn is_equal(given: &str, token: &str) -> bool {
    let (given, token) = (given.as_bytes(), token.as_bytes());
    let longest = given.len().max(token.len());
    let at = |text: &[u8], i: usize| text.get(i).copied().unwrap_or(0);
    let differences = (0..longest).fold(0u8, |all, i| std::hint::black_box(all | (at(given, i) ^ at(token, i))));
    differences == 0 && given.len() == token.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(listen: &str, token: Option<&str>) -> Guard {
        Guard {
            listen: listen.parse().ok(),
            hosts: vec!["recorder.example".into()],
            token: token.map(|token| Secret::new(token.into())),
        }
    }

    fn judge(guard: &Guard, way: Way, method: &str, host: &str, authorization: Option<&str>) -> Result<bool, u16> {
        let host = (!host.is_empty()).then_some(host);
        guard
            .judge(way, Head { method, host, authorization, has_body: false, is_public: false })
            .map_err(|(status, _)| status)
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let cases = [
            ("127.0.0.1:9717", Ok(false)),
            ("localhost:9717", Ok(false)),
            ("LOCALHOST", Ok(false)),
            ("[::1]:9717", Ok(false)),
            ("recorder.example:9717", Ok(false)),
            ("127.0.0.1:80", Err(421)),
            ("evil.example:9717", Err(421)),
            ("127.0.0.1.evil.example:9717", Err(421)),
            ("10.0.0.1:9717", Err(421)),
            ("", Err(421)),
            (":", Err(421)),
            ("[::1", Err(421)),
        ];
        let guard = guard("127.0.0.1:9717", None);
        for (host, expected) in cases {
            assert_eq!(judge(&guard, Way::Tcp, "GET", host, None), expected, "{host:?}");
        }
    }

    #[test]
    fn on_all_addresses_any_address_is_ours_and_no_name() {
        let cases = [
            ("10.0.0.1:9717", Ok(false)),
            ("[2001:db8::1]:9717", Ok(false)),
            ("127.0.0.1:9717", Ok(false)),
            ("recorder.example:9717", Ok(false)),
            ("10.0.0.1:80", Err(421)),
            ("localhost:9717", Err(421)),
            ("10.0.0.1.evil.example:9717", Err(421)),
        ];
        for listen in ["0.0.0.0:9717", "[::]:9717"] {
            let guard = guard(listen, None);
            for (host, expected) in cases {
                assert_eq!(judge(&guard, Way::Tcp, "GET", host, None), expected, "{listen}: {host:?}");
            }
        }
    }

    #[test]
    fn nothing_is_changed_over_http_and_a_token_is_compared_whole() {
        let open = guard("127.0.0.1:9717", None);
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "get"] {
            assert_eq!(judge(&open, Way::Tcp, method, "localhost", None), Err(405), "{method}");
        }
        assert_eq!(judge(&open, Way::Socket, "POST", "", None), Ok(true));
        let closed = guard("192.0.2.7:443", Some("secret"));
        let cases = [
            (None, Err(401)),
            (Some("Bearer secret"), Ok(false)),
            (Some("bearer secret"), Ok(false)),
            (Some("Bearer secre"), Err(401)),
            (Some("Bearer secrets"), Err(401)),
            (Some("Bearer "), Err(401)),
            (Some("Basic secret"), Err(401)),
            (Some("secret"), Err(401)),
        ];
        for (authorization, expected) in cases {
            assert_eq!(judge(&closed, Way::Tcp, "GET", "192.0.2.7:443", authorization), expected, "{authorization:?}");
        }
        assert_eq!(judge(&closed, Way::Tcp, "GET", "localhost:443", Some("Bearer secret")), Err(421));
        let body =
            Head { method: "GET", host: Some("localhost"), authorization: None, has_body: true, is_public: false };
        assert_eq!(open.judge(Way::Tcp, body), Err((413, "no request here has a body\n")));
    }

    #[test]
    fn the_page_that_asks_for_the_token_needs_none() {
        let closed = guard("192.0.2.7:443", Some("secret"));
        let page =
            Head { method: "GET", host: Some("192.0.2.7:443"), authorization: None, has_body: false, is_public: true };
        assert_eq!(closed.judge(Way::Tcp, page), Ok(false));
        assert_eq!(closed.judge(Way::Tcp, Head { is_public: false, ..page }).map_err(|(status, _)| status), Err(401));
        let elsewhere = Head { host: Some("evil.example"), ..page };
        assert_eq!(closed.judge(Way::Tcp, elsewhere).map_err(|(status, _)| status), Err(421));
        assert_eq!(closed.judge(Way::Tcp, Head { method: "POST", ..page }).map_err(|(status, _)| status), Err(405));
    }
}

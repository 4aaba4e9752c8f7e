//! Addresses of a live venue: scheme, host and port, encrypted unless the host is this machine.

use crate::error::Wrong;
use crate::tree::Node;
use crate::values::{Parsed, text};
use std::net::IpAddr;

/// `wss://host[:port]`; `ws://` only to this machine, or when `insecure` says so.
pub(crate) fn ws_url(node: &Node, insecure: bool) -> Parsed<String> {
    address(node, ["wss", "ws"], insecure)
}

/// As [`ws_url`] with `https` and `http`; `"none"` is an empty text.
pub(crate) fn rest_url(node: &Node, insecure: bool) -> Parsed<String> {
    if node.text() == Some("none") {
        return Ok(String::new());
    }
    address(node, ["https", "http"], insecure)
}

/// The REST address at the same host and port.
pub(crate) fn rest_beside(ws_url: &str) -> String {
    ws_url.replacen("ws", "http", 1)
}

/// Whether an address that was read above leads to this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Some((_, authority)) = url.split_once("://") else { return false };
    let host = host_and_port(authority).map_or("", |(host, _)| host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn address(node: &Node, [secure, plain]: [&str; 2], insecure: bool) -> Parsed<String> {
    let given = text(node)?;
    let example = format!("{secure}://host or {secure}://host:port");
    let url = given.trim().trim_end_matches('/');
    let parts = url.split_once("://").filter(|(scheme, _)| [secure, plain].contains(scheme));
    let Some((scheme, authority)) = parts else {
        return Err(Wrong::new(format!("{given:?} is not an address; write {example}")));
    };
    if authority.contains(['/', '?', '#', '@']) {
        let message = "has more than a host and a port; the paths are the venue's";
        return Err(Wrong::new(format!("{given:?} {message}: write {example}")));
    }
    let host = host_and_port(authority).filter(|(host, port)| is_host(host) && port.is_none_or(is_port));
    if host.is_none() {
        return Err(Wrong::new(format!("{given:?} names no host; write {example}")));
    }
    if scheme == plain && !is_loopback(url) && !insecure {
        return Err(Wrong::new(format!(
            "{given:?} would be read over the network unencrypted, and anybody on the way could change it; write \
             {secure}://, or say insecure = true"
        )));
    }
    Ok(url.to_owned())
}

/// Host, without the brackets of an IPv6 address, and port.
fn host_and_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

fn is_host(host: &str) -> bool {
    let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    !host.is_empty() && (is_name || host.parse::<IpAddr>().is_ok())
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Origin, Value};

    #[test]
    fn addresses() {
        let cases = [
            ("wss://stream.binance.com:9443", Some("wss://stream.binance.com:9443")),
            ("wss://host/", Some("wss://host")),
            ("ws://127.0.0.1:9000", Some("ws://127.0.0.1:9000")),
            ("ws://[::1]:9000", Some("ws://[::1]:9000")),
            ("ws://localhost:1", Some("ws://localhost:1")),
            ("wss://[::1", None),
            ("ws://127.0.0.2.example:1", None),
            ("ws://10.0.0.1:9000", None),
            ("https://host", None),
            ("wss://host/stream", None),
            ("wss://user@host", None),
            ("wss://:443", None),
            ("wss://host:0", None),
            ("wss://host:+80", None),
            ("host", None),
        ];
        for (given, expected) in cases {
            let node = Node { value: Value::Text(given.to_owned()), origin: Origin::Default };
            assert_eq!(ws_url(&node, false).ok().as_deref(), expected, "{given}");
        }
        let node = |text: &str| Node { value: Value::Text(text.to_owned()), origin: Origin::Default };
        assert_eq!(ws_url(&node("ws://10.0.0.1:9000"), true).unwrap(), "ws://10.0.0.1:9000");
        assert_eq!(rest_url(&node("none"), false).unwrap(), "");
        assert_eq!(rest_beside("ws://127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(rest_beside("wss://localhost:9000"), "https://localhost:9000");
    }
}

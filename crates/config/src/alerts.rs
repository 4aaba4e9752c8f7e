//! Alerts inside the recorder: `[alerts]`, and where they are sent: `[alerts.webhook]`.

use crate::error::Wrong;
use crate::reader::{Reader, Section};
use crate::secret::SecretRef;
use crate::tree::Node;
use crate::url::is_loopback;
use crate::values::{Parsed, bytes, credential, duration, flag, list_or_none, path, text, variable_name};
use std::path::PathBuf;
use std::time::Duration;

/// `[alerts]`: what is found wrong, told at both edges. The rules: `docs/operations.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// Whether findings that last are told in the log and to the webhook. Default true. Findings are shown anyway.
    pub enabled: bool,
    /// Rules that are not told, such as `"FeeddFeedStale"`. Default: none.
    pub silence: Vec<String>,
    /// How long of the last 30 s a source or the batching thread may wait for room; 1 ms to 30 s. Default 300 ms.
    pub wait_max: Duration,
    /// Longest mean time of a group commit of the journal; 1 ms to 1 h. Default 500 ms.
    pub commit_max: Duration,
    /// Longest call of a sink; 100 ms to 1 h. Default 3 s.
    pub call_max: Duration,
    /// Longest running call of a strategy; 10 ms to 1 h. Default 1 s.
    pub strategy_max: Duration,
    /// Least room on a disk that is written to; 0 to 1 TiB. Default 64 MiB.
    pub disk_free_min: u64,
    /// `[alerts.webhook]`: who is told.
    pub webhook: Webhook,
}

/// `[alerts.webhook]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where alerts are posted: `https://`, or `http://` on this machine. Default: nowhere.
    pub url: Option<String>,
    /// File of the issuers that are believed beside the system's (PEM). Default: none.
    pub ca_file: Option<PathBuf>,
    /// Header that carries the token. Default `"Authorization"`.
    pub header: String,
    /// Where the whole value of that header lies: `token_file`, `token_env` or `token_credential`. Default: there is
    /// none.
    pub token: Option<SecretRef>,
    /// Longest time of an attempt; 100 ms to 60 s. Default 5 s.
    pub timeout: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            enabled: true,
            silence: Vec::new(),
            wait_max: Duration::from_millis(300),
            commit_max: Duration::from_millis(500),
            call_max: Duration::from_secs(3),
            strategy_max: Duration::from_secs(1),
            disk_free_min: 64 << 20,
            webhook: Webhook::default(),
        }
    }
}

impl Default for Webhook {
    fn default() -> Self {
        Self {
            url: None,
            ca_file: None,
            header: "Authorization".to_owned(),
            token: None,
            timeout: Duration::from_secs(5),
        }
    }
}

pub(crate) fn read_alerts(s: &mut Section<'_, '_>, alerts: &mut Alerts) {
    s.key("enabled", &mut alerts.enabled, flag);
    s.key("silence", &mut alerts.silence, list_or_none("rule", rule));
    s.key("wait_max", &mut alerts.wait_max, duration(MILLISECOND..=Duration::from_secs(30)));
    s.key("commit_max", &mut alerts.commit_max, duration(MILLISECOND..=HOUR));
    s.key("call_max", &mut alerts.call_max, duration(Duration::from_millis(100)..=HOUR));
    s.key("strategy_max", &mut alerts.strategy_max, duration(Duration::from_millis(10)..=HOUR));
    s.key("disk_free_min", &mut alerts.disk_free_min, bytes(0..=1 << 40));
    s.section("webhook", |s| read_webhook(s, &mut alerts.webhook));
}

fn read_webhook(s: &mut Section<'_, '_>, webhook: &mut Webhook) {
    s.optional("url", &mut webhook.url, url);
    s.optional("ca_file", &mut webhook.ca_file, path);
    s.key("header", &mut webhook.header, header);
    let reference = |parse: fn(&Node) -> Parsed<SecretRef>| move |node: &Node| parse(node);
    s.optional("token_file", &mut webhook.token, reference(|node| path(node).map(SecretRef::File)));
    s.optional("token_env", &mut webhook.token, reference(|node| variable_name(node).map(SecretRef::Variable)));
    s.optional("token_credential", &mut webhook.token, reference(|node| credential(node).map(SecretRef::Credential)));
    s.key("timeout", &mut webhook.timeout, duration(Duration::from_millis(100)..=Duration::from_secs(60)));
}

/// Finds values that are each in range but contradict each other.
pub(crate) fn check_together(alerts: &Alerts, reader: &mut Reader) {
    reader.at_most_one(&TOKEN_KEYS, "the token of the webhook");
    if alerts.webhook.url.is_none() && alerts.webhook.token.is_some() {
        let (origin, key) = reader.origin_of(&TOKEN_KEYS);
        reader.fault(origin, &key, "there is no webhook to send it to; set url, or remove it");
    }
}

/// The name of a rule.
fn rule(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    let is_name = name.starts_with("Feedd") && name.bytes().all(|b| b.is_ascii_alphanumeric());
    is_name.then_some(name).ok_or_else(|| {
        Wrong::new(format!("{} is not a rule; write one such as \"FeeddFeedStale\" (docs/operations.md)", node.value))
    })
}

/// `https://host[:port][/path]`; `http://` to this machine.
fn url(node: &Node) -> Parsed<String> {
    let given = text(node)?;
    let url = given.trim();
    let example = "https://host/path";
    let parts = url.split_once("://").filter(|(scheme, _)| ["https", "http"].contains(scheme));
    let Some((scheme, rest)) = parts else {
        return Err(Wrong::new(format!("{given:?} is not an address; write {example}")));
    };
    let (authority, _) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let is_clean = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains('#');
    if authority.is_empty() || authority.starts_with(':') || authority.contains('@') || !is_clean {
        return Err(Wrong::new(format!(
            "{given:?} names no host, or has what does not belong there (a user, a blank, a \"#\"); write {example}"
        )));
    }
    if scheme == "http" && !is_loopback(&format!("http://{authority}")) {
        return Err(Wrong::new(format!("{given:?} would tell over the network unencrypted; write https://")));
    }
    Ok(url.to_owned())
}

fn header(node: &Node) -> Parsed<String> {
    let name = text(node)?;
    let is_header = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_ours = ["host", "content-type", "content-length", "connection"].contains(&&*name.to_ascii_lowercase());
    if is_header && !is_ours {
        return Ok(name);
    }
    Err(Wrong::new(format!("{name:?} cannot be the header of a token; write one such as \"Authorization\"")))
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const TOKEN_KEYS: [&str; 3] =
    ["alerts.webhook.token_file", "alerts.webhook.token_env", "alerts.webhook.token_credential"];

#[cfg(test)]
mod tests {
    use crate::{Config, Machine, Overrides, SecretRef, load};

    fn loaded(sets: &[&str]) -> Result<Config, String> {
        let flags = Overrides { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Overrides::default() };
        let machine = Machine { cores: &[0], venues: &[] };
        load(None, std::iter::empty(), &flags, &machine).map(|l| l.config).map_err(|e| e.to_string())
    }

    #[test]
    fn a_webhook_is_encrypted_or_on_this_machine() {
        for url in ["https://hooks.example/a/b?c=d", "https://h:8443", "http://127.0.0.1:9093/api", "http://[::1]/x"] {
            let config = loaded(&[&format!("alerts.webhook.url={url}")]).unwrap();
            assert_eq!(config.alerts.webhook.url.as_deref(), Some(url));
        }
        let cases = [
            ("http://hooks.example/a", "unencrypted"),
            ("http://127.0.0.1.example/a", "unencrypted"),
            ("ftp://h", "is not an address"),
            ("https:///a", "names no host"),
            ("https://a b/", "names no host"),
            ("https://user@h/", "names no host"),
        ];
        for (url, expected) in cases {
            let found = loaded(&[&format!("alerts.webhook.url={url}")]).unwrap_err();
            assert!(found.contains(expected), "{url}: {found}");
        }
    }

    #[test]
    fn the_token_is_only_referred_to() {
        let url = "alerts.webhook.url=https://h/";
        let config = loaded(&[url, "alerts.webhook.token_env=HOOK"]).unwrap();
        assert_eq!(config.alerts.webhook.token, Some(SecretRef::Variable("HOOK".into())));
        let twice = loaded(&[url, "alerts.webhook.token_env=HOOK", "alerts.webhook.token_credential=hook"]);
        assert!(twice.unwrap_err().contains("the token of the webhook is given by"));
        assert!(loaded(&["alerts.webhook.token_env=HOOK"]).unwrap_err().contains("no webhook to send it to"));
        assert!(loaded(&[url, "alerts.webhook.token=canary"]).unwrap_err().contains("a token does not belong here"));
        let missing = loaded(&[url, "alerts.webhook.token_file=no/such"]).unwrap_err();
        assert!(missing.contains("cannot read no/such"), "{missing}");
        assert!(loaded(&["alerts.webhook.header=Host"]).unwrap_err().contains("cannot be the header"));
    }

    #[test]
    fn silenced_rules_are_named() {
        let config = loaded(&["alerts.silence=FeeddFeedStale,FeeddClockStep"]).unwrap();
        assert_eq!(config.alerts.silence, ["FeeddFeedStale", "FeeddClockStep"]);
        assert!(loaded(&["alerts.silence=stale"]).unwrap_err().contains("is not a rule"));
    }
}

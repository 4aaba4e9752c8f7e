//! Passwords that stand where they must not: found, refused, and never shown.

use crate::error::Fault;
use crate::suggest::nearest;
use crate::tree::{Origin, Table, Value};
use std::ops::Range;

/// Takes every password out of the tree, so that nothing can show it later, and notes a fault for each. Gives the parts
/// of the file where they stand.
pub(crate) fn refuse(tree: &mut Table, faults: &mut Vec<Fault>) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    refuse_in(tree, "", faults, &mut hidden);
    hidden
}

fn refuse_in(table: &mut Table, section: &str, faults: &mut Vec<Fault>, hidden: &mut Vec<Range<usize>>) {
    let refused = table.extract_if(.., |name, entry| is_secret(name) || holds_password(&entry.node.value));
    for (name, entry) in refused {
        let message = match nearest(&name, REFERENCES) {
            Some(near) => format!("unknown key `{name}`, did you mean `{near}`?"),
            None if is_token(&name) => format!("a token does not belong here; {TOKEN_REMEDY}"),
            None => format!("a password does not belong here; {REMEDY}"),
        };
        faults.push(Fault::new(entry.key, format!("{section}{name}"), message));
        if let Origin::File(span) = entry.node.origin {
            hidden.push(span);
        }
    }
    for (name, entry) in table {
        let section = format!("{section}{name}.");
        match &mut entry.node.value {
            Value::Table(table) => refuse_in(table, &section, faults, hidden),
            Value::List(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    if let Value::Table(table) = &mut item.value {
                        refuse_in(table, &format!("{section}{i}."), faults, hidden);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The parts of a text that is no TOML where passwords may stand: a line, or everything behind a key whose value does
/// not end on its line.
pub(crate) fn of_unread(text: &str) -> Vec<Range<usize>> {
    let (mut hidden, mut start) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let value = value_of_key(line, is_secret).map(|at| line[at..].trim());
        if value.is_some_and(|value| !ends_here(value)) {
            hidden.push(end..text.len());
        }
        if let Some(at) = hidden_from(line) {
            hidden.push(start + at..end);
        }
        start = end;
    }
    hidden
}

/// Whether a value is whole at the end of its line.
fn ends_here(value: &str) -> bool {
    let open = ["\"\"\"", "'''", "[", "{"];
    if value.is_empty() || open.iter().any(|open| value.starts_with(open)) {
        return false;
    }
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    quote.is_none_or(|quote| value[1..].match_indices(quote).any(|(at, _)| !value[..=at].ends_with('\\')))
}

/// A flag as typed, or one line, without the password in it.
pub(crate) fn without_password(text: &str) -> String {
    hidden_from(text).map_or_else(|| text.to_owned(), |at| format!("{}{HIDDEN}", &text[..at]))
}

/// Where on a line a password begins: behind a key that names one, or inside a URL.
pub(crate) fn hidden_from(line: &str) -> Option<usize> {
    let of_key = value_of_key(line, is_secret).filter(|&at| !line[at..].trim().is_empty());
    password_of_url(line).into_iter().chain(of_key).min()
}

/// Where on a line the value of the first key begins that is one of these.
fn value_of_key(line: &str, is_one: fn(&str) -> bool) -> Option<usize> {
    let line = line.trim_end();
    let mut at = 0;
    line.split(|c: char| !is_word(c)).find_map(|word| {
        let end = at + word.len();
        at = end + line[end..].chars().next().map_or(0, char::len_utf8);
        let rest = line[end..].trim_start_matches(['"', '\'']);
        let value = rest.trim_start().trim_start_matches(['=', ':']).trim_start();
        (value.len() < rest.len() && is_one(word)).then(|| line.len() - value.len())
    })
}

/// Whether a key names something that is not to be shown.
fn is_secret(name: &str) -> bool {
    is_password(name) || is_token(name) || name.to_ascii_lowercase().contains("secret")
}

/// Whether a key names a token itself, not where it lies.
fn is_token(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("token")
}

/// Whether a key names a password, also when it is mistyped.
fn is_password(name: &str) -> bool {
    if REFERENCES.contains(&name) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let parts = ["passw", "passp", "pwd"];
    let is_named = parts.iter().any(|part| name.contains(part)) || name.ends_with("pass");
    is_named || nearest(&name, ["password"]).is_some()
}

/// Whether a text is a URL with a password, or a list of `key=value` with one.
fn holds_password(value: &Value) -> bool {
    match value {
        Value::Text(text) | Value::Raw(text) => {
            let value = value_of_key(text, is_password);
            password_of_url(text).is_some() || value.is_some_and(|at| text[..at].trim_end().ends_with('='))
        }
        Value::List(items) => items.iter().any(|item| holds_password(&item.value)),
        _ => false,
    }
}

/// Where on a line the `user:password@` of a URL begins.
fn password_of_url(line: &str) -> Option<usize> {
    let at = line.find("://")? + 3;
    let (colon, end) = line[at..].find(':').zip(line[at..].rfind('@'))?;
    (colon < end).then_some(at)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// What is shown in the place of a password.
pub(crate) const HIDDEN: &str = "***";

/// The keys that say where the password lies.
const REFERENCES: [&str; 3] = ["password_file", "password_env", "password_credential"];

const TOKEN_REMEDY: &str = "keep it out of the configuration: below [admin] write token_file = \"PATH\", \
                            token_env = \"VARIABLE\" or token_credential = \"NAME\"";

const REMEDY: &str = "keep it out of the configuration: below [postgres] write password_file = \"PATH\", \
                      password_env = \"VARIABLE\" or password_credential = \"NAME\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_of_a_line_is_hidden() {
        let cases = [
            ("password = \"canary\"", "password = ***"),
            ("\"password\"=\"canary\"", "\"password\"=***"),
            ("postgres = { port = 1, passwd = 'canary' }", "postgres = { port = 1, passwd = ***"),
            ("--set postgres.password=canary", "--set postgres.password=***"),
            ("--set postgres.password canary", "--set postgres.password ***"),
            ("pasword: canary", "pasword: ***"),
            ("client_secret = 'canary'", "client_secret = ***"),
            ("PGPASSWORD=canary", "PGPASSWORD=***"),
            ("[admin] token = 'canary'", "[admin] token = ***"),
            ("--set admin.token=canary", "--set admin.token=***"),
            ("url = \"postgres://user:canary@host/name\"", "url = \"postgres://***"),
            ("host=h password=canary", "host=h password=***"),
            ("é = 1 # password canary", "é = 1 # password ***"),
            // Nothing to hide.
            ("password_file = \"/run/key\"", "password_file = \"/run/key\""),
            ("password_env = \"PGPASSWORD\"", "password_env = \"PGPASSWORD\""),
            ("token_env = \"FEED_TOKEN\"", "token_env = \"FEED_TOKEN\""),
            ("--data-dir /srv/passwords/data", "--data-dir /srv/passwords/data"),
            ("see https://host/name", "see https://host/name"),
            ("past_max = \"5m\"", "past_max = \"5m\""),
        ];
        for (line, expected) in cases {
            assert_eq!(without_password(line), expected, "{line}");
        }
    }

    #[test]
    fn a_password_that_does_not_end_on_its_line_is_hidden_with_all_that_follows() {
        let cases = [
            ("password = \"canary\"\nport = 5\n", "password = port = 5\n"),
            ("password = canary\nport = 5\n", "password = port = 5\n"),
            ("password = \"\"\"\ncanary = 1\nport = 5\n", "password = "),
            ("password = [\n\"canary\"]\n", "password = "),
            ("password = \"a\ncanary\"\n", "password = "),
            ("password = \"a\\\"\ncanary\"\n", "password = "),
            ("password =\n\"canary\"\n", "password =\n"),
            ("# the password\nport = 5\n", "# the password\nport = 5\n"),
        ];
        for (text, expected) in cases {
            let hidden = of_unread(text);
            let is_shown = |at: usize| !hidden.iter().any(|range| range.contains(&at));
            let shown: String = text.char_indices().filter(|(at, _)| is_shown(*at)).map(|(_, c)| c).collect();
            assert_eq!(shown, expected, "{text}");
        }
    }
}

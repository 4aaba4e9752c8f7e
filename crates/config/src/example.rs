//! The example file says what the code does: every key, each at its default.

use crate::read::read;
use crate::reader::Reader;
use crate::schema::Config;
use crate::tree::{Table, Value, parse};
use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../../config/feedd.example.toml");

#[test]
fn the_example_equals_the_defaults() {
    let (config, reader) = read(&parse(EXAMPLE).unwrap());
    assert!(reader.faults.is_empty(), "{:?}", reader.faults);
    assert_eq!(config, Config::default());
}

#[test]
fn every_key_stands_in_the_example() {
    let tree = parse(&uncommented()).unwrap();
    let (_, reader) = read(&tree);
    // All places of the token, and of the password, at once are too many, and nothing else is wrong.
    let faults: Vec<&str> = reader.faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        faults,
        ["admin.token_credential", "alerts.webhook.token_credential", "postgres.password_credential"],
        "{:?}",
        reader.faults
    );
    let mut written = BTreeSet::new();
    keys(&tree, "", &mut written);
    // A source's own validation takes the keys of [validation], which the example explains there.
    let explained = |key: &String| !key.starts_with("source.validation.");
    let known: BTreeSet<String> = known(&reader).into_iter().filter(explained).collect();
    written.retain(explained);
    assert_eq!(written, known);
}

/// The example with its keys and headings behind a `#` put to work; sentences stay comments.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix("# ") {
        Some(code) if code.starts_with("[[") || code.starts_with("[source.") => code,
        Some(code) => match code.split_once(" = ") {
            Some((key, _)) if key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => code,
            _ => line,
        },
        None => line,
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Paths of all keys of a tree, without the numbers of list elements.
fn keys(table: &Table, prefix: &str, paths: &mut BTreeSet<String>) {
    for (name, entry) in table {
        let path = format!("{prefix}{name}");
        match &entry.node.value {
            Value::Table(table) => keys(table, &format!("{path}."), paths),
            Value::List(items) => {
                for item in items {
                    if let Value::Table(table) = &item.value {
                        keys(table, &format!("{path}."), paths);
                    }
                }
            }
            _ => {}
        }
        paths.insert(path);
    }
}

fn known(reader: &Reader) -> BTreeSet<String> {
    let without_numbers = |path: &String| {
        let names = path.split('.').filter(|name| name.parse::<usize>().is_err());
        names.collect::<Vec<_>>().join(".")
    };
    reader.known.iter().map(without_numbers).collect()
}

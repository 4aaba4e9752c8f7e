//! Environment variables and command-line flags, laid over the tree of the file.

use crate::error::Fault;
use crate::hide::without_password;
use crate::sinks;
use crate::tree::{Entry, Node, Origin, Table, Value};
use std::path::PathBuf;

/// What the command line says about the configuration; the strongest of all voices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--profile NAME`.
    pub profile: Option<String>,
    /// `--data-dir DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--sink KIND`, replaces all sinks of the file and the environment; those of the same kind keep their other keys.
    pub sinks: Vec<String>,
    /// `--source SPEC`, each `sim` or `capture:PATH`; replaces all sources of the file and the environment.
    pub sources: Vec<String>,
    /// `--set key.path=value`, laid over everything else in the order given.
    pub sets: Vec<String>,
}

/// The process's `FEEDD_...` variables, as [`crate::load`] takes them. Bytes that are no text are shown as `�`.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let pairs = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    pairs.filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// Lays `FEEDD_SECTION__KEY` variables over the tree, in the order of their names; others are left alone.
pub(crate) fn variables(tree: &mut Table, env: impl Iterator<Item = (String, String)>, faults: &mut Vec<Fault>) {
    let ours = |name: &str| name.starts_with(PREFIX) && !RESERVED.contains(&name);
    let mut variables: Vec<(String, String)> = env.filter(|(name, _)| ours(name)).collect();
    variables.sort();
    for (name, value) in variables {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        let node = Node { value: Value::Raw(value), origin: Origin::Variable(name) };
        faults.extend(put(tree, &path, node));
    }
}

/// Lays the flags over the tree.
pub(crate) fn flags(tree: &mut Table, flags: &Overrides, faults: &mut Vec<Fault>) {
    let node = |flag: &str, value: &str| Node {
        value: Value::Text(value.to_owned()),
        origin: Origin::Flag(without_password(&format!("{flag} {value}"))),
    };
    if let Some(profile) = &flags.profile {
        faults.extend(put(tree, &path_of("profile"), node("--profile", profile)));
    }
    if let Some(dir) = &flags.data_dir {
        let node = node("--data-dir", &dir.to_string_lossy());
        faults.extend(match dir.to_str() {
            Some(_) => put(tree, &path_of("data.dir"), node),
            None => Some(Fault::new(node.origin, "data.dir", "no UTF-8 text; choose a folder whose name is one")),
        });
    }
    let sinks: Vec<Node> = flags.sinks.iter().map(|kind| node("--sink", kind)).collect();
    sinks::replace(tree, &sinks);
    let sources = flags.sources.iter().filter_map(|spec| source_of(spec).map_err(|fault| faults.push(fault)).ok());
    let sources: Vec<Node> = sources.collect();
    if !sources.is_empty() {
        let origin = Origin::Flag("--source".to_owned());
        let node = Node { value: Value::List(sources), origin: origin.clone() };
        tree.insert("source".to_owned(), Entry { key: origin, node });
    }
    for set in &flags.sets {
        let origin = Origin::Flag(without_password(&format!("--set {set}")));
        let Some((path, value)) = set.split_once('=') else {
            faults.push(Fault::new(origin, "", "expected key.path=value, such as batch.max_events=250"));
            continue;
        };
        let node = Node { value: Value::Raw(value.trim().to_owned()), origin };
        faults.extend(put(tree, &path_of(path.trim()), node));
    }
}

/// The source that a run has when nobody names one: listed, so that variables and flags can reach its keys.
pub(crate) fn default_source(tree: &mut Table) {
    let source = Node { value: Value::Table(table_of([("kind", "sim")], &Origin::Default)), origin: Origin::Default };
    let node = Node { value: Value::List(vec![source]), origin: Origin::Default };
    tree.entry("source".to_owned()).or_insert(Entry { key: Origin::Default, node });
}

fn source_of(spec: &str) -> Result<Node, Fault> {
    let origin = Origin::Flag(without_password(&format!("--source {spec}")));
    let table = match spec.split_once(':') {
        None if spec == "sim" => table_of([("kind", "sim")], &origin),
        Some(("capture", path)) if !path.is_empty() => table_of([("kind", "capture"), ("path", path)], &origin),
        _ => {
            return Err(Fault::new(
                origin,
                "source",
                format!("unknown source {:?}; write sim or capture:PATH", without_password(spec)),
            ));
        }
    };
    Ok(Node { value: Value::Table(table), origin })
}

fn table_of<const N: usize>(pairs: [(&str, &str); N], origin: &Origin) -> Table {
    let entry = |value: &str| Entry {
        key: origin.clone(),
        node: Node { value: Value::Text(value.to_owned()), origin: origin.clone() },
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), entry(value))).collect()
}

fn path_of(path: &str) -> Vec<String> {
    path.split('.').map(str::to_owned).collect()
}

/// Puts a value at a path; sections on the way are opened, a list of sections grows by one at most.
fn put(tree: &mut Table, path: &[String], node: Node) -> Option<Fault> {
    // The tree is walked by recursion, and this path comes from outside.
    if path.len() > PATH_NAMES_MAX {
        return Some(Fault::new(node.origin, path.join("."), "no key lies this deep; write section.key"));
    }
    let [name, rest @ ..] = path else { return None };
    let origin = node.origin.clone();
    if rest.is_empty() {
        tree.insert(name.clone(), Entry { key: origin, node });
        return None;
    }
    let empty = || Node { value: Value::Table(Table::new()), origin: origin.clone() };
    let entry = tree.entry(name.clone()).or_insert_with(|| Entry { key: origin.clone(), node: empty() });
    // The first of a list of sections that nobody has begun.
    let is_begun = !entry.node.table().is_some_and(Table::is_empty);
    if name == "strategy" && rest[0].parse::<usize>().is_ok() && !is_begun {
        entry.node.value = Value::List(Vec::new());
    }
    if name == "sink" && rest[0].parse::<usize>().is_ok() && matches!(entry.node.value, Value::Table(_)) {
        entry.node.value = Value::List(sinks::listed(&entry.node.value));
    }
    match &mut entry.node.value {
        Value::Table(table) => put(table, rest, node),
        // One sink is reached with and without its number.
        Value::List(items) if name == "sink" && items.len() == 1 && rest[0].parse::<usize>().is_err() => {
            if let Value::Table(table) = &mut items[0].value {
                put(table, rest, node)
            } else {
                None
            }
        }
        Value::List(items) => {
            let count = items.len();
            let [index, rest @ ..] = rest else { return None };
            let Some(index) = index.parse().ok().filter(|index: &usize| *index <= count) else {
                let message = format!("no {name} {index:?}; there are {count}, counted from 0, and {count} adds one");
                return Some(Fault::new(origin, path.join("."), message));
            };
            if index == count {
                items.push(empty());
            }
            match &mut items[index].value {
                Value::Table(table) if !rest.is_empty() => put(table, rest, node),
                _ => Some(Fault::new(origin, path.join("."), format!("name a key of it, such as {name}.{index}.name"))),
            }
        }
        // The file has a plain value where a section belongs: the reader says so, at the file's line.
        _ => None,
    }
}

/// The deepest key is `source.0.validation.enabled`; two more, so that a typo is still shown with its nearest key.
const PATH_NAMES_MAX: usize = 6;
const PREFIX: &str = "FEEDD_";

/// For tests and scripts; no settings.
const RESERVED: [&str; 3] = ["FEEDD_SHARED", "FEEDD_BIN", "FEEDD_CONFIG"];

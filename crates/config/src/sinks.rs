//! Where the events go: `[sink]`, or a list of `[[sink]]`.

use crate::choice::SinkKind;
use crate::reader::{Reader, Section};
use crate::tree::{Entry, Node, Origin, Table, Value};
use crate::values::{choice, flag, sink_name};

/// One sink: `[sink]` alone, or one of several `[[sink]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sink {
    /// Which sink; one of each kind at most, because a section such as `[parquet]` belongs to the kind. Default
    /// `"parquet"` for `[sink]`; every `[[sink]]` says it.
    pub kind: SinkKind,
    /// Unique name, the key of its stored positions: 1 to 63 letters, digits, `_` and `-`. Default: the kind.
    pub name: String,
    /// Whether what it has not stored yet is kept for it without end; then the sources wait. Default true.
    pub required: bool,
}

impl Sink {
    /// The sink of a kind with the defaults.
    #[must_use]
    pub fn of_kind(kind: SinkKind) -> Self {
        Self { kind, name: kind.to_string(), required: true }
    }
}

/// Reads one `[sink]` or `[[sink]]`, whose header stands at `origin`. Its name stays empty when none is given.
pub(crate) fn read_sink(s: &mut Section<'_, '_>, origin: &Origin) -> Sink {
    let mut sink = Sink { name: String::new(), ..Sink::of_kind(SinkKind::default()) };
    s.key("kind", &mut sink.kind, choice);
    if s.is_listed() && !s.has("kind") {
        s.missing("kind", origin, "write kind = \"parquet\", kind = \"postgres\" or kind = \"null\"");
    }
    s.key("name", &mut sink.name, sink_name);
    s.key("required", &mut sink.required, flag);
    sink
}

/// Names the sinks that have no name by their kind, and sees that every kind and every name stands once.
pub(crate) fn name_sinks(sinks: &mut [Sink], reader: &mut Reader) {
    for i in 0..sinks.len() {
        if sinks[i].name.is_empty() {
            sinks[i].name = sinks[i].kind.to_string();
        }
        let Sink { kind, name, .. } = &sinks[i];
        let kind_key = format!("sink.{i}.kind");
        // A kind that could not be read stands for its default: that fault is enough.
        let known = |i: usize| reader.was_given(&format!("sink.{i}.kind"));
        if let Some(first) = (0..i).find(|&first| sinks[first].kind == *kind && known(first) && known(i)) {
            let (origin, key) = reader.origin_of(&[&kind_key]);
            let section = if *kind == SinkKind::Null { String::new() } else { format!(": [{kind}] belongs to it") };
            let message = format!(
                "sink {first} and sink {i} are both \"{kind}\"; one of each kind can be had{section}; remove one"
            );
            reader.fault(origin, &key, message);
        } else if let Some(first) = (0..i).find(|&first| sinks[first].name == *name && sinks[first].kind != *kind) {
            let keys = [format!("sink.{i}.name"), format!("sink.{first}.name")];
            let (origin, key) = reader.origin_of(&[&keys[0], &keys[1]]);
            reader.fault(origin, &key, format!("sink {first} and sink {i} are both named {name:?}; rename one"));
        }
    }
}

/// The sink that a run has when nobody names one: written down, so that variables and flags can add to it.
pub(crate) fn default_sink(tree: &mut Table) {
    let node = Node { value: Value::Table(with_kind(Table::new())), origin: Origin::Default };
    tree.entry("sink".to_owned()).or_insert(Entry { key: Origin::Default, node });
}

/// The list form of the sinks of a tree: one section is a list of one.
pub(crate) fn listed(value: &Value) -> Vec<Node> {
    match value {
        Value::List(items) => items.clone(),
        Value::Table(table) => vec![Node { value: Value::Table(with_kind(table.clone())), origin: Origin::Default }],
        _ => Vec::new(),
    }
}

/// Puts the sinks of `--sink` in the place of all others; one of a kind that was configured keeps its other keys.
pub(crate) fn replace(tree: &mut Table, kinds: &[Node]) {
    let configured = tree.get("sink").map(|entry| listed(&entry.node.value)).unwrap_or_default();
    let sinks = kinds.iter().map(|kind| {
        let same = |table: &&Table| table.get("kind").and_then(|entry| entry.node.text()) == kind.text();
        let tables = configured.iter().filter_map(|node| node.table());
        let mut table = tables.into_iter().find(same).cloned().unwrap_or_default();
        table.insert("kind".to_owned(), Entry { key: kind.origin.clone(), node: kind.clone() });
        Node { value: Value::Table(table), origin: kind.origin.clone() }
    });
    let mut sinks: Vec<Node> = sinks.collect();
    let Some(origin) = kinds.first().map(|kind| kind.origin.clone()) else { return };
    // One sink alone keeps the short keys, `sink.kind`.
    let value = if sinks.len() == 1 { sinks.swap_remove(0).value } else { Value::List(sinks) };
    tree.insert("sink".to_owned(), Entry { key: origin.clone(), node: Node { value, origin } });
}

fn with_kind(mut table: Table) -> Table {
    let node = Node { value: Value::Text(SinkKind::default().to_string()), origin: Origin::Default };
    table.entry("kind".to_owned()).or_insert(Entry { key: Origin::Default, node });
    table
}

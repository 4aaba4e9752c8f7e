//! The settings as given, before they have types: a tree of values that know where they come from.

use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Bytes of the file.
    File(Range<usize>),
    /// An environment variable, by its name.
    Variable(String),
    /// A command-line flag, as typed.
    Flag(String),
    /// Nowhere: it is the default.
    Default,
}

/// A value as given.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// Saturates at the ends of `i128`: no setting is near them.
    Integer(i128),
    /// A number with a point or exponent, as written.
    Decimal(String),
    Bool(bool),
    Time(String),
    List(Vec<Node>),
    Table(Table),
    /// From a variable or a flag: what type it is depends on who reads it; a list is separated by commas.
    Raw(String),
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// A named value; the name has a place of its own.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Origin,
    pub(crate) node: Node,
}

/// Named values.
pub(crate) type Table = BTreeMap<String, Entry>;

impl Node {
    /// The text of a scalar that is spelled as text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Raw(text) => Some(text),
            _ => None,
        }
    }

    /// The keys of a section.
    pub(crate) fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    /// The text of a variable or a flag.
    pub(crate) fn raw(&self) -> Option<&str> {
        if let Value::Raw(text) = &self.value { Some(text) } else { None }
    }
}

impl std::fmt::Display for Value {
    /// As TOML would spell it, in short.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Raw(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Decimal(text) | Self::Time(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(items) => write!(f, "a list of {}", items.len()),
            Self::Table(_) => f.write_str("a section"),
        }
    }
}

/// Reads the text of a file; on errors all of them, each with its span.
pub(crate) fn parse(text: &str) -> Result<Table, Vec<(String, Range<usize>)>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table_of(table.get_ref()));
    }
    let end = text.len()..text.len();
    Err(errors.iter().map(|e| (e.message().to_owned(), e.span().unwrap_or(end.clone()))).collect())
}

fn table_of(table: &DeTable<'_>) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), Entry { key: Origin::File(key.span()), node: node_of(value) })
    };
    table.iter().map(entry).collect()
}

fn node_of(value: &toml::Spanned<DeValue<'_>>) -> Node {
    let origin = Origin::File(value.span());
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let saturated = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(saturated))
        }
        DeValue::Float(number) => Value::Decimal(number.as_str().to_owned()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(node_of).collect()),
        DeValue::Table(table) => Value::Table(table_of(table)),
    };
    Node { value, origin }
}

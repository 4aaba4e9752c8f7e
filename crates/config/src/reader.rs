//! Takes values out of the tree section by section, and collects everything that does not fit.

use crate::error::{Fault, Wrong};
use crate::hide::HIDDEN;
use crate::suggest::nearest;
use crate::tree::{Entry, Node, Origin, Table, Value};
use crate::values::Parsed;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Collects over the whole tree.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// What was wrong so far.
    pub(crate) faults: Vec<Fault>,
    /// Every key that was asked for, as a path.
    pub(crate) known: BTreeSet<String>,
    /// The settings that were given: path to value and place.
    pub(crate) given: BTreeMap<String, (String, Origin)>,
    /// Parts of the file that may be secrets.
    pub(crate) hidden: Vec<Range<usize>>,
    unknown: Vec<Unknown>,
}

/// A key that nobody asked for.
#[derive(Debug)]
struct Unknown {
    section: String,
    name: String,
    origin: Origin,
    is_section: bool,
}

/// A value as it was given, lists with all their items.
fn as_given(node: &Node) -> String {
    match (&node.value, node.raw()) {
        (_, Some(raw)) => raw.to_owned(),
        (Value::List(items), None) => format!("[{}]", items.iter().map(as_given).collect::<Vec<_>>().join(", ")),
        (value, None) => value.to_string(),
    }
}

/// One table of the tree.
#[derive(Debug)]
pub(crate) struct Section<'r, 't> {
    reader: &'r mut Reader,
    path: String,
    table: &'t Table,
    asked: Vec<&'static str>,
    /// One of a list of sections.
    listed: bool,
}

impl Reader {
    /// The whole tree.
    pub(crate) fn root<'r, 't>(&'r mut self, table: &'t Table) -> Section<'r, 't> {
        Section { reader: self, path: String::new(), table, asked: Vec::new(), listed: false }
    }

    /// Notes what is wrong with one setting.
    pub(crate) fn fault(&mut self, origin: Origin, key: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(origin, key, message));
    }

    /// The place of a value that is not to be shown.
    fn hide(&mut self, origin: Origin) -> Origin {
        match origin {
            Origin::File(span) => {
                self.hidden.push(span.clone());
                Origin::File(span)
            }
            Origin::Flag(text) => {
                let shown = text.split_once('=').map_or("", |(shown, _)| shown);
                Origin::Flag(format!("{shown}={HIDDEN}"))
            }
            Origin::Variable(_) | Origin::Default => origin,
        }
    }

    /// Whether a setting was given, and could be read.
    pub(crate) fn was_given(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// Of `keys`, which all say where `what` is, at most one may be given.
    pub(crate) fn at_most_one(&mut self, keys: &[&str], what: &str) {
        let given: Vec<&str> = keys.iter().filter(|key| self.was_given(key)).copied().collect();
        if let [first, .., last] = *given {
            let (origin, key) = self.origin_of(&[last]);
            self.fault(origin, &key, format!("{what} is given by {first}, too; keep one of them"));
        }
    }

    /// Where the first of `keys` that was given stands: the one to blame when they do not go together.
    pub(crate) fn origin_of(&self, keys: &[&str]) -> (Origin, String) {
        let given = keys.iter().find_map(|key| self.given.get(*key).map(|(_, origin)| (origin.clone(), *key)));
        let (origin, key) = given.unwrap_or((Origin::Default, keys.first().copied().unwrap_or_default()));
        (origin, key.to_owned())
    }

    /// Turns unknown keys into faults; when every section has been read, so that all known keys can be suggested.
    pub(crate) fn finish(&mut self) {
        for unknown in std::mem::take(&mut self.unknown) {
            let message = match &unknown.origin {
                Origin::Variable(name) => self.about_variable(name),
                Origin::Flag(_) => self.about_flag(&unknown),
                Origin::File(_) | Origin::Default => self.about_key(&unknown),
            };
            let key = join(&unknown.section, &unknown.name);
            self.faults.push(Fault::new(unknown.origin, key, message));
        }
    }

    fn about_key(&self, unknown: &Unknown) -> String {
        let name = &unknown.name;
        let noun = if unknown.is_section { "section" } else { "key" };
        let siblings = self.children(&unknown.section);
        if let Some(sibling) = nearest(name, siblings.iter().copied()) {
            return format!("unknown {noun} `{name}`, did you mean `{sibling}`?");
        }
        let elsewhere = self.known.iter().find_map(|path| path.strip_suffix(name.as_str())?.strip_suffix('.'));
        if let Some(section) = elsewhere {
            // An element of a list is named by a number.
            let heading = match section.split_once('.') {
                Some((list, _)) => format!("[[{list}]]"),
                None => format!("[{section}]"),
            };
            return format!("unknown key `{name}` here; it belongs below {heading}");
        }
        format!("unknown {noun} `{name}`; known here: {}", siblings.iter().copied().collect::<Vec<_>>().join(", "))
    }

    fn about_variable(&self, name: &str) -> String {
        let known: Vec<String> = self.known.iter().map(|path| variable(path)).collect();
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("unknown variable, did you mean {near}?"),
            None => "unknown variable; write FEEDD_<SECTION>__<KEY>, such as FEEDD_BATCH__MAX_EVENTS".to_owned(),
        }
    }

    fn about_flag(&self, unknown: &Unknown) -> String {
        let path = join(&unknown.section, &unknown.name);
        match nearest(&path, self.known.iter().map(String::as_str)) {
            Some(near) => format!("unknown key `{path}`, did you mean `{near}`?"),
            None => format!("unknown key `{path}`; write section.key=value, such as batch.max_events=250"),
        }
    }

    /// The names directly below a section.
    fn children(&self, section: &str) -> BTreeSet<&str> {
        let prefix = join(section, "");
        let below = self.known.iter().filter_map(|path| path.strip_prefix(prefix.as_str()));
        below.filter_map(|rest| rest.split('.').next()).collect()
    }
}

impl<'t> Section<'_, 't> {
    /// Reads one key into `target`, which keeps its default when the key is missing or wrong.
    pub(crate) fn key<T>(&mut self, name: &'static str, target: &mut T, parse: impl FnOnce(&Node) -> Parsed<T>) {
        let path = self.ask(name);
        let Some(Entry { node, .. }) = self.table.get(name) else { return };
        match parse(node) {
            Ok(value) => {
                *target = value;
                let given = as_given(node);
                self.reader.given.insert(path, (given, node.origin.clone()));
            }
            Err(Wrong { at, message, hide }) => {
                let origin = at.unwrap_or_else(|| node.origin.clone());
                let origin = if hide { self.reader.hide(origin) } else { origin };
                self.reader.fault(origin, &path, message);
            }
        }
    }

    /// As [`Section::key`], for a setting that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        target: &mut Option<T>,
        parse: impl FnOnce(&Node) -> Parsed<T>,
    ) {
        self.key(name, target, |node| parse(node).map(Some));
    }

    /// Whether this is one of a list of sections.
    pub(crate) const fn is_listed(&self) -> bool {
        self.listed
    }

    /// Whether a key was given, rightly or wrongly.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Notes that a key without a default is missing from the section that begins at `origin`.
    pub(crate) fn missing(&mut self, name: &str, origin: &Origin, remedy: &str) {
        let path = join(&self.path, name);
        self.reader.fault(origin.clone(), &path, format!("missing; {remedy}"));
    }

    /// Notes that keys have no meaning here, each that was given.
    pub(crate) fn refuse(&mut self, names: &[&'static str], message: impl Fn(&str) -> String) {
        for &name in names {
            if let Some(entry) = self.table.get(name) {
                self.asked.push(name);
                self.reader.fault(entry.key.clone(), &join(&self.path, name), message(name));
            }
        }
    }

    /// Reads one section below this one, which is empty when it was not given.
    pub(crate) fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, '_>)) {
        let path = self.ask(name);
        let table = match self.table.get(name).map(|entry| &entry.node) {
            Some(Node { value: Value::Table(table), .. }) => table,
            Some(Node { value, origin }) => {
                let message = format!("expected a section [{path}], found {value}");
                self.reader.fault(origin.clone(), &path, message);
                &NO_KEYS
            }
            None => &NO_KEYS,
        };
        let mut section = Section { reader: self.reader, path, table, asked: Vec::new(), listed: false };
        read(&mut section);
        section.finish();
    }

    /// Reads a list of sections, `[[name]]`.
    pub(crate) fn sections(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_, '_>, &Origin)) {
        let path = self.ask(name);
        let Some(Entry { node, .. }) = self.table.get(name) else { return };
        let Value::List(nodes) = &node.value else {
            let message = format!("expected sections [[{path}]], found {}", node.value);
            return self.reader.fault(node.origin.clone(), &path, message);
        };
        if nodes.is_empty() {
            let message = format!("empty; write at least one [[{name}]], or leave the key out for the default");
            self.reader.fault(node.origin.clone(), &path, message);
        }
        for (i, node) in nodes.iter().enumerate() {
            let path = join(&path, &i.to_string());
            let Value::Table(table) = &node.value else {
                let message = format!("expected a section [[{name}]], found {}", node.value);
                self.reader.fault(node.origin.clone(), &path, message);
                continue;
            };
            let mut section = Section { reader: self.reader, path, table, asked: Vec::new(), listed: true };
            read(&mut section, &node.origin);
            section.finish();
        }
    }

    /// Reads one section, `[name]`, or a list of them, `[[name]]`.
    pub(crate) fn one_or_more(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_, '_>, &Origin)) {
        match self.table.get(name).map(|entry| &entry.node) {
            Some(Node { value: Value::Table(_), origin }) => self.section(name, |section| read(section, origin)),
            Some(Node { value: Value::List(_), .. }) => self.sections(name, read),
            Some(Node { value, origin }) => {
                let path = self.ask(name);
                let message = format!("expected a section [{path}] or sections [[{path}]], found {value}");
                self.reader.fault(origin.clone(), &path, message);
            }
            // Nothing to read: the keys are asked for, so that they can be suggested.
            None => self.section(name, |section| read(section, &Origin::Default)),
        }
    }

    /// Notes the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for (name, entry) in self.table.iter().filter(|(name, _)| !self.asked.contains(&name.as_str())) {
            note_unknown(&self.path, name, entry, &mut self.reader.unknown);
        }
    }

    fn ask(&mut self, name: &'static str) -> String {
        self.asked.push(name);
        let path = join(&self.path, name);
        self.reader.known.insert(path.clone());
        path
    }
}

/// A section that only variables or flags opened is reported once for each of them, as a person typed them.
fn note_unknown(section: &str, name: &str, entry: &Entry, unknown: &mut Vec<Unknown>) {
    let is_section = match (&entry.key, &entry.node.value) {
        (Origin::Variable(_) | Origin::Flag(_), Value::Table(table)) => {
            let section = join(section, name);
            return table.iter().for_each(|(name, entry)| note_unknown(&section, name, entry, unknown));
        }
        (_, Value::Table(_) | Value::List(_)) => section.is_empty(),
        _ => false,
    };
    let (section, name) = (section.to_owned(), name.to_owned());
    unknown.push(Unknown { section, name, origin: entry.key.clone(), is_section });
}

/// The environment variable of a key's path.
pub(crate) fn variable(path: &str) -> String {
    format!("FEEDD_{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The path of a name inside a section.
fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

static NO_KEYS: Table = Table::new();

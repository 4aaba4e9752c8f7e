//! Answers as JSON values. Answers are rare, so they are read whole.

use super::{Answer, Subject};
use serde_json::Value;

/// A frame as JSON; `None` when it is none.
pub(super) fn parse(frame: &str) -> Option<Value> {
    serde_json::from_str(frame).ok()
}

/// A field's text.
pub(super) fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field)?.as_str()
}

/// The number of a request, as the venue repeats it: some print it as text.
pub(super) fn request_id(value: &Value, field: &str) -> Option<u64> {
    let id = value.get(field)?;
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

/// About the request of this number, where the venue says it.
pub(super) fn about(id: Option<u64>) -> Subject {
    id.map_or(Subject::Unknown, Subject::Request)
}

/// A refusal in the venue's words.
pub(super) fn refused(subject: Subject, words: &[Option<&str>]) -> Answer {
    let said: Vec<&str> = words.iter().flatten().copied().filter(|word| !word.is_empty()).collect();
    let said = if said.is_empty() { "without a reason".to_owned() } else { said.join(": ") };
    Answer::Refused(subject, said)
}

/// A JSON text.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

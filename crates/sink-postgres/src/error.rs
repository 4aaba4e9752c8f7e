//! What an answer of the server means for the caller: try again, ask, refuse rows, or call a person.

use feedd_core::{BoxError, SinkError, error_text};
use std::fmt;
use tokio_postgres::error::{DbError, Severity};

/// The sink's name, as in the configuration.
pub(crate) const SINK: &str = "postgres";

/// Nothing was stored; the same can be tried again.
pub(crate) fn unavailable(what: impl Into<String>, source: impl Into<BoxError>) -> SinkError {
    SinkError::Unavailable { sink: SINK, what: what.into(), source: source.into() }
}

/// The server may have stored it.
pub(crate) fn unknown(what: impl Into<String>, source: impl Into<BoxError>) -> SinkError {
    SinkError::Unknown { sink: SINK, what: what.into(), source: source.into() }
}

/// A person is needed.
pub(crate) fn fatal(what: String, source: Option<BoxError>) -> SinkError {
    SinkError::Fatal { sink: SINK, what, source }
}

/// A failed step: what the server or the connection said, in one line.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Who is to blame, and so what to do.
    pub(crate) blame: Blame,
    /// `SQLSTATE 23505: ...`, or what the connection said.
    text: String,
    /// The row that the server was reading, counted from 1, when it says so.
    pub(crate) line: Option<usize>,
    /// The relation does not exist: what is known of partitions is out of date.
    pub(crate) is_missing_relation: bool,
    /// The server ended the statement but not the session: the connection can be used again.
    pub(crate) is_session_alive: bool,
}

/// Who is to blame for a failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The server, the network, a lock: later it may work.
    Moment,
    /// Tables or privileges: a person can mend it while the sink tries again.
    Schema,
    /// The rows.
    Rows,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else { return Self::of_connection(connection_text(&error)) };
        let code = said.code().code();
        Self {
            blame: blame(code),
            text: server_text(said),
            line: said.where_().and_then(copy_line),
            is_missing_relation: code == "42P01",
            is_session_alive: said.parsed_severity() == Some(Severity::Error),
        }
    }
}

impl Fault {
    /// The connection is of no more use.
    pub(crate) fn of_connection(text: impl Into<String>) -> Self {
        Self {
            blame: Blame::Moment,
            text: text.into(),
            line: None,
            is_missing_relation: false,
            is_session_alive: false,
        }
    }

    /// A step did not end in time.
    pub(crate) fn of_time(limit: std::time::Duration) -> Self {
        Self::of_connection(format!("no answer within {limit:?}; the connection was given up"))
    }

    /// The error of a step of which nothing can have been stored.
    pub(crate) fn not_stored(self, what: impl Into<String>) -> SinkError {
        unavailable(what, self)
    }
}

/// By the class of a SQLSTATE. What is not listed is raised by triggers and constraints over the rows.
pub(crate) fn blame(code: &str) -> Blame {
    const OF_SCHEMA: [&str; 14] = [
        "22P03", "22P04", // our encoding does not match the columns: somebody changed them
        "42P01", "42703", "42501", "42804", "42883", "42704", "42809", "42P10", "42601", "42602", "42622", "42P02",
    ];
    if OF_SCHEMA.contains(&code) {
        return Blame::Schema;
    }
    match code.get(..2).unwrap_or_default() {
        "3D" | "3F" | "28" => Blame::Schema,
        _ if code == "54000" => Blame::Rows, // such as a text too long for an index
        "08" | "25" | "26" | "2D" | "34" | "40" | "53" | "54" | "55" | "57" | "58" | "72" | "F0" | "HV" | "XX"
        | "0B" => Blame::Moment,
        _ => Blame::Rows,
    }
}

/// The number in `COPY trade_20260101, line 17, column price`, also when functions stand before it.
fn copy_line(context: &str) -> Option<usize> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    let digits = line.split_once(", line ")?.1;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok().filter(|&line| line > 0)
}

fn server_text(said: &DbError) -> String {
    let mut text = format!("SQLSTATE {}: {}", said.code().code(), said.message());
    for (name, more) in [("detail", said.detail()), ("hint", said.hint())] {
        if let Some(more) = more {
            text.push_str(&format!(" ({name}: {more})"));
        }
    }
    if let Some(remedy) = remedy(said.code().code()) {
        text.push_str("; ");
        text.push_str(remedy);
    }
    text
}

fn remedy(code: &str) -> Option<&'static str> {
    match code {
        "42P01" | "42703" | "3F000" => Some("run the migration of the schema, or restore what was removed from it"),
        "22P03" | "22P04" | "42804" => Some("a column was changed; restore the schema's own types"),
        "42501" => Some("grant the role what the README of the sink lists"),
        "28P01" | "28000" => Some("check user, password and the server's pg_hba.conf"),
        "3D000" => Some("create the database"),
        _ => None,
    }
}

/// Names the reason of a refused certificate in plain words, else says what the library says.
fn connection_text(error: &tokio_postgres::Error) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = cause {
        // `io::Error` hides what it wraps from `source` when that is its own text.
        let inner = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = inner.map_or(at, |inner| inner as &(dyn std::error::Error + 'static));
        if let Some(tls) = found.downcast_ref::<rustls::Error>() {
            return format!("{}: {tls}", crate::tls::reason(tls));
        }
        cause = at.source();
    }
    error_text(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_blame_for_which_state() {
        let cases = [
            ("08006", Blame::Moment),
            ("40001", Blame::Moment),
            ("40P01", Blame::Moment),
            ("53100", Blame::Moment),
            ("53300", Blame::Moment),
            ("55P03", Blame::Moment),
            ("57014", Blame::Moment),
            ("57P01", Blame::Moment),
            ("57P02", Blame::Moment),
            ("57P03", Blame::Moment),
            ("58030", Blame::Moment),
            ("25P03", Blame::Moment),
            ("25006", Blame::Moment),
            ("XX001", Blame::Moment),
            ("28P01", Blame::Schema),
            ("3D000", Blame::Schema),
            ("42P01", Blame::Schema),
            ("42703", Blame::Schema),
            ("42501", Blame::Schema),
            ("22P03", Blame::Schema),
            ("22003", Blame::Rows),
            ("22021", Blame::Rows),
            ("23505", Blame::Rows),
            ("23514", Blame::Rows),
            ("23502", Blame::Rows),
            ("42P17", Blame::Rows),
            ("P0001", Blame::Rows),
            ("0A000", Blame::Rows),
            ("54000", Blame::Rows),
            ("ABC01", Blame::Rows),
        ];
        for (code, expected) in cases {
            assert_eq!(blame(code), expected, "{code}");
        }
    }

    #[test]
    fn the_line_of_a_copy_is_found_among_functions() {
        let cases = [
            ("COPY trade_20260101, line 17", Some(17)),
            ("COPY trade_20260101, line 17, column price", Some(17)),
            ("PL/pgSQL function f() line 3 at RAISE\nCOPY trade_20260101, line 500", Some(500)),
            ("PL/pgSQL function f() line 3 at RAISE", None),
            ("SQL statement \"COPY x, line 4\"", None),
            ("", None),
        ];
        for (context, expected) in cases {
            assert_eq!(copy_line(context), expected, "{context}");
        }
    }
}

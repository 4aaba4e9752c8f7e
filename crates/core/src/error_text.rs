//! An error with its causes, in one line.

/// The error and every cause behind it, separated by colons: what was tried, then why it failed.
#[must_use]
pub fn error_text(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::SinkError;

    #[test]
    fn every_cause_is_named_once() {
        let cause = std::io::Error::other("no space left");
        let error = SinkError::Unavailable { sink: "parquet", what: "writing x".into(), source: cause.into() };
        assert_eq!(error_text(&error), "parquet: writing x failed, trying again may succeed: no space left");
    }
}

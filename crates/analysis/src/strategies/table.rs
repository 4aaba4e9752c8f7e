//! The table of the strategies that are built in, and how one is made from the words of a configuration.

use super::parameters::{Parameter, Values, nearest};
use super::{Strategy, Subscription, bollinger, rsi, slow, sma};
use feedd_model::Interval;
use std::fmt;

/// A kind of strategy: one row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// As in the configuration.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Its parameters, in the order in which its name shows them.
    pub parameters: &'static [Parameter],
    /// Finds values that are each in range but contradict each other.
    pub(super) check: fn(&Values) -> Result<(), &'static str>,
    /// Makes one for one instrument.
    pub(super) build: fn(&Values, Interval) -> Box<dyn Strategy>,
}

/// Every kind. To add one: a file beside this one, and a row.
pub const KINDS: &[Kind] = &[sma::KIND, rsi::KIND, bollinger::KIND, slow::KIND];

/// Why a configured strategy cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// No such kind.
    #[error("there is no strategy {name:?}{}; there are: {known}", guess(*nearest))]
    UnknownKind {
        /// As configured.
        name: String,
        /// All there are.
        known: String,
        /// Which one was probably meant.
        nearest: Option<&'static str>,
    },
    /// The kind has no such parameter.
    #[error("strategy {kind} has no parameter {name:?}{}; it has: {known}", guess(*nearest))]
    UnknownParameter {
        /// Of which kind.
        kind: &'static str,
        /// As configured.
        name: String,
        /// All it has.
        known: String,
        /// Which one was probably meant.
        nearest: Option<&'static str>,
    },
    /// One parameter stands there twice.
    #[error("strategy {kind}: parameter {name} is given twice; leave one out")]
    TwiceGiven {
        /// Of which kind.
        kind: &'static str,
        /// Which one.
        name: String,
    },
    /// A value is no number, or out of its range.
    #[error("strategy {kind}: {name} = {text:?} does not do; give {wanted}")]
    BadValue {
        /// Of which kind.
        kind: &'static str,
        /// Which parameter.
        name: &'static str,
        /// As configured.
        text: String,
        /// What it may be.
        wanted: String,
    },
    /// Values that do not go together.
    #[error("strategy {name}: {reason}")]
    Contradiction {
        /// Kind and parameters.
        name: String,
        /// What is wrong, and the remedy.
        reason: &'static str,
    },
}

fn guess(nearest: Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// A strategy with its parameters and its interval: makes one value for each instrument.
#[derive(Clone)]
pub struct Blueprint {
    name: String,
    make: std::sync::Arc<dyn Fn() -> Box<dyn Strategy> + Send + Sync>,
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blueprint({})", self.name)
    }
}

impl Blueprint {
    /// Reads a configured strategy.
    ///
    /// # Errors
    /// [`StrategyError`] names what is wrong and the remedy.
    pub fn read(kind: &str, interval: Interval, parameters: &[(String, String)]) -> Result<Self, StrategyError> {
        let names = || KINDS.iter().map(|kind| kind.name);
        let Some(kind) = KINDS.iter().find(|row| row.name == kind) else {
            let known = names().collect::<Vec<_>>().join(", ");
            return Err(StrategyError::UnknownKind { name: kind.to_owned(), known, nearest: nearest(kind, names()) });
        };
        let values = Values::read(kind.name, kind.parameters, parameters)?;
        let name = format!("{}({})@{interval}", kind.name, values.text());
        (kind.check)(&values).map_err(|reason| StrategyError::Contradiction { name: name.clone(), reason })?;
        Ok(Self::new(name, move || (kind.build)(&values, interval)))
    }

    /// One of one's own, under a name that no other has.
    pub fn new(name: String, make: impl Fn() -> Box<dyn Strategy> + Send + Sync + 'static) -> Self {
        Self { name, make: std::sync::Arc::new(make) }
    }

    /// Kind, parameters and interval, such as `sma(10,30)@1m`: the name under which records of it are stored, so that what
    /// differs in any of them is never taken for the same.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new one, for one instrument.
    #[must_use]
    pub fn make(&self) -> Box<dyn Strategy> {
        (self.make)()
    }

    /// What it wants to see.
    #[must_use]
    pub fn subscription(&self) -> Subscription {
        self.make().subscription()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        let given: Vec<_> = parameters.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        Blueprint::read(kind, Interval::Seconds(60), &given)
            .map(|blueprint| blueprint.name().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_say_kind_parameters_and_interval() {
        let cases = [
            ("sma", &[][..], "sma(10,30)@1m"),
            ("sma", &[("slow", "50"), ("fast", "5")], "sma(5,50)@1m"),
            ("rsi", &[("oversold", "25.5")], "rsi(14,25.5,70)@1m"),
            ("bollinger", &[], "bollinger(20,2)@1m"),
            ("slow", &[("millis", "3")], "slow(3)@1m"),
        ];
        for (kind, parameters, name) in cases {
            assert_eq!(read(kind, parameters).as_deref(), Ok(name));
        }
    }

    #[test]
    fn errors_name_the_parameter_and_the_remedy() {
        let cases = [
            (
                "smaa",
                &[][..],
                "there is no strategy \"smaa\" (did you mean sma?); there are: sma, rsi, bollinger, slow",
            ),
            ("magic", &[], "there is no strategy \"magic\"; there are: sma, rsi, bollinger, slow"),
            (
                "sma",
                &[("fsat", "1")],
                "strategy sma has no parameter \"fsat\" (did you mean fast?); it has: fast, slow",
            ),
            (
                "sma",
                &[("fast", "ten")],
                "strategy sma: fast = \"ten\" does not do; give a whole number from 1 to 10000, such as 10",
            ),
            (
                "sma",
                &[("fast", "0")],
                "strategy sma: fast = \"0\" does not do; give a whole number from 1 to 10000, such as 10",
            ),
            (
                "bollinger",
                &[("sigmas", "NaN")],
                "strategy bollinger: sigmas = \"NaN\" does not do; give a number from 0.1 to 10, such as 2",
            ),
            ("sma", &[("fast", "3"), ("fast", "4")], "strategy sma: parameter fast is given twice; leave one out"),
            (
                "sma",
                &[("fast", "30")],
                "strategy sma(30,30)@1m: fast must be below slow; make fast smaller or slow larger",
            ),
            (
                "rsi",
                &[("oversold", "80")],
                "strategy rsi(14,80,70)@1m: oversold must be below overbought; the usual ones are 30 and 70",
            ),
        ];
        for (kind, parameters, message) in cases {
            assert_eq!(read(kind, parameters), Err(message.to_owned()), "{kind} {parameters:?}");
        }
    }

    #[test]
    fn every_kind_has_a_name_of_its_own_and_defaults_that_work() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..at].iter().all(|before| before.name != kind.name), "{}", kind.name);
            let blueprint = Blueprint::read(kind.name, Interval::Seconds(1), &[]).unwrap();
            assert_eq!(blueprint.subscription().intervals, [Interval::Seconds(1)], "{}", kind.name);
            assert!(kind.parameters.iter().all(|parameter| !parameter.help.is_empty()));
        }
    }
}

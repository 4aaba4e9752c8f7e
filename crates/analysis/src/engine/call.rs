//! One call of a strategy: taken out of the engine, made without it, handed back.

use crate::strategies::{Orders, Strategy};
use feedd_model::{Bar, Decimal, Fill, InstrumentId, MonoNanos, Quote, Trade, UnixNanos};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A strategy with what it asks for.
pub(super) struct Runner {
    pub(super) strategy: Box<dyn Strategy>,
    pub(super) orders: Orders,
}

/// What a strategy is told.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is moved a few times, and a box would be an allocation for each call")]
pub(super) enum Told {
    Added(InstrumentId),
    Bar(Bar),
    Trade(UnixNanos, Trade),
    Quote(UnixNanos, Quote),
    Fill(Fill),
    Quality(u16),
    Reset,
    /// Bars it has been shown before: to warm up, without signals.
    Again(Vec<Bar>),
}

/// What signals of a call refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) at: UnixNanos,
    pub(super) price: Decimal,
}

/// A call to be made.
pub struct Call {
    pub(super) slot: usize,
    pub(super) runner: Runner,
    pub(super) told: Told,
    /// `None` when what it asks for does not count.
    pub(super) given: Option<Given>,
    /// When it was handed out.
    pub(super) since: MonoNanos,
}

/// A call that was made.
pub struct Done {
    pub(super) slot: usize,
    pub(super) since: MonoNanos,
    /// The strategy, or what its panic said.
    pub(super) runner: Result<Runner, String>,
    pub(super) given: Option<Given>,
}

impl Call {
    /// Makes the call. A panic ends in it.
    #[must_use]
    pub fn run(self) -> Done {
        let Self { slot, mut runner, told, given, since } = self;
        // A strategy that panicked is never called again, so nobody sees what it left half done.
        let outcome = catch_unwind(AssertUnwindSafe(|| tell(&mut runner, &told)));
        let runner = match outcome {
            Ok(()) => Ok(runner),
            Err(panic) => {
                discard(runner);
                Err(message(&*panic))
            }
        };
        Done { slot, since, runner, given }
    }
}

impl Done {
    /// Throws the strategy away: another thread has gone on without it.
    pub(super) fn discard(self) {
        if let Ok(runner) = self.runner {
            discard(runner);
        }
    }
}

fn tell(Runner { strategy, orders }: &mut Runner, told: &Told) {
    match told {
        Told::Added(instrument) => strategy.on_added(*instrument),
        Told::Bar(bar) => strategy.on_bar(bar, orders),
        Told::Trade(at, trade) => strategy.on_trade(*at, trade, orders),
        Told::Quote(at, quote) => strategy.on_quote(*at, quote, orders),
        Told::Fill(fill) => strategy.on_fill(fill),
        Told::Quality(quality_bp) => strategy.on_quality(*quality_bp),
        Told::Reset => strategy.reset(),
        Told::Again(bars) => bars.iter().for_each(|bar| strategy.on_bar(bar, orders)),
    }
}

/// A strategy's own clean-up may panic as well.
fn discard(runner: Runner) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(runner))) {
        tracing::debug!(panic = message(&*panic), "a stopped strategy panicked again while it was thrown away");
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".to_owned())
}

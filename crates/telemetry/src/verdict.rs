//! How bad backpressure is, in whole numbers, and what helps.

/// A hand-off between two stages of the analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// From the coordinator (the batching thread) to the processor, which makes bars. Counted in blocks.
    Processor,
    /// From the processor to the analysis engine, which runs strategies. Counted in cycles.
    Engine,
}

/// What a share of backpressure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// None at all.
    Perfect,
    /// Now and then.
    Good,
    /// Often.
    Warning,
    /// The stage is the bottleneck.
    Critical,
}

impl Edge {
    /// Both, in the order of the way.
    pub const ALL: [Self; 2] = [Self::Processor, Self::Engine];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processor => "Coordinator→Processor",
            Self::Engine => "Processor→Analysis",
        }
    }

    /// The same as a key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Processor => "coordinator_processor",
            Self::Engine => "processor_analysis",
        }
    }

    /// What is delivered over it.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Processor => "blocks",
            Self::Engine => "cycles",
        }
    }

    /// Who takes it, by the name of the settled log lines.
    #[must_use]
    pub const fn consumer(self) -> &'static str {
        match self {
            Self::Processor => "DataProcessor",
            Self::Engine => "AnalysisEngine",
        }
    }

    /// A log line is due each time so many more were counted.
    #[must_use]
    pub const fn log_step(self) -> u64 {
        match self {
            Self::Processor => 1_000,
            Self::Engine => 500,
        }
    }

    /// Below the first it is good, above the second critical; percent.
    const fn bands(self) -> (u128, u128) {
        match self {
            Self::Processor => (5, 20),
            Self::Engine => (10, 30),
        }
    }

    /// What `count` deliveries without credit `of` all deliveries mean.
    #[must_use]
    pub fn verdict(self, count: u64, of: u64) -> Verdict {
        let (good, critical) = self.bands();
        let (count, of) = (u128::from(count) * 100, u128::from(of));
        match count {
            0 => Verdict::Perfect,
            _ if count < good * of => Verdict::Good,
            _ if count <= critical * of => Verdict::Warning,
            _ => Verdict::Critical,
        }
    }

    /// What helps.
    #[must_use]
    pub const fn advice(self, verdict: Verdict) -> &'static str {
        match (verdict, self) {
            (Verdict::Perfect, _) => "keeps up",
            (Verdict::Good, _) => "keeps up but for single peaks, nothing to do",
            (Verdict::Warning, Self::Processor) => {
                "the processor falls behind at times: configure fewer intervals, replay at a lower speed, or give it more cores"
            }
            (Verdict::Warning, Self::Engine) => {
                "the engine falls behind at times: configure fewer strategies, replay at a lower speed, or give it more cores"
            }
            (Verdict::Critical, Self::Processor) => {
                "the processor is the bottleneck: configure fewer intervals, replay at a lower speed, or give it more cores"
            }
            (Verdict::Critical, Self::Engine) => {
                "the engine is the bottleneck: configure fewer strategies (the slowest stand first in this report), replay at \
                 a lower speed, or give it more cores"
            }
        }
    }
}

impl Verdict {
    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perfect => "perfect",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bands_end_where_they_are_said_to_end() {
        use Edge::{Engine, Processor};
        use Verdict::{Critical, Good, Perfect, Warning};
        let cases = [
            (Processor, 0, 0, Perfect),
            (Processor, 0, 50_000, Perfect),
            (Processor, 1, u64::MAX, Good),
            (Processor, 2_499, 50_000, Good),
            (Processor, 2_500, 50_000, Warning),
            (Processor, 10_000, 50_000, Warning),
            (Processor, 10_001, 50_000, Critical),
            (Processor, 4_999_999_999, 99_999_999_999, Good),
            (Engine, 0, 10_000, Perfect),
            (Engine, 1, 10_000, Good),
            (Engine, 999, 10_000, Good),
            (Engine, 1_000, 10_000, Warning),
            (Engine, 3_000, 10_000, Warning),
            (Engine, 3_001, 10_000, Critical),
            (Engine, u64::MAX, u64::MAX, Critical),
        ];
        for (edge, count, of, expected) in cases {
            assert_eq!(edge.verdict(count, of), expected, "{count} of {of} over {edge:?}");
        }
    }
}

//! What an operator is told, limited in rate: a storm of the same news hides the news.

use super::action::Action;
use super::budget::Budget;
use crate::config;
use feedd_model::MonoNanos;
use std::time::Duration;

/// So much is read.
const SENTENCES: config::Budget = config::Budget { count: 30, period: Duration::from_secs(300), burst: 15 };

/// Tells, and counts what it left out.
#[derive(Debug)]
pub(super) struct Voice {
    budget: Budget,
    left_out: u64,
}

impl Default for Voice {
    fn default() -> Self {
        Self { budget: Budget::new(SENTENCES), left_out: 0 }
    }
}

impl Voice {
    /// Adds a sentence to what is to be done, unless too many came of late.
    pub(super) fn tell(&mut self, now: MonoNanos, is_warning: bool, mut text: String, actions: &mut Vec<Action>) {
        if !self.budget.take(now, 1) {
            self.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            text.push_str(&format!(" ({left_out} messages before this one were left out)"));
        }
        actions.push(Action::Tell { is_warning, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_cut_and_counted() {
        let (mut voice, mut actions) = (Voice::default(), Vec::new());
        for i in 0..100 {
            voice.tell(MonoNanos(i), true, format!("no {i}"), &mut actions);
        }
        assert_eq!(actions.len(), 15);
        voice.tell(MonoNanos(60_000_000_000), false, "news".to_owned(), &mut actions);
        let text = "news (85 messages before this one were left out)".to_owned();
        assert_eq!(actions.last(), Some(&Action::Tell { is_warning: false, text }));
    }
}

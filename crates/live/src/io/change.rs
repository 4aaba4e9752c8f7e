//! What is to change while it runs: symbols that join and leave, other periods.

use super::dial::Net;
use super::driver::Driver;
use crate::config::Periods;
use feedd_venues::capture::TapeNote;
use std::sync::Arc;

impl Driver<'_> {
    /// Does what lies in the mailbox. What has left makes room first.
    #[cold]
    pub(super) fn change(&mut self) {
        for change in self.mailbox.take() {
            let now = self.outlet.clock().mono();
            if let Some(periods) = change.periods {
                self.set_periods(periods);
            }
            change.leave.iter().for_each(|symbol| self.session.leave(now, symbol));
            for symbol in &change.join {
                let is_new = self.session.join(now, symbol);
                if let Some(earlier) = self.earlier.clone().filter(|_| is_new) {
                    earlier.tell(symbol, self.outlet.clock().wall(), &mut self.intake, self.tape.as_mut());
                }
            }
        }
    }

    /// Nothing of a symbol comes any more.
    pub(super) fn left(&mut self, symbol: String) {
        let (at, _) = self.stamp();
        self.intake.left(&symbol, Some(at), self.outlet.counters());
        self.note(at, TapeNote::EVERYWHERE, TapeNote::Left(symbol));
    }

    fn set_periods(&mut self, periods: Periods) {
        let Net { resolver, tls, frame_bytes_max, .. } = &*self.net;
        let (resolver, tls, frame_bytes_max) = (resolver.clone(), tls.clone(), *frame_bytes_max);
        self.net = Arc::new(Net { resolver, tls, connect: periods.connect, frame_bytes_max });
        self.session.set_periods(periods);
    }
}

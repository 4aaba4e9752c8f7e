//! What faults do to one connection: for each frame, whether it is sent, how often, and when.

use super::FaultKind;
use std::time::Instant;

/// What lasts, and until when; `None`: for the rest of the connection.
type Until = Option<Instant>;

/// The faults that a connection is under.
#[derive(Debug, Default)]
pub(crate) struct Active {
    blackhole: Option<Until>,
    mute: Option<Until>,
    mute_symbols: Vec<(String, Until)>,
    duplicate: u32,
    reorder: bool,
    drop: u32,
    /// Depth frames to come that are damaged.
    pub(crate) damage: u32,
}

/// What becomes of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Send,
    SendTwice,
    /// To be sent after the next one of its stream.
    Hold,
    /// Not sent; the name of the fault.
    Lost(&'static str),
}

impl Active {
    /// Takes a fault that concerns the frames of a connection. Others are no business of this type.
    pub(crate) fn add(&mut self, kind: &FaultKind, until: Until) {
        match kind {
            FaultKind::Blackhole => self.blackhole = Some(until),
            FaultKind::Mute => self.mute = Some(until),
            FaultKind::MuteSymbol { symbol } => self.mute_symbols.push((symbol.clone(), until)),
            FaultKind::Duplicate { count } => self.duplicate += count,
            FaultKind::Reorder => self.reorder = true,
            FaultKind::Drop { count } => self.drop += count,
            FaultKind::BadChecksum => self.damage += 1,
            _ => {}
        }
    }

    /// Whether nothing is read or written now.
    pub(crate) fn is_blackhole(&mut self, now: Instant) -> bool {
        lasts(&mut self.blackhole, now)
    }

    /// Decides about a data frame. `live`: it tells something new, and does not answer a subscription.
    pub(crate) fn fate(&mut self, symbol: &str, live: bool, now: Instant) -> Fate {
        if self.is_blackhole(now) {
            return Fate::Lost("blackhole");
        }
        if lasts(&mut self.mute, now) {
            return Fate::Lost("mute");
        }
        self.mute_symbols.retain(|(_, until)| until.is_none_or(|until| now < until));
        if self.mute_symbols.iter().any(|(muted, _)| muted == symbol) {
            return Fate::Lost("mute-symbol");
        }
        if !live {
            return Fate::Send;
        }
        if self.drop > 0 {
            self.drop -= 1;
            return Fate::Lost("drop");
        }
        if self.duplicate > 0 {
            self.duplicate -= 1;
            return Fate::SendTwice;
        }
        if std::mem::take(&mut self.reorder) { Fate::Hold } else { Fate::Send }
    }
}

fn lasts(fault: &mut Option<Until>, now: Instant) -> bool {
    match fault {
        None => false,
        Some(until) if until.is_none_or(|until| now < until) => true,
        Some(_) => {
            *fault = None;
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_fault_has_its_fate_and_ends() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut active = Active::default();
        assert_eq!(active.fate("A", true, now), Fate::Send);
        active.add(&FaultKind::Drop { count: 2 }, None);
        active.add(&FaultKind::Duplicate { count: 1 }, None);
        active.add(&FaultKind::Reorder, None);
        assert_eq!(active.fate("A", false, now), Fate::Send, "an answer");
        let fates: Vec<Fate> = (0..5).map(|_| active.fate("A", true, now)).collect();
        assert_eq!(fates, [Fate::Lost("drop"), Fate::Lost("drop"), Fate::SendTwice, Fate::Hold, Fate::Send]);
        active.add(&FaultKind::MuteSymbol { symbol: "A".to_owned() }, Some(later));
        assert_eq!(
            (active.fate("A", false, now), active.fate("B", true, now)),
            (Fate::Lost("mute-symbol"), Fate::Send)
        );
        assert_eq!(active.fate("A", true, later), Fate::Send);
        active.add(&FaultKind::Mute, None);
        active.add(&FaultKind::Blackhole, Some(later));
        assert_eq!(active.fate("B", true, now), Fate::Lost("blackhole"));
        assert_eq!(active.fate("B", true, later), Fate::Lost("mute"));
    }
}

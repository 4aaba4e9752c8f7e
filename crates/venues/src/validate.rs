//! Whether a trade can be true: price and size above 0, a venue time near the receive time, no jump of the price.
//!
//! Hot path: integers only; no allocation after the first trade of an instrument, no lock, log or syscall.

use feedd_model::{Decimal, Flags, InstrumentId, UnixNanos};

/// The limits of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidationConfig {
    /// `false`: every trade is accepted unseen.
    pub enabled: bool,
    /// Largest step from the agreed price, in hundredths of a percent of it (1000 is 10 %); a step of exactly this
    /// size is no jump.
    pub price_jump_bp: u32,
    /// What is done with a jump.
    pub price_jump_action: JumpAction,
    /// Consecutive jumped trades that must agree with each other before their price becomes the agreed one; 0 counts
    /// as 1.
    pub price_jump_confirm_trades: u32,
    /// Most nanoseconds that the venue's time may be ahead of the receive time.
    pub future_ns_max: u64,
    /// Most nanoseconds that the venue's time may be behind the receive time.
    pub past_ns_max: u64,
}

impl Default for ValidationConfig {
    /// 10 % is a jump, flagged, agreed after 5 trades; 5 minutes ahead, 3650 days behind.
    fn default() -> Self {
        Self {
            enabled: true,
            price_jump_bp: 1_000,
            price_jump_action: JumpAction::Flag,
            price_jump_confirm_trades: 5,
            future_ns_max: 300 * NANOS_PER_SECOND,
            past_ns_max: 3_650 * 86_400 * NANOS_PER_SECOND,
        }
    }
}

/// What is done with a trade whose price jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JumpAction {
    /// Accepted with [`Flags::PRICE_JUMP`].
    Flag,
    /// Rejected with [`TradeReject::PriceJump`].
    Reject,
}

/// What becomes of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Recorded, with these flags besides its own.
    Accept(Flags),
    /// Not recorded; counted under the reason.
    Reject(TradeReject),
}

/// Why a trade is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeReject {
    /// The price is 0 or below.
    PriceNotPositive,
    /// The size is 0 or below.
    SizeNotPositive,
    /// The venue's time is too far ahead of the receive time.
    TooFarInFuture,
    /// The venue's time is too far behind the receive time.
    TooFarInPast,
    /// The price jumped, and jumps are rejected.
    PriceJump,
}

impl TradeReject {
    /// Every reason, in the order of [`TradeReject::index`].
    pub const ALL: [Self; 5] =
        [Self::PriceNotPositive, Self::SizeNotPositive, Self::TooFarInFuture, Self::TooFarInPast, Self::PriceJump];

    /// Place in an array of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name, as metrics and reports show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PriceNotPositive => "price_not_positive",
            Self::SizeNotPositive => "size_not_positive",
            Self::TooFarInFuture => "too_far_in_future",
            Self::TooFarInPast => "too_far_in_past",
            Self::PriceJump => "price_jump",
        }
    }
}

/// Judges the trades of one source, and remembers the agreed price of each instrument.
///
/// The agreed price is that of the last trade that was no jump. A jump alone does not move it, but
/// `price_jump_confirm_trades` consecutive ones that agree with each other do: after a true move, trades are flagged or
/// rejected only until the move is confirmed.
#[derive(Clone, Debug)]
pub struct Validator {
    config: ValidationConfig,
    /// How far the receiving clock is ahead of what it was at any time of this run: least and most, 0 between them.
    stepped_ns: [i64; 2],
    /// By instrument id: ids are dense from 1.
    references: Vec<Reference>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reference {
    agreed: Option<Decimal>,
    /// The latest of a run of jumped prices that agree with each other.
    candidate: Option<Decimal>,
    /// Length of that run.
    candidate_trades: u32,
}

impl Validator {
    /// Without any agreed price: the first trade of each instrument cannot jump.
    #[must_use]
    pub const fn new(config: ValidationConfig) -> Self {
        Self { config, stepped_ns: [0; 2], references: Vec::new() }
    }

    /// The receiving clock was set by so many nanoseconds. Which of its times was right, nobody knows: from now on a
    /// trade's time is judged by all that it has had, so that no trade is lost to a clock that was set wrong.
    pub fn clock_stepped(&mut self, by_ns: i64) {
        let [least, most] = self.stepped_ns.map(|stepped| stepped.saturating_add(by_ns));
        self.stepped_ns = [least.min(0), most.max(0)];
    }

    /// Judges one trade. `instrument` comes from the dictionary, whose ids are dense.
    ///
    /// The times are compared only when both are known. A rejected trade leaves the agreed price as it is, except that
    /// rejected jumps count towards a confirmed move.
    pub fn check(
        &mut self,
        instrument: InstrumentId,
        price: Decimal,
        size: Decimal,
        venue_ts: Option<UnixNanos>,
        recv_ts: Option<UnixNanos>,
    ) -> Verdict {
        if !self.config.enabled {
            return Verdict::Accept(Flags::NONE);
        }
        if !price.is_positive() {
            return Verdict::Reject(TradeReject::PriceNotPositive);
        }
        if !size.is_positive() {
            return Verdict::Reject(TradeReject::SizeNotPositive);
        }
        if let Some(reason) = self.judge_time(venue_ts, recv_ts) {
            return Verdict::Reject(reason);
        }
        let config = self.config;
        match (self.reference(instrument).observe(price, &config), config.price_jump_action) {
            (false, _) => Verdict::Accept(Flags::NONE),
            (true, JumpAction::Flag) => Verdict::Accept(Flags::PRICE_JUMP),
            (true, JumpAction::Reject) => Verdict::Reject(TradeReject::PriceJump),
        }
    }

    fn judge_time(&self, venue_ts: Option<UnixNanos>, recv_ts: Option<UnixNanos>) -> Option<TradeReject> {
        let ahead_ns = i128::from(venue_ts?.0) - i128::from(recv_ts?.0);
        let reject = self.judge_ahead(ahead_ns)?;
        // By the clock as it was before it was set: the time of its that is kindest to the trade.
        let [least, most] = self.stepped_ns.map(i128::from);
        let kindest = if reject == TradeReject::TooFarInFuture { least } else { most };
        // What lies beyond the other limit by that one was right by a time between the two.
        self.judge_ahead(ahead_ns + kindest).filter(|again| *again == reject)
    }

    fn judge_ahead(&self, ahead_ns: i128) -> Option<TradeReject> {
        if ahead_ns > i128::from(self.config.future_ns_max) {
            Some(TradeReject::TooFarInFuture)
        } else if -ahead_ns > i128::from(self.config.past_ns_max) {
            Some(TradeReject::TooFarInPast)
        } else {
            None
        }
    }

    fn reference(&mut self, instrument: InstrumentId) -> &mut Reference {
        let index = instrument.0 as usize;
        if index >= self.references.len() {
            self.references.resize(index + 1, Reference::default());
        }
        &mut self.references[index]
    }
}

impl Reference {
    /// Takes in a price and says whether it jumped.
    fn observe(&mut self, price: Decimal, config: &ValidationConfig) -> bool {
        let is_far = |from: Option<Decimal>| from.is_some_and(|from| differs(price, from, config.price_jump_bp));
        if !is_far(self.agreed) {
            *self = Self { agreed: Some(price), candidate: None, candidate_trades: 0 };
            return false;
        }
        let continues_run = self.candidate.is_some() && !is_far(self.candidate);
        self.candidate_trades = if continues_run { self.candidate_trades + 1 } else { 1 };
        self.candidate = Some(price);
        if self.candidate_trades >= config.price_jump_confirm_trades {
            *self = Self { agreed: Some(price), candidate: None, candidate_trades: 0 };
        }
        true
    }
}

/// Whether `price` is more than `limit_bp` hundredths of a percent of `reference` away from it. Both are above 0. Exact.
fn differs(price: Decimal, reference: Decimal, limit_bp: u32) -> bool {
    const WHOLE_BP: i128 = 10_000;
    let limit_bp = i128::from(limit_bp);
    let scale = price.scale().max(reference.scale());
    match (price.mantissa_at(scale), reference.mantissa_at(scale)) {
        (Some(price), Some(reference)) => {
            // reference x limit / whole, rounded down, without leaving 128 bits: the distance is a whole number, so
            // it exceeds the exact limit if and only if it exceeds the rounded one.
            let allowed = (reference / WHOLE_BP)
                .checked_mul(limit_bp)
                .and_then(|whole| whole.checked_add(reference % WHOLE_BP * limit_bp / WHOLE_BP));
            allowed.is_some_and(|allowed| (price - reference).abs() > allowed)
        }
        // A value that 128 bits do not hold at the common scale is above 10^38 there; the other is below 10^19.
        // The price dwarfs the reference: beyond any limit that 32 bits express.
        (None, _) => true,
        // The reference dwarfs the price: a fall of all but 100 %.
        (_, None) => limit_bp < WHOLE_BP,
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: InstrumentId = InstrumentId(1);
    const FLAGGED: Verdict = Verdict::Accept(Flags::PRICE_JUMP);
    const CLEAN: Verdict = Verdict::Accept(Flags::NONE);
    const JUMPED: Verdict = Verdict::Reject(TradeReject::PriceJump);

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn price_only(validator: &mut Validator, price: Decimal) -> Verdict {
        validator.check(ONE, price, decimal("1"), None, None)
    }

    #[test]
    fn each_rule_has_its_limit() {
        use TradeReject::{PriceNotPositive, SizeNotPositive, TooFarInFuture, TooFarInPast};
        let recv: i64 = 1_723_161_253_000_000_000;
        let (future, past) = (300_000_000_000, 3_650 * 86_400_000_000_000);
        let known = |ts| Some(UnixNanos(ts));
        let cases = [
            // name, price, size, venue time, receive time, expected
            ("ordinary", "58942.01", "0.5", known(recv), known(recv), CLEAN),
            ("smallest", "0.000000000000000001", "0.00000001", None, None, CLEAN),
            ("price zero", "0.00", "1", None, None, Verdict::Reject(PriceNotPositive)),
            ("price below zero", "-37.63", "1", None, None, Verdict::Reject(PriceNotPositive)),
            ("size zero", "1", "0.00000000", None, None, Verdict::Reject(SizeNotPositive)),
            ("size below zero", "1", "-1", None, None, Verdict::Reject(SizeNotPositive)),
            ("both zero", "0", "0", None, None, Verdict::Reject(PriceNotPositive)),
            ("at the future limit", "1", "1", known(recv + future), known(recv), CLEAN),
            ("past the future limit", "1", "1", known(recv + future + 1), known(recv), Verdict::Reject(TooFarInFuture)),
            ("at the past limit", "1", "1", known(recv - past), known(recv), CLEAN),
            ("past the past limit", "1", "1", known(recv - past - 1), known(recv), Verdict::Reject(TooFarInPast)),
            ("venue time unknown", "1", "1", None, known(recv), CLEAN),
            ("receive time unknown", "1", "1", known(i64::MAX), None, CLEAN),
            ("as far apart as can be", "1", "1", known(i64::MIN), known(i64::MAX), Verdict::Reject(TooFarInPast)),
        ];
        for (name, price, size, venue_ts, recv_ts, expected) in cases {
            let mut validator = Validator::new(ValidationConfig::default());
            assert_eq!(validator.check(ONE, decimal(price), decimal(size), venue_ts, recv_ts), expected, "{name}");
        }
        let mut off = Validator::new(ValidationConfig { enabled: false, ..ValidationConfig::default() });
        assert_eq!(off.check(ONE, Decimal::ZERO, Decimal::ZERO, known(i64::MAX), known(0)), CLEAN);
    }

    #[test]
    fn no_trade_is_lost_to_a_receiving_clock_that_was_set_wrong() {
        let (venue, hour): (i64, i64) = (1_723_161_253_000_000_000, 3_600_000_000_000);
        let far = 100_000 * hour;
        let judge = |steps: &[i64], recv: i64| {
            let mut validator = Validator::new(ValidationConfig::default());
            steps.iter().for_each(|step| validator.clock_stepped(*step));
            validator.check(ONE, decimal("1"), decimal("1"), Some(UnixNanos(venue)), Some(UnixNanos(recv)))
        };
        let too_early = Verdict::Reject(TradeReject::TooFarInFuture);
        let too_late = Verdict::Reject(TradeReject::TooFarInPast);
        let cases = [
            ("not set", judge(&[], venue - hour), too_early),
            ("set back, wrong now", judge(&[-hour], venue - hour), CLEAN),
            ("set back, wrong before", judge(&[-hour], venue), CLEAN),
            ("set back, and the trade is wrong by both", judge(&[-hour], venue - 2 * hour), too_early),
            ("set forward, wrong now", judge(&[far], venue + far), CLEAN),
            ("set forward, and the trade is wrong by both", judge(&[far], venue + 2 * far), too_late),
            ("set twice", judge(&[-hour, -hour], venue - 2 * hour), CLEAN),
            ("right only in between", judge(&[hour, -2 * hour], venue - 2 * hour), CLEAN),
            ("right only at first", judge(&[hour, -2 * hour], venue - hour), CLEAN),
            ("right only in between, the other way", judge(&[-far, 2 * far], venue + 2 * far), CLEAN),
            ("set wrong and right again", judge(&[-hour, hour], venue - hour), too_early),
        ];
        for (name, verdict, expected) in cases {
            assert_eq!(verdict, expected, "{name}");
        }
    }

    /// Limits narrower than the steps: by the first clock the trade is too old, by the present one too new.
    #[test]
    fn a_trade_that_was_right_only_between_two_steps_of_one_direction_is_kept_whatever_the_limits() {
        let hour = 3_600_000_000_000;
        let venue = 10 * hour;
        let config = ValidationConfig { past_ns_max: NANOS_PER_SECOND, ..ValidationConfig::default() };
        let judge = |steps: [i64; 2], recv: i64| {
            let mut validator = Validator::new(config);
            steps.iter().for_each(|step| validator.clock_stepped(*step));
            validator.check(ONE, decimal("1"), decimal("1"), Some(UnixNanos(venue)), Some(UnixNanos(recv)))
        };
        assert_eq!(judge([-hour, -hour], venue - hour), CLEAN, "back twice");
        assert_eq!(judge([hour, hour], venue + hour), CLEAN, "forward twice");
        let (too_early, too_late) = (TradeReject::TooFarInFuture, TradeReject::TooFarInPast);
        assert_eq!(judge([-hour, -hour], venue - 3 * hour), Verdict::Reject(too_early), "too new by all");
        assert_eq!(judge([hour, hour], venue + 3 * hour), Verdict::Reject(too_late), "too old by all");
    }

    #[test]
    fn a_jump_is_strictly_above_the_limit() {
        let cases = [
            // name, agreed, price, expected
            ("10 % up", "100", "110", CLEAN),
            ("just above 10 % up", "100", "110.000000000000001", FLAGGED),
            ("10 % down", "100.00", "90", CLEAN),
            ("just above 10 % down", "100", "89.999999999999999", FLAGGED),
            ("limit that is no whole number", "0.00000333", "0.00000366", CLEAN),
            ("one more", "0.00000333", "0.00000367", FLAGGED),
            ("same value, other scale", "1", "1.000000000000000000", CLEAN),
            ("price dwarfs", "0.000000000000000000000000000001", "9223372036854775807", FLAGGED),
            ("price is dwarfed", "9223372036854775807", "0.000000000000000000000000000001", FLAGGED),
        ];
        for (name, agreed, price, expected) in cases {
            let mut validator = Validator::new(ValidationConfig::default());
            assert_eq!(price_only(&mut validator, decimal(agreed)), CLEAN, "{name}: the first trade cannot jump");
            assert_eq!(price_only(&mut validator, decimal(price)), expected, "{name}");
        }
    }

    #[test]
    fn the_agreed_price_follows_only_confirmed_moves() {
        let cases = [
            // name, prices, and for each whether it jumped; three trades confirm
            ("slow walk", "100 109 118 129", "0000"),
            ("one outlier", "100 500 101", "010"),
            ("outliers that do not agree", "100 500 900 500 900 500 100", "0111110"),
            ("confirmed move", "100 200 205 210 215", "01110"),
            ("an ordinary trade starts the count again", "100 200 200 100 200 200 200 200", "01101110"),
            ("crash and return", "100 50 50 50 50 100 100 100 100", "011101110"),
        ];
        for action in [JumpAction::Flag, JumpAction::Reject] {
            let config = ValidationConfig {
                price_jump_action: action,
                price_jump_confirm_trades: 3,
                ..ValidationConfig::default()
            };
            for (name, prices, jumped) in cases {
                let mut validator = Validator::new(config);
                let verdicts = prices.split(' ').map(|price| price_only(&mut validator, decimal(price)));
                let bad = if action == JumpAction::Flag { FLAGGED } else { JUMPED };
                let expected = jumped.chars().map(|c| if c == '1' { bad } else { CLEAN });
                assert!(verdicts.eq(expected), "{name}, {action:?}");
            }
        }
    }

    #[test]
    fn instruments_are_apart_and_bad_trades_leave_no_trace() {
        let mut validator = Validator::new(ValidationConfig::default());
        assert_eq!(price_only(&mut validator, decimal("100")), CLEAN);
        assert_eq!(validator.check(InstrumentId(7), decimal("0.01"), decimal("1"), None, None), CLEAN);
        for _ in 0..9 {
            validator.check(ONE, decimal("500"), Decimal::ZERO, None, None);
        }
        assert_eq!(price_only(&mut validator, decimal("500")), FLAGGED);
        assert_eq!(price_only(&mut validator, decimal("100")), CLEAN);
    }

    #[test]
    fn reasons_keep_their_names_and_places() {
        let names = TradeReject::ALL.map(TradeReject::name);
        assert_eq!(
            names,
            ["price_not_positive", "size_not_positive", "too_far_in_future", "too_far_in_past", "price_jump"]
        );
        assert_eq!(TradeReject::ALL.map(TradeReject::index), [0, 1, 2, 3, 4]);
    }

    fn positive() -> impl Strategy<Value = Decimal> {
        (1..=i64::MAX, 0u32..63, 0u8..=30).prop_map(|(m, shift, s)| Decimal::new((m >> shift).max(1), s).unwrap())
    }

    proptest! {
        /// Whatever came before, N trades that agree make their level the agreed one.
        #[test]
        fn never_latches(
            before in prop::collection::vec(positive(), 0..20), level in positive(),
            confirm in 0u32..6, limit in 0u32..20_000, rejects: bool,
        ) {
            let action = if rejects { JumpAction::Reject } else { JumpAction::Flag };
            let mut validator = Validator::new(ValidationConfig {
                price_jump_bp: limit,
                price_jump_action: action,
                price_jump_confirm_trades: confirm,
                ..ValidationConfig::default()
            });
            for price in before {
                price_only(&mut validator, price);
            }
            for _ in 0..confirm.max(1) {
                price_only(&mut validator, level);
            }
            prop_assert_eq!(price_only(&mut validator, level), CLEAN);
        }

        /// Equal to arithmetic without bounds, at any scale.
        #[test]
        fn distance_is_exact(price in positive(), reference in positive(), near in -9_999i64..20_000, limit: u32, small in 0u32..20_000) {
            use bigdecimal::BigDecimal;
            let big = |d: Decimal| BigDecimal::new(d.mantissa().into(), d.scale().into());
            let nearby = (i128::from(reference.mantissa()) * (10_000 + i128::from(near)) / 10_000).max(1);
            let nearby = i64::try_from(nearby).ok().and_then(|m| Decimal::new(m, reference.scale())).unwrap_or(price);
            for (price, limit) in [(price, limit), (price, small), (nearby, small), (nearby, near.unsigned_abs().try_into().unwrap())] {
                let expected = (big(price) - big(reference)).abs() * 10_000 > big(reference) * limit;
                prop_assert_eq!(differs(price, reference, limit), expected, "{} {} {}", price, reference, limit);
            }
        }
    }
}

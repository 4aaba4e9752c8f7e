//! What sets one simulated symbol apart from another: price level, price and size steps, usual sizes.

/// Amounts are integers in units of 10^-8, the eight decimals that Binance prints.
pub(super) const ONE_E8: u64 = 100_000_000;

/// The market of one symbol. Prices stand on rungs: every rung holds one possible level, on the venue's tick grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    symbol: &'static str,
    /// Price at the start, in ticks.
    ticks_first: u64,
    /// Smallest price step, in 10^-8 of the quote currency.
    pub(super) tick_e8: u64,
    /// Ticks from one rung to the next. Above 1 where a tick is tiny against the price, so that the price walks fast
    /// enough and the levels have the gaps of a real book.
    rung_ticks: u64,
    /// Smallest size step, in 10^-8 of the base currency.
    pub(super) lot_e8: u64,
    /// Largest usual size of a level: 2^bits lots.
    pub(super) size_bits: u32,
}

impl Profile {
    /// The profile of `symbol`; one of a middling coin when the symbol is not among the ten defaults.
    pub(super) fn of(symbol: &str) -> Self {
        PROFILES.into_iter().find(|p| p.symbol == symbol).unwrap_or(OTHER)
    }

    /// The rung that the price starts on.
    pub(super) const fn rung_first(&self) -> u64 {
        self.ticks_first / self.rung_ticks
    }

    /// Price of a rung in 10^-8: rises with the rung, always a whole number of ticks.
    pub(super) const fn price_e8(&self, rung: u64) -> u64 {
        // A fixed scramble of the rung's number places the level within its rung, so that prices do not come in
        // multiples of the rung.
        let within = (rung.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.rung_ticks;
        (rung * self.rung_ticks + within) * self.tick_e8
    }
}

/// The ten default symbols, near their prices of August 2024, with Binance's tick and lot sizes.
const PROFILES: [Profile; 10] = [
    profile("BTCUSDT", 6_000_000, ONE_E8 / 100, 50, ONE_E8 / 100_000, 19),
    profile("ETHUSDT", 270_000, ONE_E8 / 100, 3, ONE_E8 / 10_000, 18),
    profile("SOLUSDT", 15_000, ONE_E8 / 100, 1, ONE_E8 / 1_000, 19),
    profile("BNBUSDT", 55_000, ONE_E8 / 100, 2, ONE_E8 / 1_000, 15),
    profile("XRPUSDT", 5_800, ONE_E8 / 10_000, 1, ONE_E8 / 10, 19),
    profile("TRXUSDT", 1_300, ONE_E8 / 10_000, 1, ONE_E8 / 10, 20),
    profile("ADAUSDT", 3_500, ONE_E8 / 10_000, 1, ONE_E8 / 10, 19),
    profile("DOGEUSDT", 10_500, ONE_E8 / 100_000, 1, ONE_E8, 18),
    profile("AVAXUSDT", 2_200, ONE_E8 / 100, 1, ONE_E8 / 100, 17),
    profile("DOTUSDT", 4_800, ONE_E8 / 1_000, 1, ONE_E8 / 100, 18),
];

/// Any other symbol: 10.000 with a tick of 0.001.
const OTHER: Profile = profile("", 10_000, ONE_E8 / 1_000, 1, ONE_E8 / 100, 17);

const fn profile(
    symbol: &'static str,
    ticks_first: u64,
    tick_e8: u64,
    rung_ticks: u64,
    lot_e8: u64,
    size_bits: u32,
) -> Profile {
    Profile { symbol, ticks_first, tick_e8, rung_ticks, lot_e8, size_bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_rise_with_the_rung_and_stay_on_the_tick_grid() {
        for profile in PROFILES.into_iter().chain([OTHER]) {
            let first = profile.rung_first();
            for rung in first / 2..first / 2 + 2_000 {
                let price = profile.price_e8(rung);
                assert!(price < profile.price_e8(rung + 1), "{}: rung {rung}", profile.symbol);
                assert_eq!(price % profile.tick_e8, 0, "{}: rung {rung}", profile.symbol);
            }
        }
    }

    #[test]
    fn an_unknown_symbol_gets_a_price_too() {
        assert_eq!(Profile::of("PEPEUSDT").price_e8(OTHER.rung_first()), 10 * ONE_E8);
    }
}

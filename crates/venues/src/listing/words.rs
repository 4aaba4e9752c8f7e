//! Words that both listings print.

use feedd_model::Side;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A taker's side.
pub(super) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

/// A digest in lower-case hexadecimal.
pub(super) fn sha256_hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

//! Other symbols for shards that run: what stays stays where it is, what comes goes where there is room.
//!
//! A new shard would need a ring that the batching thread does not have: the rings of a run are fixed when it begins. So
//! symbols for which no connection has room wait for the next start.

use crate::plan::Shard;
use crate::stream::{Stream, StreamKind};

/// What changes on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Place of the shard.
    pub shard: usize,
    /// Its symbols that are not wanted any more.
    pub leave: Vec<String>,
    /// Symbols that it carries from now on.
    pub join: Vec<String>,
}

/// Why symbols cannot be changed while the shards run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// Every connection is full.
    #[error(
        "no connection has room for {symbol} (streams_per_connection = {limit}); a further one is opened at a start"
    )]
    NoRoom {
        /// The first one without a place.
        symbol: String,
        /// The venue's limit.
        limit: usize,
    },
    /// Venues cut connections that carry nothing.
    #[error("the connection of {shard} would carry nothing any more; it is left out at a start")]
    Emptied {
        /// Name of the shard.
        shard: String,
    },
}

/// How the shards of a source come to carry these symbols, at most `limit` streams on each.
///
/// # Errors
/// [`MoveError`] when that takes other connections than there are.
pub fn moves(shards: &[Shard], wanted: &[String], limit: usize) -> Result<Vec<Move>, MoveError> {
    let has = |shard: &Shard, symbol: &str| shard.symbols().any(|other| other == symbol);
    let leave = |shard: &Shard| {
        shard.symbols().filter(|symbol| wanted.iter().all(|wanted| wanted != symbol)).map(str::to_owned).collect()
    };
    let begin = |(shard, of): (usize, &Shard)| Move { shard, leave: leave(of), join: Vec::new() };
    let mut moves: Vec<Move> = shards.iter().enumerate().map(begin).collect();
    let symbols = |moved: &Move| shards[moved.shard].symbols().count() - moved.leave.len() + moved.join.len();
    let mut routes: Vec<_> = shards.iter().map(|shard| shard.route).collect();
    routes.sort_unstable();
    routes.dedup();
    for route in routes {
        let is_new = |symbol: &&String| !shards.iter().any(|shard| shard.route == route && has(shard, symbol));
        for symbol in wanted.iter().filter(is_new) {
            let has_room = |moved: &&mut Move| {
                let shard = &shards[moved.shard];
                shard.route == route && (symbols(moved) + 1) * kinds(shard).len() <= limit
            };
            let emptiest = moves.iter_mut().filter(has_room).min_by_key(|moved| symbols(moved));
            match emptiest {
                Some(moved) => moved.join.push(symbol.clone()),
                None => return Err(MoveError::NoRoom { symbol: symbol.clone(), limit }),
            }
        }
    }
    if let Some(emptied) = moves.iter().find(|moved| symbols(moved) == 0) {
        return Err(MoveError::Emptied { shard: shards[emptied.shard].name.clone() });
    }
    moves.retain(|moved| !moved.leave.is_empty() || !moved.join.is_empty());
    Ok(moves)
}

impl Move {
    /// The shard as it is afterwards.
    pub fn apply(&self, shard: &mut Shard) {
        let kinds = kinds(shard);
        shard.streams.retain(|stream| !self.leave.contains(&stream.symbol));
        let join =
            self.join.iter().flat_map(|symbol| kinds.iter().map(|&kind| Stream { kind, symbol: symbol.clone() }));
        shard.streams.extend(join);
    }
}

/// The kinds of streams that every symbol of a shard has.
fn kinds(shard: &Shard) -> Vec<StreamKind> {
    StreamKind::ALL.into_iter().filter(|kind| shard.streams.iter().any(|stream| stream.kind == *kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::plan;
    use crate::protocol::Market;
    use crate::protocol::testing::config;

    fn names(symbols: &[&str]) -> Vec<String> {
        symbols.iter().map(|&symbol| symbol.to_owned()).collect()
    }

    /// Quotes and depth on one route, trades on another; four symbols on two connections of the first, and all on one.
    fn shards() -> Vec<Shard> {
        let mut config = config(Market::BinanceUsdm);
        config.symbols = names(&["A", "B", "C", "D"]);
        config.limits.streams_per_connection = 4;
        let shards = plan("usdm", &config).unwrap();
        let symbols: Vec<Vec<&str>> = shards.iter().map(|shard| shard.symbols().collect()).collect();
        assert_eq!(symbols, [vec!["A", "B"], vec!["C", "D"], vec!["A", "B", "C", "D"]]);
        shards
    }

    #[test]
    fn what_stays_stays_where_it_is() {
        let mut shards = shards();
        let same = moves(&shards, &names(&["D", "C", "B", "A"]), 4).unwrap();
        assert_eq!(same, [], "another order is no change");
        let moves = moves(&shards, &names(&["E", "A", "C", "D"]), 4).unwrap();
        let moved = |shard, leave: &[&str], join: &[&str]| Move { shard, leave: names(leave), join: names(join) };
        assert_eq!(moves, [moved(0, &["B"], &["E"]), moved(2, &["B"], &["E"])]);
        for moved in &moves {
            moved.apply(&mut shards[moved.shard]);
        }
        let symbols: Vec<Vec<&str>> = shards.iter().map(|shard| shard.symbols().collect()).collect();
        assert_eq!(symbols, [vec!["A", "E"], vec!["C", "D"], vec!["A", "C", "D", "E"]]);
        assert!(shards[0].streams.iter().all(|stream| stream.kind != StreamKind::Trades));
        assert_eq!(shards[0].streams.len(), 4);
    }

    #[test]
    fn what_takes_other_connections_is_refused() {
        let shards = shards();
        let full = moves(&shards, &names(&["A", "B", "C", "D", "E"]), 4).unwrap_err();
        let text = "no connection has room for E (streams_per_connection = 4); a further one is opened at a start";
        assert_eq!(full.to_string(), text);
        let emptied = moves(&shards, &names(&["A", "B"]), 4).unwrap_err();
        let text = "the connection of usdm.2 would carry nothing any more; it is left out at a start";
        assert_eq!(emptied.to_string(), text);
    }
}

-- Bars made from trades; a revision is a row of its own with a higher number.
CREATE TABLE bars (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue text COLLATE "C" NOT NULL, symbol text COLLATE "C" NOT NULL,
  interval_ns bigint NOT NULL, start_ts bigint NOT NULL, end_ts bigint NOT NULL,
  open numeric NOT NULL, high numeric NOT NULL, low numeric NOT NULL, close numeric NOT NULL,
  volume numeric NOT NULL, notional numeric NOT NULL, trades bigint NOT NULL,
  revision int NOT NULL, flags smallint NOT NULL
);

-- The trades under the names that trading software commonly uses.
CREATE VIEW tick_data AS
SELECT coalesce(venue_time, recv_time) AS timestamp, symbol, price, size AS quantity, side, trade_id,
  side = 'sell' AS is_buyer_maker
FROM trades;

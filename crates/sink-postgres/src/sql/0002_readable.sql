-- Readable layout: the tables are what the views of the compact layout show.
CREATE TABLE trades (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  price numeric NOT NULL, size numeric NOT NULL, side text COLLATE "C", trade_id text COLLATE "C"
) PARTITION BY RANGE (recv_ts);
CREATE TABLE quotes (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  bid numeric, bid_size numeric, ask numeric, ask_size numeric, venue_seq bigint
) PARTITION BY RANGE (recv_ts);
CREATE TABLE books (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  action text COLLATE "C" NOT NULL, seq_first bigint, seq_last bigint, seq_prev bigint, checksum bigint,
  bids int NOT NULL, asks int NOT NULL
) PARTITION BY RANGE (recv_ts);
CREATE TABLE levels (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  action text COLLATE "C" NOT NULL, side text COLLATE "C" NOT NULL, price numeric NOT NULL, size numeric NOT NULL,
  venue_seq bigint, level int NOT NULL
) PARTITION BY RANGE (recv_ts);
CREATE TABLE gaps (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  reason text COLLATE "C" NOT NULL, first_missing bigint, last_missing bigint, from_ts bigint, to_ts bigint, events numeric
) PARTITION BY RANGE (recv_ts);
CREATE TABLE status (
  stream bigint NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL,
  venue_time timestamptz, venue_ts bigint, recv_time timestamptz, recv_ts bigint,
  venue text COLLATE "C", symbol text COLLATE "C", flags smallint NOT NULL,
  code text COLLATE "C" NOT NULL, detail numeric NOT NULL
) PARTITION BY RANGE (recv_ts);

CREATE TABLE trades_default PARTITION OF trades DEFAULT;
CREATE TABLE quotes_default PARTITION OF quotes DEFAULT;
CREATE TABLE books_default PARTITION OF books DEFAULT;
CREATE TABLE levels_default PARTITION OF levels DEFAULT;
CREATE TABLE gaps_default PARTITION OF gaps DEFAULT;
CREATE TABLE status_default PARTITION OF status DEFAULT;

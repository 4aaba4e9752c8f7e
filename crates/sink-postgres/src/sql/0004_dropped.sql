-- What retention has dropped: a row for each start in each dropped partition, made in the transaction of the drop. In the
-- compact layout rows name their start by the ledger's id, in the readable one by stream and epoch.
CREATE TABLE feedd_dropped (
  partition text COLLATE "C" NOT NULL,
  run int, stream bigint, epoch bigint,
  rows bigint NOT NULL,
  markers bigint NOT NULL, -- gap rows among them that mark events this store never got
  missed numeric NOT NULL, -- how many events those mark
  dropped_at timestamptz NOT NULL DEFAULT now()
);

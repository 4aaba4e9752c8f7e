"""What a source dropped by policy is marked in `gaps`, and adds up. See recording.py."""

import re
import unittest

import recording
from test_readback import READERS, has_files


class Gaps(unittest.TestCase):
    def test_every_dropped_event_is_in_a_gap(self):
        # A ring of 64 events, filled much faster than it can be stored: most messages have no room.
        folder, account = recording.run("DEMO", "--set", "source.0.full=drop", "--set", "ring.capacity=64")
        counts = {what: int(n) for n, what in re.findall(r"(\d+) (decoded|own|accepted|dropped|unaccounted)", account)}
        decoded = sum(recording.summary("DEMO")["events"].values()) + self.levels()
        self.assertGreater(counts["dropped"], 0, account)
        for reader, read in READERS.items():
            with self.subTest(reader=reader):
                rows = {kind: read(folder, kind) for kind in recording.KINDS if has_files(folder, kind)}
                gaps = rows["gaps"]
                self.assertEqual({row["reason"] for row in gaps}, {"ring_full"})
                self.assertEqual(sum(row["events"] for row in gaps), counts["dropped"])
                self.assertTrue(all(row["from_ts"] <= row["to_ts"] for row in gaps))
                own = len(gaps) + len(rows["status"])
                stored = sum(len(kind) for kind in rows.values())
                self.assertEqual(stored - own + counts["dropped"], decoded)

    def levels(self):
        symbols = recording.summary("DEMO")["symbols"].values()
        groups = [group for symbol in symbols for group in symbol.values()]
        return sum(group.get("levels", 0) for group in groups)


if __name__ == "__main__":
    recording.require_shared()
    unittest.main()

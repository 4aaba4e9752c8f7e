//! The committed corpus of the fuzz target, replayed on the stable compiler.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_replay::fuzzing::csv_line;
use proptest::prelude::*;
use std::path::Path;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/csv_line");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn the_corpus_is_answered() {
    let corpus = corpus();
    assert!(corpus.len() >= 7, "the corpus is there");
    corpus.iter().for_each(|bytes| csv_line(bytes));
}

proptest! {
    /// Lines of the corpus with bytes changed, cut out and put in.
    #[test]
    fn changed_lines_are_answered(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..6),
    ) {
        let corpus = corpus();
        let mut bytes = at.get(&corpus).clone();
        for (place, change, byte) in changes {
            let place = place.index(bytes.len().max(1)).min(bytes.len());
            match change {
                0 if place < bytes.len() => bytes[place] = byte,
                1 if place < bytes.len() => {
                    bytes.remove(place);
                }
                _ => bytes.insert(place, byte),
            }
        }
        csv_line(&bytes);
    }
}

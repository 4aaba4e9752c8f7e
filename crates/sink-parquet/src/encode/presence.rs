//! Which rows of a page have a value: the definition levels of a column that is not nested.

use super::hybrid;

/// Runs of rows with and without a value.
#[derive(Default)]
pub(super) struct Presence {
    present: bool,
    /// Rows of the run that is being counted.
    run: u32,
    /// Finished runs; the one before has the other state.
    runs: Vec<(bool, u32)>,
}

impl Presence {
    #[inline]
    pub(super) fn push(&mut self, present: bool) {
        if present != self.present && self.run > 0 {
            self.runs.push((self.present, self.run));
            self.run = 0;
        }
        self.present = present;
        self.run += 1;
    }

    fn all(&self) -> impl Iterator<Item = (bool, u32)> {
        self.runs.iter().copied().chain((self.run > 0).then_some((self.present, self.run)))
    }

    pub(super) fn rows(&self) -> u32 {
        self.all().map(|(_, run)| run).sum()
    }

    /// Appends the levels behind their length.
    pub(super) fn encode(&self, levels: &mut Vec<u32>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        if self.runs.is_empty() {
            hybrid::put_run(self.present.into(), self.run as usize, 1, out);
        } else {
            levels.clear();
            levels.extend(self.all().flat_map(|(present, run)| std::iter::repeat_n(u32::from(present), run as usize)));
            hybrid::encode(levels, 1, out);
        }
        let bytes = u32::try_from(out.len() - start - 4).expect("a page's levels stay far below 4 GiB");
        out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.runs.capacity() * size_of::<(bool, u32)>()
    }

    /// Starts the next page.
    pub(super) fn clear(&mut self) {
        self.run = 0;
        self.runs.clear();
    }
}

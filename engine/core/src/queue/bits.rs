//! A growable set of small numbers: which requirement classes a capability class serves.

/// One bit a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitSet(Vec<u64>);

impl BitSet {
    pub(crate) fn set(&mut self, index: u32, on: bool) {
        let (word, bit) = (index as usize / 64, index % 64);
        if on && word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            if on {
                *bits |= 1 << bit;
            } else {
                *bits &= !(1 << bit);
            }
        }
    }

    pub(crate) fn has(&self, index: u32) -> bool {
        self.0.get(index as usize / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || {
                (left != 0).then(|| {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    u32::try_from(word).expect("classes are numbered by u32") * 64 + bit
                })
            })
        })
    }
}

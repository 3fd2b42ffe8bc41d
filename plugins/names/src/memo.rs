//! One answer for each text of a batch: jobs of one build share their tenant, and the tenant is looked up once.

/// Answers by the index of a text in a batch's table of strings.
///
/// ```
/// use berth_policy_names::PerText;
///
/// let strings = ["", "team-a"];
/// let mut lengths = PerText::new(strings.len());
/// assert_eq!(*lengths.of(1, || strings[1].len()), 6);
/// assert_eq!(*lengths.of(1, || unreachable!("asked once")), 6);
/// ```
#[derive(Debug)]
pub struct PerText<T> {
    known: Vec<Option<T>>,
    /// The answer for an index beyond the table, which Berth never sends: not kept, and no panic.
    beyond: Option<T>,
}

impl<T> PerText<T> {
    /// No answers yet, for a table of so many texts.
    pub fn new(texts: usize) -> Self {
        Self { known: std::iter::repeat_with(|| None).take(texts).collect(), beyond: None }
    }

    /// The answer for the text at `index`; worked out at the first time.
    pub fn of(&mut self, index: u32, answer: impl FnOnce() -> T) -> &T {
        match self.known.get_mut(index as usize) {
            Some(slot) => slot.get_or_insert_with(answer),
            None => self.beyond.insert(answer()),
        }
    }
}

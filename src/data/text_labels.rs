//! The classes of texts, as numbers.

/// The classes of texts: exactly one for each, or any number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextLabels {
    /// The class of each text.
    One(Vec<u32>),
    /// The classes of each text, in ascending order; a text may have none.
    Several(Vec<Vec<u32>>),
}

impl Default for TextLabels {
    /// No texts, each of which has one class.
    fn default() -> Self {
        Self::One(Vec::new())
    }
}

impl From<Vec<u32>> for TextLabels {
    fn from(classes: Vec<u32>) -> Self {
        Self::One(classes)
    }
}

impl FromIterator<u32> for TextLabels {
    fn from_iter<I: IntoIterator<Item = u32>>(classes: I) -> Self {
        Self::One(classes.into_iter().collect())
    }
}

impl TextLabels {
    /// Number of texts.
    pub fn len(&self) -> usize {
        match self {
            Self::One(classes) => classes.len(),
            Self::Several(sets) => sets.len(),
        }
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes of a text, in ascending order.
    ///
    /// # Panics
    /// There is no such text.
    pub fn of(&self, text: usize) -> &[u32] {
        match self {
            Self::One(classes) => std::slice::from_ref(&classes[text]),
            Self::Several(sets) => &sets[text],
        }
    }

    /// Whether a text belongs to a class.
    pub fn has(&self, text: usize, class: usize) -> bool {
        self.of(text).iter().any(|&of| of as usize == class)
    }

    /// The number of texts of each of `classes` classes, among the first `texts` ones.
    pub fn counts(&self, texts: usize, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for text in 0..texts.min(self.len()) {
            for &class in self.of(text) {
                if let Some(count) = counts.get_mut(class as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }

    /// The classes of some of the texts, by number.
    pub(crate) fn subset(&self, texts: &[usize]) -> Self {
        match self {
            Self::One(classes) => Self::One(texts.iter().map(|&text| classes[text]).collect()),
            Self::Several(sets) => {
                Self::Several(texts.iter().map(|&text| sets[text].clone()).collect())
            }
        }
    }

    /// Adds `times` texts with the classes of a text.
    pub(crate) fn repeat(&mut self, text: usize, times: usize) {
        match self {
            Self::One(classes) => classes.extend(vec![classes[text]; times]),
            Self::Several(sets) => sets.extend(vec![sets[text].clone(); times]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_count_and_repeat() {
        let mut one = TextLabels::from(vec![1, 0, 1]);
        one.repeat(1, 2);
        assert_eq!(one, TextLabels::One(vec![1, 0, 1, 0, 0]));
        assert_eq!(one.counts(3, 2), [1, 2]);
        let mut several = TextLabels::Several(vec![vec![0, 2], vec![], vec![2]]);
        several.repeat(0, 1);
        assert_eq!((several.len(), several.of(3)), (4, &[0, 2][..]));
        assert_eq!(several.counts(9, 3), [2, 0, 3]);
        assert!(several.has(2, 2) && !several.has(1, 0));
    }
}

//! The texts about which two models differ.

use super::super::evaluate::Evaluation;
use crate::data::Labels;

/// A text about which two models differ: one of them is right, or both are wrong in different ways.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Difference {
    /// The number of the text, from 0.
    pub text: usize,
    /// The class that each model predicts, by its own numbers.
    pub classes: [usize; 2],
    /// The probability of that class.
    pub probabilities: [f64; 2],
    /// Which models are right.
    pub right: [bool; 2],
}

impl Difference {
    /// The probability that a wrong model gives its class; of two, the higher one.
    #[must_use]
    pub fn error(&self) -> f64 {
        let models = self.probabilities.into_iter().zip(self.right);
        let wrong = models.filter(|(_, right)| !right);
        wrong
            .map(|(probability, _)| probability)
            .fold(0.0, f64::max)
    }
}

/// The texts about which two models with these classes differ, in their order.
pub fn differences(
    first: (&Evaluation, &Labels),
    second: (&Evaluation, &Labels),
) -> Vec<Difference> {
    let judged = first.0.judged.iter().zip(&second.0.judged);
    let texts = judged.enumerate().map(|(text, (a, b))| Difference {
        text,
        classes: [a.class as usize, b.class as usize],
        probabilities: [a.score, b.score],
        right: [a.is_correct(), b.is_correct()],
    });
    texts
        .filter(|found| match found.right {
            [false, false] => {
                let [a, b] = found.classes;
                first.1.names()[a] != second.1.names()[b]
            }
            [first, second] => first != second,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_differ_where_their_classes_have_other_names() {
        let labels = |names: [&str; 3]| Labels::new(names.map(str::to_owned).to_vec()).unwrap();
        let evaluation = |classes: [usize; 3], labels: [u32; 3]| {
            let rows = classes.map(|class| {
                let row = (0..3).map(|other| if other == class { 0.8f64 } else { 0.1 });
                row.map(f64::ln).collect()
            });
            Evaluation::new(&rows, &labels, 3).unwrap()
        };
        // The second model numbers its classes in another order. Both say "b" of the first text, which is "a".
        let (first, second) = (labels(["a", "b", "c"]), labels(["c", "b", "a"]));
        let a = evaluation([1, 0, 2], [0, 0, 1]);
        let b = evaluation([1, 1, 2], [2, 2, 1]);
        let found = differences((&a, &first), (&b, &second));
        let found: Vec<_> = found
            .iter()
            .map(|found| (found.text, found.classes, found.right))
            .collect();
        let expected = [(1, [0, 1], [true, false]), (2, [2, 2], [false, false])];
        assert_eq!(found, expected);
    }
}

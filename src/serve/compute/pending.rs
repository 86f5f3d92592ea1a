//! Which of the waiting texts are classified next.
//!
//! There is no window in which a text waits for others: as soon as the last batch is done, the next one is taken from
//! whatever waits by then, up to a number of tokens. If everything fits, all of it is taken. If not, a batch is made of
//! texts of similar length, which cost least together, around a first one: in turn the oldest and the shortest. So a short
//! text does not wait for all of the long ones before it, nor a long one for all of the short ones.

use std::collections::VecDeque;

/// What can wait.
pub(super) trait Waiting {
    /// Texts of one model only are classified together.
    fn is_of_same_model(&self, other: &Self) -> bool;
    /// The number of tokens, at least 1.
    fn tokens(&self) -> usize;
    /// Whether nobody waits for the answer any more.
    fn is_cancelled(&self) -> bool;
}

/// The waiting texts in the order of their arrival.
pub(super) struct Pending<T> {
    waiting: VecDeque<T>,
    /// A batch has no more tokens than this, unless one text alone has.
    batch_tokens: usize,
    /// Whether the next batch is made around the shortest text.
    shortest: bool,
}

impl<T: Waiting> Pending<T> {
    pub(super) fn new(batch_tokens: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            batch_tokens,
            shortest: false,
        }
    }

    pub(super) fn push(&mut self, text: T) {
        self.waiting.push_back(text);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next batch in the order of arrival, without what was cancelled, which is dropped; empty if nothing waits.
    pub(super) fn take(&mut self) -> Vec<T> {
        self.waiting.retain(|text| !text.is_cancelled());
        let Some(first) = self.first() else {
            return Vec::new();
        };
        // In turn also where everything fits: there may be other models.
        self.shortest = !self.shortest;
        let around = &self.waiting[first];
        let length = around.tokens();
        let others = self.waiting.iter().enumerate();
        let others = others.filter(|(at, text)| *at != first && text.is_of_same_model(around));
        let mut others: Vec<(usize, usize)> = others
            .map(|(at, text)| (text.tokens().abs_diff(length), at))
            .collect();
        // Of texts of one length the oldest are taken.
        others.sort_unstable();
        let mut is_taken = vec![false; self.waiting.len()];
        is_taken[first] = true;
        let mut tokens = length;
        for (_, at) in others {
            tokens += self.waiting[at].tokens();
            if tokens > self.batch_tokens {
                break;
            }
            is_taken[at] = true;
        }
        self.remove(&is_taken)
    }

    /// The place of the text around which the next batch is made.
    fn first(&self) -> Option<usize> {
        let places = 0..self.waiting.len();
        match self.shortest {
            true => places.min_by_key(|&at| self.waiting[at].tokens()),
            false => places.into_iter().next(),
        }
    }

    fn remove(&mut self, is_taken: &[bool]) -> Vec<T> {
        let (mut taken, mut left) = (Vec::new(), VecDeque::with_capacity(self.waiting.len()));
        for (text, &is_taken) in self.waiting.drain(..).zip(is_taken) {
            match is_taken {
                true => taken.push(text),
                false => left.push_back(text),
            }
        }
        self.waiting = left;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[derive(Debug, Clone, PartialEq)]
    struct Text {
        number: usize,
        model: usize,
        tokens: usize,
        is_cancelled: bool,
    }

    impl Waiting for Text {
        fn is_of_same_model(&self, other: &Self) -> bool {
            self.model == other.model
        }
        fn tokens(&self) -> usize {
            self.tokens
        }
        fn is_cancelled(&self) -> bool {
            self.is_cancelled
        }
    }

    fn text(number: usize, model: usize, tokens: usize) -> Text {
        Text {
            number,
            model,
            tokens,
            is_cancelled: false,
        }
    }

    fn numbers(batch: &[Text]) -> Vec<usize> {
        batch.iter().map(|text| text.number).collect()
    }

    #[test]
    fn everything_that_fits_is_taken_in_the_order_of_arrival() {
        let mut pending = Pending::new(100);
        for (number, tokens) in [30, 5, 60, 5].into_iter().enumerate() {
            pending.push(text(number, 0, tokens));
        }
        assert_eq!(numbers(&pending.take()), [0, 1, 2, 3]);
        assert!(pending.is_empty());
        assert!(pending.take().is_empty());
    }

    #[test]
    fn a_batch_is_made_around_the_oldest_and_the_shortest_in_turn() {
        let mut pending = Pending::new(100);
        for (number, tokens) in [60, 2, 55, 3, 40, 2].into_iter().enumerate() {
            pending.push(text(number, 0, tokens));
        }
        // Next to 60 is 55, with which it is too much.
        assert_eq!(numbers(&pending.take()), [0]);
        // Next to the first 2 are the other one, 3 and 40, then 55.
        assert_eq!(numbers(&pending.take()), [1, 3, 4, 5]);
        assert_eq!(numbers(&pending.take()), [2]);
    }

    #[test]
    fn a_text_of_more_tokens_than_a_batch_is_alone() {
        let mut pending = Pending::new(10);
        pending.push(text(0, 0, 500));
        pending.push(text(1, 0, 1));
        assert_eq!(numbers(&pending.take()), [0]);
        assert_eq!(numbers(&pending.take()), [1]);
    }

    #[test]
    fn models_take_turns() {
        let mut pending = Pending::new(100);
        pending.push(text(0, 0, 1));
        pending.push(text(1, 1, 90));
        // However many short ones of the first arrive, the second is next or after the next.
        let mut batches = Vec::new();
        for number in 2..6 {
            batches.push(numbers(&pending.take()));
            pending.push(text(number, 0, 1));
        }
        assert_eq!(batches[..3], [vec![0], vec![2], vec![1]]);
    }

    #[test]
    fn what_is_cancelled_is_in_no_batch() {
        let mut pending = Pending::new(100);
        pending.push(text(0, 0, 1));
        pending.push(Text {
            is_cancelled: true,
            ..text(1, 0, 1)
        });
        assert_eq!(numbers(&pending.take()), [0]);
        assert!(pending.is_empty());
    }

    #[test]
    fn in_any_order_each_text_is_in_one_batch_and_the_oldest_waits_for_at_most_one_other() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed, Stream::Shuffle, 0, 0);
            let batch_tokens = 1 + rng.below(50);
            let mut pending = Pending::new(batch_tokens);
            let (mut arrived, mut left) = (0, Vec::new());
            let mut waited = 0;
            for _ in 0..200 {
                for _ in 0..rng.below(4) {
                    let tokens = 1 + rng.below(60);
                    pending.push(text(arrived, rng.below(3), tokens));
                    left.push(arrived);
                    arrived += 1;
                }
                let batch = pending.take();
                assert_eq!(batch.is_empty(), left.is_empty());
                let tokens: usize = batch.iter().map(|text| text.tokens).sum();
                assert!(
                    tokens <= batch_tokens || batch.len() == 1,
                    "{tokens} of {batch_tokens}"
                );
                assert!(batch.iter().all(|text| text.model == batch[0].model));
                assert!(batch.is_sorted_by_key(|text| text.number));
                let oldest = left.first().copied();
                left.retain(|number| !numbers(&batch).contains(number));
                let still_waits = oldest.is_some() && oldest == left.first().copied();
                waited = if still_waits { waited + 1 } else { 0 };
                assert!(waited <= 1, "seed {seed}: {oldest:?}");
            }
            while !pending.is_empty() {
                let batch = pending.take();
                left.retain(|number| !numbers(&batch).contains(number));
            }
            assert!(left.is_empty());
        }
    }
}

//! The benchmark workload: a shape, a recurrence, and a random batch.

use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::models::classifier::ModelConfig;
use crate::rng::{Rng, Stream};
use crate::rnn::kernels::CellType;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The sizes of a classifier and its batch, written `B,T,E,H,L,V`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Number of rows of the batch, B.
    pub batch: usize,
    /// Number of steps of the longest row, T.
    pub steps: usize,
    /// Number of features of a token's embedding, E.
    pub embedding_size: usize,
    /// Number of hidden units of each direction, H.
    pub num_hiddens: usize,
    /// Number of recurrent layers, L.
    pub num_layers: usize,
    /// Number of tokens in the vocabulary, V.
    pub vocabulary_size: usize,
}

/// The letters of a shape, in order, and their maximum values.
const LETTERS: [(char, usize); 6] = [
    ('B', 1 << 16),
    ('T', MAX_STEPS),
    ('E', 8192),
    ('H', 8192),
    ('L', 64),
    ('V', crate::text::MAX_VOCABULARY),
];

/// The maximum number of steps of a row.
const MAX_STEPS: usize = 1 << 16;

/// The maximum number of tokens of a batch.
const MAX_TOKENS: usize = 1 << 24;

/// The maximum number of elements of a table or of a layer's output: a typing error must not request terabytes.
const MAX_NUMBERS: usize = 1 << 31;

impl Default for Shape {
    /// The textbook's classifier on 64 rows of 500 tokens.
    fn default() -> Self {
        Self {
            batch: 64,
            steps: 500,
            embedding_size: 100,
            num_hiddens: 100,
            num_layers: 2,
            vocabulary_size: 49_346,
        }
    }
}

impl Shape {
    /// The numbers in the order `B,T,E,H,L,V`.
    pub fn numbers(&self) -> [usize; 6] {
        [
            self.batch,
            self.steps,
            self.embedding_size,
            self.num_hiddens,
            self.num_layers,
            self.vocabulary_size,
        ]
    }

    fn from_numbers(
        [
            batch,
            steps,
            embedding_size,
            num_hiddens,
            num_layers,
            vocabulary_size,
        ]: [usize; 6],
    ) -> Self {
        Self {
            batch,
            steps,
            embedding_size,
            num_hiddens,
            num_layers,
            vocabulary_size,
        }
    }

    /// The shape with one number of `B,T,E,H,L,V`, given by its index, changed.
    pub(super) fn with(&self, letter: usize, number: usize) -> Self {
        let mut numbers = self.numbers();
        numbers[letter] = number;
        Self::from_numbers(numbers)
    }

    /// Checks that all numbers can be used.
    ///
    /// # Errors
    /// The first number that is 0 or too large.
    pub fn validate(&self) -> Result<()> {
        for ((letter, most), number) in LETTERS.into_iter().zip(self.numbers()) {
            if number == 0 || number > most {
                return Err(Error::argument(
                    "shape",
                    format!("{letter} is {number}; use a number from 1 to {most}"),
                ));
            }
        }
        if self.batch * self.steps > MAX_TOKENS {
            return Err(Error::argument(
                "shape",
                format!(
                    "{} rows of {} steps are more than {MAX_TOKENS} tokens; use a smaller B or T",
                    self.batch, self.steps
                ),
            ));
        }
        let wide = self.embedding_size.max(DIRECTIONS * self.num_hiddens);
        for (what, numbers, remedy) in [
            (
                "the embedding",
                self.vocabulary_size * self.embedding_size,
                "V or E",
            ),
            (
                "a layer's output",
                self.batch * self.steps * wide,
                "B, T, E or H",
            ),
        ] {
            if numbers > MAX_NUMBERS {
                return Err(Error::argument(
                    "shape",
                    format!("{what} would have {numbers} numbers; use a smaller {remedy}"),
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for Shape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers = text
            .split(',')
            .map(|number| {
                number.trim().parse().map_err(|_| {
                    Error::argument(
                        "shape",
                        format!(
                            "{number:?} is not a number; write B,T,E,H,L,V, as in {}",
                            Self::default()
                        ),
                    )
                })
            })
            .collect::<Result<Vec<usize>>>()?;
        let count = numbers.len();
        let numbers: [usize; 6] = numbers.try_into().map_err(|_| {
            Error::argument(
                "shape",
                format!(
                    "{count} numbers, but six are needed: B,T,E,H,L,V, as in {}",
                    Self::default()
                ),
            )
        })?;
        let shape = Self::from_numbers(numbers);
        shape.validate()?;
        Ok(shape)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.numbers().map(|number| number.to_string());
        f.write_str(&numbers.join(","))
    }
}

/// The range from which row lengths are drawn, written `MIN-MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// The minimum length of a row.
    pub min: usize,
    /// The maximum length; the first row has it.
    pub max: usize,
}

impl FromStr for Lengths {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::argument(
                "lengths",
                format!("{problem}; write MIN-MAX, as in 100-400"),
            )
        };
        let (min, max) = text
            .split_once('-')
            .ok_or_else(|| wrong("there is no dash"))?;
        let number = |text: &str| {
            let parsed = text.trim().parse();
            parsed.map_err(|_| wrong(&format!("{text:?} is not a number")))
        };
        let (min, max) = (number(min)?, number(max)?);
        match min {
            0 => Err(wrong("a row needs at least one step")),
            _ if min > max => Err(wrong(&format!("{min} is more than {max}"))),
            _ => Ok(Self { min, max }),
        }
    }
}

/// A model and a batch for it.
#[derive(Debug, Clone)]
pub struct Workload {
    shape: Shape,
    cell: CellType,
    lengths: Option<Lengths>,
    /// The length of each row.
    rows: Vec<usize>,
}

/// The seed of all random numbers in a measurement.
pub(super) const SEED: u64 = 1;

/// The classes of a measured classifier.
pub(super) const CLASSES: usize = 2;

impl Workload {
    /// A workload whose rows all have T steps or, with `lengths`, a number of steps drawn uniformly from that range; T
    /// is then the maximum length.
    ///
    /// # Errors
    /// A number that is 0 or too large.
    pub fn new(shape: Shape, cell: CellType, lengths: Option<Lengths>) -> Result<Self> {
        if let Some(Lengths { min, max }) = lengths
            && (min == 0 || min > max || max > MAX_STEPS)
        {
            return Err(Error::argument(
                "lengths",
                format!(
                    "{min}-{max} is not a range; use numbers from 1 to {MAX_STEPS}, like 100-400"
                ),
            ));
        }
        let steps = lengths.map_or(shape.steps, |lengths| lengths.max);
        let shape = Shape { steps, ..shape };
        shape.validate()?;
        let mut rows = vec![steps; shape.batch];
        if let Some(Lengths { min, max }) = lengths {
            let mut rng = Rng::new(SEED, Stream::Split, 0, 0);
            for row in &mut rows[1..] {
                *row = min + rng.below(max - min + 1);
            }
        }
        Ok(Self {
            shape,
            cell,
            lengths,
            rows,
        })
    }

    /// The sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The recurrence.
    pub fn cell(&self) -> CellType {
        self.cell
    }

    /// The range from which the rows' lengths are drawn, if they are not all T.
    pub fn lengths(&self) -> Option<Lengths> {
        self.lengths
    }

    /// Number of tokens of the batch, N.
    pub fn tokens(&self) -> usize {
        self.rows.iter().sum()
    }

    /// Floating-point operations of the recurrent layers' matrix products in a forward pass, an addition and a
    /// multiplication counted as two: in every layer and direction each of the N valid steps multiplies its input and
    /// its state with their weights. Element-wise work and the decoder are not counted.
    pub fn forward_flop(&self) -> f64 {
        let Shape {
            embedding_size,
            num_hiddens,
            num_layers,
            ..
        } = self.shape;
        let inputs = embedding_size + (num_layers - 1) * DIRECTIONS * num_hiddens;
        let columns = inputs + num_layers * num_hiddens;
        let weights = DIRECTIONS * self.cell.gates() * num_hiddens * columns;
        2.0 * self.tokens() as f64 * weights as f64
    }

    /// Operations of a forward and a backward pass: the backward pass has two products for each one of the forward
    /// pass, for the gradient of its input or state and for the gradient of its weights.
    pub fn training_flop(&self) -> f64 {
        3.0 * self.forward_flop()
    }

    /// The architecture.
    pub(super) fn model_config(&self) -> ModelConfig {
        ModelConfig {
            cell: self.cell,
            embedding_size: self.shape.embedding_size,
            num_hiddens: self.shape.num_hiddens,
            num_layers: self.shape.num_layers,
            ..ModelConfig::default()
        }
    }

    /// The length of each row.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The layout of the batch.
    ///
    /// # Errors
    /// None is known: a workload has rows, and all of them have steps.
    pub fn packing(&self) -> Result<Packing> {
        Packing::new(&self.rows)
    }

    /// The texts of the batch, random tokens.
    pub(super) fn texts(&self) -> Vec<Vec<u32>> {
        let rows = self.rows.iter().enumerate();
        rows.map(|(row, &length)| self.text(row as u64, length))
            .collect()
    }

    /// A text of random tokens.
    pub(super) fn text(&self, number: u64, length: usize) -> Vec<u32> {
        let mut rng = Rng::new(SEED, Stream::Shuffle, 0, number);
        let token = |_| rng.below(self.shape.vocabulary_size) as u32;
        (0..length).map(token).collect()
    }

    /// A random class for each row.
    pub(super) fn labels(&self) -> Vec<u32> {
        let mut rng = Rng::new(SEED, Stream::Split, 1, 0);
        let class = |_| rng.below(CLASSES) as u32;
        (0..self.shape.batch).map(class).collect()
    }
}

/// Directions of the measured models, D.
pub(super) const DIRECTIONS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_lengths_are_read() {
        assert_eq!(
            "64,500,100,100,2,49346".parse::<Shape>().unwrap(),
            Shape::default()
        );
        let shape: Shape = " 1, 2,3,4,5,6".parse().unwrap();
        assert_eq!(shape.to_string(), "1,2,3,4,5,6");
        let lengths: Lengths = "100-400".parse().unwrap();
        assert_eq!((lengths.min, lengths.max), (100, 400));
    }

    #[test]
    fn invalid_values_are_named() {
        for (text, message) in [
            (
                "1,2",
                "shape: 2 numbers, but six are needed: B,T,E,H,L,V, as in 64,500,100,100,2,49346",
            ),
            (
                "1,2,3,x,5,6",
                "shape: \"x\" is not a number; write B,T,E,H,L,V, as in 64,500,100,100,2,49346",
            ),
            ("1,2,3,0,5,6", "shape: H is 0; use a number from 1 to 8192"),
            ("1,2,3,4,65,6", "shape: L is 65; use a number from 1 to 64"),
            (
                "65536,65536,3,4,5,6",
                "shape: 65536 rows of 65536 steps are more than 16777216 tokens; use a smaller B or T",
            ),
        ] {
            assert_eq!(text.parse::<Shape>().unwrap_err().to_string(), message);
        }
        for (text, problem) in [
            ("100", "there is no dash"),
            ("a-3", "\"a\" is not a number"),
            ("0-3", "a row needs at least one step"),
            ("4-3", "4 is more than 3"),
        ] {
            let message = text.parse::<Lengths>().unwrap_err().to_string();
            assert_eq!(
                message,
                format!("lengths: {problem}; write MIN-MAX, as in 100-400")
            );
        }
        let lengths = Some(Lengths {
            min: 1,
            max: 1 << 17,
        });
        assert!(Workload::new(Shape::default(), CellType::Lstm, lengths).is_err());
    }

    #[test]
    fn lengths_are_drawn_from_the_range_and_repeat() {
        let lengths = Some(Lengths { min: 3, max: 9 });
        let draw = || Workload::new(Shape::default(), CellType::Gru, lengths).unwrap();
        let workload = draw();
        assert_eq!(workload.rows[0], 9);
        assert_eq!(workload.shape().steps, 9);
        for length in 3..=9 {
            assert!(workload.rows.contains(&length));
        }
        assert!(workload.rows.iter().all(|length| (3..=9).contains(length)));
        assert_eq!(workload.rows, draw().rows);
        let tokens: usize = workload.texts().iter().map(Vec::len).sum();
        assert_eq!(tokens, workload.tokens());
    }

    /// Two rows of 3 steps, 5 inputs, 4 hidden units, 2 layers, GRU, worked out by hand: layer 0
    /// multiplies 6 rows with 12 x 5 and 12 x 4 weights, layer 1 with 12 x 8 and 12 x 4, each in
    /// two directions: 6 * 2 * (108 + 144) = 3,024 products of two numbers.
    #[test]
    fn operations_are_counted() {
        let shape = "2,3,5,4,2,7".parse().unwrap();
        let workload = Workload::new(shape, CellType::Gru, None).unwrap();
        assert_eq!(workload.forward_flop(), 6048.0);
        assert_eq!(workload.training_flop(), 18_144.0);
        // The textbook's step: 32,000 tokens, 400 x (100 + 100 + 200 + 100) weights, 2 directions.
        let textbook = Workload::new(Shape::default(), CellType::Lstm, None).unwrap();
        assert_eq!(textbook.training_flop(), 76.8e9);
    }
}

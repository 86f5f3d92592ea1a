//! A text as a stream of ids, split into consecutive segments.

use crate::error::{Error, Result};

/// A stream of token ids in `batch` rows that are read in parallel: the state after one segment is the initial state of
/// the next (sequential partitioning).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Row by row; all rows have the same length.
    rows: Vec<Vec<u32>>,
    steps: usize,
}

/// A segment of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Token ids, row by row.
    pub inputs: Vec<&'a [u32]>,
    /// The target of each of them in time-major order: the first of all rows, then the second of all rows, and so on.
    pub targets: Vec<u32>,
}

impl Stream {
    /// Splits ids into `batch` rows, which are read `steps` ids at a time; ids that do not fill all rows, and a last
    /// segment of fewer than `steps` ids, are dropped.
    ///
    /// # Errors
    /// Too few ids for one segment and its targets.
    pub fn new(ids: &[u32], batch: usize, steps: usize) -> Result<Self> {
        let length = ids.len().saturating_sub(1) / batch.max(1);
        if batch == 0 || steps == 0 || length < steps {
            return Err(Error::argument(
                "ids",
                format!(
                    "{} of them, but {batch} rows of {steps} and one more id are needed",
                    ids.len()
                ),
            ));
        }
        // A row ends with the first id of the next one, which is its last target.
        let row = |number: usize| ids[number * length..(number + 1) * length + 1].to_vec();
        Ok(Self {
            rows: (0..batch).map(row).collect(),
            steps,
        })
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        (self.rows[0].len() - 1) / self.steps
    }

    /// A segment, counted from 0.
    ///
    /// # Errors
    /// There are fewer segments.
    pub fn segment(&self, number: usize) -> Result<Segment<'_>> {
        if number >= self.segments() {
            let problem = format!("{number}, but there are {}", self.segments());
            return Err(Error::argument("segment", problem));
        }
        let steps = number * self.steps..(number + 1) * self.steps;
        let next = |step: usize| self.rows.iter().map(move |row| row[step + 1]);
        Ok(Segment {
            inputs: self.rows.iter().map(|row| &row[steps.clone()]).collect(),
            targets: steps.clone().flat_map(next).collect(),
        })
    }

    /// Number of rows, B.
    pub fn batch(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_continue_from_segment_to_segment() {
        let ids: Vec<u32> = (0..16).collect();
        let stream = Stream::new(&ids, 2, 3).unwrap();
        assert_eq!(stream.segments(), 2);
        assert_eq!(stream.batch(), 2);
        let segment = |number| stream.segment(number).unwrap();
        assert_eq!(segment(0).inputs, [[0, 1, 2], [7, 8, 9]]);
        assert_eq!(segment(0).targets, [1, 8, 2, 9, 3, 10]);
        assert_eq!(segment(1).inputs, [[3, 4, 5], [10, 11, 12]]);
        assert_eq!(segment(1).targets, [4, 11, 5, 12, 6, 13]);
        let error = stream.segment(2).unwrap_err();
        assert_eq!(error.to_string(), "segment: 2, but there are 2");
    }

    #[test]
    fn a_stream_that_is_too_short_is_refused() {
        assert_eq!(Stream::new(&[0; 7], 2, 3).unwrap().segments(), 1);
        let error = Stream::new(&[0; 6], 2, 3).unwrap_err().to_string();
        assert_eq!(
            error,
            "ids: 6 of them, but 2 rows of 3 and one more id are needed"
        );
    }
}

//! How a layer's work is divided: rows of the batch into shards, and the steps of a shard into chunks.
//!
//! The rows of a batch are independent, so shards run in parallel, and the division does not affect the forward pass.
//! In the backward pass the gradients of the weights are sums over the rows: there the division depends only on the
//! batch, and the sums are added in order. So results do not depend on the number of threads.

use crate::layout::Layout;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows of a shard of the backward pass in `directions` directions: few enough that a typical batch keeps several cores
/// busy, and enough to amortise reading the weights, which every step of every shard does.
pub(super) fn backward_rows(directions: usize) -> usize {
    match directions {
        // There is no second direction to keep a second core busy.
        1 => 16,
        _ => 32,
    }
}

/// Rows of a shard of the forward pass of this many sequences in `directions` directions: as many as possible while
/// every thread gets a shard, up to the number beyond which there is no gain.
pub(super) fn forward_rows(batch: usize, directions: usize) -> usize {
    let (least, most) = (8, 64);
    let shards = rayon::current_num_threads().div_ceil(directions);
    let rows = batch.div_ceil(shards).next_multiple_of(least);
    rows.clamp(least, most)
}

/// Sequences at neighbouring sorted positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shard<'a> {
    layout: &'a Layout,
    from: usize,
    to: usize,
}

impl<'a> Shard<'a> {
    /// The shards of a batch, `rows` sequences each, the longest first.
    pub(super) fn all(layout: &'a Layout, rows: usize) -> Vec<Self> {
        let batch = layout.batch();
        let cut = |from| Self {
            layout,
            from,
            to: batch.min(from + rows),
        };
        (0..batch).step_by(rows).map(cut).collect()
    }

    /// The sorted positions.
    pub(super) fn positions(&self) -> Range<usize> {
        self.from..self.to
    }

    /// Number of sequences.
    pub(super) fn batch(&self) -> usize {
        self.to - self.from
    }

    /// Length of the sequence at `row` of the shard.
    pub(super) fn length(&self, row: usize) -> usize {
        self.layout.lengths()[self.from + row]
    }

    /// Number of sequences that have this step: the first ones.
    pub(super) fn batch_size_at(&self, step: usize) -> usize {
        self.layout.batch_size_at(step).clamp(self.from, self.to) - self.from
    }

    /// The packed row of the shard's first sequence at this step; the others follow it.
    pub(super) fn row(&self, step: usize) -> usize {
        self.layout.offset(step) + self.from
    }

    /// The step after `step`, or before it if `backwards`, if there is one.
    pub(super) fn beside(&self, step: usize, backwards: bool) -> Option<usize> {
        match backwards {
            true => step.checked_sub(1),
            false => Some(step + 1).filter(|&step| step < self.length(0)),
        }
    }

    /// Consecutive steps whose rows together are at least `rows`, or all remaining ones.
    pub(super) fn chunks(&self, rows: usize) -> Vec<Chunk> {
        let steps = self.length(0);
        let mut chunks = Vec::new();
        let mut first = 0;
        while first < steps {
            let mut starts = vec![0];
            let mut end = 0;
            let mut step = first;
            while step < steps && end < rows {
                end += self.batch_size_at(step);
                starts.push(end);
                step += 1;
            }
            chunks.push(Chunk {
                steps: first..step,
                starts,
            });
            first = step;
        }
        chunks
    }

    /// The chunk's packed rows as ranges, each with its offset in the chunk.
    pub(super) fn runs(&self, chunk: &Chunk) -> Vec<(usize, Range<usize>)> {
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for step in chunk.steps.clone() {
            let row = self.row(step);
            let rows = row..row + self.batch_size_at(step);
            match runs.last_mut() {
                Some((_, last)) if last.end == rows.start => last.end = rows.end,
                _ => runs.push((chunk.start(step), rows)),
            }
        }
        runs
    }
}

/// A range of consecutive steps of a shard.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The steps.
    pub(super) steps: Range<usize>,
    /// The chunk's first row of each step, followed by the number of rows.
    starts: Vec<usize>,
}

impl Chunk {
    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The first row of a step in this chunk.
    pub(super) fn start(&self, step: usize) -> usize {
        self.starts[step - self.steps.start]
    }
}

/// The numbers of a range, in reverse order if `backwards`.
pub(super) fn ordered(range: Range<usize>, backwards: bool) -> impl Iterator<Item = usize> {
    let Range { start, end } = range;
    (0..end - start).map(move |index| match backwards {
        true => end - 1 - index,
        false => start + index,
    })
}

/// The results of the tasks `0..count`, run like those of [`run_tasks`].
pub(super) fn map_tasks<T: Send + Sync>(
    count: usize,
    small: bool,
    task: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    run_tasks(count, small, |index| {
        results[index].get_or_init(|| task(index));
    });
    let results = results.into_iter().filter_map(OnceLock::into_inner);
    results.collect()
}

/// Runs tasks `0..count`: in order on this thread if they are `small` or if there is only one thread or task, otherwise
/// on all threads, each taking the next task when it has finished one.
pub(super) fn run_tasks(count: usize, small: bool, task: impl Fn(usize) + Sync) {
    let threads = rayon::current_num_threads().min(count);
    if small || threads == 1 {
        return (0..count).for_each(task);
    }
    let next = AtomicUsize::new(0);
    rayon::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        break;
                    }
                    task(index);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_and_runs_cover_every_packed_row_once() {
        let lengths: Vec<usize> = (0..70).map(|row| 1 + (row * 37) % 23).collect();
        let layout = Layout::new(&lengths);
        for rows in [1, 10, 64, 10_000] {
            let mut seen = vec![0; layout.rows()];
            let shards = Shard::all(&layout, 32);
            assert_eq!(shards.iter().map(Shard::batch).sum::<usize>(), 70);
            for shard in shards {
                let mut step = 0;
                for chunk in shard.chunks(rows) {
                    assert_eq!(chunk.steps.start, step);
                    step = chunk.steps.end;
                    let mut counted = 0;
                    for (start, run) in shard.runs(&chunk) {
                        assert_eq!(start, counted);
                        counted += run.len();
                        seen[run].iter_mut().for_each(|times| *times += 1);
                    }
                    assert_eq!(counted, chunk.rows());
                    assert!(chunk.rows() >= rows || step == shard.length(0));
                }
                assert_eq!(step, shard.length(0));
            }
            assert!(seen.iter().all(|&times| times == 1));
        }
    }

    #[test]
    fn steps_in_either_order() {
        assert!(ordered(3..6, false).eq([3, 4, 5]));
        assert!(ordered(3..6, true).eq([5, 4, 3]));
        let layout = Layout::new(&[3, 5, 2]);
        let shard = Shard::all(&layout, 8)[0];
        assert_eq!(
            (shard.beside(3, false), shard.beside(4, false)),
            (Some(4), None)
        );
        assert_eq!(
            (shard.beside(1, true), shard.beside(0, true)),
            (Some(0), None)
        );
    }

    #[test]
    fn a_small_batch_is_one_forward_shard() {
        assert_eq!(forward_rows(1, 2), 8);
        assert_eq!(forward_rows(1000, 1), 64);
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads);
        for (threads, rows) in [(1, 64), (2, 64), (4, 32), (8, 16), (64, 8)] {
            let pool = pool(threads).build().unwrap();
            assert_eq!(pool.install(|| forward_rows(64, 2)), rows, "{threads}");
        }
    }

    #[test]
    fn a_whole_batch_is_one_run() {
        let layout = Layout::new(&[3, 5, 2]);
        let [shard] = Shard::all(&layout, 8)[..] else {
            panic!("three rows are one shard");
        };
        let chunk = &shard.chunks(100)[0];
        assert_eq!(shard.runs(chunk), [(0, 0..10)]);
    }

    #[test]
    fn every_task_runs_once() {
        for small in [true, false] {
            let counts: Vec<AtomicUsize> = (0..37).map(|_| AtomicUsize::new(0)).collect();
            run_tasks(37, small, |index| {
                counts[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts
                    .iter()
                    .all(|count| count.load(Ordering::Relaxed) == 1)
            );
        }
    }
}

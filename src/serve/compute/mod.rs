//! A thread on which everything of a kind that arrives is computed.
//!
//! Requests send their work through a channel, each piece with a channel of its own for the answer, and what waits belongs
//! to the one thread that computes: there is no shared state, and an answer can reach nobody but its asker. Work whose asker
//! has gone is dropped before it is computed.

mod pending;

use crate::error::{Error, Result};
use pending::{Pending, Waiting};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Something that can be computed together with others of its kind.
pub(super) trait Work: Sized + Send + Sync + 'static {
    /// What comes out.
    type Output: Send + 'static;

    /// Work of one model only is computed together.
    fn is_of_same_model(&self, other: &Self) -> bool;

    /// The number of tokens, at least 1.
    fn tokens(&self) -> usize;

    /// The outputs of pieces of work of the same model, in order.
    fn compute(batch: &[Self]) -> Result<Vec<Self::Output>>;
}

/// What was computed, or why not.
pub(super) type Answer<O> = std::result::Result<Computed<O>, Failure>;

/// An output, and how long it took.
#[derive(Debug)]
pub(super) struct Computed<O> {
    pub output: O,
    /// The time before it was computed.
    pub queue: Duration,
    /// The time in which it was computed, together with others.
    pub inference: Duration,
}

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Failure {
    Error(Error),
    /// A bug.
    Panic,
    /// The server has ended.
    Ended,
}

/// What was computed at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BatchMeasures {
    pub texts: usize,
    pub tokens: usize,
    pub inference: Duration,
}

/// A piece of work, and who waits for it.
struct Asked<W: Work> {
    work: W,
    arrived: Instant,
    answer: oneshot::Sender<Answer<W::Output>>,
}

impl<W: Work> Waiting for Asked<W> {
    fn is_of_same_model(&self, other: &Self) -> bool {
        self.work.is_of_same_model(&other.work)
    }

    fn tokens(&self) -> usize {
        self.work.tokens()
    }

    fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Sends work to the thread that computes.
pub(super) struct Compute<W: Work> {
    sender: mpsc::UnboundedSender<Asked<W>>,
}

impl<W: Work> Compute<W> {
    /// Starts the thread, which ends when nothing can be sent any more and everything is answered. It computes with so many
    /// threads, of which it is one itself: a short text need not be handed to another.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(super) fn start(
        name: &str,
        threads: usize,
        batch_tokens: usize,
        on_batch: impl Fn(&BatchMeasures) + Send + 'static,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (started, is_started) = channel();
        let workers = name.to_owned();
        let work = move || {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .use_current_thread()
                .thread_name(move |number| format!("{workers} {number}"))
                .build();
            let (pool, result) = match pool {
                Ok(pool) => (Some(pool), Ok(())),
                Err(error) => (None, Err(std::io::Error::other(error))),
            };
            let is_well = result.is_ok();
            // Whoever starts it waits for this.
            let _ = started.send(result);
            if is_well {
                run(receiver, batch_tokens, &on_batch);
            }
            // The other threads end with it.
            drop(pool);
        };
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        let ended = |_| std::io::Error::other("the thread has ended");
        is_started.recv().map_err(ended)??;
        Ok((Self { sender }, thread))
    }

    /// The outputs of pieces of work, in order. Whatever is not yet computed when this is dropped, never is.
    pub(super) async fn compute(&self, works: Vec<W>) -> Vec<Answer<W::Output>> {
        let mut answers = Vec::with_capacity(works.len());
        let arrived = Instant::now();
        for work in works {
            let (answer, receiver) = oneshot::channel();
            // If the thread has ended, the receiver has no sender any more.
            let _ = self.sender.send(Asked {
                work,
                arrived,
                answer,
            });
            answers.push(receiver);
        }
        let mut found = Vec::with_capacity(answers.len());
        for answer in answers {
            found.push(answer.await.unwrap_or(Err(Failure::Ended)));
        }
        found
    }
}

fn run<W: Work>(
    mut receiver: mpsc::UnboundedReceiver<Asked<W>>,
    batch_tokens: usize,
    on_batch: &dyn Fn(&BatchMeasures),
) {
    let mut pending = Pending::new(batch_tokens);
    loop {
        if pending.is_empty() {
            match receiver.blocking_recv() {
                Some(asked) => pending.push(asked),
                None => return,
            }
        }
        while let Ok(asked) = receiver.try_recv() {
            pending.push(asked);
        }
        let batch = pending.take();
        if !batch.is_empty() {
            on_batch(&answer(batch));
        }
    }
}

/// Computes a batch and sends the answers.
fn answer<W: Work>(batch: Vec<Asked<W>>) -> BatchMeasures {
    let started = Instant::now();
    let tokens = batch.iter().map(Waiting::tokens).sum();
    let (mut works, mut askers) = (Vec::new(), Vec::new());
    for Asked {
        work,
        arrived,
        answer,
    } in batch
    {
        works.push(work);
        askers.push((answer, started.duration_since(arrived)));
    }
    let outputs = outputs(&works);
    let measures = BatchMeasures {
        texts: works.len(),
        tokens,
        inference: started.elapsed(),
    };
    for ((answer, queue), output) in askers.into_iter().zip(outputs) {
        // Nobody may wait for it any more.
        let _ = answer.send(output.map(|output| Computed {
            output,
            queue,
            inference: measures.inference,
        }));
    }
    measures
}

/// The outputs of a batch. If it fails as a whole, each piece is computed alone, so that only those fail that must.
fn outputs<W: Work>(works: &[W]) -> Vec<std::result::Result<W::Output, Failure>> {
    match attempt(works) {
        Ok(outputs) => outputs.into_iter().map(Ok).collect(),
        Err(failure) if works.len() == 1 => vec![Err(failure)],
        Err(_) => {
            let alone = |work| attempt(std::slice::from_ref(work));
            let first = |outputs: Vec<W::Output>| outputs.into_iter().next().ok_or(Failure::Panic);
            works
                .iter()
                .map(|work| alone(work).and_then(first))
                .collect()
        }
    }
}

fn attempt<W: Work>(works: &[W]) -> std::result::Result<Vec<W::Output>, Failure> {
    match catch_unwind(AssertUnwindSafe(|| W::compute(works))) {
        Ok(Ok(outputs)) if outputs.len() == works.len() => Ok(outputs),
        Ok(Err(error)) => Err(Failure::Error(error)),
        Ok(Ok(_)) | Err(_) => Err(Failure::Panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};
    use std::collections::HashSet;
    use std::sync::{Arc, Mutex};
    use tokio::task::JoinSet;

    /// Computes three times a number; some numbers fail, and some are bugs.
    #[derive(Debug)]
    struct Triple {
        number: usize,
        model: usize,
        seen: Arc<Mutex<Vec<usize>>>,
    }

    const FAILING: usize = 7;
    const BUG: usize = 11;

    impl Work for Triple {
        type Output = usize;

        fn is_of_same_model(&self, other: &Self) -> bool {
            self.model == other.model
        }

        fn tokens(&self) -> usize {
            1 + self.number % 5
        }

        fn compute(batch: &[Self]) -> Result<Vec<usize>> {
            assert!(batch.iter().all(|work| work.model == batch[0].model));
            if batch.iter().any(|work| work.number.is_multiple_of(BUG)) {
                // Without the message of a panic in the output of the tests.
                std::panic::resume_unwind(Box::new(()));
            }
            if batch.iter().any(|work| work.number.is_multiple_of(FAILING)) {
                return Err(Error::argument("number", "it fails"));
            }
            let triple = |work: &Self| {
                work.seen.lock().unwrap().push(work.number);
                3 * work.number
            };
            Ok(batch.iter().map(triple).collect())
        }
    }

    fn is_right(number: usize, answer: &Answer<usize>) -> bool {
        match answer {
            Ok(computed) => {
                computed.output == 3 * number
                    && !number.is_multiple_of(FAILING)
                    && !number.is_multiple_of(BUG)
            }
            Err(Failure::Panic) => number.is_multiple_of(BUG),
            Err(Failure::Error(_)) => number.is_multiple_of(FAILING),
            Err(Failure::Ended) => false,
        }
    }

    #[test]
    fn every_answer_reaches_its_asker_in_any_order_with_failures_and_askers_that_leave() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        for seed in 0..20 {
            let mut rng = Rng::new(seed, Stream::Shuffle, 0, 0);
            let start = Compute::<Triple>::start("test", 2, 1 + rng.below(40), |_| {});
            let (compute, thread) = start.unwrap();
            let compute = Arc::new(compute);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let mut next = 1;
            runtime.block_on(async {
                let mut asking = JoinSet::new();
                for _ in 0..100 {
                    let numbers: Vec<usize> = (next..next + 1 + rng.below(6)).collect();
                    next += numbers.len();
                    let model = rng.below(2);
                    let works = numbers.iter().map(|&number| Triple {
                        number,
                        model,
                        seen: Arc::clone(&seen),
                    });
                    let works: Vec<Triple> = works.collect();
                    let (leaves, yields) = (rng.below(4) == 0, rng.below(30));
                    let compute = Arc::clone(&compute);
                    asking.spawn(async move {
                        let answers = compute.compute(works);
                        if leaves {
                            // Any time from before it is computed to after.
                            let patience = Duration::from_micros(10 * yields as u64);
                            let answers = tokio::time::timeout(patience, answers).await;
                            return answers.is_err() || numbers.len() == answers.unwrap().len();
                        }
                        let answers = answers.await;
                        assert_eq!(answers.len(), numbers.len());
                        numbers
                            .iter()
                            .zip(&answers)
                            .all(|(&number, answer)| is_right(number, answer))
                    });
                }
                while let Some(is_right) = asking.join_next().await {
                    assert!(is_right.unwrap(), "seed {seed}");
                }
            });
            drop(compute);
            // It ends when nobody can ask any more.
            thread.join().unwrap();
            let seen = Arc::try_unwrap(seen).unwrap().into_inner().unwrap();
            let different: HashSet<usize> = seen.iter().copied().collect();
            assert_eq!(different.len(), seen.len(), "nothing is computed twice");
        }
    }

    #[test]
    fn what_nobody_waits_for_is_not_computed() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let work = |number| Triple {
            number,
            model: 0,
            seen: Arc::clone(&seen),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let ask = |number| {
            let (answer, waiting) = oneshot::channel();
            let (work, arrived) = (work(number), Instant::now());
            sender
                .send(Asked {
                    work,
                    arrived,
                    answer,
                })
                .unwrap();
            waiting
        };
        let (first, second) = (ask(1), ask(2));
        drop(first);
        drop(sender);
        run(receiver, 10, &|batch| assert_eq!(batch.texts, 1));
        assert_eq!(runtime.block_on(second).unwrap().unwrap().output, 6);
        assert_eq!(*seen.lock().unwrap(), [2]);
    }

    #[test]
    fn without_its_thread_nothing_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        drop(receiver);
        let compute = Compute::<Triple> { sender };
        let work = Triple {
            number: 1,
            model: 0,
            seen: Arc::default(),
        };
        let answers = runtime.block_on(compute.compute(vec![work]));
        assert!(matches!(answers[..], [Err(Failure::Ended)]));
    }
}

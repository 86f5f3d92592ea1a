//! A pool of reusable buffers.
//!
//! A training step of the textbook's model (64 texts of 500 tokens) uses up to 384 MB of buffers.
//! Requesting them from the operating system at every step would cost a seventh of the step's time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

static POOL: Pool = Pool(Mutex::new(Vec::new()));

/// A slice of numbers whose memory returns to a pool when it is dropped. There are never more of
/// them than were once in use at the same time.
#[derive(Debug)]
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    /// `len` numbers of unspecified value: for buffers that are overwritten before they are read.
    pub(super) fn new(len: usize) -> Self {
        Self(POOL.take(len))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        POOL.give(std::mem::take(&mut self.0));
    }
}

/// Memory that is currently unused.
struct Pool(Mutex<Vec<Vec<f32>>>);

impl Pool {
    /// `len` numbers of unspecified value, in the smallest memory that has room for them, or else
    /// in the largest, which then grows.
    fn take(&self, len: usize) -> Vec<f32> {
        if len == 0 {
            return Vec::new();
        }
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = (0..free.len())
            .filter(|&index| free[index].capacity() >= len)
            .min_by_key(|&index| free[index].capacity());
        let largest = || (0..free.len()).max_by_key(|&index| free[index].capacity());
        let mut data = match fitting.or_else(largest) {
            Some(index) => free.swap_remove(index),
            None => Vec::new(),
        };
        drop(free);
        if data.capacity() < len {
            // Cleared first, as its contents are not worth copying when it grows.
            data = Vec::new();
        }
        data.resize(len, 0.0);
        data
    }

    fn give(&self, data: Vec<f32>) {
        if data.capacity() > 0 {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            free.push(data);
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_for_any_size() {
        let pool = Pool(Mutex::new(Vec::new()));
        let (small, large) = (pool.take(10), pool.take(100));
        let addresses = (small.as_ptr(), large.as_ptr());
        pool.give(large);
        pool.give(small);
        let small = pool.take(7);
        let large = pool.take(11);
        assert_eq!((small.as_ptr(), large.as_ptr()), addresses);
        assert_eq!((small.len(), large.len()), (7, 11));
        pool.give(small);
        // Nothing is large enough: the existing memory is replaced.
        assert_eq!(pool.take(1000).len(), 1000);
        assert!(pool.0.lock().unwrap().is_empty());
        assert!(pool.take(0).is_empty());
    }
}

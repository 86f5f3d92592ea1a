//! Memory that several tasks fill, each its own part.

#![allow(unsafe_code, reason = "tasks write disjoint parts of shared memory")]

use super::prefetch::prefetch;
use std::marker::PhantomData;

/// A matrix under construction, to which tasks on several threads write at the same time. Elements
/// that have not been written are uninitialised.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: all access goes through unsafe functions whose callers ensure that tasks do not overlap.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares a slice.
    pub(super) fn new(data: &'a mut [f32]) -> Self {
        Self {
            start: data.as_mut_ptr(),
            len: data.len(),
            borrow: PhantomData,
        }
    }

    /// Clears `data`, reserves `len` uninitialised numbers and shares them. The caller sets the
    /// length once all of them are written.
    pub(super) fn uninit(data: &'a mut Vec<f32>, len: usize) -> Self {
        data.clear();
        data.reserve_exact(len);
        Self {
            start: data.as_mut_ptr(),
            len,
            borrow: PhantomData,
        }
    }

    /// Writes numbers starting at `at`.
    ///
    /// # Safety
    /// No other task reads or writes these elements at the same time.
    #[inline(always)]
    pub(super) unsafe fn write(&self, at: usize, values: &[f32]) {
        assert!(at <= self.len && values.len() <= self.len - at);
        // SAFETY: the range is within the shared memory; `values` is a live borrow of other memory,
        // as the shared memory is exclusively borrowed.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.add(at), values.len()) }
    }

    /// Prefetches memory that will be written.
    #[inline(always)]
    pub(super) fn prefetch(&self, at: usize, len: usize) {
        prefetch(self.start.wrapping_add(at), len);
    }

    /// A mutable part of the memory.
    ///
    /// # Safety
    /// The part has been written, and no other task reads or writes it while the slice lives.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller ensures that tasks do not overlap"
    )]
    pub(super) unsafe fn part(&self, at: usize, len: usize) -> &mut [f32] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: the range is within the shared memory; the caller has exclusive access to it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_fill_their_parts() {
        let mut data = Vec::new();
        let shared = Shared::uninit(&mut data, 6);
        std::thread::scope(|scope| {
            for task in 0..3 {
                let shared = &shared;
                // SAFETY: each task has two elements of its own.
                scope.spawn(move || unsafe {
                    shared.write(2 * task, &[task as f32; 2]);
                    shared.part(2 * task, 2)[1] += 0.5;
                });
            }
        });
        // SAFETY: the tasks have written all six.
        unsafe { data.set_len(6) };
        assert_eq!(data, [0., 0.5, 1., 1.5, 2., 2.5]);
    }

    #[test]
    #[should_panic]
    fn writing_past_the_end_is_refused() {
        let mut data = [0.0; 3];
        // SAFETY: there is no other task.
        unsafe { Shared::new(&mut data).write(2, &[0.0; 2]) };
    }
}

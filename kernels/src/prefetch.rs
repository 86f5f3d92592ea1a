//! Prefetching of memory.
//!
//! The saved activations of a training step are far larger than the caches. A row's numbers,
//! prefetched one step ahead, arrive while the product of the previous step is computed. On
//! processors other than x86-64 nothing is prefetched.

#![allow(unsafe_code, reason = "memory is prefetched by its address")]

/// Prefetches `len` numbers that will be read or written. A request for an invalid address has no
/// effect.
#[inline(always)]
pub(super) fn prefetch(from: *const f32, len: usize) {
    /// Number of elements in a cache line.
    const LINE: usize = 16;
    for at in (0..len).step_by(LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch does not access memory architecturally and cannot fail for any
        // address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, at);
    }
}

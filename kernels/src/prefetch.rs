//! Asking for memory before it is needed.
//!
//! What a training step keeps is far larger than the caches. A row's numbers, asked for one step
//! ahead, arrive while the product of the step before is computed. On processors other than
//! x86-64 nothing is asked for.

#![allow(unsafe_code, reason = "memory is asked for by its address")]

/// Asks for `len` numbers that will be read or written. A request for memory that is not there is
/// of no effect.
#[inline(always)]
pub(super) fn prefetch(from: *const f32, len: usize) {
    /// Numbers of a cache line.
    const LINE: usize = 16;
    for at in (0..len).step_by(LINE) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a prefetch reads nothing and cannot fail, whatever the address.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (from, at);
    }
}

//! Asking for memory before it is needed.
//!
//! What a training step keeps is far larger than the caches. A row's numbers, asked for one step
//! ahead, arrive while the product of the step before is computed. On processors other than x86
//! nothing is asked for.

/// Numbers of a cache line.
const LINE: usize = 16;

/// Asks for numbers that will be read.
#[inline(always)]
pub(super) fn prefetch(values: &[f32]) {
    for line in values.chunks(LINE) {
        // SAFETY: a prefetch changes nothing and cannot fail; the address is in a live slice.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

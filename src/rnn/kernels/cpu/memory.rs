//! What happens to freed memory.

/// Asks the C library to keep freed memory for the next step instead of returning it to the
/// operating system, where supported (GNU/Linux). It affects the whole process, so a program should
/// call it once, at startup; a library should not.
///
/// A training step frees and allocates the same large tensors as the previous one. By default,
/// glibc returns every block above 32 MiB immediately, and a fifth of the step is spent getting it
/// back page by page. The threads of a pool would each have a heap of their own, from which glibc
/// returns more; so they share one.
#[allow(unsafe_code, reason = "a setting of the C library, where there is one")]
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two integers and sets parameters of the allocator, under its lock; it
    // ignores unknown parameters.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Returns freed memory to the operating system once, where supported (GNU/Linux): after much more has been used than will
/// be again.
#[allow(
    unsafe_code,
    reason = "a function of the C library, where there is one"
)]
pub fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes an integer and gives back pages that no block of the allocator uses, under its lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

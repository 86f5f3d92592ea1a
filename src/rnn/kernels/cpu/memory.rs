//! What becomes of freed memory.

/// Asks the C library to keep freed memory for the next step instead of giving it back to the
/// operating system, where that can be asked (GNU/Linux). It applies to the whole process, so it
/// is the program's to call, once, at its start; a library should not.
///
/// A training step frees and allocates the same large tensors as the one before. Left to itself,
/// glibc returns everything above 32 MiB at once, and a fifth of the step goes into getting it
/// back page by page. The threads of a pool would each have a heap of their own, of which glibc
/// returns more; so they share one.
#[allow(unsafe_code, reason = "a setting of the C library, where there is one")]
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two integers and sets parameters of the allocator, under its lock;
    // it refuses what it does not know.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

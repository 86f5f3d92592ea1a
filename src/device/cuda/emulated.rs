//! The CPU in place of a GPU: the same sources, compiled by the C++ compiler.

use super::KernelArgs;
use libloading::Library;
use std::process::Command;
use tempfile::TempDir;

/// Definitions that CUDA has and C++ lacks.
const SHIM: &str = "
#include <math.h>
#include <stddef.h>
#define __global__
#define __device__ static inline
struct Index { unsigned x; };
static thread_local Index blockIdx, blockDim, threadIdx;
";

/// Loops over all threads.
const LAUNCH: &str = "
extern \"C\" void launch(void (*function)(ARGUMENT), const ARGUMENT *argument, unsigned threads) {
    blockDim.x = 64;
    for (blockIdx.x = 0; blockIdx.x * 64 < threads; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < 64; threadIdx.x++) function(*argument);
}
";

/// The functions of a source, compiled for the CPU.
pub(crate) struct Emulated {
    library: Library,
    /// The folder of the library's file. Dropped last: the inode of a removed file may be reused for the next one,
    /// which the loader would then mistake for the first.
    _folder: TempDir,
}

/// A static assertion that Rust's struct and the source's have the same layout.
fn same_layout<A: KernelArgs>() -> String {
    let name = A::SOURCE.argument;
    let mut text = format!(
        "\nstatic_assert(sizeof({name}) == {}, \"size\");\n",
        size_of::<A>()
    );
    for (field, offset) in A::FIELDS {
        text += &format!("static_assert(offsetof({name}, {field}) == {offset}, \"{field}\");\n");
    }
    text
}

impl Emulated {
    /// `None`, with a message, if there is no C++ compiler.
    pub(crate) fn new<A: KernelArgs>() -> Option<Self> {
        let source = A::SOURCE;
        let folder = tempfile::tempdir().unwrap();
        let text_file = folder.path().join("functions.cpp");
        let library = folder.path().join("functions.so");
        let text = [SHIM, source.text, &same_layout::<A>(), LAUNCH].concat();
        std::fs::write(&text_file, text).unwrap();
        let compiled = Command::new("c++")
            .args(["-O2", "-Wall", "-Wextra", "-shared", "-fPIC"])
            .arg(format!("-DARGUMENT={}", source.argument))
            .arg("-o")
            .args([&library, &text_file])
            .output();
        let Ok(output) = compiled else {
            eprintln!("skipped: there is no C++ compiler for {}.cu", source.name);
            return None;
        };
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && messages.is_empty(), "{messages}");
        // SAFETY: the library has just been compiled and has no initialisers.
        let library = unsafe { Library::new(&library) }.unwrap();
        Some(Self {
            library,
            _folder: folder,
        })
    }

    /// Runs a function for all threads of an argument.
    ///
    /// # Safety
    /// The argument is for this source, its addresses point to memory of the sizes given in the source, and nobody else
    /// uses what the function changes.
    pub(crate) unsafe fn run<A: KernelArgs>(&self, function: &str, argument: &A) {
        type Function<A> = unsafe extern "C" fn(*const A);
        type Launch<A> = unsafe extern "C" fn(Function<A>, *const A, u32);
        // SAFETY: `launch` has this type except for the function's argument, which `launch` only passes on; the rest is
        // guaranteed by the caller.
        unsafe {
            let function = self
                .library
                .get::<Function<A>>(function.as_bytes())
                .unwrap();
            let launch = self.library.get::<Launch<A>>(b"launch").unwrap();
            launch(*function, argument, argument.threads() as u32);
        }
    }
}

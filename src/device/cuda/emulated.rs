//! A processor in place of a GPU: the same texts, compiled by the C++ compiler.

use super::KernelArgs;
use libloading::Library;
use std::process::Command;
use tempfile::TempDir;

/// What CUDA has and C++ has not.
const SHIM: &str = "
#include <math.h>
#include <stddef.h>
#define __global__
#define __device__ static inline
struct Index { unsigned x; };
static thread_local Index blockIdx, blockDim, threadIdx;
";

/// Goes through all threads.
const LAUNCH: &str = "
extern \"C\" void launch(void (*function)(ARGUMENT), const ARGUMENT *argument, unsigned threads) {
    blockDim.x = 64;
    for (blockIdx.x = 0; blockIdx.x * 64 < threads; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < 64; threadIdx.x++) function(*argument);
}
";

/// The functions of a source, for the processor.
pub(crate) struct Emulated {
    library: Library,
    /// Of the library's file. It goes last: the number of a file that is gone may be given to the next one,
    /// which the loader would then take for the first.
    _folder: TempDir,
}

/// Refuses to compile where Rust's struct and the source's have another layout.
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
    /// `None`, and a word of it, without a C++ compiler.
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
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        // SAFETY: the library that has just been compiled does nothing when it is loaded.
        let library = unsafe { Library::new(&library) }.unwrap();
        Some(Self {
            library,
            _folder: folder,
        })
    }

    /// Runs a function for all threads of an argument.
    ///
    /// # Safety
    /// The argument is of the source, its addresses lead to memory of the sizes that the source says, and
    /// nobody else uses what the function changes.
    pub(crate) unsafe fn run<A: KernelArgs>(&self, function: &str, argument: &A) {
        type Function<A> = unsafe extern "C" fn(*const A);
        type Launch<A> = unsafe extern "C" fn(Function<A>, *const A, u32);
        // SAFETY: `launch` has this type but for the function's argument, which only `launch` passes; the rest
        // by the caller.
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

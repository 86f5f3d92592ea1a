//! Texts of functions for a GPU.

/// A text of functions that all take one struct.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// Of the file, without its ending.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// The struct's name in the text.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only a processor's launch is generated")
    )]
    pub(crate) argument: &'static str,
}

/// What may be passed to a GPU as it is.
#[cfg(feature = "cuda")]
pub(crate) use candle_core::cuda_backend::cudarc::driver::DeviceRepr as KernelParam;

/// What may be passed to a GPU as it is.
///
/// # Safety
/// Addresses and numbers only, in C's layout.
#[cfg(not(feature = "cuda"))]
pub(crate) unsafe trait KernelParam {}

/// The names of a struct's fields, and where each begins, in bytes.
pub(crate) type Fields = &'static [(&'static str, usize)];

/// The [`Fields`] of a struct.
macro_rules! fields {
    ($name:ident: $($field:ident),+ $(,)?) => {
        &[$((stringify!($field), std::mem::offset_of!($name, $field))),+]
    };
}
pub(crate) use fields;

/// The struct that the functions of a source take.
pub(crate) trait KernelArgs: KernelParam {
    const SOURCE: Source;
    /// All fields: the compiler of the source must lay out its struct of the same name likewise.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "compared where the source is compiled for the processor"
        )
    )]
    const FIELDS: Fields;

    /// Number of threads that have something to do.
    fn threads(&self) -> usize;
}

//! Sources of GPU kernels.

/// A source whose functions all take the same struct.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// The display name of the source.
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// The struct's name in the source.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "used only by the generated CPU launcher")
    )]
    pub(crate) argument: &'static str,
}

/// A type that can be passed to a GPU as it is.
#[cfg(feature = "cuda")]
pub(crate) use candle_core::cuda_backend::cudarc::driver::DeviceRepr as KernelParam;

/// A type that can be passed to a GPU as it is.
///
/// # Safety
/// Addresses and numbers only, in C's layout.
#[cfg(not(feature = "cuda"))]
pub(crate) unsafe trait KernelParam {}

/// The names of a struct's fields, with their offsets in bytes.
pub(crate) type Fields = &'static [(&'static str, usize)];

/// The [`Fields`] of a struct.
macro_rules! fields {
    ($name:ident: $($field:ident),+ $(,)?) => {
        &[$((stringify!($field), std::mem::offset_of!($name, $field))),+]
    };
}
pub(crate) use fields;

/// The argument struct of the functions of a source.
pub(crate) trait KernelArgs: KernelParam {
    const SOURCE: Source;
    /// All fields: the struct of the same name in the source must have the same layout.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "compared when the source is compiled for the CPU")
    )]
    const FIELDS: Fields;

    /// Number of threads to launch.
    fn threads(&self) -> usize;
}

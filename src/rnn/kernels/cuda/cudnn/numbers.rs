//! In which numbers cuDNN computes: in ours, or in bfloat16, to and from which ours are converted.

use crate::device::cuda::bfloat16::ConvertArgs;
use crate::device::cuda::gpu::Gpu;
use crate::device::{Precision, precision};
use crate::rnn::kernels::cuda::machine::{Backend, DeviceSlice};
use candle_core::Result;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;

/// cuDNN's recurrent layers take bfloat16 from version 9.13 on.
const TAKES_BFLOAT16: usize = 91_300;

/// The type of a layer's arguments and results in cuDNN, and how their products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    bfloat16: bool,
    /// Products of TensorFloat-32, where the type is single precision.
    tf32: bool,
}

/// Numbers of cuDNN's type: ours where that is the same, or others in their place.
pub(super) struct Lent {
    pub(super) address: u64,
    /// The others.
    memory: Option<CudaSlice<u16>>,
}

impl Numbers {
    /// What the precision that was set last asks for.
    pub(super) fn chosen() -> Self {
        let bfloat16 = precision() == Precision::Bf16 && result::get_version() >= TAKES_BFLOAT16;
        Self {
            bfloat16,
            tf32: precision() != Precision::F32,
        }
    }

    pub(super) fn data_type(self) -> sys::cudnnDataType_t {
        match self.bfloat16 {
            true => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
            false => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
        }
    }

    pub(super) fn math(self) -> sys::cudnnMathType_t {
        match self.tf32 {
            // The modes named after tensor cores would take half precision.
            true => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            false => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        }
    }

    /// Bytes of a number.
    pub(super) fn size(self) -> u64 {
        if self.bfloat16 { 2 } else { 4 }
    }

    /// Our numbers for cuDNN to read.
    ///
    /// # Safety
    /// They are of a memory that exists, and nobody writes to it.
    pub(super) unsafe fn lend(self, gpu: &Gpu, ours: DeviceSlice) -> Result<Lent> {
        let lent = self.room(gpu, ours)?;
        if lent.memory.is_some() {
            // SAFETY: the caller's, and `room` has as many numbers.
            unsafe { self.give(gpu, ours, lent.address)? };
        }
        Ok(lent)
    }

    /// Room for cuDNN to write what is to become our numbers by [`Numbers::take`], zeros where it writes nothing.
    pub(super) fn room(self, gpu: &Gpu, ours: DeviceSlice) -> Result<Lent> {
        if !self.bfloat16 {
            let address = ours.address;
            return Ok(Lent {
                address,
                memory: None,
            });
        }
        let memory = gpu.device.alloc_zeros::<u16>(ours.len.max(1))?;
        Ok(Lent {
            address: gpu.address(&memory),
            memory: Some(memory),
        })
    }

    /// Makes what was written to the room for them our numbers.
    ///
    /// # Safety
    /// They are of a memory that exists, and nobody else uses it.
    pub(super) unsafe fn take(self, gpu: &Gpu, lent: &Lent, ours: DeviceSlice) -> Result<()> {
        match lent.memory {
            // SAFETY: the caller's, and the room has as many numbers.
            Some(_) => unsafe { self.fetch(gpu, lent.address, ours) },
            None => Ok(()),
        }
    }

    /// Copies our numbers to an address of cuDNN's.
    ///
    /// # Safety
    /// Both are of memories that exist, with as many numbers, and nobody else writes to them.
    pub(super) unsafe fn give(self, gpu: &Gpu, ours: DeviceSlice, theirs: u64) -> Result<()> {
        let to = DeviceSlice {
            address: theirs,
            len: ours.len,
        };
        // SAFETY: the caller's.
        unsafe {
            match self.bfloat16 {
                true => gpu.run("narrow", &convert(ours, theirs)),
                false => gpu.copy(ours, to),
            }
        }
    }

    /// Copies numbers at an address of cuDNN's to ours.
    ///
    /// # Safety
    /// As [`Numbers::give`].
    pub(super) unsafe fn fetch(self, gpu: &Gpu, theirs: u64, ours: DeviceSlice) -> Result<()> {
        let from = DeviceSlice {
            address: theirs,
            len: ours.len,
        };
        // SAFETY: the caller's.
        unsafe {
            match self.bfloat16 {
                true => gpu.run("widen", &convert(ours, theirs)),
                false => gpu.copy(from, ours),
            }
        }
    }
}

fn convert(ours: DeviceSlice, theirs: u64) -> ConvertArgs {
    ConvertArgs {
        single: ours.address,
        upper: theirs,
        count: ours.len as u64,
    }
}

//! A layer by cuDNN, which runs all steps of both directions in a few kernels.
//!
//! | module | what it holds |
//! |---|---|
//! | `numbers` | in which numbers it computes |
//! | `description` | the description of a layer |
//!
//! Its packed layout is that of [`Packing`](crate::batch::packing::Packing): rows sorted by length, step by step. Its
//! gates come in PyTorch's order and its GRU is PyTorch's; its parameters lie in a memory of its own layout, to
//! which ours are copied.
//!
//! Source: NVIDIA, cuDNN API, `cudnn_adv` library (`cudnnRNNForward` and what belongs to it).

mod description;
mod numbers;

use super::machine::{Backend, DeviceSlice};
use super::op::Engine;
use super::pass::{Arguments, Gradients, Pass};
use crate::device::cuda::gpu::Gpu;
use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Error, Result};
use description::{Description, Way, check};
use numbers::{Lent, Numbers};
use std::ffi::c_void;
use std::ptr::null_mut;

/// The layer by cuDNN.
#[derive(Debug)]
pub struct Cudnn;

/// What the backward pass needs.
pub struct Saved {
    numbers: Numbers,
    /// The parameters in cuDNN's layout.
    weights: CudaSlice<u8>,
    reserve: CudaSlice<u8>,
}

/// `h` and `c` of a flat state; no address for a `c` that there is not.
fn states(pass: &Pass<Gpu>, numbers: Numbers, lent: u64, len: usize) -> [u64; 2] {
    match pass.cell_type.has_cell() {
        true => [lent, lent + numbers.size() * (len as u64 / 2)],
        false => [lent, 0],
    }
}

/// What both functions of cuDNN's backward pass are given, as addresses or memories of one GPU.
struct BackwardCall<'a> {
    gpu: &'a Gpu,
    layer: &'a Description,
    /// The rows' lengths.
    lengths: *const i32,
    /// The initial `h` and `c`.
    start: [u64; 2],
    /// The output.
    out: u64,
    work: &'a CudaSlice<u8>,
    reserve: &'a CudaSlice<u8>,
}

impl BackwardCall<'_> {
    /// The gradients of the input and of the initial state, from those of the output and of the final state.
    ///
    /// # Safety
    /// The addresses lead to memories of the GPU that exist until the work has been asked of the stream; they and
    /// the others are of the sizes that cuDNN has asked for or that the layer's descriptors say. Nobody else uses
    /// what is written.
    unsafe fn of_input(
        &self,
        weights: &CudaSlice<u8>,
        d_out: u64,
        [dh_end, dc_end]: [u64; 2],
        d_input: u64,
        [dh, dc]: [u64; 2],
    ) -> Result<()> {
        let [h, c] = self.start;
        // SAFETY: the caller's.
        check("the gradients of a layer's input", unsafe {
            sys::cudnnRNNBackwardData_v8(
                self.layer.handle,
                self.layer.layer.raw,
                self.lengths,
                self.layer.output.raw,
                self.out as *const c_void,
                d_out as *const c_void,
                self.layer.input.raw,
                d_input as *mut c_void,
                self.layer.state.raw,
                h as *const c_void,
                dh_end as *const c_void,
                dh as *mut c_void,
                self.layer.state.raw,
                c as *const c_void,
                dc_end as *const c_void,
                dc as *mut c_void,
                self.layer.weights_size,
                self.gpu.address(weights) as *const c_void,
                self.layer.work_size,
                self.gpu.address(self.work) as *mut c_void,
                self.reserve.len(),
                self.gpu.address(self.reserve) as *mut c_void,
            )
        })
    }

    /// Adds the gradients of the parameters to those that are there. It comes after [`BackwardCall::of_input`],
    /// whose intermediate results it reads.
    ///
    /// # Safety
    /// As [`BackwardCall::of_input`].
    unsafe fn of_parameters(&self, input: u64, d_weights: &CudaSlice<u8>) -> Result<()> {
        let [h, _] = self.start;
        // SAFETY: the caller's.
        check("the gradients of a layer's parameters", unsafe {
            sys::cudnnRNNBackwardWeights_v8(
                self.layer.handle,
                self.layer.layer.raw,
                sys::cudnnWgradMode_t::CUDNN_WGRAD_MODE_ADD,
                self.lengths,
                self.layer.input.raw,
                input as *const c_void,
                self.layer.state.raw,
                h as *const c_void,
                self.layer.output.raw,
                self.out as *const c_void,
                self.layer.weights_size,
                self.gpu.address(d_weights) as *mut c_void,
                self.layer.work_size,
                self.gpu.address(self.work) as *mut c_void,
                self.reserve.len(),
                self.gpu.address(self.reserve) as *mut c_void,
            )
        })
    }
}

impl Engine for Cudnn {
    type Saved = Saved;

    const NAME: &'static str = "cudnn";

    unsafe fn forward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        training: bool,
    ) -> Result<(CudaSlice<f32>, Saved)> {
        let (gpu, numbers) = (pass.machine, Numbers::chosen());
        let way = match training {
            true => Way::Forward,
            false => Way::Inference,
        };
        let layer = Description::new(gpu, pass, numbers, way)?;
        let mut result = gpu.zeros(pass.output_len() + arguments.start.len)?;
        let all = gpu.part(&mut result);
        let weights = gpu.device.alloc_zeros::<u8>(layer.weights_size.max(1))?;
        for (ours, theirs) in layer.parameters(arguments.weights, gpu.address(&weights))? {
            // SAFETY: the arguments by the caller; cuDNN has a place of this size for each parameter.
            unsafe { numbers.give(gpu, ours, theirs)? };
        }
        // cuDNN writes both before it reads them.
        let work = gpu.uninit::<u8>(layer.work_size)?;
        let reserve = gpu.uninit::<u8>(layer.reserve_size)?;
        // SAFETY: the caller's.
        let (input, start) = unsafe {
            (
                numbers.lend(gpu, arguments.input)?,
                numbers.lend(gpu, arguments.start)?,
            )
        };
        let out = numbers.room(gpu, all)?;
        let state_len = arguments.start.len;
        let [h, c] = states(pass, numbers, start.address, state_len);
        let end = out.address + numbers.size() * pass.output_len() as u64;
        let [h_end, c_end] = states(pass, numbers, end, state_len);
        // SAFETY: the memories exist until the work has been asked of the stream, and are of the sizes that
        // cuDNN has asked for or that its descriptors say.
        let ran = unsafe {
            sys::cudnnRNNForward(
                layer.handle,
                layer.layer.raw,
                way.mode(),
                gpu.indices(&layer.lengths)? as *const i32,
                layer.input.raw,
                input.address as *const c_void,
                layer.output.raw,
                out.address as *mut c_void,
                layer.state.raw,
                h as *const c_void,
                h_end as *mut c_void,
                layer.state.raw,
                c as *const c_void,
                c_end as *mut c_void,
                layer.weights_size,
                gpu.address(&weights) as *mut c_void,
                layer.work_size,
                gpu.address(&work) as *mut c_void,
                layer.reserve_size,
                match training {
                    true => gpu.address(&reserve) as *mut c_void,
                    false => null_mut(),
                },
            )
        };
        check("a layer", ran)?;
        // SAFETY: `result` was made here.
        unsafe { numbers.take(gpu, &out, all)? };
        let saved = Saved {
            numbers,
            weights,
            reserve,
        };
        Ok((result, saved))
    }

    unsafe fn backward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        saved: &mut Saved,
        (result, d_result): (DeviceSlice, DeviceSlice),
        input_wanted: bool,
    ) -> Result<Gradients<CudaSlice<f32>>> {
        let (gpu, numbers) = (pass.machine, saved.numbers);
        let layer = Description::new(gpu, pass, numbers, Way::Backward)?;
        let mut d_input = gpu.zeros(arguments.input.len)?;
        let mut d_parameters = gpu.zeros(arguments.weights.len)?;
        let mut d_start = gpu.zeros(arguments.start.len)?;
        let d_weights = gpu.device.alloc_zeros::<u8>(layer.weights_size.max(1))?;
        let work = gpu.uninit::<u8>(layer.work_size)?;
        // The pass changes what it reads there, and there may be another one.
        let reserve = saved.reserve.try_clone().map_err(Error::wrap)?;
        // SAFETY: the caller's.
        let lend = |part| -> Result<Lent> { unsafe { numbers.lend(gpu, part) } };
        let (input, start) = (lend(arguments.input)?, lend(arguments.start)?);
        let (out, d_out) = (lend(result)?, lend(d_result)?);
        let (d_input_part, d_start_part) = (gpu.part(&mut d_input), gpu.part(&mut d_start));
        let d_input_room = numbers.room(gpu, d_input_part)?;
        let d_start_room = numbers.room(gpu, d_start_part)?;
        let state_len = arguments.start.len;
        let call = BackwardCall {
            gpu,
            layer: &layer,
            lengths: gpu.indices(&layer.lengths)? as *const i32,
            start: states(pass, numbers, start.address, state_len),
            out: out.address,
            work: &work,
            reserve: &reserve,
        };
        let d_end = d_out.address + numbers.size() * pass.output_len() as u64;
        let d_end = match d_result.len > pass.output_len() {
            true => states(pass, numbers, d_end, state_len),
            // Zeros to cuDNN.
            false => [0, 0],
        };
        let d_start_at = states(pass, numbers, d_start_room.address, state_len);
        // SAFETY: as in the forward pass, whose results these are.
        unsafe {
            call.of_input(
                &saved.weights,
                d_out.address,
                d_end,
                d_input_room.address,
                d_start_at,
            )?;
            call.of_parameters(input.address, &d_weights)?;
            numbers.take(gpu, &d_input_room, d_input_part)?;
            numbers.take(gpu, &d_start_room, d_start_part)?;
        }
        let ours = gpu.part(&mut d_parameters);
        for (ours, theirs) in layer.parameters(ours, gpu.address(&d_weights))? {
            // SAFETY: cuDNN has a place of this size for each parameter, and `d_parameters` was made here.
            unsafe { numbers.fetch(gpu, theirs, ours)? };
        }
        Ok(Gradients {
            input: input_wanted.then_some(d_input),
            weights: d_parameters,
            start: d_start,
        })
    }
}

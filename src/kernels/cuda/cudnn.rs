//! A layer by cuDNN, which runs all steps of both directions in a few kernels.
//!
//! Its packed layout is that of [`Packing`](crate::packing::Packing): rows sorted by length, step by step. Its
//! gates come in PyTorch's order and its GRU is PyTorch's; its parameters lie in a memory of its own layout, to
//! which ours are copied.
//!
//! Source: NVIDIA, cuDNN API, `cudnn_adv` library (`cudnnRNNForward` and what belongs to it).

use super::machine::{Machine, Part};
use super::op::Engine;
use super::pass::{Arguments, Gradients, Pass};
use crate::cuda::gpu::{Gpu, on};
use crate::device::{Precision, precision};
use crate::kernels::{Mode, Sizes};
use crate::packing::Packing;
use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{Error, Result};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;

/// The layer by cuDNN.
#[derive(Debug)]
pub struct Cudnn;

/// What the way back needs.
pub struct Saved {
    /// The parameters in cuDNN's layout.
    weights: CudaSlice<u8>,
    reserve: CudaSlice<u8>,
}

thread_local! {
    /// A handle is for one thread and one device. They are never destroyed: at the end of a thread the driver
    /// may be gone already.
    static HANDLES: RefCell<Vec<(DeviceId, sys::cudnnHandle_t)>> = const { RefCell::new(Vec::new()) };
}

/// This thread's handle for a device.
fn handle(gpu: &Gpu) -> Result<sys::cudnnHandle_t> {
    let id = gpu.device.id();
    let known = HANDLES.with_borrow(|handles| handles.iter().find(|(of, _)| *of == id).copied());
    if let Some((_, handle)) = known {
        return Ok(handle);
    }
    on("binding the device", gpu.stream.context().bind_to_thread())?;
    let handle = on("opening cuDNN", result::create_handle())?;
    // SAFETY: both have just been made or are kept by `gpu`'s device.
    let set = unsafe { result::set_stream(handle, gpu.stream.cu_stream() as *mut _) };
    on("choosing cuDNN's stream", set)?;
    HANDLES.with_borrow_mut(|handles| handles.push((id, handle)));
    Ok(handle)
}

fn check(what: &'static str, status: sys::cudnnStatus_t) -> Result<()> {
    on(what, status.result())
}

/// A number as cuDNN takes it.
fn int(number: usize) -> Result<i32> {
    i32::try_from(number).map_err(|_| Error::Msg(format!("cuDNN: {number} is too large a size")))
}

/// One of cuDNN's descriptors, destroyed with its owner.
struct Descriptor<T: Copy> {
    raw: T,
    destroy: unsafe fn(T) -> sys::cudnnStatus_t,
}

impl<T: Copy> Descriptor<*mut T> {
    fn new(
        create: unsafe fn(*mut *mut T) -> sys::cudnnStatus_t,
        destroy: unsafe fn(*mut T) -> sys::cudnnStatus_t,
    ) -> Result<Descriptor<*mut T>> {
        let mut raw = null_mut();
        // SAFETY: a descriptor is made where `raw` is.
        check("making a descriptor", unsafe { create(&raw mut raw) })?;
        Ok(Descriptor { raw, destroy })
    }
}

impl<T: Copy> Drop for Descriptor<T> {
    fn drop(&mut self) {
        // SAFETY: it was made by its constructor, and nobody else destroys it. There is nothing to be done
        // about a failure.
        let _ = unsafe { (self.destroy)(self.raw) };
    }
}

/// A layer as cuDNN knows it.
struct Description {
    handle: sys::cudnnHandle_t,
    layer: Descriptor<sys::cudnnRNNDescriptor_t>,
    input: Descriptor<sys::cudnnRNNDataDescriptor_t>,
    output: Descriptor<sys::cudnnRNNDataDescriptor_t>,
    state: Descriptor<sys::cudnnTensorDescriptor_t>,
    /// Part of the layer.
    _dropout: Descriptor<sys::cudnnDropoutDescriptor_t>,
    /// The rows' lengths, on the device.
    lengths: CudaSlice<i32>,
    mode: Mode,
    sizes: Sizes,
    /// Bytes of the parameters, and of what a training pass works with and keeps.
    weights_size: usize,
    work_size: usize,
    reserve_size: usize,
}

/// Rows without padding: `CUDNN_RNN_PADDED_IO_DISABLED`.
const PACKED: u32 = 0;

const SINGLE: sys::cudnnDataType_t = sys::cudnnDataType_t::CUDNN_DATA_FLOAT;

impl Description {
    fn new(gpu: &Gpu, pass: &Pass<Gpu>, training: bool) -> Result<Self> {
        let handle = handle(gpu)?;
        let sizes = pass.sizes;
        let dropout = Descriptor::new(
            sys::cudnnCreateDropoutDescriptor,
            sys::cudnnDestroyDropoutDescriptor,
        )?;
        // SAFETY: the descriptor exists; without dropout it needs no memory.
        check("describing no dropout", unsafe {
            sys::cudnnSetDropoutDescriptor(dropout.raw, handle, 0.0, null_mut(), 0, 0)
        })?;
        let layer = Descriptor::new(
            sys::cudnnCreateRNNDescriptor,
            sys::cudnnDestroyRNNDescriptor,
        )?;
        let hidden = int(sizes.hidden)?;
        // SAFETY: the descriptors exist.
        check("describing a layer", unsafe {
            sys::cudnnSetRNNDescriptor_v8(
                layer.raw,
                sys::cudnnRNNAlgo_t::CUDNN_RNN_ALGO_STANDARD,
                match pass.mode {
                    Mode::RnnTanh => sys::cudnnRNNMode_t::CUDNN_RNN_TANH,
                    Mode::RnnRelu => sys::cudnnRNNMode_t::CUDNN_RNN_RELU,
                    Mode::Gru => sys::cudnnRNNMode_t::CUDNN_GRU,
                    Mode::Lstm => sys::cudnnRNNMode_t::CUDNN_LSTM,
                },
                match sizes.bias {
                    true => sys::cudnnRNNBiasMode_t::CUDNN_RNN_DOUBLE_BIAS,
                    false => sys::cudnnRNNBiasMode_t::CUDNN_RNN_NO_BIAS,
                },
                match sizes.directions {
                    2 => sys::cudnnDirectionMode_t::CUDNN_BIDIRECTIONAL,
                    _ => sys::cudnnDirectionMode_t::CUDNN_UNIDIRECTIONAL,
                },
                sys::cudnnRNNInputMode_t::CUDNN_LINEAR_INPUT,
                SINGLE,
                SINGLE,
                match precision() {
                    // TensorFloat-32; the modes named after tensor cores would take half precision.
                    Precision::Tf32 | Precision::Bf16 => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
                    Precision::F32 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
                },
                int(sizes.input)?,
                hidden,
                hidden,
                1,
                dropout.raw,
                PACKED,
            )
        })?;
        let input = rows(pass.packing, sizes.input)?;
        let output = rows(pass.packing, sizes.directions * sizes.hidden)?;
        let state = Descriptor::new(
            sys::cudnnCreateTensorDescriptor,
            sys::cudnnDestroyTensorDescriptor,
        )?;
        let shape = [int(sizes.directions)?, int(pass.packing.batch())?, hidden];
        let strides = [shape[1] * hidden, hidden, 1];
        // SAFETY: the descriptor exists, and the arrays have three numbers.
        check("describing a state", unsafe {
            sys::cudnnSetTensorNdDescriptor(state.raw, SINGLE, 3, shape.as_ptr(), strides.as_ptr())
        })?;
        let (mut weights_size, mut work_size, mut reserve_size) = (0, 0, 0);
        // SAFETY: the descriptors exist, and the sizes are written to variables of this function.
        unsafe {
            check(
                "asking for the size of the parameters",
                sys::cudnnGetRNNWeightSpaceSize(handle, layer.raw, &raw mut weights_size),
            )?;
            check(
                "asking for the size of the memory to work with",
                sys::cudnnGetRNNTempSpaceSizes(
                    handle,
                    layer.raw,
                    forward_mode(training),
                    input.raw,
                    &raw mut work_size,
                    &raw mut reserve_size,
                ),
            )?;
        }
        let lengths: Vec<i32> = lengths(pass.packing)?;
        Ok(Self {
            handle,
            layer,
            input,
            output,
            state,
            _dropout: dropout,
            lengths: gpu.device.clone_htod(&lengths)?,
            mode: pass.mode,
            sizes,
            weights_size,
            work_size,
            reserve_size,
        })
    }

    /// Our parameters, flat, and where cuDNN has the same ones in a memory at `base`.
    fn parameters(&self, ours: Part, base: u64) -> Result<Vec<(Part, u64)>> {
        let Sizes {
            input,
            hidden,
            directions,
            bias,
        } = self.sizes;
        let gates = self.mode.gates();
        let matrix = Descriptor::new(
            sys::cudnnCreateTensorDescriptor,
            sys::cudnnDestroyTensorDescriptor,
        )?;
        let vector = Descriptor::new(
            sys::cudnnCreateTensorDescriptor,
            sys::cudnnDestroyTensorDescriptor,
        )?;
        let mut places = Vec::new();
        let mut rest = ours;
        let mut next = |len: usize| {
            let part = rest.first(len);
            rest = rest.after(len);
            part
        };
        for direction in 0..directions {
            let mut biases = Vec::new();
            // The gates' matrices for the input, then those for the state.
            for number in 0..2 * gates {
                let (mut of_matrix, mut of_bias) = (null_mut(), null_mut());
                // SAFETY: the descriptors exist, and the addresses are written to variables of this function.
                check("asking for the place of a parameter", unsafe {
                    sys::cudnnGetRNNWeightParams(
                        self.handle,
                        self.layer.raw,
                        int(direction)?,
                        self.weights_size,
                        base as *const c_void,
                        int(number)?,
                        matrix.raw,
                        &raw mut of_matrix,
                        vector.raw,
                        &raw mut of_bias,
                    )
                })?;
                let columns = if number < gates { input } else { hidden };
                places.push((next(hidden * columns), of_matrix as u64));
                biases.push(of_bias as u64);
            }
            if bias {
                places.extend(biases.into_iter().map(|address| (next(hidden), address)));
            }
        }
        Ok(places)
    }

    fn work(&self, gpu: &Gpu) -> Result<CudaSlice<u8>> {
        gpu.device.alloc_zeros(self.work_size.max(1))
    }
}

fn forward_mode(training: bool) -> sys::cudnnForwardMode_t {
    match training {
        true => sys::cudnnForwardMode_t::CUDNN_FWD_MODE_TRAINING,
        false => sys::cudnnForwardMode_t::CUDNN_FWD_MODE_INFERENCE,
    }
}

fn lengths(packing: &Packing) -> Result<Vec<i32>> {
    packing
        .lengths()
        .iter()
        .map(|&length| int(length))
        .collect()
}

/// Packed rows of some width.
fn rows(packing: &Packing, width: usize) -> Result<Descriptor<sys::cudnnRNNDataDescriptor_t>> {
    let rows = Descriptor::new(
        sys::cudnnCreateRNNDataDescriptor,
        sys::cudnnDestroyRNNDataDescriptor,
    )?;
    let lengths = lengths(packing)?;
    // SAFETY: the descriptor exists, there is a length for each row of the batch, and packed rows have no padding
    // to be filled.
    check("describing packed rows", unsafe {
        sys::cudnnSetRNNDataDescriptor(
            rows.raw,
            SINGLE,
            sys::cudnnRNNDataLayout_t::CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED,
            int(packing.steps())?,
            int(packing.batch())?,
            int(width)?,
            lengths.as_ptr(),
            null_mut(),
        )
    })?;
    Ok(rows)
}

/// `h` and `c` of a flat state; no address for a `c` that there is not.
fn states(pass: &Pass<Gpu>, state: Part) -> [u64; 2] {
    match pass.mode.has_cell() {
        true => [state.address, state.after(state.len / 2).address],
        false => [state.address, 0],
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
        let gpu = pass.machine;
        let layer = Description::new(gpu, pass, training)?;
        let mut result = gpu.zeros(pass.output_len() + arguments.start.len)?;
        let all = gpu.part(&mut result);
        let weights = gpu.device.alloc_zeros::<u8>(layer.weights_size.max(1))?;
        let base = gpu.address(&weights);
        for (ours, theirs) in layer.parameters(arguments.weights, base)? {
            let to = Part {
                address: theirs,
                len: ours.len,
            };
            // SAFETY: the arguments by the caller; cuDNN has a place of this size for each parameter.
            unsafe { gpu.copy(ours, to)? };
        }
        let work = layer.work(gpu)?;
        let reserve = gpu.device.alloc_zeros::<u8>(layer.reserve_size.max(1))?;
        let [h, c] = states(pass, arguments.start);
        let [h_end, c_end] = states(pass, all.after(pass.output_len()));
        // SAFETY: the memories exist until the work has been asked of the stream, and are of the sizes that
        // cuDNN has asked for or that its descriptors say.
        let ran = unsafe {
            sys::cudnnRNNForward(
                layer.handle,
                layer.layer.raw,
                forward_mode(training),
                gpu.address(&layer.lengths) as *const i32,
                layer.input.raw,
                arguments.input.address as *const c_void,
                layer.output.raw,
                all.address as *mut c_void,
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
        Ok((result, Saved { weights, reserve }))
    }

    unsafe fn backward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        saved: &mut Saved,
        (result, d_result): (Part, Part),
        input_wanted: bool,
    ) -> Result<Gradients<CudaSlice<f32>>> {
        let gpu = pass.machine;
        let layer = Description::new(gpu, pass, true)?;
        let mut d_input = gpu.zeros(arguments.input.len)?;
        let mut d_parameters = gpu.zeros(arguments.weights.len)?;
        let mut d_start = gpu.zeros(arguments.start.len)?;
        let d_weights = gpu.device.alloc_zeros::<u8>(layer.weights_size.max(1))?;
        let work = layer.work(gpu)?;
        // The pass changes what it reads there, and there may be another one.
        let reserve = saved.reserve.try_clone().map_err(Error::wrap)?;
        let lengths = gpu.address(&layer.lengths) as *const i32;
        let [h, c] = states(pass, arguments.start);
        let [dh_end, dc_end] = states(pass, d_result.after(pass.output_len()));
        let [dh, dc] = states(pass, gpu.part(&mut d_start));
        // SAFETY: as in the forward pass, whose results these are.
        unsafe {
            check(
                "the gradients of a layer's input",
                sys::cudnnRNNBackwardData_v8(
                    layer.handle,
                    layer.layer.raw,
                    lengths,
                    layer.output.raw,
                    result.address as *const c_void,
                    d_result.address as *const c_void,
                    layer.input.raw,
                    gpu.part(&mut d_input).address as *mut c_void,
                    layer.state.raw,
                    h as *const c_void,
                    dh_end as *const c_void,
                    dh as *mut c_void,
                    layer.state.raw,
                    c as *const c_void,
                    dc_end as *const c_void,
                    dc as *mut c_void,
                    layer.weights_size,
                    gpu.address(&saved.weights) as *const c_void,
                    layer.work_size,
                    gpu.address(&work) as *mut c_void,
                    layer.reserve_size,
                    gpu.address(&reserve) as *mut c_void,
                ),
            )?;
            check(
                "the gradients of a layer's parameters",
                sys::cudnnRNNBackwardWeights_v8(
                    layer.handle,
                    layer.layer.raw,
                    sys::cudnnWgradMode_t::CUDNN_WGRAD_MODE_ADD,
                    lengths,
                    layer.input.raw,
                    arguments.input.address as *const c_void,
                    layer.state.raw,
                    h as *const c_void,
                    layer.output.raw,
                    result.address as *const c_void,
                    layer.weights_size,
                    gpu.address(&d_weights) as *mut c_void,
                    layer.work_size,
                    gpu.address(&work) as *mut c_void,
                    layer.reserve_size,
                    gpu.address(&reserve) as *mut c_void,
                ),
            )?;
        }
        let base = gpu.address(&d_weights);
        for (ours, theirs) in layer.parameters(gpu.part(&mut d_parameters), base)? {
            let from = Part {
                address: theirs,
                len: ours.len,
            };
            // SAFETY: cuDNN has a place of this size for each parameter, and `d_parameters` was made here.
            unsafe { gpu.copy(from, ours)? };
        }
        Ok(Gradients {
            input: input_wanted.then_some(d_input),
            weights: d_parameters,
            start: d_start,
        })
    }
}

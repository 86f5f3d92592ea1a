//! The description of a layer for cuDNN.

use super::numbers::Numbers;
use crate::batch::packing::Packing;
use crate::device::cuda::gpu::{Gpu, on};
use crate::rnn::kernels::cuda::machine::DeviceSlice;
use crate::rnn::kernels::cuda::pass::Pass;
use crate::rnn::kernels::{CellType, Sizes};
use candle_core::cuda_backend::DeviceId;
use candle_core::cuda_backend::cudarc::cudnn::{result, sys};
use candle_core::{Device, Error, Result, Tensor};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;

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

pub(super) fn check(what: &'static str, status: sys::cudnnStatus_t) -> Result<()> {
    on(what, status.result())
}

/// A number as cuDNN takes it.
fn int(number: usize) -> Result<i32> {
    i32::try_from(number).map_err(|_| Error::Msg(format!("cuDNN: {number} is too large a size")))
}

/// One of cuDNN's descriptors, destroyed with its owner.
pub(super) struct Descriptor<T: Copy> {
    pub(super) raw: T,
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
pub(super) struct Description {
    pub(super) handle: sys::cudnnHandle_t,
    pub(super) layer: Descriptor<sys::cudnnRNNDescriptor_t>,
    pub(super) input: Descriptor<sys::cudnnRNNDataDescriptor_t>,
    pub(super) output: Descriptor<sys::cudnnRNNDataDescriptor_t>,
    pub(super) state: Descriptor<sys::cudnnTensorDescriptor_t>,
    /// DeviceSlice of the layer.
    _dropout: Descriptor<sys::cudnnDropoutDescriptor_t>,
    /// The rows' lengths, on the device.
    pub(super) lengths: Tensor,
    pub(super) numbers: Numbers,
    cell_type: CellType,
    sizes: Sizes,
    /// Bytes of the parameters, and of what a training pass works with and keeps.
    pub(super) weights_size: usize,
    pub(super) work_size: usize,
    pub(super) reserve_size: usize,
}

/// Rows without padding, `CUDNN_RNN_PADDED_IO_DISABLED`; or with it, `CUDNN_RNN_PADDED_IO_ENABLED`, of which a full
/// batch has none, in the same layout.
const PACKED: u32 = 0;
const PADDED: u32 = 1;

/// What a layer is to be run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Inference,
    Forward,
    Backward,
}

impl Way {
    pub(super) fn mode(self) -> sys::cudnnForwardMode_t {
        match self {
            Self::Inference => sys::cudnnForwardMode_t::CUDNN_FWD_MODE_INFERENCE,
            Self::Forward | Self::Backward => sys::cudnnForwardMode_t::CUDNN_FWD_MODE_TRAINING,
        }
    }
}

/// Small layers stay in the multiprocessors' registers for all steps, where no row ends before the others: the
/// sizes up to which PyTorch takes this algorithm, and which cuDNN does not offer for ragged batches.
fn algorithm(
    cell_type: CellType,
    hidden: usize,
    packing: &Packing,
    way: Way,
) -> sys::cudnnRNNAlgo_t {
    let most = match (cell_type, way) {
        (CellType::RnnTanh | CellType::RnnRelu, Way::Backward) => 256,
        (CellType::RnnTanh | CellType::RnnRelu, _) => 384,
        (CellType::Gru | CellType::Lstm, Way::Backward) => 128,
        (CellType::Gru | CellType::Lstm, _) => 192,
    };
    match packing.is_full() && hidden <= most {
        true => sys::cudnnRNNAlgo_t::CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H,
        false => sys::cudnnRNNAlgo_t::CUDNN_RNN_ALGO_STANDARD,
    }
}

impl Description {
    pub(super) fn new(gpu: &Gpu, pass: &Pass<Gpu>, numbers: Numbers, way: Way) -> Result<Self> {
        let handle = handle(gpu)?;
        let sizes = pass.sizes;
        let dropout = no_dropout(handle)?;
        let layer = layer(pass, numbers, way, &dropout)?;
        let input = rows(pass.packing, sizes.input, numbers)?;
        let output = rows(pass.packing, sizes.directions * sizes.hidden, numbers)?;
        let state = state(pass, numbers)?;
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
                    way.mode(),
                    input.raw,
                    &raw mut work_size,
                    &raw mut reserve_size,
                ),
            )?;
        }
        let [_, lengths] = pass.packing.on_device();
        let device = Device::Cuda(gpu.device.clone());
        Ok(Self {
            handle,
            layer,
            input,
            output,
            state,
            _dropout: dropout,
            lengths: lengths.on(&device).map_err(Error::wrap)?,
            numbers,
            cell_type: pass.cell_type,
            sizes,
            weights_size,
            work_size,
            reserve_size,
        })
    }

    /// Our parameters, flat, and where cuDNN has the same ones in a memory at `base`.
    pub(super) fn parameters(
        &self,
        ours: DeviceSlice,
        base: u64,
    ) -> Result<Vec<(DeviceSlice, u64)>> {
        let Sizes {
            input,
            hidden,
            directions,
            bias,
        } = self.sizes;
        let gates = self.cell_type.gates();
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
        Ok(joined(places, self.numbers.size()))
    }
}

/// The same with one entry for those that follow each other on both sides, whose numbers have so many bytes there.
fn joined(places: Vec<(DeviceSlice, u64)>, size: u64) -> Vec<(DeviceSlice, u64)> {
    let mut joined: Vec<(DeviceSlice, u64)> = Vec::new();
    for (ours, theirs) in places {
        match joined.last_mut() {
            Some((before, at))
                if before.end() == ours.address && *at + before.len as u64 * size == theirs =>
            {
                before.len += ours.len;
            }
            _ => joined.push((ours, theirs)),
        }
    }
    joined
}

fn lengths(packing: &Packing) -> Result<Vec<i32>> {
    packing
        .lengths()
        .iter()
        .map(|&length| int(length))
        .collect()
}

/// Packed rows of some width.
fn rows(
    packing: &Packing,
    width: usize,
    numbers: Numbers,
) -> Result<Descriptor<sys::cudnnRNNDataDescriptor_t>> {
    let rows = Descriptor::new(
        sys::cudnnCreateRNNDataDescriptor,
        sys::cudnnDestroyRNNDataDescriptor,
    )?;
    let lengths = lengths(packing)?;
    // SAFETY: the descriptor exists, there is a length for each row of the batch, and neither packed rows nor those
    // of a full batch have padding to be filled.
    check("describing packed rows", unsafe {
        sys::cudnnSetRNNDataDescriptor(
            rows.raw,
            numbers.data_type(),
            match packing.is_full() {
                true => sys::cudnnRNNDataLayout_t::CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                false => sys::cudnnRNNDataLayout_t::CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED,
            },
            int(packing.steps())?,
            int(packing.batch())?,
            int(width)?,
            lengths.as_ptr(),
            null_mut(),
        )
    })?;
    Ok(rows)
}

/// The description of no dropout.
fn no_dropout(handle: sys::cudnnHandle_t) -> Result<Descriptor<sys::cudnnDropoutDescriptor_t>> {
    let dropout = Descriptor::new(
        sys::cudnnCreateDropoutDescriptor,
        sys::cudnnDestroyDropoutDescriptor,
    )?;
    // SAFETY: the descriptor exists; without dropout it needs no memory.
    check("describing no dropout", unsafe {
        sys::cudnnSetDropoutDescriptor(dropout.raw, handle, 0.0, null_mut(), 0, 0)
    })?;
    Ok(dropout)
}

/// A layer's cell, sizes and algorithm.
fn layer(
    pass: &Pass<Gpu>,
    numbers: Numbers,
    way: Way,
    dropout: &Descriptor<sys::cudnnDropoutDescriptor_t>,
) -> Result<Descriptor<sys::cudnnRNNDescriptor_t>> {
    let sizes = pass.sizes;
    let layer = Descriptor::new(
        sys::cudnnCreateRNNDescriptor,
        sys::cudnnDestroyRNNDescriptor,
    )?;
    let hidden = int(sizes.hidden)?;
    // SAFETY: the descriptors exist.
    check("describing a layer", unsafe {
        sys::cudnnSetRNNDescriptor_v8(
            layer.raw,
            algorithm(pass.cell_type, sizes.hidden, pass.packing, way),
            match pass.cell_type {
                CellType::RnnTanh => sys::cudnnRNNMode_t::CUDNN_RNN_TANH,
                CellType::RnnRelu => sys::cudnnRNNMode_t::CUDNN_RNN_RELU,
                CellType::Gru => sys::cudnnRNNMode_t::CUDNN_GRU,
                CellType::Lstm => sys::cudnnRNNMode_t::CUDNN_LSTM,
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
            numbers.data_type(),
            // Sums are of single precision with any.
            sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            numbers.math(),
            int(sizes.input)?,
            hidden,
            hidden,
            1,
            dropout.raw,
            match pass.packing.is_full() {
                true => PADDED,
                false => PACKED,
            },
        )
    })?;
    Ok(layer)
}

/// The `h` of a layer, or the `c`, before the first step or after the last: [D, B, H].
fn state(pass: &Pass<Gpu>, numbers: Numbers) -> Result<Descriptor<sys::cudnnTensorDescriptor_t>> {
    let state = Descriptor::new(
        sys::cudnnCreateTensorDescriptor,
        sys::cudnnDestroyTensorDescriptor,
    )?;
    let hidden = int(pass.sizes.hidden)?;
    let shape = [
        int(pass.sizes.directions)?,
        int(pass.packing.batch())?,
        hidden,
    ];
    let strides = [shape[1] * hidden, hidden, 1];
    // SAFETY: the descriptor exists, and the arrays have three numbers.
    check("describing a state", unsafe {
        sys::cudnnSetTensorNdDescriptor(
            state.raw,
            numbers.data_type(),
            3,
            shape.as_ptr(),
            strides.as_ptr(),
        )
    })?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_layers_stay_in_registers_where_all_rows_have_all_steps() {
        let (full, ragged) = (Packing::full(3, 2).unwrap(), Packing::new(&[2, 1]).unwrap());
        let small = |hidden, packing, way| {
            algorithm(CellType::Lstm, hidden, packing, way)
                == sys::cudnnRNNAlgo_t::CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H
        };
        assert!(small(192, &full, Way::Forward) && !small(193, &full, Way::Inference));
        assert!(small(128, &full, Way::Backward) && !small(129, &full, Way::Backward));
        assert!(!small(10, &ragged, Way::Forward));
    }

    #[test]
    fn parameters_that_follow_each_other_on_both_sides_are_copied_at_once() {
        let part = |address, len| DeviceSlice { address, len };
        let places = vec![
            (part(100, 5), 1000),
            (part(120, 5), 1010),
            // Not there.
            (part(140, 5), 1030),
            // Not here.
            (part(200, 5), 1040),
            (part(220, 1), 1050),
        ];
        let found = joined(places, 2);
        let found: Vec<_> = found
            .into_iter()
            .map(|(ours, theirs)| (ours.address, ours.len, theirs))
            .collect();
        assert_eq!(found, [(100, 10, 1000), (140, 5, 1030), (200, 6, 1040)]);
    }
}

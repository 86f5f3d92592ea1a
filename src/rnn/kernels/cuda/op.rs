//! The graph node: Candle's custom operation around the passes of a layer.

use super::machine::DeviceSlice;
use super::pass::{self, Arguments, Gradients, Pass};
use crate::batch::packing::Packing;
use crate::device::cuda::gpu::Gpu;
use crate::rnn::kernels::{
    CellType, Kernel, Layer, LayerGradients, SavedActivations, Sizes, State, Wanted, flat,
    upstream::Upstream,
};
use candle_core::cuda_backend::cudarc::driver::CudaSlice;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor, bail,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// An implementation of a layer on a GPU.
pub(super) trait Engine: fmt::Debug + Send + Sync + 'static {
    /// The saved activations for the backward pass.
    type Saved: Send + Sync;

    /// A short display name.
    const NAME: &'static str;

    /// The result, see [`pass`], and the saved activations for the backward pass.
    ///
    /// # Safety
    /// As [`Pass::forward`].
    unsafe fn forward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        training: bool,
    ) -> Result<(CudaSlice<f32>, Self::Saved)>;

    /// The gradients, see [`pass`].
    ///
    /// # Safety
    /// As [`Pass::backward`].
    unsafe fn backward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        saved: &mut Self::Saved,
        results: (DeviceSlice, DeviceSlice),
        input_wanted: bool,
    ) -> Result<Gradients<CudaSlice<f32>>>;
}

/// Products by cuBLAS, steps by `steps.cu`.
#[derive(Debug)]
pub struct Blas;

impl Engine for Blas {
    type Saved = Vec<pass::Saved<CudaSlice<f32>>>;

    const NAME: &'static str = "cuda";

    unsafe fn forward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        _training: bool,
    ) -> Result<(CudaSlice<f32>, Self::Saved)> {
        // SAFETY: guaranteed by the caller.
        unsafe { pass.forward(arguments) }
    }

    unsafe fn backward(
        pass: &Pass<Gpu>,
        arguments: Arguments,
        saved: &mut Self::Saved,
        results: (DeviceSlice, DeviceSlice),
        input_wanted: bool,
    ) -> Result<Gradients<CudaSlice<f32>>> {
        // SAFETY: guaranteed by the caller.
        unsafe { pass.backward(arguments, saved, results, input_wanted) }
    }
}

/// The CUDA kernel; see the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct CudaKernel<E>(pub(super) std::marker::PhantomData<E>);

impl<E: Engine> Kernel for CudaKernel<E> {
    fn name(&self) -> &'static str {
        E::NAME
    }

    fn supports(&self, device: &Device, dtype: DType) -> bool {
        device.is_cuda() && dtype == DType::F32
    }

    fn forward(&self, layer: &Layer) -> crate::error::Result<(Tensor, State)> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let input = layer.input.contiguous()?;
        let (weights, initial) = (flat::of_weights(layer.weights)?, flat::of_state(&initial)?);
        let tracked = input.track_op() || weights.track_op() || initial.track_op();
        let op = LayerOp::<E> {
            cell_type: layer.cell_type,
            packing: layer.packing.clone(),
            sizes,
            tracked,
            saved: Mutex::new(None),
            _upstream: tracked.then(|| Upstream::new([&input, &weights, &initial])),
        };
        let result = match tracked {
            true => input.apply_op3(&weights, &initial, op)?,
            false => input.apply_op3_no_bwd(&weights, &initial, &op)?,
        };
        flat::result(&result, layer, sizes)
    }

    fn forward_train(&self, layer: &Layer) -> crate::error::Result<Box<dyn SavedActivations>> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let input = layer.input.contiguous()?.detach();
        let weights = flat::of_weights(layer.weights)?.detach();
        let initial = flat::of_state(&initial)?.detach();
        let op = LayerOp::<E> {
            cell_type: layer.cell_type,
            packing: layer.packing.clone(),
            sizes,
            tracked: true,
            saved: Mutex::new(None),
            _upstream: None,
        };
        let result = input.apply_op3_no_bwd(&weights, &initial, &op)?;
        let (output, state) = flat::result(&result, layer, sizes)?;
        Ok(Box::new(CudaActivations {
            op,
            arguments: [input, weights, initial],
            result,
            output,
            state,
        }))
    }
}

/// A layer: the result, see [`pass`], as a function of (input [N, I], flat weights, flat initial state).
struct LayerOp<E: Engine> {
    cell_type: CellType,
    packing: Arc<Packing>,
    sizes: Sizes,
    /// Whether a backward pass may follow.
    tracked: bool,
    saved: Mutex<Option<E::Saved>>,
    /// In a graph, the arguments; here only to be dropped.
    _upstream: Option<Upstream>,
}

impl<E: Engine> LayerOp<E> {
    /// The gradients of (input, flat weights, flat initial state), from that of the result, or of its output alone if
    /// the final state is not used. That of the input is present only if requested.
    fn gradients(
        &self,
        [input, weights, initial]: [&Tensor; 3],
        result: &Tensor,
        d_result: &Tensor,
        input_wanted: bool,
    ) -> Result<Gradients<Tensor>> {
        let d_result = d_result.contiguous()?;
        let Device::Cuda(device) = input.device() else {
            bail!("recurrent layer: a tensor has left the GPU");
        };
        let gpu = Gpu::new(device);
        let tensors = [input, weights, initial, result, &d_result];
        let guards = tensors.map(|tensor| tensor.storage_and_layout());
        let mut parts = [DeviceSlice { address: 0, len: 0 }; 5];
        for (part, (storage, layout)) in parts.iter_mut().zip(&guards) {
            *part = match &**storage {
                Storage::Cuda(storage) => part_of(&gpu, storage, layout)?,
                _ => bail!("recurrent layer: a tensor has left the GPU"),
            };
        }
        let [input_part, weights_part, initial_part, result, d_result] = parts;
        let pass = self.pass(&gpu);
        if ![pass.output_len(), result.len].contains(&d_result.len) {
            bail!("recurrent layer: a gradient of {} numbers", d_result.len);
        }
        let arguments = Arguments {
            input: input_part,
            weights: weights_part,
            start: initial_part,
        };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = &mut *saved else {
            bail!("recurrent layer: backward without a tracked forward pass");
        };
        let results = (result, d_result);
        // SAFETY: the guards keep the tensors alive until the work has been queued on the stream.
        let gradients = unsafe { E::backward(&pass, arguments, saved, results, input_wanted)? };
        drop(guards);
        let tensor = |slice, like: &Tensor| gpu.tensor_of(slice, like.shape());
        Ok(Gradients {
            input: gradients.input.map(|slice| tensor(slice, input)),
            weights: tensor(gradients.weights, weights),
            start: tensor(gradients.start, initial),
        })
    }

    fn pass<'a>(&'a self, gpu: &'a Gpu) -> Pass<'a, Gpu> {
        Pass {
            machine: gpu,
            cell_type: self.cell_type,
            packing: &self.packing,
            sizes: self.sizes,
        }
    }
}

/// The memory of a contiguous tensor, which must outlive the operation.
fn part_of(gpu: &Gpu, storage: &CudaStorage, layout: &Layout) -> Result<DeviceSlice> {
    let (address, len) = gpu.numbers(storage, layout)?;
    Ok(DeviceSlice { address, len })
}

impl<E: Engine> CustomOp3 for LayerOp<E> {
    fn name(&self) -> &'static str {
        "recurrent-layer"
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weights: &CpuStorage,
        _weights_layout: &Layout,
        _initial: &CpuStorage,
        _initial_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("the CUDA kernel was called with tensors on the CPU")
    }

    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weights: &CudaStorage,
        weights_layout: &Layout,
        initial: &CudaStorage,
        initial_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let gpu = Gpu::new(&input.device);
        let arguments = Arguments {
            input: part_of(&gpu, input, input_layout)?,
            weights: part_of(&gpu, weights, weights_layout)?,
            start: part_of(&gpu, initial, initial_layout)?,
        };
        // SAFETY: the arguments are borrowed until the work has been queued on the stream, and freed on that stream.
        let (result, saved) = unsafe { E::forward(&self.pass(&gpu), arguments, self.tracked)? };
        if self.tracked {
            *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        }
        let shape = flat::result_shape(self.cell_type, &self.packing, self.sizes);
        Ok((CudaStorage::wrap_cuda_slice(result, gpu.device), shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        initial: &Tensor,
        result: &Tensor,
        d_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradients = self.gradients(
            [input, weights, initial],
            result,
            d_result,
            input.track_op(),
        )?;
        let Gradients {
            input: d_input,
            weights: d_weights,
            start: d_initial,
        } = gradients;
        Ok((
            d_input,
            weights.track_op().then_some(d_weights),
            initial.track_op().then_some(d_initial),
        ))
    }
}

/// A layer after a forward pass without a graph.
struct CudaActivations<E: Engine> {
    op: LayerOp<E>,
    /// Input, flat weights, flat initial state.
    arguments: [Tensor; 3],
    result: Tensor,
    output: Tensor,
    state: State,
}

impl<E: Engine> SavedActivations for CudaActivations<E> {
    fn output(&self) -> &Tensor {
        &self.output
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn backward(
        self: Box<Self>,
        d_output: &Tensor,
        wanted: Wanted,
    ) -> crate::error::Result<LayerGradients> {
        let arguments = self.arguments.each_ref();
        let gradients = self
            .op
            .gradients(arguments, &self.result, d_output, wanted.input)?;
        Ok(LayerGradients {
            input: gradients.input,
            weights: flat::weights(&gradients.weights, self.op.cell_type, self.op.sizes)?,
        })
    }
}

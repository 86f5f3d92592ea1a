//! A graph node whose result is computed before it is made.

use super::upstream::Upstream;
use crate::error::Result;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Storage, Tensor, bail};

/// The result of three arguments, and the function from them and the result's gradient to their gradients. Tensor
/// operations inside it make no part of the caller's graph.
pub(in crate::rnn) struct ComputedNode<F> {
    name: &'static str,
    result: Tensor,
    backward: F,
    /// Here only to be dropped.
    _upstream: Upstream,
}

impl<F> ComputedNode<F>
where
    F: Fn([Tensor; 3], &Tensor) -> Result<[Tensor; 3]> + Send + Sync + 'static,
{
    /// The result as a tensor of the caller's graph, at least one of whose arguments is tracked.
    ///
    /// # Errors
    /// A tensor that is not on the device of the others.
    pub(in crate::rnn) fn apply(
        name: &'static str,
        [first, second, third]: [&Tensor; 3],
        result: &Tensor,
        backward: F,
    ) -> Result<Tensor> {
        let node = Self {
            name,
            result: result.detach(),
            backward,
            _upstream: Upstream::new([first, second, third]),
        };
        Ok(first.apply_op3(second, third, node)?)
    }
}

impl<F> CustomOp3 for ComputedNode<F>
where
    F: Fn([Tensor; 3], &Tensor) -> Result<[Tensor; 3]> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _first: &CpuStorage,
        _first_layout: &Layout,
        _second: &CpuStorage,
        _second_layout: &Layout,
        _third: &CpuStorage,
        _third_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.result.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: a tensor has left the CPU", self.name),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _first: &candle_core::CudaStorage,
        _first_layout: &Layout,
        _second: &candle_core::CudaStorage,
        _second_layout: &Layout,
        _third: &candle_core::CudaStorage,
        _third_layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        let (storage, layout) = self.result.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: a tensor has left the GPU", self.name),
        }
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        _first: &candle_core::MetalStorage,
        _first_layout: &Layout,
        _second: &candle_core::MetalStorage,
        _second_layout: &Layout,
        _third: &candle_core::MetalStorage,
        _third_layout: &Layout,
    ) -> candle_core::Result<(candle_core::MetalStorage, Shape)> {
        let (storage, layout) = self.result.storage_and_layout();
        match &*storage {
            Storage::Metal(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: a tensor has left the GPU", self.name),
        }
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        _result: &Tensor,
        d_result: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [first, second, third].map(Tensor::detach);
        let [d_first, d_second, d_third] = (self.backward)(arguments, &d_result.detach())?;
        Ok((
            first.track_op().then_some(d_first),
            second.track_op().then_some(d_second),
            third.track_op().then_some(d_third),
        ))
    }
}

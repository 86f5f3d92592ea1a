//! The arguments of a graph node, kept so that long graphs can be dropped.
//!
//! A tensor owns the tensors that it was computed from, and dropping it drops them inside that call. A state carried
//! over thousands of segments is thus a chain whose end, when dropped, would call itself thousands of times and
//! overflow the stack. A layer's node holds its arguments a second time: when Candle drops them they live on, and
//! [`Upstream`] drops them one after the other, however long the chain.

use candle_core::Tensor;
use std::cell::RefCell;

/// The arguments of a node.
#[derive(Debug)]
pub(super) struct Upstream(Vec<Tensor>);

thread_local! {
    /// What is still to be dropped on this thread; `None` unless that is going on.
    static DROPPING: RefCell<Option<Vec<Tensor>>> = const { RefCell::new(None) };
}

impl Upstream {
    /// Those of a node with these arguments.
    pub(super) fn new(arguments: [&Tensor; 3]) -> Self {
        Self(arguments.into_iter().cloned().collect())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let mut tensors = std::mem::take(&mut self.0);
        // While a thread ends, its list may be gone: then the tensors are dropped here, inside this call.
        let _ = DROPPING.try_with(|dropping| {
            if let Some(waiting) = &mut *dropping.borrow_mut() {
                waiting.append(&mut tensors);
                return;
            }
            *dropping.borrow_mut() = Some(std::mem::take(&mut tensors));
            // Dropping a tensor may add those of other nodes to the list, which must not be borrowed meanwhile.
            let next = || dropping.borrow_mut().as_mut().and_then(Vec::pop);
            while let Some(tensor) = next() {
                drop(tensor);
            }
            *dropping.borrow_mut() = None;
        });
    }
}

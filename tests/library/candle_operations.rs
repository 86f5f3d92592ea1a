//! What Candle's operations do on views, with NaN and without elements, where the library depends on it: the table of
//! docs/candle.md. A test that fails here after an update of Candle says which line to look at.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::{layer_norm, layer_norm_slow, log_softmax, sigmoid, softmax_last_dim};

const CPU: Device = Device::Cpu;
const NAN: f32 = f32::NAN;

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Equal, NaN to NaN.
fn assert_same(found: &Tensor, expected: &[f32], operation: &str) {
    let found = numbers(found);
    let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(same),
        "{operation}: {found:?}, expected {expected:?}"
    );
}

/// The gradient of the sum of a function's result.
fn gradient(x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) -> Option<Tensor> {
    let loss = f(x.as_tensor()).unwrap().sum_all().unwrap();
    loss.backward().unwrap().get(x).cloned()
}

type Operation = (&'static str, fn(&Tensor) -> Result<Tensor>);

/// All that the layers are made of, for a tensor of two rows and three columns.
const OPERATIONS: &[Operation] = &[
    ("tanh", |x| x.tanh()),
    ("sigmoid", sigmoid),
    ("sqr", |x| x.sqr()),
    ("affine", |x| x.affine(2.0, 1.0)),
    ("exp", |x| x.exp()),
    ("sum", |x| x.sum(1)),
    ("sum_all", |x| x.sum_all()),
    ("add", |x| x + x),
    ("mul", |x| x * x),
    ("matmul", |x| {
        x.matmul(&Tensor::ones((3, 2), DType::F32, x.device())?)
    }),
    ("matmul transposed", |x| {
        Tensor::ones((4, 2), DType::F32, x.device())?.matmul(x)
    }),
    ("t", |x| x.t()?.contiguous()),
    ("cat", |x| Tensor::cat(&[x, x], 0)),
    ("cat of columns", |x| Tensor::cat(&[x, x], 1)),
    ("stack", |x| Tensor::stack(&[x, x], 0)),
    ("narrow", |x| x.narrow(1, 1, 2)),
    ("pad_with_zeros", |x| x.pad_with_zeros(0, 0, 2)),
    ("chunk", |x| Ok(x.chunk(3, 1)?.swap_remove(1))),
    ("flatten_all", |x| x.flatten_all()),
    ("reshape", |x| x.reshape((3, 2))),
    ("unsqueeze", |x| x.unsqueeze(0)),
    ("broadcast_add", |x| {
        x.broadcast_add(&Tensor::ones(3, DType::F32, x.device())?)
    }),
    ("broadcast_div", |x| {
        x.broadcast_div(&Tensor::ones((2, 1), DType::F32, x.device())?)
    }),
    ("where_cond", |x| x.le(2.0)?.where_cond(&x.zeros_like()?, x)),
    ("log_softmax", |x| log_softmax(x, 1)),
    ("layer_norm_slow", |x| {
        let one = Tensor::ones(3, DType::F32, x.device())?;
        layer_norm_slow(x, &one, &one, 1e-5)
    }),
    ("max", |x| x.max(1)),
    ("to_dtype", |x| {
        x.to_dtype(DType::BF16)?.to_dtype(DType::F32)
    }),
    ("index_add", |x| {
        let rows = Tensor::new(&[1u32, 1], x.device())?;
        x.index_add(&rows, &Tensor::ones((2, 3), DType::F32, x.device())?, 0)
    }),
];

/// A view whose elements share memory, or lie in another order, gives what a copy gives; so do gradients.
#[test]
fn views_are_as_their_copies() {
    let row = Tensor::new(&[1f32, 2., 3.], &CPU).unwrap();
    let column = Tensor::new(&[[1f32], [4.]], &CPU).unwrap();
    let turned = Tensor::new(&[[1f32, 4.], [2., 5.], [3., 6.]], &CPU).unwrap();
    let views = [
        row.broadcast_as((2, 3)).unwrap(),
        column.broadcast_as((2, 3)).unwrap(),
        turned.t().unwrap(),
        turned.t().unwrap().narrow(0, 0, 2).unwrap(),
    ];
    for view in views {
        let copy = view.contiguous().unwrap().copy().unwrap();
        for (name, operation) in OPERATIONS {
            assert_same(
                &operation(&view).unwrap(),
                &numbers(&operation(&copy).unwrap()),
                name,
            );
            let [of_view, of_copy] = [false, true].map(|is_copy| {
                let x = Var::from_tensor(&copy).unwrap();
                let through_view = |x: &Tensor| {
                    let view = x.t()?.contiguous()?.t()?;
                    operation(if is_copy { x } else { &view })
                };
                numbers(&gradient(&x, through_view).unwrap())
            });
            assert_eq!(of_view, of_copy, "{name}");
        }
        // These refuse one: the library makes a copy first.
        let rows = Tensor::new(&[1u32, 0], &CPU).unwrap();
        assert!(view.index_select(&rows, 0).is_err());
        assert!(view.gather(&rows.reshape((2, 1)).unwrap(), 1).is_err());
    }
}

/// NaN stays NaN, except in the two operations that the library does not use for that reason.
#[test]
fn not_a_number() {
    let x = Tensor::new(&[[1f32, NAN, 3.], [NAN, -2., 0.]], &CPU).unwrap();
    for (name, operation) in OPERATIONS {
        if ["max"].contains(name) {
            continue;
        }
        // A sum over columns, or over a row, has one; what keeps its element keeps it.
        let found = numbers(&operation(&x).unwrap());
        assert!(
            found.iter().any(|value| value.is_nan()),
            "{name}: {found:?}"
        );
    }
    let tanh: Vec<f32> = numbers(&x).into_iter().map(f32::tanh).collect();
    assert_same(&x.tanh().unwrap(), &tanh, "tanh");
    // `relu` turns NaN into 0; `where_cond` does not.
    assert_same(&x.relu().unwrap(), &[1., 0., 3., 0., 0., 0.], "relu");
    let relu = |x: &Tensor| x.le(0.0)?.where_cond(&x.zeros_like()?, x);
    assert_same(
        &relu(&x).unwrap(),
        &[1., NAN, 3., NAN, 0., 0.],
        "where_cond",
    );
    // `max` skips a NaN that is not the first element, in both directions.
    assert_same(&x.max(1).unwrap(), &[3., NAN], "max");
    assert_same(&x.max(0).unwrap(), &[1., NAN, 3.], "max");
    let x = Var::from_tensor(&x).unwrap();
    let of_max = gradient(&x, |x| x.max(1)).unwrap();
    assert_same(&of_max, &[0., 0., 1., 0., 0., 0.], "gradient of max");
    // A comparison with NaN is false, `ne` is true.
    assert_same(
        &x.ne(x.as_tensor()).unwrap().to_dtype(DType::F32).unwrap(),
        &[0., 1., 0., 1., 0., 0.],
        "ne",
    );
}

/// Without rows, everything has the shape that it should; a maximum or a mean over nothing is an error or NaN.
#[test]
fn without_elements() {
    let none = Tensor::zeros((0, 3), DType::F32, &CPU).unwrap();
    for (name, operation) in OPERATIONS {
        let found = operation(&none);
        match *name {
            "max" | "log_softmax" => assert!(found.is_err(), "{name}"),
            // Reads past the end: the library never narrows a tensor without rows to some of its columns.
            "narrow" | "chunk" | "reshape" | "broadcast_div" | "matmul transposed"
            | "index_add" => {}
            "sum_all" => assert_same(&found.unwrap(), &[0.], name),
            "pad_with_zeros" => assert_same(&found.unwrap(), &[0.; 6], name),
            _ => assert_eq!(found.unwrap().elem_count(), 0, "{name}"),
        }
    }
    assert_same(&none.mean(0).unwrap(), &[NAN; 3], "mean");
    // A gradient through a selection of nothing is zeros.
    let x = Var::ones((2, 3), DType::F32, &CPU).unwrap();
    let nothing: fn(&Tensor) -> Result<Tensor> =
        |x| x.index_select(&Tensor::new(&[0u32; 0], x.device())?, 0);
    assert_same(&gradient(&x, nothing).unwrap(), &[0.; 6], "index_select");
    assert_same(
        &gradient(&x, |x| x.narrow(0, 0, 0)).unwrap(),
        &[0.; 6],
        "narrow",
    );
}

/// Gradients that differ from PyTorch's, or are missing: the library uses none of these operations where it matters.
#[test]
fn gradients_to_know() {
    let x = Var::from_tensor(&Tensor::new(&[[2f32, 2., 1.]], &CPU).unwrap()).unwrap();
    // PyTorch gives all of it to one of the equals.
    assert_same(&gradient(&x, |x| x.max(1)).unwrap(), &[1., 1., 0.], "max");
    let ones = Tensor::ones(3, DType::F32, &CPU).unwrap();
    // The fused operations have no backward pass, and say nothing.
    assert!(gradient(&x, softmax_last_dim).is_none());
    assert!(gradient(&x, |x| layer_norm(x, &ones, &ones, 1e-5)).is_none());
    assert!(gradient(&x, |x| layer_norm_slow(x, &ones, &ones, 1e-5)).is_some());
}

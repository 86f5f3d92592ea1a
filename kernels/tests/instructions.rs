//! What is equal across instruction sets: the bytes of those that multiply and add in one operation. Plain
//! arithmetic rounds twice, and is close.

use birnn_kernels::{
    Arguments, CellType, InstructionSet, Layout, Results, Sizes, Wanted, backward, forward,
    random::bits_at,
};

/// Numbers between -1 and 1.
fn numbers(key: u64, count: usize) -> Vec<f32> {
    let bits = (0..count as u64).map(|index| bits_at(key, index));
    bits.map(|bits| (bits >> 40) as f32 / (1 << 23) as f32 - 1.0)
        .collect()
}

/// Output, final state and all gradients of a ragged layer.
fn run(set: InstructionSet, cell_type: CellType) -> Vec<f32> {
    let lengths: Vec<usize> = (0..45).map(|row| 1 + row * 7 % 23).collect();
    let layout = Layout::new(&lengths);
    let sizes = Sizes {
        input: 19,
        hidden: 21,
        directions: 2,
        bias: true,
    };
    let parts = 1 + usize::from(cell_type.has_cell());
    let states = parts * sizes.directions * layout.batch() * sizes.hidden;
    let outputs = layout.rows() * sizes.directions * sizes.hidden;
    let input = numbers(1, layout.rows() * sizes.input);
    // Small enough for no gradient to explode, with which rounding errors would.
    let mut parameters = numbers(2, sizes.parameters(cell_type));
    parameters.iter_mut().for_each(|value| *value *= 0.25);
    let (start, d_output, d_state) = (numbers(3, states), numbers(4, outputs), numbers(5, states));
    let arguments = Arguments {
        layout: &layout,
        sizes,
        scales: None,
        input: &input,
        parameters: &parameters,
        start: &start,
    };
    let computed = forward(set, cell_type, arguments, None, true);
    let results = Results {
        saved: &computed.saved,
        output: &computed.result[..outputs],
        d_output: &d_output,
        d_state: Some(&d_state),
    };
    let gradients = backward(set, cell_type, arguments, results, Wanted::parameters(true));
    [
        computed.result.as_slice(),
        &gradients.input.unwrap(),
        &gradients.parameters,
        &gradients.start,
    ]
    .concat()
}

#[test]
fn fused_instruction_sets_give_the_same_bytes_and_plain_arithmetic_is_close() {
    let sets = InstructionSet::available();
    let names: Vec<&str> = sets.iter().map(|set| set.name()).collect();
    println!("instruction sets of this machine: {}", names.join(", "));
    for cell_type in CellType::ALL {
        let best = run(sets[0], cell_type);
        let scale = best.iter().fold(1f32, |most, value| most.max(value.abs()));
        for &set in &sets[1..] {
            let found = run(set, cell_type);
            for (index, (found, best)) in found.iter().zip(&best).enumerate() {
                if set.fuses() {
                    assert_eq!(
                        found.to_bits(),
                        best.to_bits(),
                        "{set:?} {cell_type}, {index}"
                    );
                }
                let error = (found - best).abs() / scale;
                assert!(
                    error < 1e-5,
                    "{set:?} {cell_type}, {index}: {found}, {best}"
                );
            }
        }
    }
}

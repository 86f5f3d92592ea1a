// The element-wise part of one step of one direction of a recurrent layer, after its matrix products: one thread for
// each hidden unit of each active row. The equations and their names are those of `kernels::equations`.
//
// Compiled for the GPU at run time; the tests compile the same text for the CPU.

// The arguments of a step, as in `machine.rs`. All matrices are row-major; the rows of the batch are sorted by length,
// so that the active rows of the step are the first ones. K is the number of saved gate values: 4 for LSTM (i, f, g, o)
// and GRU (r, z, n, m = W_hn h + b_hn), 1 for RNN.
struct StepArgs {
    // Of all packed rows, [N, K*H]: before the step the pre-activations from the input (of a GRU in the first 3H
    // columns; of the others including those from the state), after it the gate values.
    float *gates;
    // Of all packed rows: the cell states after the step, [N, H].
    float *c;
    // Of all packed rows: the hidden states after the step, this direction's columns of [N, D*H].
    float *output;
    // The current state, [B, H].
    float *h_state;
    float *c_state;
    // Of a GRU: the pre-activations from the state, [B, 3H].
    const float *state_preactivations;
    // [G*H], or null.
    const float *bias_ih;
    const float *bias_hh;
    // Backward: the gradient of `output`, with the same layout; those of the state, [B, H]; for all packed rows those
    // of the pre-activations from the input and from the state, [N, G*H] (one matrix except for a GRU), and the
    // hidden states before the step, [N, H]; the initial state, [B, H].
    const float *d_output;
    float *dh;
    float *dc;
    float *d_input_preactivations;
    float *d_state_preactivations;
    float *h_previous;
    const float *h_start;
    const float *c_start;
    // H; D*H; first packed row and number of active rows; the same of the previous step, 0 rows if there is none.
    unsigned hidden;
    unsigned output_row;
    unsigned row;
    unsigned live;
    unsigned previous_row;
    unsigned previous_live;
};

// The element on which a thread works.
struct Position {
    bool active;
    size_t unit;
    // Index in [B, H], in [N, H], and in the output.
    size_t state;
    size_t packed;
    size_t output;
    // The packed row.
    size_t row;
};

__device__ Position position_of(const StepArgs &step) {
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t row = index / step.hidden, unit = index % step.hidden;
    Position position;
    position.active = row < step.live;
    position.unit = unit;
    position.state = index;
    position.row = step.row + row;
    position.packed = position.row * step.hidden + unit;
    position.output = position.row * step.output_row + unit;
    return position;
}

__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The input or the state bias of a gate.
__device__ float bias(const float *biases, const StepArgs &step, const Position &position, unsigned gate) {
    return biases ? biases[gate * step.hidden + position.unit] : 0.0f;
}

__device__ float both_biases(const StepArgs &step, const Position &position, unsigned gate) {
    return bias(step.bias_ih, step, position, gate) + bias(step.bias_hh, step, position, gate);
}

// Backward: the hidden (or cell) state before the step, from the previous step or the initial state.
__device__ float before(const float *initial, const float *of_rows, size_t row_length, const StepArgs &step,
                        const Position &position) {
    size_t row = position.row - step.row;
    return row < step.previous_live ? of_rows[(step.previous_row + row) * row_length + position.unit]
                                    : initial[position.state];
}

__device__ void set_h(const StepArgs &step, const Position &position, float h) {
    step.h_state[position.state] = h;
    step.output[position.output] = h;
}

extern "C" __global__ void rnn_tanh_forward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    set_h(step, position, tanhf(step.gates[position.packed] + both_biases(step, position, 0)));
}

extern "C" __global__ void rnn_relu_forward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    float preactivation = step.gates[position.packed] + both_biases(step, position, 0);
    // Not `fmaxf`, which would drop NaN.
    set_h(step, position, preactivation < 0.0f ? 0.0f : preactivation);
}

extern "C" __global__ void lstm_forward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    size_t H = step.hidden;
    float *gates = step.gates + position.row * 4 * H + position.unit;
    float i = sigmoid(gates[0] + both_biases(step, position, 0));
    float f = sigmoid(gates[H] + both_biases(step, position, 1));
    float g = tanhf(gates[2 * H] + both_biases(step, position, 2));
    float o = sigmoid(gates[3 * H] + both_biases(step, position, 3));
    float c = f * step.c_state[position.state] + i * g;
    gates[0] = i;
    gates[H] = f;
    gates[2 * H] = g;
    gates[3 * H] = o;
    step.c_state[position.state] = c;
    step.c[position.packed] = c;
    set_h(step, position, o * tanhf(c));
}

extern "C" __global__ void gru_forward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    size_t H = step.hidden;
    float *gates = step.gates + position.row * 4 * H + position.unit;
    const float *preactivations = step.state_preactivations + (position.row - step.row) * 3 * H + position.unit;
    float r = sigmoid(gates[0] + preactivations[0] + both_biases(step, position, 0));
    float z = sigmoid(gates[H] + preactivations[H] + both_biases(step, position, 1));
    float m = preactivations[2 * H] + bias(step.bias_hh, step, position, 2);
    float n = tanhf(gates[2 * H] + bias(step.bias_ih, step, position, 2) + r * m);
    gates[0] = r;
    gates[H] = z;
    gates[2 * H] = n;
    gates[3 * H] = m;
    set_h(step, position, n + z * (step.h_state[position.state] - n));
}

// Saves the hidden state before the step, and returns it.
__device__ float save_h_before(const StepArgs &step, const Position &position) {
    float h = before(step.h_start, step.output, step.output_row, step, position);
    step.h_previous[position.packed] = h;
    return h;
}

// The gradient of the state after the step, from the steps after it and from the output.
__device__ float dh_of(const StepArgs &step, const Position &position) {
    return step.dh[position.state] + step.d_output[position.output];
}

extern "C" __global__ void rnn_tanh_backward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    save_h_before(step, position);
    float h = step.output[position.output];
    step.d_input_preactivations[position.packed] = dh_of(step, position) * (1.0f - h * h);
}

extern "C" __global__ void rnn_relu_backward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    save_h_before(step, position);
    step.d_input_preactivations[position.packed] = step.output[position.output] <= 0.0f ? 0.0f : dh_of(step, position);
}

extern "C" __global__ void lstm_backward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    size_t H = step.hidden, at = position.row * 4 * H + position.unit;
    const float *gates = step.gates + at;
    float *d_preactivations = step.d_input_preactivations + at;
    float i = gates[0], f = gates[H], g = gates[2 * H], o = gates[3 * H];
    save_h_before(step, position);
    float c_before = before(step.c_start, step.c, H, step, position);
    float tanh_c = tanhf(step.c[position.packed]);
    float dh = dh_of(step, position);
    float dc = step.dc[position.state] + dh * o * (1.0f - tanh_c * tanh_c);
    d_preactivations[0] = dc * g * i * (1.0f - i);
    d_preactivations[H] = dc * c_before * f * (1.0f - f);
    d_preactivations[2 * H] = dc * i * (1.0f - g * g);
    d_preactivations[3 * H] = dh * tanh_c * o * (1.0f - o);
    step.dc[position.state] = dc * f;
}

extern "C" __global__ void gru_backward(StepArgs step) {
    Position position = position_of(step);
    if (!position.active) return;
    size_t H = step.hidden;
    const float *gates = step.gates + position.row * 4 * H + position.unit;
    size_t at = position.row * 3 * H + position.unit;
    float r = gates[0], z = gates[H], n = gates[2 * H], m = gates[3 * H];
    float h_before = save_h_before(step, position);
    float dh = dh_of(step, position);
    float dn = dh * (1.0f - z) * (1.0f - n * n);
    float dr = dn * m * r * (1.0f - r);
    float dz = dh * (h_before - n) * z * (1.0f - z);
    step.d_input_preactivations[at] = step.d_state_preactivations[at] = dr;
    step.d_input_preactivations[at + H] = step.d_state_preactivations[at + H] = dz;
    step.d_input_preactivations[at + 2 * H] = dn;
    step.d_state_preactivations[at + 2 * H] = dn * r;
    // The part that bypasses `W_hh`; the product is added to it.
    step.dh[position.state] = dh * z;
}

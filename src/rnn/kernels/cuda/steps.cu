// One step of one direction of a recurrent layer, a thread for each hidden unit of each live row: what is left
// when the products have been computed. The equations and their names are those of `kernels::equations`.
//
// Compiled for the GPU at run time; the tests compile the same text for the processor.

// A step; the same in `machine.rs`. All matrices are row-major; rows of the batch are sorted by length, so that
// the live ones are the first. K is the number of gates that are kept: 4 for LSTM (i, f, g, o) and GRU (r, z,
// n, m = W_hn h + b_hn), 1 for RNN.
struct StepArgs {
    // Of all packed rows: [N, K*H], before the step sums over the input (of a GRU in the first 3H columns; of
    // the others over the state too), after it the values of the gates.
    float *gates;
    // Of all packed rows: the cell states after their steps, [N, H].
    float *c;
    // Of all packed rows: the hidden states after their steps, this direction's columns of [N, D*H].
    float *output;
    // The state, [B, H].
    float *h_state;
    float *c_state;
    // Of a GRU: the sums over the state, [B, 3H].
    const float *state_preactivations;
    // [G*H], or none.
    const float *bias_ih;
    const float *bias_hh;
    // Backward: the gradient of `output`, laid out like it; those of the state, [B, H]; of all packed rows those
    // of the sums over the input and over the state, [N, G*H] (one matrix, but for a GRU), and the hidden states
    // before their steps, [N, H]; the state before the first step, [B, H].
    const float *d_output;
    float *dh;
    float *dc;
    float *d_input_preactivations;
    float *d_state_preactivations;
    float *h_previous;
    const float *h_start;
    const float *c_start;
    // H; D*H; first packed row and number of rows; the same of the step before, 0 rows if there is none.
    unsigned hidden;
    unsigned output_row;
    unsigned row;
    unsigned live;
    unsigned previous_row;
    unsigned previous_live;
};

// Where a thread works.
struct Place {
    bool live;
    size_t unit;
    // In [B, H], in [N, H], and in the output.
    size_t state;
    size_t packed;
    size_t output;
    // The packed row.
    size_t row;
};

__device__ Place place_of(const StepArgs &step) {
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t row = index / step.hidden, unit = index % step.hidden;
    Place place;
    place.live = row < step.live;
    place.unit = unit;
    place.state = index;
    place.row = step.row + row;
    place.packed = place.row * step.hidden + unit;
    place.output = place.row * step.output_row + unit;
    return place;
}

__device__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The bias of a gate, from the input's side or the state's.
__device__ float bias(const float *biases, const StepArgs &step, const Place &place, unsigned gate) {
    return biases ? biases[gate * step.hidden + place.unit] : 0.0f;
}

__device__ float both_biases(const StepArgs &step, const Place &place, unsigned gate) {
    return bias(step.bias_ih, step, place, gate) + bias(step.bias_hh, step, place, gate);
}

// The hidden (or cell) state before the step, backward: of the step before, or of the start.
__device__ float before(const float *start, const float *of_rows, size_t row_length, const StepArgs &step,
                        const Place &place) {
    size_t row = place.row - step.row;
    return row < step.previous_live ? of_rows[(step.previous_row + row) * row_length + place.unit]
                                    : start[place.state];
}

__device__ void set_h(const StepArgs &step, const Place &place, float h) {
    step.h_state[place.state] = h;
    step.output[place.output] = h;
}

extern "C" __global__ void rnn_tanh_forward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    set_h(step, place, tanhf(step.gates[place.packed] + both_biases(step, place, 0)));
}

extern "C" __global__ void rnn_relu_forward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    float sum = step.gates[place.packed] + both_biases(step, place, 0);
    // Not a maximum: what is no number must stay so.
    set_h(step, place, sum < 0.0f ? 0.0f : sum);
}

extern "C" __global__ void lstm_forward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    size_t H = step.hidden;
    float *gates = step.gates + place.row * 4 * H + place.unit;
    float i = sigmoid(gates[0] + both_biases(step, place, 0));
    float f = sigmoid(gates[H] + both_biases(step, place, 1));
    float g = tanhf(gates[2 * H] + both_biases(step, place, 2));
    float o = sigmoid(gates[3 * H] + both_biases(step, place, 3));
    float c = f * step.c_state[place.state] + i * g;
    gates[0] = i;
    gates[H] = f;
    gates[2 * H] = g;
    gates[3 * H] = o;
    step.c_state[place.state] = c;
    step.c[place.packed] = c;
    set_h(step, place, o * tanhf(c));
}

extern "C" __global__ void gru_forward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    size_t H = step.hidden;
    float *gates = step.gates + place.row * 4 * H + place.unit;
    const float *sums = step.state_preactivations + (place.row - step.row) * 3 * H + place.unit;
    float r = sigmoid(gates[0] + sums[0] + both_biases(step, place, 0));
    float z = sigmoid(gates[H] + sums[H] + both_biases(step, place, 1));
    float m = sums[2 * H] + bias(step.bias_hh, step, place, 2);
    float n = tanhf(gates[2 * H] + bias(step.bias_ih, step, place, 2) + r * m);
    gates[0] = r;
    gates[H] = z;
    gates[2 * H] = n;
    gates[3 * H] = m;
    set_h(step, place, n + z * (step.h_state[place.state] - n));
}

// Keeps the state before the step, and returns it.
__device__ float keep_h_before(const StepArgs &step, const Place &place) {
    float h = before(step.h_start, step.output, step.output_row, step, place);
    step.h_previous[place.packed] = h;
    return h;
}

// The gradient of the state after the step, from the steps after it and from the output.
__device__ float dh_of(const StepArgs &step, const Place &place) {
    return step.dh[place.state] + step.d_output[place.output];
}

extern "C" __global__ void rnn_tanh_backward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    keep_h_before(step, place);
    float h = step.output[place.output];
    step.d_input_preactivations[place.packed] = dh_of(step, place) * (1.0f - h * h);
}

extern "C" __global__ void rnn_relu_backward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    keep_h_before(step, place);
    step.d_input_preactivations[place.packed] = step.output[place.output] > 0.0f ? dh_of(step, place) : 0.0f;
}

extern "C" __global__ void lstm_backward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    size_t H = step.hidden, at = place.row * 4 * H + place.unit;
    const float *gates = step.gates + at;
    float *d_sums = step.d_input_preactivations + at;
    float i = gates[0], f = gates[H], g = gates[2 * H], o = gates[3 * H];
    keep_h_before(step, place);
    float c_before = before(step.c_start, step.c, H, step, place);
    float tanh_c = tanhf(step.c[place.packed]);
    float dh = dh_of(step, place);
    float dc = step.dc[place.state] + dh * o * (1.0f - tanh_c * tanh_c);
    d_sums[0] = dc * g * i * (1.0f - i);
    d_sums[H] = dc * c_before * f * (1.0f - f);
    d_sums[2 * H] = dc * i * (1.0f - g * g);
    d_sums[3 * H] = dh * tanh_c * o * (1.0f - o);
    step.dc[place.state] = dc * f;
}

extern "C" __global__ void gru_backward(StepArgs step) {
    Place place = place_of(step);
    if (!place.live) return;
    size_t H = step.hidden;
    const float *gates = step.gates + place.row * 4 * H + place.unit;
    size_t at = place.row * 3 * H + place.unit;
    float r = gates[0], z = gates[H], n = gates[2 * H], m = gates[3 * H];
    float h_before = keep_h_before(step, place);
    float dh = dh_of(step, place);
    float dn = dh * (1.0f - z) * (1.0f - n * n);
    float dr = dn * m * r * (1.0f - r);
    float dz = dh * (h_before - n) * z * (1.0f - z);
    step.d_input_preactivations[at] = step.d_state_preactivations[at] = dr;
    step.d_input_preactivations[at + H] = step.d_state_preactivations[at + H] = dz;
    step.d_input_preactivations[at + 2 * H] = dn;
    step.d_state_preactivations[at + 2 * H] = dn * r;
    // What of it passes beside `W_hh`; the product is added to it.
    step.dh[place.state] = dh * z;
}

// Recurrent layers as cuDNN's documentation describes them, one layer of one or two directions over packed rows.
// The parameters are in an order specific to this file, with gaps: their addresses must be queried.
#include "stream.hpp"
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int OK = 0, BAD = 2000, UNSUPPORTED = 3000;
constexpr int FLOAT = 0, BFLOAT16 = 9;
enum Mode { RELU, TANH, LSTM, GRU };

struct Handle {
    void *stream = nullptr;
};

struct Layer {
    int mode, bias, directions, type, inputs, hiddens;
    bool is_small, is_padded;
    int gates() const { return mode == LSTM ? 4 : mode == GRU ? 3 : 1; }
    size_t size() const { return type == BFLOAT16 ? 2 : 4; }
};

struct Rows {
    int type, steps, batch, width;
    bool is_padded;
    std::vector<int> lengths;
    // The first row of each step, followed by the number of rows.
    std::vector<int> offsets;
    int live(int step) const { return offsets[step + 1] - offsets[step]; }
    int first(int step) const { return offsets[step]; }
    int all() const { return offsets[steps]; }
};

struct Tensor {
    int type = 0;
    std::vector<int> shape;
};

// Numbers of either type.
struct Numbers {
    uint8_t *at;
    int type;
    double operator[](size_t index) const {
        if (type == FLOAT) {
            float value;
            memcpy(&value, at + 4 * index, 4);
            return value;
        }
        uint32_t bits = uint32_t(at[2 * index] | at[2 * index + 1] << 8) << 16;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
    void set(size_t index, double number) const {
        float value = float(number);
        if (type == FLOAT) {
            memcpy(at + 4 * index, &value, 4);
            return;
        }
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits += 0x7FFF + (bits >> 16 & 1);
        at[2 * index] = bits >> 16;
        at[2 * index + 1] = bits >> 24;
    }
    explicit operator bool() const { return at != nullptr; }
};

// The offsets of a direction's matrix and bias `number`, in numbers: all biases come first.
constexpr size_t GAP = 5;
size_t bias_at(const Layer &layer, int direction, int number) {
    return (size_t(direction) * 2 * layer.gates() + number) * layer.hiddens;
}
size_t matrix_at(const Layer &layer, int direction, int number) {
    size_t biases = layer.bias ? bias_at(layer, layer.directions, 0) + GAP : 0;
    size_t gates = layer.gates(), one = gates * layer.hiddens * (layer.inputs + layer.hiddens) + GAP;
    size_t of_input = std::min<size_t>(number, gates), of_state = number - of_input;
    return biases + direction * one + layer.hiddens * (of_input * layer.inputs + of_state * layer.hiddens);
}
size_t weights_len(const Layer &layer) { return matrix_at(layer, layer.directions, 0); }

// The saved activations of a row and a direction, in single precision: the gate values (for a GRU also the
// pre-activation from the state), and `c`. The backward pass replaces the gates by the gradients of their
// pre-activations.
constexpr int KEPT = 6;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

struct Pass {
    Layer layer;
    Rows rows;
    uint8_t *weights;
    float *reserve;

    Numbers numbers(const void *at) const { return {static_cast<uint8_t *>(const_cast<void *>(at)), layer.type}; }
    float *kept(int direction, int row, int what) const {
        return reserve + ((size_t(direction) * rows.all() + row) * KEPT + what) * layer.hiddens;
    }
    double bias(int direction, int number, int unit) const {
        return layer.bias ? numbers(weights)[bias_at(layer, direction, number) + unit] : 0;
    }
    double weight(int direction, int number, int unit, int column) const {
        int width = number < layer.gates() ? layer.inputs : layer.hiddens;
        return numbers(weights)[matrix_at(layer, direction, number) + size_t(unit) * width + column];
    }
    // The row of a sequence's previous step in a direction; -1 at its beginning.
    int before(int direction, int step, int position) const {
        int previous = direction == 0 ? step - 1 : step + 1;
        if (previous < 0 || previous >= rows.lengths[position]) return -1;
        return rows.first(previous) + position;
    }

    void forward(Numbers x, Numbers hx, Numbers cx, Numbers y, Numbers hy, Numbers cy) const {
        const int H = layer.hiddens, G = layer.gates(), D = layer.directions;
        for (int direction = 0; direction < D; direction++)
            for (int turn = 0; turn < rows.steps; turn++) {
                int step = direction == 0 ? turn : rows.steps - 1 - turn;
                for (int position = 0; position < rows.live(step); position++) {
                    int row = rows.first(step) + position, previous = before(direction, step, position);
                    size_t state = (size_t(direction) * rows.batch + position) * H;
                    auto h_before = [&](int unit) {
                        return previous >= 0 ? y[(size_t(previous) * D + direction) * H + unit]
                               : hx          ? hx[state + unit]
                                             : 0;
                    };
                    for (int unit = 0; unit < H; unit++) {
                        double of_input[4], of_state[4];
                        for (int gate = 0; gate < G; gate++) {
                            of_input[gate] = bias(direction, gate, unit);
                            of_state[gate] = bias(direction, G + gate, unit);
                            for (int column = 0; column < layer.inputs; column++)
                                of_input[gate] +=
                                    weight(direction, gate, unit, column) * x[size_t(row) * layer.inputs + column];
                            for (int column = 0; column < H; column++)
                                of_state[gate] += weight(direction, G + gate, unit, column) * h_before(column);
                        }
                        double h;
                        auto keep = [&](int what, double value) { kept(direction, row, what)[unit] = float(value); };
                        auto sum = [&](int gate) { return of_input[gate] + of_state[gate]; };
                        if (layer.mode == LSTM) {
                            double c_before = previous >= 0 ? kept(direction, previous, 4)[unit]
                                              : cx          ? cx[state + unit]
                                                            : 0;
                            double i = sigmoid(sum(0)), f = sigmoid(sum(1)), g = std::tanh(sum(2)),
                                   o = sigmoid(sum(3));
                            double c = f * c_before + i * g;
                            h = o * std::tanh(c);
                            keep(0, i), keep(1, f), keep(2, g), keep(3, o), keep(4, c);
                            if (cy) cy.set(state + unit, c);
                        } else if (layer.mode == GRU) {
                            double r = sigmoid(sum(0)), z = sigmoid(sum(1)),
                                   n = std::tanh(of_input[2] + r * of_state[2]);
                            h = (1 - z) * n + z * h_before(unit);
                            keep(0, r), keep(1, z), keep(2, n), keep(3, of_state[2]);
                        } else {
                            h = layer.mode == TANH ? std::tanh(sum(0)) : std::fmax(sum(0), 0);
                            keep(0, h);
                        }
                        y.set((size_t(row) * D + direction) * H + unit, h);
                        if (hy) hy.set(state + unit, h);
                    }
                }
            }
    }

    void backward(Numbers y, Numbers dy, Numbers dx, Numbers hx, Numbers dhy, Numbers dhx, Numbers cx, Numbers dcy,
                  Numbers dcx) const {
        const int H = layer.hiddens, G = layer.gates(), D = layer.directions;
        std::vector<double> d_input(size_t(rows.all()) * layer.inputs);
        for (int direction = 0; direction < D; direction++) {
            std::vector<double> dh(size_t(rows.batch) * H), dc(size_t(rows.batch) * H);
            size_t states = size_t(direction) * rows.batch * H;
            for (size_t at = 0; at < dh.size(); at++) {
                dh[at] = dhy ? dhy[states + at] : 0;
                dc[at] = dcy ? dcy[states + at] : 0;
            }
            for (int turn = 0; turn < rows.steps; turn++) {
                int step = direction == 0 ? rows.steps - 1 - turn : turn;
                for (int position = 0; position < rows.live(step); position++) {
                    int row = rows.first(step) + position, previous = before(direction, step, position);
                    size_t state = states + size_t(position) * H;
                    std::vector<double> through(H);
                    for (int unit = 0; unit < H; unit++) {
                        size_t at = size_t(position) * H + unit;
                        double d = dh[at] + dy[(size_t(row) * D + direction) * H + unit], carried = 0;
                        auto keep = [&](int what) -> float & { return kept(direction, row, what)[unit]; };
                        double h_before = previous >= 0 ? y[(size_t(previous) * D + direction) * H + unit]
                                          : hx          ? hx[state + unit]
                                                        : 0;
                        if (layer.mode == LSTM) {
                            double c_before = previous >= 0 ? kept(direction, previous, 4)[unit]
                                              : cx          ? cx[state + unit]
                                                            : 0;
                            double i = keep(0), f = keep(1), g = keep(2), o = keep(3), t = std::tanh(keep(4));
                            double d_c = dc[at] + d * o * (1 - t * t);
                            keep(0) = float(d_c * g * i * (1 - i));
                            keep(1) = float(d_c * c_before * f * (1 - f));
                            keep(2) = float(d_c * i * (1 - g * g));
                            keep(3) = float(d * t * o * (1 - o));
                            dc[at] = d_c * f;
                        } else if (layer.mode == GRU) {
                            double r = keep(0), z = keep(1), n = keep(2), s = keep(3);
                            double d_n = d * (1 - z) * (1 - n * n);
                            keep(0) = float(d_n * s * r * (1 - r));
                            keep(1) = float(d * (h_before - n) * z * (1 - z));
                            keep(2) = float(d_n);
                            keep(3) = float(d_n * r); // Of the pre-activation from the state.
                            carried = d * z;
                        } else {
                            double h = keep(0);
                            keep(0) = float(layer.mode == TANH ? d * (1 - h * h) : h > 0 ? d : 0);
                        }
                        through[unit] = carried;
                    }
                    for (int gate = 0; gate < G; gate++)
                        for (int unit = 0; unit < H; unit++) {
                            double of_input = kept(direction, row, gate)[unit];
                            double of_state =
                                layer.mode == GRU && gate == 2 ? kept(direction, row, 3)[unit] : of_input;
                            for (int column = 0; column < layer.inputs; column++)
                                d_input[size_t(row) * layer.inputs + column] +=
                                    of_input * weight(direction, gate, unit, column);
                            for (int column = 0; column < H; column++)
                                through[column] += of_state * weight(direction, G + gate, unit, column);
                        }
                    for (int unit = 0; unit < H; unit++) dh[size_t(position) * H + unit] = through[unit];
                }
            }
            for (size_t at = 0; at < dh.size(); at++) {
                if (dhx) dhx.set(states + at, dh[at]);
                if (dcx) dcx.set(states + at, dc[at]);
            }
        }
        for (size_t at = 0; at < d_input.size(); at++) dx.set(at, d_input[at]);
    }

    // Accumulates.
    void weights_backward(Numbers x, Numbers hx, Numbers y, void *to) const {
        const int H = layer.hiddens, G = layer.gates(), D = layer.directions;
        std::vector<double> sums(weights_len(layer));
        for (int direction = 0; direction < D; direction++)
            for (int step = 0; step < rows.steps; step++)
                for (int position = 0; position < rows.live(step); position++) {
                    int row = rows.first(step) + position, previous = before(direction, step, position);
                    size_t state = (size_t(direction) * rows.batch + position) * H;
                    for (int gate = 0; gate < G; gate++)
                        for (int unit = 0; unit < H; unit++) {
                            double of_input = kept(direction, row, gate)[unit];
                            double of_state =
                                layer.mode == GRU && gate == 2 ? kept(direction, row, 3)[unit] : of_input;
                            for (int column = 0; column < layer.inputs; column++)
                                sums[matrix_at(layer, direction, gate) + size_t(unit) * layer.inputs + column] +=
                                    of_input * x[size_t(row) * layer.inputs + column];
                            for (int column = 0; column < H; column++) {
                                double h = previous >= 0 ? y[(size_t(previous) * D + direction) * H + column]
                                           : hx          ? hx[state + column]
                                                         : 0;
                                sums[matrix_at(layer, direction, G + gate) + size_t(unit) * H + column] +=
                                    of_state * h;
                            }
                            if (layer.bias) {
                                sums[bias_at(layer, direction, gate) + unit] += of_input;
                                sums[bias_at(layer, direction, G + gate) + unit] += of_state;
                            }
                        }
                }
        for (size_t at = 0; at < sums.size(); at++) {
            double there = numbers(to)[at];
            if (sums[at] != 0) numbers(to).set(at, there + sums[at]);
        }
    }
};

template <class T> T &known(void *descriptor) { return *static_cast<T *>(descriptor); }

bool sorted(const Rows &rows) {
    for (size_t at = 1; at < rows.lengths.size(); at++)
        if (rows.lengths[at] > rows.lengths[at - 1]) return false;
    return true;
}

bool fit(const Layer &layer, const Rows &x, const Rows &y, const Tensor &h) {
    return x.width == layer.inputs && y.width == layer.directions * layer.hiddens && x.type == layer.type &&
           y.type == layer.type && h.type == layer.type &&
           h.shape == std::vector<int>{layer.directions, x.batch, layer.hiddens} && sorted(x) &&
           x.lengths == y.lengths && x.is_padded == layer.is_padded && y.is_padded == layer.is_padded &&
           (!layer.is_small || x.is_padded);
}

} // namespace

extern "C" {

size_t cudnnGetVersion() { return 91300; }
const char *cudnnGetErrorString(int) { return "an emulated error"; }
int cudnnCreate(void **handle) {
    *handle = new Handle;
    return OK;
}
int cudnnDestroy(void *) { return OK; }
int cudnnSetStream(void *handle, void *stream) {
    known<Handle>(handle).stream = stream;
    return OK;
}

int cudnnCreateRNNDescriptor(void **made) {
    *made = new Layer{};
    return OK;
}
int cudnnDestroyRNNDescriptor(void *made) {
    delete static_cast<Layer *>(made);
    return OK;
}
int cudnnCreateRNNDataDescriptor(void **made) {
    *made = new Rows{};
    return OK;
}
int cudnnDestroyRNNDataDescriptor(void *made) {
    delete static_cast<Rows *>(made);
    return OK;
}
int cudnnCreateTensorDescriptor(void **made) {
    *made = new Tensor{};
    return OK;
}
int cudnnDestroyTensorDescriptor(void *made) {
    delete static_cast<Tensor *>(made);
    return OK;
}
int cudnnCreateDropoutDescriptor(void **made) {
    *made = new int;
    return OK;
}
int cudnnDestroyDropoutDescriptor(void *made) {
    delete static_cast<int *>(made);
    return OK;
}
int cudnnSetDropoutDescriptor(void *, void *, float dropout, void *, size_t, unsigned long long) {
    return dropout == 0 ? OK : UNSUPPORTED;
}

int cudnnSetRNNDescriptor_v8(void *made, int algorithm, int mode, int bias, int direction, int input_mode, int type,
                             int precision, int math, int inputs, int hiddens, int projected, int layers, void *,
                             unsigned flags) {
    // One layer, with both biases or none, accumulating in single precision; TENSOR_OP_MATH requests half. The
    // algorithm that keeps small layers in registers does not support ragged batches.
    bool is_small = algorithm == 3, is_padded = flags == 1;
    bool ours = (algorithm == 0 || is_small) && (bias == 0 || bias == 2) && input_mode == 0 &&
                (type == FLOAT || type == BFLOAT16) && precision == FLOAT &&
                (math == 0 || (math == 3 && type == FLOAT)) && projected == hiddens && layers == 1 && flags <= 1;
    if (!ours) return UNSUPPORTED;
    known<Layer>(made) = {mode, bias, direction + 1, type, inputs, hiddens, is_small, is_padded};
    return OK;
}

int cudnnSetRNNDataDescriptor(void *made, int type, int layout, int steps, int batch, int width, const int *lengths,
                              void *) {
    if (layout > 1) return UNSUPPORTED;
    Rows rows{type, steps, batch, width, layout == 0, {lengths, lengths + batch}, {0}};
    for (int length : rows.lengths)
        if (length < 1 || length > steps) return BAD;
    for (int step = 0; step < steps; step++) {
        int live = 0;
        for (int length : rows.lengths) live += length > step;
        rows.offsets.push_back(rows.offsets.back() + live);
    }
    // None of our layouts has padding.
    if (rows.is_padded && rows.all() != steps * batch) return UNSUPPORTED;
    known<Rows>(made) = rows;
    return OK;
}

int cudnnSetTensorNdDescriptor(void *made, int type, int count, const int *shape, const int *strides) {
    int stride = 1;
    for (int at = count - 1; at >= 0; stride *= shape[at--])
        if (strides[at] != stride) return UNSUPPORTED;
    known<Tensor>(made) = {type, {shape, shape + count}};
    return OK;
}

int cudnnGetRNNWeightSpaceSize(void *, void *layer, size_t *size) {
    *size = weights_len(known<Layer>(layer)) * known<Layer>(layer).size();
    return OK;
}

int cudnnGetRNNTempSpaceSizes(void *, void *layer, int training, void *rows, size_t *work, size_t *reserve) {
    const Layer &described = known<Layer>(layer);
    *work = sizeof(float) * KEPT * described.hiddens * described.directions * known<Rows>(rows).all();
    *reserve = training ? *work : 0;
    return OK;
}

int cudnnGetRNNWeightParams(void *, void *made, int direction, size_t, const void *base, int number,
                            void *matrix_desc, void **matrix, void *bias_desc, void **bias) {
    const Layer &layer = known<Layer>(made);
    if (direction >= layer.directions || number >= 2 * layer.gates()) return BAD;
    auto *bytes = static_cast<uint8_t *>(const_cast<void *>(base));
    *matrix = bytes + layer.size() * matrix_at(layer, direction, number);
    *bias = layer.bias ? bytes + layer.size() * bias_at(layer, direction, number) : nullptr;
    known<Tensor>(matrix_desc) = {layer.type,
                                  {1, layer.hiddens, number < layer.gates() ? layer.inputs : layer.hiddens}};
    known<Tensor>(bias_desc) = {layer.type, {1, layer.hiddens, 1}};
    return OK;
}

int cudnnRNNForward(void *handle, void *made, int training, const int *, void *x_desc, const void *x, void *y_desc,
                    void *y, void *h_desc, const void *hx, void *hy, void *, const void *cx, void *cy,
                    size_t weights_size, const void *weights, size_t, void *work, size_t, void *reserve) {
    Layer layer = known<Layer>(made);
    Rows rows = known<Rows>(x_desc);
    if (!fit(layer, rows, known<Rows>(y_desc), known<Tensor>(h_desc)) ||
        weights_size != weights_len(layer) * layer.size())
        return BAD;
    Pass pass{layer, rows, static_cast<uint8_t *>(const_cast<void *>(weights)),
              static_cast<float *>(training ? reserve : work)};
    pretended_work(known<Handle>(handle).stream, [=] {
        pass.forward(pass.numbers(x), pass.numbers(hx), pass.numbers(cx), pass.numbers(y), pass.numbers(hy),
                     pass.numbers(cy));
    });
    return OK;
}

int cudnnRNNBackwardData_v8(void *handle, void *made, const int *, void *y_desc, const void *y, const void *dy,
                            void *x_desc, void *dx, void *h_desc, const void *hx, const void *dhy, void *dhx, void *,
                            const void *cx, const void *dcy, void *dcx, size_t, const void *weights, size_t, void *,
                            size_t, void *reserve) {
    Layer layer = known<Layer>(made);
    Rows rows = known<Rows>(x_desc);
    if (!fit(layer, rows, known<Rows>(y_desc), known<Tensor>(h_desc))) return BAD;
    Pass pass{layer, rows, static_cast<uint8_t *>(const_cast<void *>(weights)), static_cast<float *>(reserve)};
    pretended_work(known<Handle>(handle).stream, [=] {
        auto numbers = [&](const void *at) { return pass.numbers(at); };
        pass.backward(numbers(y), numbers(dy), numbers(dx), numbers(hx), numbers(dhy), numbers(dhx), numbers(cx),
                      numbers(dcy), numbers(dcx));
    });
    return OK;
}

int cudnnRNNBackwardWeights_v8(void *handle, void *made, int mode, const int *, void *x_desc, const void *x,
                               void *h_desc, const void *hx, void *y_desc, const void *y, size_t, void *d_weights,
                               size_t, void *, size_t, void *reserve) {
    Layer layer = known<Layer>(made);
    Rows rows = known<Rows>(x_desc);
    if (mode != 0 || !fit(layer, rows, known<Rows>(y_desc), known<Tensor>(h_desc))) return BAD;
    Pass pass{layer, rows, nullptr, static_cast<float *>(reserve)};
    pretended_work(known<Handle>(handle).stream,
                   [=] { pass.weights_backward(pass.numbers(x), pass.numbers(hx), pass.numbers(y), d_weights); });
    return OK;
}
}

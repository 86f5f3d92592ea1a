// Poolings of a ragged batch, one kind at a time, and the backward pass.

struct PoolArgs {
    // Packed rows, [N, width], and what is taken of each text, [batch, total]; on the backward pass their gradients.
    float *output;
    float *pooled;
    // For the maximum, the packed row that won each element of [batch, width]; the first one of equals.
    unsigned *argmax;
    // First packed row of each step, and steps of each text, longest first.
    const unsigned *offsets;
    const unsigned *lengths;
    unsigned batch;
    unsigned width;
    // Of the columns, those of the first direction.
    unsigned hidden;
    unsigned total;
    // Where the kind's columns of `pooled` begin.
    unsigned column;
    // 0 first and last step, 1 final states, 2 mean, 3 maximum.
    unsigned kind;
    // On the backward pass, whether there is a gradient already to add to.
    unsigned add;
};

// A thread has one column of one text.
extern "C" __global__ void pool_forward(PoolArgs pool) {
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t text = index / pool.width, column = index % pool.width;
    if (text >= pool.batch) return;
    unsigned steps = pool.lengths[text];
    float *pooled = pool.pooled + text * pool.total + pool.column + column;
    float first = pool.output[text * pool.width + column];
    float last = pool.output[(pool.offsets[steps - 1] + text) * pool.width + column];
    if (pool.kind == 0) {
        pooled[0] = first;
        pooled[pool.width] = last;
    } else if (pool.kind == 1) {
        pooled[0] = column < pool.hidden ? last : first;
    } else if (pool.kind == 2) {
        float sum = 0.0f;
        for (unsigned step = 0; step < steps; step++)
            sum += pool.output[(pool.offsets[step] + text) * pool.width + column];
        pooled[0] = sum / (float)steps;
    } else {
        float most = first;
        unsigned winner = (unsigned)text;
        for (unsigned step = 1; step < steps; step++) {
            unsigned row = pool.offsets[step] + (unsigned)text;
            float value = pool.output[(size_t)row * pool.width + column];
            // The first NaN is larger than every number.
            if (!(value <= most) && most == most) {
                most = value;
                winner = row;
            }
        }
        pooled[0] = most;
        pool.argmax[text * pool.width + column] = winner;
    }
}

extern "C" __global__ void pool_backward(PoolArgs pool) {
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t text = index / pool.width, column = index % pool.width;
    if (text >= pool.batch) return;
    unsigned steps = pool.lengths[text];
    const float *d = pool.pooled + text * pool.total + pool.column + column;
    unsigned winner = pool.kind == 3 ? pool.argmax[text * pool.width + column] : 0;
    for (unsigned step = 0; step < steps; step++) {
        unsigned row = pool.offsets[step] + (unsigned)text;
        bool is_first = step == 0, is_last = step + 1 == steps;
        float gradient = 0.0f;
        if (pool.kind == 0) gradient = (is_first ? d[0] : 0.0f) + (is_last ? d[pool.width] : 0.0f);
        if (pool.kind == 1) gradient = (column < pool.hidden ? is_last : is_first) ? d[0] : 0.0f;
        if (pool.kind == 2) gradient = d[0] / (float)steps;
        if (pool.kind == 3) gradient = row == winner ? d[0] : 0.0f;
        float *sum = pool.output + (size_t)row * pool.width + column;
        *sum = pool.add ? *sum + gradient : gradient;
    }
}

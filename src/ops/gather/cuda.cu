// Sums of groups of rows.

struct SumRowsArgs {
    // [positions, width].
    const float *values;
    // For each sum, the offset of its first entry, then the total number of entries; and the position of each entry,
    // null if the position is the entry's own index.
    const unsigned *starts;
    const unsigned *positions;
    // The row of the result for each sum, null if it is the sum's own index; and the result, [any, width].
    const unsigned *rows;
    float *out;
    unsigned sums;
    unsigned width;
};

extern "C" __global__ void sum_rows(SumRowsArgs sums) {
    size_t index = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    size_t sum = index / sums.width, column = index % sums.width;
    if (sum >= sums.sums) return;
    float total = 0.0f;
    for (unsigned entry = sums.starts[sum]; entry < sums.starts[sum + 1]; entry++) {
        size_t position = sums.positions ? sums.positions[entry] : entry;
        total += sums.values[position * sums.width + column];
    }
    size_t row = sums.rows ? sums.rows[sum] : sum;
    sums.out[row * sums.width + column] = total;
}

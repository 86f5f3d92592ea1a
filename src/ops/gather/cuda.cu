// SumRowsArgs of rows that belong together.

struct SumRowsArgs {
    // [places, width].
    const float *values;
    // For each sum the first of its entries, then the number of all; and the place of each, none if that is its
    // number.
    const unsigned *starts;
    const unsigned *places;
    // Which row of the result each sum is, none if each is that of its number, and the result, [any, width].
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
        size_t place = sums.places ? sums.places[entry] : entry;
        total += sums.values[place * sums.width + column];
    }
    size_t row = sums.rows ? sums.rows[sum] : sum;
    sums.out[row * sums.width + column] = total;
}

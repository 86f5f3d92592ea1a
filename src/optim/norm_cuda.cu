// A sum of squares, as one partial sum per thread.

struct SumSquaresArgs {
    const float *values;
    unsigned long long count;
    // One partial sum per thread, to which the thread adds.
    double *parts;
    unsigned threads;
};

extern "C" __global__ void add_squares(SumSquaresArgs squares) {
    unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    if (thread >= squares.threads) return;
    double sum = 0.0;
    for (unsigned long long index = thread; index < squares.count; index += squares.threads)
        sum += (double)squares.values[index] * squares.values[index];
    squares.parts[thread] += sum;
}

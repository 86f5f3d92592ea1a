// The mask of a dropout, drawn by SplitMix64 at a counter: 64 bits decide on four elements.

struct DropoutArgs {
    const float *input;
    float *output;
    unsigned long long count;
    unsigned long long key;
    // An element is dropped if its 16 bits are below this.
    unsigned threshold;
    // What the others are multiplied by.
    float scale;
};

__device__ unsigned long long mix(unsigned long long z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

extern "C" __global__ void drop(DropoutArgs drop) {
    unsigned long long index = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= drop.count) return;
    unsigned long long bits = mix(drop.key + index / 4 * 0x9E3779B97F4A7C15ull);
    unsigned drawn = (unsigned)(bits >> (16 * (index % 4))) & 0xFFFFu;
    drop.output[index] = drawn >= drop.threshold ? drop.input[index] * drop.scale : 0.0f;
}

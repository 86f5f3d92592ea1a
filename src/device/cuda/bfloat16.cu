// Conversion between single precision and bfloat16, which is its upper half.

struct ConvertArgs {
    float *single;
    unsigned short *upper;
    unsigned long long count;
};

union Bits {
    float number;
    unsigned bits;
};

// Rounds to nearest, ties to even, as PyTorch does.
extern "C" __global__ void narrow(ConvertArgs convert) {
    unsigned long long index = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= convert.count) return;
    Bits value;
    value.number = convert.single[index];
    bool is_number = value.number == value.number;
    unsigned nearest = (value.bits + 0x7FFFu + (value.bits >> 16 & 1u)) >> 16;
    convert.upper[index] = (unsigned short)(is_number ? nearest : 0x7FC0u);
}

extern "C" __global__ void widen(ConvertArgs convert) {
    unsigned long long index = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= convert.count) return;
    Bits value;
    value.bits = (unsigned)convert.upper[index] << 16;
    convert.single[index] = value.number;
}

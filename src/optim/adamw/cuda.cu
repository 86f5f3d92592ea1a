// A step of AdamW (Loshchilov and Hutter 2019) for some elements of a parameter.

struct AdamWArgs {
    float *parameter;
    float *first;
    float *second;
    // The difference of the parameter from its average, or null.
    float *difference;
    const float *gradient;
    // The rows that the gradient covers, of `width` elements each; null if it covers all elements.
    const unsigned *rows;
    // Elements of the gradient.
    unsigned long long count;
    unsigned width;
    float beta1;
    float beta2;
    float epsilon;
    float step_size;
    float root_correction;
    float keep;
    float scale;
    float average;
};

extern "C" __global__ void adamw(AdamWArgs step) {
    unsigned long long index = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= step.count) return;
    size_t at = step.rows ? (size_t)step.rows[index / step.width] * step.width + index % step.width : index;
    float g = step.gradient[index] * step.scale;
    float first = step.first[at] = step.beta1 * step.first[at] + (1.0f - step.beta1) * g;
    float second = step.second[at] = step.beta2 * step.second[at] + (1.0f - step.beta2) * (g * g);
    float w = step.parameter[at];
    float next = w * step.keep - step.step_size * first / (sqrtf(second) * step.root_correction + step.epsilon);
    if (step.difference) step.difference[at] -= step.average * (next - w);
    step.parameter[at] = next;
}

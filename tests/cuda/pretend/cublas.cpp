// Matrix products by plain loops, with factors in the precision of the compute type.
#include "stream.hpp"
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

struct Handle {
    void *stream = nullptr;
};

// Rounds a factor to the mantissa bits of the compute type.
float rounded(float value, int computation) {
    int dropped = computation == 75 ? 16 : computation == 77 ? 13 : 0;
    if (!dropped || value != value) return value;
    uint32_t bits;
    memcpy(&bits, &value, 4);
    bits += (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
    bits = bits >> dropped << dropped;
    memcpy(&value, &bits, 4);
    return value;
}

struct Product {
    bool first_transposed, second_transposed;
    int m, n, k;
    float alpha, beta;
    const float *a, *b;
    float *c;
    int lda, ldb, ldc, computation;

    void compute() const {
        for (int column = 0; column < n; column++)
            for (int row = 0; row < m; row++) {
                double sum = 0;
                for (int at = 0; at < k; at++) {
                    float left = first_transposed ? a[at + size_t(row) * lda] : a[row + size_t(at) * lda];
                    float right = second_transposed ? b[column + size_t(at) * ldb] : b[at + size_t(column) * ldb];
                    sum += double(rounded(left, computation)) * rounded(right, computation);
                }
                float &out = c[row + size_t(column) * ldc];
                out = float(alpha * sum + (beta == 0 ? 0 : beta * out));
            }
    }

    bool fits() const {
        return lda >= (first_transposed ? k : m) && ldb >= (second_transposed ? n : k) && ldc >= m && m > 0 &&
               n > 0 && k > 0;
    }
};

constexpr int SINGLE = 0;

} // namespace

extern "C" {

int cublasCreate_v2(void **handle) {
    *handle = new Handle;
    return 0;
}
int cublasDestroy_v2(void *) { return 0; }
int cublasSetStream_v2(void *handle, void *stream) {
    static_cast<Handle *>(handle)->stream = stream;
    return 0;
}

int cublasGemmStridedBatchedEx(void *handle, int first, int second, int m, int n, int k, const void *alpha,
                               const void *a, int a_type, int lda, long long a_stride, const void *b, int b_type,
                               int ldb, long long b_stride, const void *beta, void *c, int c_type, int ldc,
                               long long c_stride, int count, int computation, int) {
    if (a_type != SINGLE || b_type != SINGLE || c_type != SINGLE) {
        fprintf(stderr, "emulated GPU: a product of another type\n");
        return 15;
    }
    Product product = {first != 0,
                       second != 0,
                       m,
                       n,
                       k,
                       *static_cast<const float *>(alpha),
                       *static_cast<const float *>(beta),
                       static_cast<const float *>(a),
                       static_cast<const float *>(b),
                       static_cast<float *>(c),
                       lda,
                       ldb,
                       ldc,
                       computation};
    if (!product.fits()) return 7;
    pretended_work(static_cast<Handle *>(handle)->stream, [=] {
        Product one = product;
        for (int number = 0; number < count; number++, one.a += a_stride, one.b += b_stride, one.c += c_stride)
            one.compute();
    });
    return 0;
}

int cublasGemmEx(void *handle, int first, int second, int m, int n, int k, const void *alpha, const void *a,
                 int a_type, int lda, const void *b, int b_type, int ldb, const void *beta, void *c, int c_type,
                 int ldc, int computation, int algorithm) {
    return cublasGemmStridedBatchedEx(handle, first, second, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0,
                                      beta, c, c_type, ldc, 0, 1, computation, algorithm);
}
}

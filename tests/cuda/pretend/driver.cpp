// The driver of an emulated GPU: its memory is host memory, its kernels are run by ptx.hpp.
#include "ptx.hpp"
#include "stream.hpp"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

namespace {

struct Stream {
    std::deque<std::function<void()>> work;
};

struct Event {
    // Of its last record; the number of records, and the last completed one.
    Stream *stream = nullptr;
    int asked = 0, done = 0;
};

std::recursive_mutex lock;
Stream default_stream;
std::map<void *, size_t> sizes;
thread_local void *current = nullptr;
int context;

Stream *of(void *stream) { return stream ? static_cast<Stream *>(stream) : &default_stream; }

void finish(Stream *stream) {
    while (!stream->work.empty()) {
        auto next = std::move(stream->work.front());
        stream->work.pop_front();
        next();
    }
}

void finish_until(Event *event, int record) {
    while (event->done < record && !event->stream->work.empty()) {
        auto next = std::move(event->stream->work.front());
        event->stream->work.pop_front();
        next();
    }
}

constexpr int OK = 0, NO_DEVICE = 100, NOT_FOUND = 500;

int allocate(uint64_t *address, size_t bytes) {
    void *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    // Uninitialised memory is NaN.
    memset(memory, 0xFF, bytes);
    std::lock_guard guard(lock);
    sizes[memory] = bytes;
    *address = uint64_t(memory);
    return OK;
}

void release(uint64_t address) {
    std::lock_guard guard(lock);
    auto found = sizes.find(reinterpret_cast<void *>(address));
    if (found == sizes.end()) {
        fprintf(stderr, "emulated GPU: invalid memory is freed\n");
        abort();
    }
    memset(found->first, 0xFF, found->second);
    free(found->first);
    sizes.erase(found);
}

void check(uint64_t address, size_t bytes) {
    if (bytes == 0 || is_memory(address, bytes)) return;
    fprintf(stderr, "emulated GPU: %zu bytes at %lx are not its memory\n", bytes, address);
    abort();
}

// Counts of requested GPU operations, printed at the end if PRETENDED_COUNTS is set.
struct Counts {
    std::map<std::string, size_t> of;
    ~Counts() {
        if (!getenv("PRETENDED_COUNTS")) return;
        for (auto &[what, count] : of) fprintf(stderr, "%9zu %s\n", count, what.c_str());
    }
};

void count(const std::string &what) {
    static Counts counts;
    std::lock_guard guard(lock);
    counts.of[what]++;
}

} // namespace

bool is_memory(uint64_t address, size_t bytes) {
    std::lock_guard guard(lock);
    auto after = sizes.upper_bound(reinterpret_cast<void *>(address));
    if (after == sizes.begin()) return false;
    auto [memory, size] = *std::prev(after);
    return address + bytes <= uint64_t(memory) + size;
}

void pretended_work(void *stream, std::function<void()> work) {
    std::lock_guard guard(lock);
    of(stream)->work.push_back(std::move(work));
}

extern "C" {

int cuInit(unsigned) {
    // NVRTC queries the driver for internal tables, but also compiles without them.
    Dl_info caller;
    bool is_compiler = dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "nvrtc");
    return is_compiler ? NO_DEVICE : OK;
}
int cuDriverGetVersion(int *version) {
    *version = 13000;
    return OK;
}
int cuDeviceGet(int *device, int number) {
    *device = 0;
    return number == 0 ? OK : 101;
}
int cuDeviceGetCount(int *count) {
    *count = 1;
    return OK;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
    // Threads of a block, of a warp, memory pools; compute capability 8.0.
    switch (attribute) {
    case 1: *value = 1024; break;
    case 10: *value = 32; break;
    case 75: *value = 8; break;
    case 115: *value = 1; break;
    default: *value = 0;
    }
    return OK;
}
int cuDevicePrimaryCtxRetain(void **made, int) {
    *made = &context;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
int cuCtxGetCurrent(void **found) {
    *found = current;
    return OK;
}
int cuCtxSetCurrent(void *wanted) {
    current = wanted;
    return OK;
}
int cuCtxDestroy_v2(void *) { return OK; }
int cuCtxSynchronize() {
    std::lock_guard guard(lock);
    finish(&default_stream);
    return OK;
}
int cuGetErrorString(int, const char **text) {
    *text = "an emulated error";
    return OK;
}
int cuGetErrorName(int, const char **text) {
    *text = "PRETENDED";
    return OK;
}

int cuStreamCreate(void **stream, unsigned) {
    *stream = new Stream;
    return OK;
}
int cuStreamDestroy_v2(void *stream) {
    std::lock_guard guard(lock);
    finish(of(stream));
    return OK;
}
int cuStreamIsCapturing(void *, int *capturing) {
    *capturing = 0;
    return OK;
}
int cuStreamSynchronize(void *stream) {
    count("waits for a stream");
    std::lock_guard guard(lock);
    finish(of(stream));
    return OK;
}
int cuEventCreate(void **event, unsigned) {
    *event = new Event;
    return OK;
}
int cuEventDestroy_v2(void *) { return OK; }
int cuEventRecord(void *which, void *stream) {
    std::lock_guard guard(lock);
    auto *event = static_cast<Event *>(which);
    event->stream = of(stream);
    int record = ++event->asked;
    of(stream)->work.push_back([=] { event->done = record; });
    return OK;
}
int cuStreamWaitEvent(void *stream, void *which, unsigned) {
    std::lock_guard guard(lock);
    auto *event = static_cast<Event *>(which);
    int record = event->asked;
    if (event->done >= record || event->stream == of(stream)) return OK;
    of(stream)->work.push_back([=] { finish_until(event, record); });
    return OK;
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes) { return allocate(address, bytes); }
int cuMemAllocAsync(uint64_t *address, size_t bytes, void *) { return allocate(address, bytes); }
int cuMemFree_v2(uint64_t address) {
    release(address);
    return OK;
}
int cuMemFreeAsync(uint64_t address, void *stream) {
    pretended_work(stream, [address] { release(address); });
    return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
    count("copies from the host");
    // Pageable host memory is copied immediately.
    std::vector<uint8_t> staged(static_cast<const uint8_t *>(from), static_cast<const uint8_t *>(from) + bytes);
    pretended_work(stream, [to, staged] {
        check(to, staged.size());
        memcpy(reinterpret_cast<void *>(to), staged.data(), staged.size());
    });
    return OK;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
    count("copies to the host");
    pretended_work(stream, [=] {
        check(from, bytes);
        memcpy(to, reinterpret_cast<void *>(from), bytes);
    });
    return cuStreamSynchronize(stream);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
    count("copies");
    pretended_work(stream, [=] {
        check(from, bytes);
        check(to, bytes);
        memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
    });
    return OK;
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, void *stream) {
    count("memories filled");
    pretended_work(stream, [=] {
        check(at, bytes);
        memset(reinterpret_cast<void *>(at), value, bytes);
    });
    return OK;
}

int cuModuleLoadData(void **module, const void *text) {
    *module = new Module{static_cast<const char *>(text), {}};
    return OK;
}
int cuModuleLoad(void **module, const char *path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    *module = new Module{text.str(), {}};
    return OK;
}
int cuModuleUnload(void *) { return OK; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    std::lock_guard guard(lock);
    const Kernel *kernel = static_cast<Module *>(module)->find(name);
    *function = const_cast<Kernel *>(kernel);
    return kernel ? OK : NOT_FOUND;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **) {
    const auto *kernel = static_cast<Kernel *>(function);
    if (size_t(bx) * by * bz > 1024 || !(gx && gy && gz && bx && by && bz)) return 1;
    // Each aligned to its size, or to 8.
    std::vector<uint8_t> parameters;
    count("function " + name_of(kernel));
    const auto &sizes = parameter_sizes(kernel);
    for (size_t number = 0; number < sizes.size(); number++) {
        size_t align = std::min<size_t>(sizes[number], 8);
        parameters.resize((parameters.size() + align - 1) / align * align);
        const auto *bytes = static_cast<const uint8_t *>(arguments[number]);
        parameters.insert(parameters.end(), bytes, bytes + sizes[number]);
    }
    pretended_work(stream, [=] { run(kernel, {gx, gy, gz}, {bx, by, bz}, shared, parameters); });
    return OK;
}
}

// An interpreter of PTX, the language in which kernels are passed to NVIDIA's driver: one instruction at a time, slow
// and exact. It supports the instructions to which this project's kernels, and the Candle kernels that it uses, are
// compiled; any other instruction ends the program with a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct Dim {
    unsigned x, y, z;
};

// A kernel that can be run.
struct Kernel;

// A PTX module, whose kernels are parsed on first use.
struct Module {
    // Null if there is no such kernel.
    const Kernel *find(const std::string &name);

    std::string text;
    std::map<std::string, std::shared_ptr<Kernel>> kernels;
};

const std::string &name_of(const Kernel *kernel);

// The sizes of a kernel's parameters in bytes.
const std::vector<unsigned> &parameter_sizes(const Kernel *kernel);

// Runs all threads of a grid; the parameters are concatenated, each aligned to its size.
void run(const Kernel *kernel, Dim grid, Dim block, unsigned shared_bytes, const std::vector<uint8_t> &parameters);

// Whether a range of bytes is memory of the GPU; implemented by the driver.
bool is_memory(uint64_t address, size_t bytes);

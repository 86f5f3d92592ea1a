// A processor that runs PTX, the language in which functions are given to NVIDIA's driver: one instruction after
// another, slow and exact. It knows the instructions that this project's functions and those of Candle that it
// uses are compiled to; another one ends the program with its text.
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

// A function that can be run.
struct Kernel;

// A text of functions, each read when it is first asked for.
struct Module {
    // None if there is no such function.
    const Kernel *find(const std::string &name);

    std::string text;
    std::map<std::string, std::shared_ptr<Kernel>> kernels;
};

const std::string &name_of(const Kernel *kernel);

// The sizes of a function's parameters in bytes.
const std::vector<unsigned> &parameter_sizes(const Kernel *kernel);

// Runs all threads of a grid; the parameters lie one after another, each at a multiple of its size.
void run(const Kernel *kernel, Dim grid, Dim block, unsigned shared_bytes, const std::vector<uint8_t> &parameters);

// Whether so many bytes from an address on are memory of the GPU. The driver knows.
bool is_memory(uint64_t address, size_t bytes);

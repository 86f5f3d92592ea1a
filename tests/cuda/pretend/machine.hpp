// A kernel during execution.
#pragma once

#include "ptx.hpp"
#include <cstring>
#include <type_traits>

struct Thread;
struct Instruction;
using Execute = void (*)(Thread &, const Instruction &);

struct Instruction {
    Execute execute = nullptr;
    std::string text;
    // Register numbers; constants have their own registers. -1 for none.
    std::vector<int> operands;
    // The predicate on which it is executed.
    int guard = -1;
    bool guard_negated = false;
    // The target of a branch.
    size_t target = 0;
    // The offset of an address in bytes, and how many numbers are read or written there.
    int64_t offset = 0;
    size_t count = 1;
    bool is_global = false, is_shared = false;
};

struct Kernel {
    std::string name;
    std::vector<Instruction> code;
    std::vector<unsigned> parameter_sizes;
    int registers = 0;
    // Registers that hold a constant, an address in a block's shared memory (a separate address space, from 0) or in
    // a thread's local memory, and special registers by their number.
    std::vector<std::pair<int, uint64_t>> constants, shared, local, special;
    // Those that hold the address of dynamic shared memory, whose size is given at launch.
    std::vector<int> dynamic;
    unsigned shared_bytes = 0, local_bytes = 0;
};

enum class State { running, at_barrier, at_shuffle, ended };

struct Thread {
    const Kernel *kernel;
    uint64_t *registers;
    const uint8_t *parameters;
    uint8_t *shared;
    size_t next = 0;
    State state = State::running;
};

[[noreturn]] void fail(const std::string &what);

template <class T> T get(const Thread &thread, int reg) {
    T value;
    memcpy(&value, &thread.registers[reg], sizeof value);
    return value;
}

template <class T> void set(Thread &thread, int reg, T value) {
    if (reg < 0) return;
    // Integers are extended to the register, with their sign if signed.
    if constexpr (std::is_integral_v<T>) {
        thread.registers[reg] = uint64_t(value);
    } else {
        thread.registers[reg] = 0;
        memcpy(&thread.registers[reg], &value, sizeof value);
    }
}

// The rule that executes an instruction, from the parts of its name (`ld`, `global`, `f32`); null if there is none.
// May also set some of its fields.
Execute rule_of(const std::vector<std::string> &parts, Instruction &instruction);

// Whether a name has this part.
bool has(const std::vector<std::string> &parts, const char *part);

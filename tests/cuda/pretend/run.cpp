// Runs the threads of a grid, block after block.

#include "machine.hpp"
#include <algorithm>
#include <cstdio>
#include <cstdlib>

void fail(const std::string &what) {
    fprintf(stderr, "pretended GPU: %s\n", what.c_str());
    abort();
}

namespace {

constexpr size_t WARP = 32;

using Threads = std::vector<Thread>;

// Runs a thread until it ends or has to wait.
void run_thread(Thread &thread) {
    while (thread.state == State::running) {
        const Instruction &instruction = thread.kernel->code[thread.next++];
        bool skipped = instruction.guard >= 0 && get<bool>(thread, instruction.guard) == instruction.guard_negated;
        if (!skipped) instruction.execute(thread, instruction);
    }
}

const Instruction &last_of(const Thread &thread) { return thread.kernel->code[thread.next - 1]; }

// A shuffle: gives each thread of a warp the value of the thread whose number differs in some bits. All threads that
// have not ended wait for it.
void exchange(Threads &threads, size_t first, size_t end) {
    std::vector<uint32_t> values(WARP);
    for (size_t at = first; at < end; at++) {
        if (threads[at].state == State::at_barrier) fail("a part of a warp waits in " + threads[at].kernel->name);
        if (threads[at].state != State::at_shuffle) continue;
        values[at - first] = get<uint32_t>(threads[at], last_of(threads[at]).operands[1]);
    }
    for (size_t at = first; at < end; at++) {
        Thread &thread = threads[at];
        if (thread.state != State::at_shuffle) continue;
        const Instruction &shuffle = last_of(thread);
        size_t from = (at - first) ^ get<uint32_t>(thread, shuffle.operands[2]);
        set(thread, shuffle.operands[0], values[from < end - first ? from : at - first]);
        thread.state = State::running;
    }
}

// Runs a warp until all its threads have ended or wait for the block.
void run_warp(Threads &threads, size_t first, size_t end) {
    for (bool exchanged = true; exchanged;) {
        exchanged = false;
        for (size_t at = first; at < end; at++) {
            run_thread(threads[at]);
            exchanged |= threads[at].state == State::at_shuffle;
        }
        if (exchanged) exchange(threads, first, end);
    }
}

void run_block(Threads &threads) {
    for (bool waits = true; waits;) {
        waits = false;
        for (size_t first = 0; first < threads.size(); first += WARP) {
            run_warp(threads, first, std::min(first + WARP, threads.size()));
        }
        for (Thread &thread : threads) {
            if (thread.state != State::at_barrier) continue;
            thread.state = State::running;
            waits = true;
        }
    }
}

} // namespace

void run(const Kernel *kernel, Dim grid, Dim block, unsigned shared_bytes, const std::vector<uint8_t> &parameters) {
    const size_t count = size_t(block.x) * block.y * block.z;
    const unsigned own_shared = (kernel->shared_bytes + 15) / 16 * 16;
    std::vector<uint64_t> registers(count * kernel->registers);
    std::vector<uint8_t> shared(own_shared + shared_bytes), local(count * kernel->local_bytes);
    Threads threads(count);
    for (unsigned number = 0; number < grid.x * grid.y * grid.z; number++) {
        const unsigned x = number % grid.x, y = number / grid.x % grid.y, z = number / grid.x / grid.y;
        // Uninitialised memory is NaN.
        std::fill(shared.begin(), shared.end(), 0xFF);
        for (unsigned at = 0; at < count; at++) {
            Thread &thread = threads[at];
            thread = Thread{kernel, &registers[at * kernel->registers], parameters.data(), shared.data()};
            const unsigned specials[] = {at % block.x,
                                         at / block.x % block.y,
                                         at / block.x / block.y,
                                         block.x,
                                         block.y,
                                         block.z,
                                         x,
                                         y,
                                         z,
                                         grid.x,
                                         grid.y,
                                         grid.z};
            for (auto [reg, value] : kernel->constants) thread.registers[reg] = value;
            for (auto [reg, which] : kernel->special) thread.registers[reg] = specials[which];
            for (auto [reg, offset] : kernel->shared) thread.registers[reg] = offset;
            for (int reg : kernel->dynamic) thread.registers[reg] = own_shared;
            for (auto [reg, offset] : kernel->local) {
                thread.registers[reg] = uint64_t(&local[at * kernel->local_bytes + offset]);
            }
        }
        run_block(threads);
    }
}

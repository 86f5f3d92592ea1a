// The semantics of each instruction.

#include "machine.hpp"
#include <algorithm>
#include <cmath>
#include <limits>

namespace {

// Operand `n` after the result, 0 if there are fewer.
template <class T> T operand(const Thread &thread, const Instruction &instruction, size_t n) {
    return n < instruction.operands.size() ? get<T>(thread, instruction.operands[n]) : T();
}

// Sets the first operand to an expression of the next ones, `a`, `b` and `c`, of type T.
#define RULE(expression)                                                                                             \
    [](Thread &thread, const Instruction &instruction) {                                                             \
        [[maybe_unused]] const T a = operand<T>(thread, instruction, 1), b = operand<T>(thread, instruction, 2),     \
                                 c = operand<T>(thread, instruction, 3);                                             \
        set(thread, instruction.operands[0], expression);                                                            \
    }

// Operand `n` as another type.
#define AS(type, n) operand<type>(thread, instruction, n)

template <class T> T least(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
    return std::min(a, b);
}

template <class T> T most(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
    return std::max(a, b);
}

template <class T> Execute of_any_number(const std::string &name) {
    if (name == "add") return RULE(T(a + b));
    if (name == "sub") return RULE(T(a - b));
    if (name == "mul" || name == "mul.lo") return RULE(T(a * b));
    if (name == "mad.lo") return RULE(T(a * b + c));
    if (name == "div") return RULE(T(a / b));
    if (name == "min") return RULE(least(a, b));
    if (name == "max") return RULE(most(a, b));
    if (name == "neg") return RULE(T(-a));
    if (name == "abs") return RULE(T(a < 0 ? -a : a));
    if (name == "mov" || name == "cvta") return RULE(a);
    if (name == "selp") return RULE(AS(bool, 3) ? a : b);
    return nullptr;
}

template <class T> Execute of_whole_numbers(const std::string &name) {
    constexpr unsigned bits = 8 * sizeof(T);
    if (name == "rem") return RULE(T(a % b));
    if (name == "and") return RULE(T(a & b));
    if (name == "or") return RULE(T(a | b));
    if (name == "xor") return RULE(T(a ^ b));
    if (name == "not") return RULE(T(~a));
    if (name == "shl") return RULE(T(AS(unsigned, 2) < bits ? a << AS(unsigned, 2) : 0));
    if (name == "shr") return RULE(T(AS(unsigned, 2) < bits ? a >> AS(unsigned, 2) : a < 0 ? -1 : 0));
    if (name == "mul.hi") return RULE(T((__int128(a) * __int128(b)) >> bits));
    return nullptr;
}

template <class T, class Wide> Execute to_twice_the_size(const std::string &name) {
    if (name == "mul.wide") return RULE(Wide(a) * Wide(b));
    if (name == "mad.wide") return RULE(Wide(a) * Wide(b) + AS(Wide, 3));
    return nullptr;
}

// The sum has more than twice as many bits as the result; if it was rounded up, it is one too high.
float rounded_down(double sum) {
    float result = float(sum);
    return result > sum ? std::nextafter(result, -INFINITY) : result;
}

template <class T> Execute of_broken_numbers(const std::string &name, bool down) {
    if (name == "fma" && down) {
        if constexpr (std::is_same_v<T, float>) return RULE(rounded_down(std::fma(double(a), double(b), double(c))));
        return nullptr;
    }
    if (name == "fma") return RULE(std::fma(a, b, c));
    if (name == "abs") return RULE(std::fabs(a));
    if (name == "sqrt") return RULE(std::sqrt(a));
    if (name == "rsqrt") return RULE(T(1) / std::sqrt(a));
    if (name == "rcp") return RULE(T(1) / a);
    if (name == "ex2") return RULE(std::exp2(a));
    if (name == "lg2") return RULE(std::log2(a));
    if (name == "tanh") return RULE(std::tanh(a));
    if (name == "copysign") return RULE(std::copysign(b, a));
    return nullptr;
}

// Comparisons with a `u` are true if an operand is NaN, the others false.
template <class T> Execute comparison(const std::string &how) {
    if (how == "eq") return RULE(bool(a == b));
    if (how == "ne") return RULE(bool(a < b || a > b));
    if (how == "lt" || how == "lo") return RULE(bool(a < b));
    if (how == "le" || how == "ls") return RULE(bool(a <= b));
    if (how == "gt" || how == "hi") return RULE(bool(a > b));
    if (how == "ge" || how == "hs") return RULE(bool(a >= b));
    if (how == "equ") return RULE(!(a < b || a > b));
    if (how == "neu") return RULE(bool(a != b));
    if (how == "ltu") return RULE(!(a >= b));
    if (how == "leu") return RULE(!(a > b));
    if (how == "gtu") return RULE(!(a <= b));
    if (how == "geu") return RULE(!(a < b));
    if (how == "nan") return RULE(bool(a != a || b != b));
    if (how == "num") return RULE(bool(a == a && b == b));
    return nullptr;
}

enum Rounding { as_it_is, to_nearest, to_zero, to_below, to_above };

template <Rounding R, class T> T rounded(T value) {
    switch (R) {
    case to_nearest: return std::nearbyint(value);
    case to_zero: return std::trunc(value);
    case to_below: return std::floor(value);
    case to_above: return std::ceil(value);
    default: return value;
    }
}

// Saturates to the range of the type; NaN becomes 0.
template <class To, Rounding R, class From> To converted(From value) {
    if constexpr (std::is_integral_v<From>) return To(value);
    value = rounded<R>(value);
    if constexpr (std::is_integral_v<To>) {
        using Limits = std::numeric_limits<To>;
        if (value != value) return 0;
        if (value >= From(Limits::max())) return Limits::max();
        if (value <= From(Limits::min())) return Limits::min();
    }
    return To(value);
}

template <class To, class T> Execute conversion(const std::vector<std::string> &parts) {
    if (has(parts, "sat")) {
        if constexpr (std::is_same_v<To, T> && std::is_floating_point_v<T>) return RULE(most(T(0), least(T(1), a)));
        return nullptr;
    }
    if (has(parts, "rni")) return RULE((converted<To, to_nearest>(a)));
    if (has(parts, "rzi")) return RULE((converted<To, to_zero>(a)));
    if (has(parts, "rmi")) return RULE((converted<To, to_below>(a)));
    if (has(parts, "rpi")) return RULE((converted<To, to_above>(a)));
    return RULE((converted<To, as_it_is>(a)));
}

// The address given by an operand and the instruction's offset.
uint8_t *address(Thread &thread, const Instruction &instruction, int base, size_t bytes) {
    uint64_t found = get<uint64_t>(thread, base) + instruction.offset;
    if (instruction.is_shared) return thread.shared + uint32_t(found);
    if (instruction.is_global && !is_memory(found, bytes)) {
        fail("`" + instruction.text + "` in " + thread.kernel->name + " leaves its memory");
    }
    return reinterpret_cast<uint8_t *>(found);
}

template <class T> void read(Thread &thread, const Instruction &instruction, const uint8_t *from) {
    for (size_t number = 0; number < instruction.count; number++) {
        T value;
        memcpy(&value, from + number * sizeof(T), sizeof(T));
        set(thread, instruction.operands[number], value);
    }
}

template <class T> void load(Thread &thread, const Instruction &instruction) {
    read<T>(thread, instruction,
            address(thread, instruction, instruction.operands.back(), instruction.count * sizeof(T)));
}

template <class T> void load_parameter(Thread &thread, const Instruction &instruction) {
    read<T>(thread, instruction,
            thread.parameters + get<uint64_t>(thread, instruction.operands.back()) + instruction.offset);
}

template <class T> void store(Thread &thread, const Instruction &instruction) {
    uint8_t *to = address(thread, instruction, instruction.operands[0], instruction.count * sizeof(T));
    for (size_t number = 0; number < instruction.count; number++) {
        T value = get<T>(thread, instruction.operands[1 + number]);
        memcpy(to + number * sizeof(T), &value, sizeof(T));
    }
}

// Threads run one after another, so no other one can intervene.
template <class T> void add_to_memory(Thread &thread, const Instruction &instruction) {
    uint8_t *at = address(thread, instruction, instruction.operands[1], sizeof(T));
    T before, sum;
    memcpy(&before, at, sizeof(T));
    sum = T(before + get<T>(thread, instruction.operands[2]));
    memcpy(at, &sum, sizeof(T));
    set(thread, instruction.operands[0], before);
}

// The type of this name, as a value of it.
template <class F> Execute with_type(const std::string &type, F f) {
    if (type == "u8" || type == "b8") return f(uint8_t());
    if (type == "s8") return f(int8_t());
    if (type == "u16" || type == "b16") return f(uint16_t());
    if (type == "s16") return f(int16_t());
    if (type == "u32" || type == "b32") return f(uint32_t());
    if (type == "s32") return f(int32_t());
    if (type == "u64" || type == "b64") return f(uint64_t());
    if (type == "s64") return f(int64_t());
    if (type == "f32") return f(float());
    if (type == "f64") return f(double());
    return nullptr;
}

Execute of_predicates(const std::string &name) {
    using T = bool;
    if (name == "mov") return RULE(a);
    if (name == "not") return RULE(!a);
    if (name == "and") return RULE(bool(a && b));
    if (name == "or") return RULE(bool(a || b));
    if (name == "xor") return RULE(bool(a != b));
    return nullptr;
}

Execute of_numbers(const std::vector<std::string> &parts, const std::string &type) {
    // Chains of carries, and results between 0 and 1.
    if (has(parts, "cc") || has(parts, "sat")) return nullptr;
    const bool has_half = parts.size() > 2 && (parts[1] == "lo" || parts[1] == "hi" || parts[1] == "wide");
    const std::string name = has_half ? parts[0] + "." + parts[1] : parts[0];
    if (name == "mul.wide" || name == "mad.wide") {
        if (type == "u16") return to_twice_the_size<uint16_t, uint32_t>(name);
        if (type == "s16") return to_twice_the_size<int16_t, int32_t>(name);
        if (type == "u32") return to_twice_the_size<uint32_t, uint64_t>(name);
        if (type == "s32") return to_twice_the_size<int32_t, int64_t>(name);
        return nullptr;
    }
    return with_type(type, [&](auto zero) -> Execute {
        using T = decltype(zero);
        Execute rule = nullptr;
        if constexpr (std::is_integral_v<T>) rule = of_whole_numbers<T>(name);
        else
            rule = of_broken_numbers<T>(name, has(parts, "rm"));
        return rule ? rule : of_any_number<T>(name);
    });
}

} // namespace

bool has(const std::vector<std::string> &parts, const char *part) {
    return std::find(parts.begin(), parts.end(), part) != parts.end();
}

Execute rule_of(const std::vector<std::string> &parts, Instruction &instruction) {
    using T = uint64_t;
    const std::string &name = parts[0], &type = parts.back();
    if (name == "bra") return [](Thread &thread, const Instruction &to) { thread.next = to.target; };
    if (name == "ret" || name == "exit")
        return [](Thread &thread, const Instruction &) { thread.state = State::ended; };
    if (name == "bar" || name == "barrier") {
        return [](Thread &thread, const Instruction &) { thread.state = State::at_barrier; };
    }
    if (name == "shfl" && has(parts, "bfly")) {
        return [](Thread &thread, const Instruction &) { thread.state = State::at_shuffle; };
    }
    if (name == "call" && instruction.text.find("__assertfail") != std::string::npos) {
        return [](Thread &thread, const Instruction &) { fail("an assertion failed in " + thread.kernel->name); };
    }
    // Arguments of a function call, which only occurs for failed assertions.
    if (name == "st" && has(parts, "param")) return [](Thread &, const Instruction &) {};
    if (name == "ld" && has(parts, "param")) {
        return with_type(type, [](auto zero) -> Execute { return load_parameter<decltype(zero)>; });
    }
    if (name == "ld") return with_type(type, [](auto zero) -> Execute { return load<decltype(zero)>; });
    if (name == "st") return with_type(type, [](auto zero) -> Execute { return store<decltype(zero)>; });
    if (name == "atom" && has(parts, "add")) {
        return with_type(type, [](auto zero) -> Execute { return add_to_memory<decltype(zero)>; });
    }
    if (name == "setp" && instruction.operands.size() == 3) {
        return with_type(type, [&](auto zero) { return comparison<decltype(zero)>(parts[1]); });
    }
    if (name == "cvt") {
        return with_type(parts[parts.size() - 2], [&](auto to) {
            return with_type(type, [&](auto from) { return conversion<decltype(to), decltype(from)>(parts); });
        });
    }
    // Conversion between the shared and the generic address space.
    if (name == "cvta" && has(parts, "shared") && has(parts, "to")) return RULE(a - uint64_t(thread.shared));
    if (name == "cvta" && has(parts, "shared")) return RULE(a + uint64_t(thread.shared));
    return type == "pred" ? of_predicates(name) : of_numbers(parts, type);
}

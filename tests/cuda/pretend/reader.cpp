// Parses the text of a kernel into executable form.

#include "machine.hpp"
#include <algorithm>

namespace {

std::string trimmed(const std::string &text) {
    size_t from = text.find_first_not_of(" \t\n"), to = text.find_last_not_of(" \t\n");
    return from == std::string::npos ? "" : text.substr(from, to - from + 1);
}

// The parts between separators outside of brackets.
std::vector<std::string> split(const std::string &text, char separator) {
    std::vector<std::string> parts;
    std::string part;
    int depth = 0;
    for (char c : text + separator) {
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        if (c == separator && depth == 0) {
            if (!trimmed(part).empty()) parts.push_back(trimmed(part));
            part.clear();
        } else {
            part += c;
        }
    }
    return parts;
}

// `{a, b}` or `a`.
std::vector<std::string> list(const std::string &text) {
    return text[0] == '{' ? split(text.substr(1, text.size() - 2), ',') : std::vector<std::string>{text};
}

unsigned aligned(unsigned offset, unsigned size) { return (offset + size - 1) / size * size; }

// A declaration: `.param .align 8 .b8 name[112]`.
struct Declared {
    std::string name;
    unsigned size, align;
    bool has_size;

    explicit Declared(const std::string &text) {
        size_t bracket = text.find('[');
        std::string count =
            bracket == std::string::npos ? "1" : text.substr(bracket + 1, text.find(']') - bracket - 1);
        std::string before = trimmed(text.substr(0, bracket));
        size_t space = before.find_last_of(" \t");
        name = before.substr(space + 1);
        std::string type = trimmed(before.substr(0, space));
        unsigned element = std::stoul(type.substr(type.find_last_of('.') + 2)) / 8;
        size_t given = text.find(".align ");
        align =
            given == std::string::npos ? element : std::max<unsigned>(element, std::stoul(text.substr(given + 7)));
        has_size = !count.empty();
        size = has_size ? element * std::stoul(count) : 0;
    }
};

struct Reader {
    Kernel &kernel;
    std::map<std::string, int> registers;
    std::map<std::string, unsigned> parameters;
    std::map<std::string, size_t> labels;
    // Instructions that branch to a label.
    std::vector<std::pair<size_t, std::string>> jumps;

    int register_of(const std::string &name) {
        auto [found, is_new] = registers.emplace(name, kernel.registers);
        kernel.registers += is_new;
        return found->second;
    }

    int constant(uint64_t value) {
        kernel.constants.push_back({kernel.registers, value});
        return kernel.registers++;
    }

    // The register for the name of a register, memory or parameter, or for a number.
    int operand(const std::string &text) {
        static const std::vector<std::string> specials = {"%tid.x",   "%tid.y",    "%tid.z",    "%ntid.x",
                                                          "%ntid.y",  "%ntid.z",   "%ctaid.x",  "%ctaid.y",
                                                          "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z"};
        auto special = std::find(specials.begin(), specials.end(), text);
        if (special != specials.end() && !registers.count(text)) {
            kernel.special.push_back({register_of(text), special - specials.begin()});
        }
        auto parameter = parameters.find(text);
        if (parameter != parameters.end()) return constant(parameter->second);
        if (text == "_") return -1;
        if (text == "WARP_SZ") return constant(32);
        if (text.compare(0, 2, "0f") == 0) return constant(std::stoul(text.substr(2), nullptr, 16));
        if (text.compare(0, 2, "0d") == 0) return constant(std::stoull(text.substr(2), nullptr, 16));
        if (text[0] == '-') return constant(uint64_t(std::stoll(text)));
        if (isdigit(text[0])) return constant(std::stoull(text, nullptr, 0));
        return register_of(text);
    }

    // `[base + offset]`.
    int address(const std::string &text, Instruction &instruction) {
        std::string inside = text.substr(1, text.size() - 2);
        size_t plus = inside.find('+');
        if (plus != std::string::npos) instruction.offset = std::stoll(inside.substr(plus + 1));
        return operand(trimmed(inside.substr(0, plus)));
    }

    void parameter(const std::string &text, unsigned &used) {
        Declared declared(text);
        parameters[declared.name] = used = aligned(used, declared.align);
        kernel.parameter_sizes.push_back(declared.size);
        used += declared.size;
    }

    void memory(const std::string &text, bool is_shared) {
        Declared declared(text);
        int reg = register_of(declared.name);
        if (!declared.has_size) return kernel.dynamic.push_back(reg);
        unsigned &used = is_shared ? kernel.shared_bytes : kernel.local_bytes;
        used = aligned(used, 16);
        (is_shared ? kernel.shared : kernel.local).push_back({reg, used});
        used += declared.size;
    }

    void instruction(std::string text) {
        Instruction read;
        read.text = text;
        if (text[0] == '@') {
            size_t space = text.find_first_of(" \t");
            read.guard_negated = text[1] == '!';
            read.guard = register_of(text.substr(1 + read.guard_negated, space - 1 - read.guard_negated));
            text = trimmed(text.substr(space));
        }
        size_t space = text.find_first_of(" \t");
        std::vector<std::string> parts = split(text.substr(0, space), '.'), operands;
        if (space != std::string::npos) operands = split(text.substr(space), ',');
        read.is_global = has(parts, "global");
        read.is_shared = has(parts, "shared");
        const std::string &name = parts[0];
        if (name == "bra") {
            jumps.push_back({kernel.code.size(), operands[0]});
        } else if (name == "mov" && operands.size() == 2 && (operands[0][0] == '{') != (operands[1][0] == '{')) {
            if (parts.back() == "b64") return halves(operands[0], operands[1], read);
        } else if (name != "call") {
            for (const std::string &one : operands) {
                if (one[0] == '[') {
                    read.operands.push_back(address(one, read));
                    continue;
                }
                std::vector<std::string> several = list(one.substr(0, one.find('|')));
                for (const std::string &name : several) read.operands.push_back(operand(name));
                read.count = std::max(read.count, several.size());
            }
        }
        read.execute = rule_of(parts, read);
        if (!read.execute) {
            read.execute = [](Thread &thread, const Instruction &unknown) {
                fail("there is no rule for `" + unknown.text + "` in " + thread.kernel->name);
            };
        }
        kernel.code.push_back(read);
    }

    // 64 bits as two halves of 32, lower half first, or the reverse.
    void halves(const std::string &to, const std::string &from, Instruction &read) {
        for (const std::string &name : list(to)) read.operands.push_back(operand(name));
        for (const std::string &name : list(from)) read.operands.push_back(operand(name));
        if (list(to).size() == 2) {
            read.execute = [](Thread &thread, const Instruction &apart) {
                uint64_t both = get<uint64_t>(thread, apart.operands[2]);
                set(thread, apart.operands[0], uint32_t(both));
                set(thread, apart.operands[1], uint32_t(both >> 32));
            };
        } else {
            read.execute = [](Thread &thread, const Instruction &joined) {
                uint64_t lower = get<uint32_t>(thread, joined.operands[1]);
                set(thread, joined.operands[0], lower | uint64_t(get<uint32_t>(thread, joined.operands[2])) << 32);
            };
        }
        kernel.code.push_back(read);
    }

    void statement(const std::string &text) {
        if (text.compare(0, 7, ".shared") == 0) return memory(text, true);
        if (text.compare(0, 6, ".local") == 0) return memory(text, false);
        // Registers need no declaration.
        if (!text.empty() && text[0] != '.') instruction(text);
    }

    void body(const std::string &text) {
        std::string read;
        for (size_t at = 0; at < text.size(); at++) {
            char c = text[at];
            if (text.compare(at, 2, "//") == 0) {
                at = text.find('\n', at);
                continue;
            }
            std::string before = trimmed(read);
            // Scopes within the kernel are ignored, as names are unique.
            bool is_scope = (c == '{' || c == '}') && before.empty();
            bool is_label = c == ':' && before[0] == '$';
            if (is_label) labels[before] = kernel.code.size();
            if (c == ';') statement(before);
            if (is_scope || is_label || c == ';') read.clear();
            else
                read += c;
        }
        instruction("ret");
        for (auto &[at, label] : jumps) {
            if (!labels.count(label)) fail("no label " + label + " in " + kernel.name);
            kernel.code[at].target = labels[label];
        }
    }
};

// From an opening brace to the matching closing one.
size_t end_of_braces(const std::string &text, size_t at) {
    int depth = 0;
    do {
        depth += (text[at] == '{') - (text[at] == '}');
        at++;
    } while (depth > 0);
    return at;
}

} // namespace

const Kernel *Module::find(const std::string &name) {
    auto known = kernels.find(name);
    if (known != kernels.end()) return known->second.get();
    size_t at = text.find(".entry " + name + "(");
    if (at == std::string::npos) return nullptr;
    auto kernel = std::make_shared<Kernel>();
    kernel->name = name;
    Reader reader{*kernel, {}, {}, {}, {}};
    size_t from = text.find('(', at) + 1, to = text.find(')', at);
    unsigned used = 0;
    for (const std::string &declared : split(text.substr(from, to - from), ',')) reader.parameter(declared, used);
    // Dynamic shared memory, whose size is given at launch, is declared outside of the kernels.
    for (size_t outside = text.find(".extern .shared"); outside != std::string::npos;
         outside = text.find(".extern .shared", outside + 1)) {
        reader.memory(text.substr(outside + 8, text.find(';', outside) - outside - 8), true);
    }
    size_t open = text.find('{', to);
    reader.body(text.substr(open + 1, end_of_braces(text, open) - open - 2));
    return (kernels[name] = kernel).get();
}

const std::string &name_of(const Kernel *kernel) { return kernel->name; }

const std::vector<unsigned> &parameter_sizes(const Kernel *kernel) { return kernel->parameter_sizes; }

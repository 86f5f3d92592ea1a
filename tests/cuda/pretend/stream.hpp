// What a stream is asked for. It is done only when somebody waits for it: what was not waited for is not there.
#pragma once

#include <functional>

extern "C" void pretended_work(void *stream, std::function<void()> work);

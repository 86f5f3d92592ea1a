// The work of a stream. It is executed only when the stream is waited for, so that missing waits are detected.
#pragma once

#include <functional>

extern "C" void pretended_work(void *stream, std::function<void()> work);

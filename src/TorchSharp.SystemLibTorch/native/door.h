// What every function of the door does: hand tensors in and out as owned TensorImpl pointers, and turn exceptions into text.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace door {

using Impl = c10::TensorImpl;
using ImplPtr = c10::intrusive_ptr<Impl, c10::UndefinedTensorImpl>;

inline thread_local std::string lastError;

// Runs a function; null, or the text of its error, which lives until the thread's next failure.
template <class Function> const char* guarded(Function&& function) noexcept {
    try {
        function();
        return nullptr;
    } catch (const c10::Error& error) {
        lastError = error.what_without_backtrace();
    } catch (const std::exception& error) {
        lastError = error.what();
    } catch (...) {
        lastError = "libtorch threw something that is not an exception.";
    }
    return lastError.c_str();
}

inline at::Tensor borrow(void* impl) {
    return impl ? at::Tensor(ImplPtr::reclaim_copy(static_cast<Impl*>(impl))) : at::Tensor();
}

inline void* give(at::Tensor tensor) { return tensor.defined() ? tensor.unsafeReleaseTensorImpl() : nullptr; }

} // namespace door

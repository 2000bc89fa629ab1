// A C door to libtorch for TorchSharp.SystemLibTorch: any operator by name through the dispatcher, and the few things that are
// not operators (autograd, generators, threads). No C++ type and no exception crosses it. A function that can fail returns null
// or the error's text, which lives until the thread's next failure. Tensors travel as owned TensorImpl pointers.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <ATen/core/stack.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include "door.h"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

using namespace door;

namespace {

using torch::jit::Stack;

// The optional of this libtorch, which is its own in 1.x and std's later.
template <class Optional> struct Rebind;
template <template <class> class Optional, class T> struct Rebind<Optional<T>> {
    using OfTensor = Optional<at::Tensor>;
};
using OptionalTensor =
    Rebind<decltype(c10::Dispatcher::singleton().findSchema(std::declval<const c10::OperatorName&>()))>::OfTensor;

// One argument or result, as NativeValue in Interop/NativeValue.cs.
enum Tag : int32_t { None, TensorTag, Int, Double, Bool, IntList, DoubleList, TensorList, String, GeneratorTag, DeviceTag };

struct Value {
    int32_t tag;
    int32_t count; // elements of a list, bytes of a string, index of a device
    union {
        int64_t i;
        double d;
        void* p;
    };
};

// What the schema asks for where the value alone does not tell.
enum class Kind : uint8_t { AsGiven, Float, FloatList, OptionalTensorList };

struct Operator {
    c10::OperatorHandle handle;
    std::vector<Kind> kinds;
    Stack defaults; // aligned with kinds; empty values where the schema has no default
    std::vector<bool> hasDefault;
};

std::vector<at::Tensor> borrowAll(void** impls, int32_t count) {
    std::vector<at::Tensor> tensors;
    tensors.reserve(count);
    for (int32_t k = 0; k < count; ++k)
        tensors.push_back(borrow(impls[k]));
    return tensors;
}

Kind kindOf(c10::TypePtr type) {
    if (auto optional = type->cast<c10::OptionalType>())
        type = optional->getElementType();
    if (type->kind() == c10::TypeKind::FloatType)
        return Kind::Float;
    if (auto list = type->cast<c10::ListType>()) {
        if (list->getElementType()->kind() == c10::TypeKind::OptionalType)
            return Kind::OptionalTensorList;
        if (list->getElementType()->kind() == c10::TypeKind::FloatType)
            return Kind::FloatList;
    }
    return Kind::AsGiven;
}

c10::IValue toIValue(const Value& value, Kind kind) {
    switch (value.tag) {
    case TensorTag:
        return borrow(value.p);
    case Int:
        return kind == Kind::Float ? c10::IValue(static_cast<double>(value.i)) : c10::IValue(value.i);
    case Double:
        return value.d;
    case Bool:
        return value.i != 0;
    case IntList: {
        auto items = static_cast<const int64_t*>(value.p);
        if (kind == Kind::FloatList)
            return c10::IValue(std::vector<double>(items, items + value.count));
        return c10::IValue(c10::ArrayRef<int64_t>(items, value.count));
    }
    case DoubleList: {
        auto items = static_cast<const double*>(value.p);
        return c10::IValue(std::vector<double>(items, items + value.count));
    }
    case TensorList: {
        auto items = static_cast<void**>(value.p);
        if (kind != Kind::OptionalTensorList)
            return c10::IValue(borrowAll(items, value.count));
        c10::List<OptionalTensor> list;
        list.reserve(value.count);
        for (int32_t k = 0; k < value.count; ++k)
            list.push_back(items[k] ? OptionalTensor(borrow(items[k])) : OptionalTensor());
        return c10::IValue(std::move(list));
    }
    case String:
        return c10::IValue(std::string(static_cast<const char*>(value.p), value.count));
    case GeneratorTag:
        return c10::IValue(*static_cast<at::Generator*>(value.p));
    case DeviceTag:
        return c10::IValue(c10::Device(static_cast<c10::DeviceType>(value.i), static_cast<c10::DeviceIndex>(value.count)));
    default:
        return c10::IValue();
    }
}

// A node of the graph whose backward pass is a managed function. What that returns are references of its own.
struct ManagedNode : torch::autograd::Node {
    using Apply = int32_t (*)(void* target, void** gradients, int32_t count, void** results);
    using Release = void (*)(void* target);

    ManagedNode(void* target, Apply apply, Release release) : target(target), applyManaged(apply), release(release) {}
    ~ManagedNode() override { release(target); }

    torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
        std::vector<void*> given;
        for (auto& gradient : gradients)
            given.push_back(give(std::move(gradient)));
        std::vector<void*> results(num_outputs());
        auto count = applyManaged(target, given.data(), static_cast<int32_t>(given.size()), results.data());
        torch::autograd::variable_list found(count);
        for (int32_t k = 0; k < count; ++k)
            if (results[k])
                found[k] = at::Tensor(ImplPtr::reclaim(static_cast<Impl*>(results[k])));
        return found;
    }

    void* target;
    Apply applyManaged;
    Release release;
};

Value toValue(c10::IValue&& result) {
    Value value{None, 0, {0}};
    if (result.isTensor()) {
        value.tag = TensorTag;
        value.p = give(std::move(result).toTensor());
    } else if (result.isInt()) {
        value.tag = Int;
        value.i = result.toInt();
    } else if (result.isDouble()) {
        value.tag = Double;
        value.d = result.toDouble();
    } else if (result.isBool()) {
        value.tag = Bool;
        value.i = result.toBool();
    } else if (result.isTensorList()) {
        auto tensors = std::move(result).toTensorVector();
        auto items = static_cast<void**>(std::malloc(tensors.size() * sizeof(void*)));
        for (size_t k = 0; k < tensors.size(); ++k)
            items[k] = give(std::move(tensors[k]));
        value.tag = TensorList;
        value.count = static_cast<int32_t>(tensors.size());
        value.p = items;
    }
    return value;
}

} // namespace

// Leaves null where this libtorch has no such operator.
EXPORT const char* sl_find(const char* name, const char* overload, Operator** found) {
    return guarded([&] {
        *found = nullptr;
        auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
        if (!handle.has_value())
            return;
        auto op = std::make_unique<Operator>(Operator{*handle, {}, {}, {}});
        for (const auto& argument : handle->schema().arguments()) {
            op->kinds.push_back(kindOf(argument.type()));
            auto value = argument.default_value();
            op->hasDefault.push_back(value.has_value());
            op->defaults.push_back(value.has_value() ? *value : c10::IValue());
        }
        *found = op.release();
    });
}

EXPORT const char* sl_call(const Operator* op, const Value* arguments, int32_t count, Value* results, int32_t resultCount) {
    // The buffer is kept between calls; taking it away for the time of a call makes re-entrance safe.
    static thread_local Stack spare;
    Stack stack = std::move(spare);
    stack.clear();
    auto error = guarded([&] {
        const auto total = static_cast<int32_t>(op->kinds.size());
        TORCH_CHECK(count <= total, op->handle.schema(), " takes ", total, " arguments, got ", count);
        stack.reserve(total);
        for (int32_t k = 0; k < count; ++k)
            stack.push_back(toIValue(arguments[k], op->kinds[k]));
        for (int32_t k = count; k < total; ++k) {
            TORCH_CHECK(op->hasDefault[k], op->handle.schema(), " has no default for argument ", k);
            stack.push_back(op->defaults[k]);
        }
        op->handle.callBoxed(&stack);
        for (int32_t k = 0; k < resultCount; ++k)
            results[k] = toValue(std::move(stack[k]));
    });
    stack.clear();
    spare = std::move(stack);
    return error;
}

EXPORT void sl_free(void* memory) { std::free(memory); }
EXPORT void sl_release(void* impl) { ImplPtr::reclaim(static_cast<Impl*>(impl)); }
EXPORT void* sl_alias(void* impl) { return give(borrow(impl)); }

EXPORT int64_t sl_dim(const Impl* impl) { return impl->dim(); }
EXPORT int64_t sl_numel(const Impl* impl) { return impl->numel(); }
EXPORT const int64_t* sl_sizes(const Impl* impl) { return impl->sizes().data(); }
EXPORT const int64_t* sl_strides(const Impl* impl) { return impl->strides().data(); }
EXPORT int64_t sl_storage_offset(const Impl* impl) { return impl->storage_offset(); }
EXPORT int32_t sl_dtype(const Impl* impl) { return static_cast<int32_t>(c10::typeMetaToScalarType(impl->dtype())); }
EXPORT int64_t sl_element_size(const Impl* impl) { return impl->dtype().itemsize(); }
EXPORT int32_t sl_device_type(const Impl* impl) { return static_cast<int32_t>(impl->device().type()); }
EXPORT int32_t sl_device_index(const Impl* impl) { return impl->device().index(); }
EXPORT int32_t sl_is_contiguous(const Impl* impl) { return impl->is_contiguous(); }
EXPORT int32_t sl_requires_grad(const Impl* impl) { return impl->requires_grad(); }
EXPORT int32_t sl_is_leaf(void* impl) { return borrow(impl).is_leaf(); }

EXPORT const char* sl_data(void* impl, void** data) {
    return guarded([&] { *data = borrow(impl).data_ptr(); });
}

EXPORT const char* sl_set_requires_grad(void* impl, int32_t value) {
    return guarded([&] { borrow(impl).set_requires_grad(value != 0); });
}

EXPORT const char* sl_grad(void* impl, void** grad) {
    return guarded([&] { *grad = give(borrow(impl).grad()); });
}

EXPORT const char* sl_set_grad(void* impl, void* grad) {
    return guarded([&] { borrow(impl).mutable_grad() = borrow(grad); });
}

EXPORT const char* sl_backward(
    void* root, void** grads, int32_t gradCount, int32_t retain, int32_t create, void** inputs, int32_t inputCount) {
    return guarded([&] {
        torch::autograd::backward(
            {borrow(root)}, borrowAll(grads, gradCount), retain != 0, create != 0, borrowAll(inputs, inputCount));
    });
}

EXPORT const char* sl_autograd_grad(
    void** outputs, int32_t outputCount, void** inputs, int32_t inputCount, void** grads, int32_t gradCount, int32_t retain,
    int32_t create, int32_t allowUnused, void** results) {
    return guarded([&] {
        auto found = torch::autograd::grad(
            borrowAll(outputs, outputCount), borrowAll(inputs, inputCount), borrowAll(grads, gradCount), retain != 0, create != 0,
            allowUnused != 0);
        for (size_t k = 0; k < found.size(); ++k)
            results[k] = give(std::move(found[k]));
    });
}

// Makes a node for outputs that a managed function computed, and connects it to the inputs. The outputs come back as new tensors.
EXPORT const char* sl_node_new(
    void* target, ManagedNode::Apply apply, ManagedNode::Release release, void** inputs, int32_t inputCount, void** outputs,
    int32_t outputCount, ManagedNode** made) {
    *made = nullptr;
    return guarded([&] {
        std::shared_ptr<ManagedNode> node(new ManagedNode(target, apply, release), torch::autograd::deleteNode);
        *made = node.get();
        node->set_next_edges(torch::autograd::collect_next_edges(borrowAll(inputs, inputCount)));
        for (int32_t k = 0; k < outputCount; ++k) {
            auto output = borrow(outputs[k]).detach();
            if (torch::autograd::isDifferentiableType(output.scalar_type()))
                torch::autograd::set_history(output, node);
            else
                node->add_input_metadata(torch::autograd::Node::undefined_input());
            outputs[k] = give(std::move(output));
        }
    });
}

EXPORT const char* sl_saved_new(void* impl, const ManagedNode* node, torch::autograd::SavedVariable** made) {
    return guarded([&] {
        auto tensor = borrow(impl);
        *made = new torch::autograd::SavedVariable(tensor, tensor.grad_fn().get() == node);
    });
}

EXPORT const char* sl_saved_unpack(const torch::autograd::SavedVariable* saved, ManagedNode* node, void** tensor) {
    return guarded([&] { *tensor = give(saved->unpack(node->shared_from_this())); });
}

EXPORT void sl_saved_free(torch::autograd::SavedVariable* saved) { delete saved; }

EXPORT int32_t sl_grad_mode() { return c10::GradMode::is_enabled(); }
EXPORT void sl_set_grad_mode(int32_t enabled) { c10::GradMode::set_enabled(enabled != 0); }
EXPORT void* sl_inference_enter(int32_t enabled) { return new c10::InferenceMode(enabled != 0); }
EXPORT void sl_inference_leave(void* guard) { delete static_cast<c10::InferenceMode*>(guard); }

EXPORT const char* sl_generator_new(int32_t deviceType, int32_t deviceIndex, uint64_t seed, at::Generator** made) {
    return guarded([&] {
        auto device = c10::Device(static_cast<c10::DeviceType>(deviceType), static_cast<c10::DeviceIndex>(deviceIndex));
        // The default generator of a device other than the CPU is cloned, which needs none of that device's headers.
        auto generator = device.is_cpu() ? at::detail::createCPUGenerator() : at::globalContext().defaultGenerator(device).clone();
        generator.set_current_seed(seed);
        *made = new at::Generator(generator);
    });
}

EXPORT const char* sl_generator_default(at::Generator** made) {
    return guarded([&] { *made = new at::Generator(at::detail::getDefaultCPUGenerator()); });
}

EXPORT void sl_generator_free(at::Generator* generator) { delete generator; }

EXPORT const char* sl_generator_seed(at::Generator* generator, uint64_t seed) {
    return guarded([&] {
        std::lock_guard<std::mutex> lock(generator->mutex());
        generator->set_current_seed(seed);
    });
}

EXPORT uint64_t sl_generator_initial_seed(at::Generator* generator) { return generator->current_seed(); }

EXPORT const char* sl_generator_get_state(at::Generator* generator, void** state) {
    return guarded([&] {
        std::lock_guard<std::mutex> lock(generator->mutex());
        *state = give(generator->get_state());
    });
}

EXPORT const char* sl_generator_set_state(at::Generator* generator, void* state) {
    return guarded([&] {
        std::lock_guard<std::mutex> lock(generator->mutex());
        generator->set_state(borrow(state));
    });
}

EXPORT const char* sl_manual_seed(uint64_t seed) {
    return guarded([&] { at::manual_seed(seed); });
}

EXPORT int64_t sl_cuda_count() {
    try {
        return torch::cuda::is_available() ? static_cast<int64_t>(torch::cuda::device_count()) : 0;
    } catch (...) {
        return 0;
    }
}

EXPORT const char* sl_get_matmul_tf32(int32_t* allowed) {
    return guarded([&] { *allowed = at::globalContext().allowTF32CuBLAS(); });
}

EXPORT const char* sl_set_matmul_tf32(int32_t allow) {
    return guarded([&] { at::globalContext().setAllowTF32CuBLAS(allow != 0); });
}

EXPORT const char* sl_get_cudnn_tf32(int32_t* allowed) {
    return guarded([&] { *allowed = at::globalContext().allowTF32CuDNN(); });
}

EXPORT const char* sl_set_cudnn_tf32(int32_t allow) {
    return guarded([&] { at::globalContext().setAllowTF32CuDNN(allow != 0); });
}

EXPORT const char* sl_set_threads(int32_t count) {
    return guarded([&] { at::set_num_threads(count); });
}

EXPORT int32_t sl_threads() { return at::get_num_threads(); }

// An OpenBLAS with a thread pool of its own fights OpenMP's threads for the cores: give it one thread.
EXPORT void sl_calm_blas() {
    auto parallel = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_parallel"));
    auto setThreads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
    if (parallel && setThreads && parallel() == 1 && !std::getenv("OPENBLAS_NUM_THREADS"))
        setThreads(1);
}

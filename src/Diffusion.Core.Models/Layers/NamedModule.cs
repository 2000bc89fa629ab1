using static TorchSharp.torch;

namespace Diffusion.Core.Models;

/// <summary>
/// A module whose constructor registers its parts by name with <c>register_module</c>, <c>register_parameter</c> and
/// <c>register_buffer</c>.
/// </summary>
/// <remarks>
/// <see cref="nn.Module"/> registers the fields of a custom module under the names of the fields when the module becomes part of another
/// one, in addition to the names under which the constructor registered them. This class does not register fields, so that the state dict
/// contains only the names that the constructor registered.
/// </remarks>
/// <param name="name">The name of the class.</param>
public abstract class NamedModule(string name) : nn.Module(name)
{
    /// <inheritdoc/>
    protected sealed override void RegisterComponents()
    {
    }
}

/// <inheritdoc cref="NamedModule"/>
/// <typeparam name="T">The type of the argument of <c>forward</c>.</typeparam>
/// <typeparam name="TResult">The type of the result.</typeparam>
/// <param name="name">The name of the class.</param>
public abstract class NamedModule<T, TResult>(string name) : nn.Module<T, TResult>(name)
{
    /// <inheritdoc/>
    protected sealed override void RegisterComponents()
    {
    }
}

/// <inheritdoc cref="NamedModule"/>
/// <typeparam name="T1">The type of the first argument of <c>forward</c>.</typeparam>
/// <typeparam name="T2">The type of the second argument.</typeparam>
/// <typeparam name="TResult">The type of the result.</typeparam>
/// <param name="name">The name of the class.</param>
internal abstract class NamedModule<T1, T2, TResult>(string name) : nn.Module<T1, T2, TResult>(name)
{
    /// <inheritdoc/>
    protected sealed override void RegisterComponents()
    {
    }
}

/// <inheritdoc cref="NamedModule"/>
/// <typeparam name="T1">The type of the first argument of <c>forward</c>.</typeparam>
/// <typeparam name="T2">The type of the second argument.</typeparam>
/// <typeparam name="T3">The type of the third argument.</typeparam>
/// <typeparam name="TResult">The type of the result.</typeparam>
/// <param name="name">The name of the class.</param>
public abstract class NamedModule<T1, T2, T3, TResult>(string name) : nn.Module<T1, T2, T3, TResult>(name)
{
    /// <inheritdoc/>
    protected sealed override void RegisterComponents()
    {
    }
}

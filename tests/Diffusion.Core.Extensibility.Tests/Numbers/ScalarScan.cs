using System.Reflection;
using TorchSharp;

namespace Diffusion.Core.Extensibility.Tests.Numbers;

/// <summary>
/// Finds in the IL of an assembly where a number becomes a <see cref="Scalar"/>, and where a method of TorchSharp is called that makes
/// one within. TorchSharp keeps neither alive while native code reads it.
/// </summary>
internal sealed class ScalarScan
{
    private static readonly Assembly _torchSharp = typeof(Scalar).Assembly;

    // The methods of TorchSharp that make a number, or lead to one that does, with the method next on the way.
    private readonly Dictionary<MethodBase, MethodBase> _making = [];

    public ScalarScan()
    {
        var callers = new Dictionary<MethodBase, List<MethodBase>>();
        foreach (var method in _torchSharp.GetTypes().SelectMany(IlReader.Methods))
        {
            foreach (var called in Reached(method).Distinct())
            {
                if (!callers.TryGetValue(called, out var list))
                    callers.Add(called, list = []);
                list.Add(method);
            }
        }

        var open = new Queue<MethodBase>(callers.Keys.Where(IsConversion));
        while (open.TryDequeue(out var called))
        {
            foreach (var caller in callers.GetValueOrDefault(called) ?? [])
            {
                if (!IsConversion(caller) && _making.TryAdd(caller, called))
                    open.Enqueue(caller);
            }
        }
    }

    /// <summary>Every place in an assembly, with the method that it is in.</summary>
    public IEnumerable<(MethodBase Method, string Finding)> Find(Assembly assembly)
        => assembly.GetTypes().SelectMany(IlReader.Methods).SelectMany(Find);

    /// <summary>Every place in a method.</summary>
    public IEnumerable<(MethodBase Method, string Finding)> Find(MethodBase method)
    {
        foreach (var called in Reached(method).Distinct())
        {
            if (IsConversion(called) || _making.ContainsKey(called))
                yield return (method, $"{Name(method)} calls {Path(called)}");
        }
    }

    private string Path(MethodBase method)
        => _making.TryGetValue(method, out var next) ? $"{Name(method)}, which calls {Path(next)}" : Name(method);

    private static string Name(MethodBase method)
        => $"{method.DeclaringType}.{method.Name}({string.Join(", ", method.GetParameters().Select(parameter => parameter.ParameterType.Name))})";

    /// <summary>Whether a method turns a number into a <see cref="Scalar"/>.</summary>
    private static bool IsConversion(MethodBase method)
        => method.DeclaringType == typeof(Scalar) ? method is ConstructorInfo || method.Name == "op_Implicit"
            : method.DeclaringType == typeof(ScalarExtensionMethods) && method is MethodInfo { ReturnType: var type } && type == typeof(Scalar);

    /// <summary>
    /// The methods of TorchSharp that a method may run: those it names, and, of a class that it constructs, all that can be overridden,
    /// because nothing tells from where they are called.
    /// </summary>
    private static IEnumerable<MethodBase> Reached(MethodBase method)
    {
        foreach (var called in IlReader.Named(method).Where(IsOfTorchSharp))
        {
            yield return called;
            if (called is not ConstructorInfo)
                continue;
            foreach (var overridable in Bases(called.DeclaringType!).SelectMany(IlReader.Methods).Where(member => member.IsVirtual))
                yield return overridable;
        }
    }

    private static bool IsOfTorchSharp(MethodBase method) => method.DeclaringType?.Assembly == _torchSharp;

    private static IEnumerable<Type> Bases(Type type)
    {
        for (var current = type; current?.Assembly == _torchSharp; current = current.BaseType)
            yield return current.IsGenericType ? current = current.GetGenericTypeDefinition() : current;
    }
}

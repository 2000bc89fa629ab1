using System.Reflection;
using System.Reflection.Emit;

namespace Diffusion.Core.Extensibility.Tests.Numbers;

/// <summary>The methods that the IL of a method names: what it calls, constructs, or makes a delegate of.</summary>
internal static class IlReader
{
    private const byte TwoBytes = 0xFE;

    private const BindingFlags Declared = BindingFlags.DeclaredOnly | BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public
        | BindingFlags.NonPublic;

    private static readonly Dictionary<short, OpCode> _codes = typeof(OpCodes).GetFields()
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value);

    /// <summary>Every method and constructor of a type, those that the compiler generated among them.</summary>
    public static IEnumerable<MethodBase> Methods(Type type)
        => type.GetMethods(Declared).Concat<MethodBase>(type.GetConstructors(Declared));

    /// <summary>The methods named by the IL of one, as they are defined: without their type arguments.</summary>
    public static IEnumerable<MethodBase> Named(MethodBase method)
    {
        var il = method.GetMethodBody()?.GetILAsByteArray() ?? [];
        var ofType = method.DeclaringType is { IsGenericType: true } type ? type.GetGenericArguments() : null;
        var ofMethod = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (var at = 0; at < il.Length;)
        {
            var code = _codes[il[at] == TwoBytes ? (short)((TwoBytes << 8) | il[at + 1]) : il[at]];
            at += code.Size;
            if (code.OperandType == OperandType.InlineMethod)
                yield return Definition(method.Module.ResolveMethod(BitConverter.ToInt32(il, at), ofType, ofMethod)!);
            at += OperandSize(code.OperandType, il, at);
        }
    }

    private static MethodBase Definition(MethodBase method)
        => method.DeclaringType is { IsArray: true } ? method : method.Module.ResolveMethod(method.MetadataToken)!;

    private static int OperandSize(OperandType type, byte[] il, int at) => type switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        OperandType.InlineSwitch => 4 + (4 * BitConverter.ToInt32(il, at)),
        _ => 4,
    };
}

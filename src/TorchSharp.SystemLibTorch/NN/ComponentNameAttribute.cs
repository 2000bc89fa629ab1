namespace TorchSharp.Utils;

/// <summary>The name a field's module, parameter or buffer is registered under, where it is not the field's.</summary>
[AttributeUsage(AttributeTargets.Field)]
internal sealed class ComponentNameAttribute : Attribute
{
    public string? Name { get; set; }
}

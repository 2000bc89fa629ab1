namespace Diffusion.Core.Testing;

/// <summary>The values of the trait <c>Category</c>.</summary>
public static class Category
{
    public const string Name = "Category";

    /// <summary>Against reference values computed with another implementation.</summary>
    public const string Golden = "Golden";

    /// <summary>Minutes; only with <c>--long</c>.</summary>
    public const string Long = "Long";

    /// <summary>Needs a CUDA device, and is skipped where there is none.</summary>
    public const string Gpu = "Gpu";

    /// <summary>Something goes wrong on purpose.</summary>
    public const string Fault = "Fault";
}

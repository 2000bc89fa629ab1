using System.Globalization;
using System.Runtime.CompilerServices;

namespace Diffusion.Core.Testing;

/// <summary>
/// Runs the tests of an assembly in the culture that the environment variable DIFFUSION_TEST_CULTURE names, such as de-DE: texts in files,
/// logs and messages must not depend on it.
/// </summary>
internal static class TestCulture
{
    public const string Variable = "DIFFUSION_TEST_CULTURE";

    [ModuleInitializer]
    internal static void Set()
    {
        if (System.Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } name)
            return;
        var culture = new CultureInfo(name);
        (CultureInfo.DefaultThreadCurrentCulture, CultureInfo.DefaultThreadCurrentUICulture) = (culture, CultureInfo.InvariantCulture);
        CultureInfo.CurrentCulture = culture;
    }
}

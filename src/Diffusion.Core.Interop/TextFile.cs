using System.Text;

namespace Diffusion.Core.Interop;

/// <summary>Small files of text.</summary>
internal static class TextFile
{
    /// <summary>Writes UTF-8 without a mark, whole or not at all.</summary>
    public static void Write(string path, string text) => AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));
}

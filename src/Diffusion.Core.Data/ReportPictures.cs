using System.Xml;

namespace Diffusion.Core.Data;

/// <summary>The pictures of a <see cref="RunReport"/>, each series with a slider over its steps.</summary>
internal sealed class ReportPictures(PictureRecord[] pictures, string folder)
{
    /// <summary>What a page may hold of one series: so many pictures, and so many bytes of them.</summary>
    private const int MaxPictures = 32;
    private const long MaxBytes = 12L << 20;

    public void Write(XmlWriter html)
    {
        foreach (var series in pictures.GroupBy(picture => picture.Name))
        {
            var present = series
                .GroupBy(picture => picture.Step)
                .Select(group => (Step: group.Key, Path: Path.GetFullPath(Path.Combine(folder, group.Last().Path))))
                .Where(picture => File.Exists(picture.Path))
                .OrderBy(picture => picture.Step)
                .ToArray();
            if (present.Length == 0)
                continue;
            var shown = Thin(present);
            html.Element("h2", ReportHtml.Clean(series.Key));
            if (shown.Length < present.Length)
                html.Element("p", $"{shown.Length} of {present.Length} pictures, evenly spread.");
            html.WriteStartElement("div");
            html.WriteAttributeString("class", "frames");
            html.Void("input", ("type", "range"), ("min", "0"), ("value", "0"), ("aria-label", "step"));
            foreach (var (step, path) in shown)
                Figure(html, series.Key, step, File.ReadAllBytes(path));
            html.WriteFullEndElement();
        }
    }

    /// <summary>The first, the last, and as many between as the page may hold.</summary>
    private static (long Step, string Path)[] Thin((long Step, string Path)[] all)
    {
        var bytes = all.Sum(picture => new FileInfo(picture.Path).Length);
        var share = Math.Min(1.0, (double)MaxBytes / Math.Max(bytes, 1));
        var count = Math.Clamp((int)(all.Length * share), 1, MaxPictures);
        if (count >= all.Length)
            return all;
        return count == 1 ? [all[^1]] : [.. Enumerable.Range(0, count).Select(i => all[(int)((long)i * (all.Length - 1) / (count - 1))])];
    }

    private static void Figure(XmlWriter html, string name, long step, byte[] png)
    {
        html.WriteStartElement("figure");
        html.WriteStartElement("img");
        html.WriteAttributeString("alt", ReportHtml.Clean($"{name} at step {ReportHtml.Number(step)}"));
        html.WriteStartAttribute("src");
        html.WriteString("data:image/png;base64,");
        html.WriteBase64(png, 0, png.Length);
        html.WriteEndAttribute();
        html.WriteEndElement();
        html.Element("figcaption", $"step {ReportHtml.Number(step)}");
        html.WriteFullEndElement();
    }
}

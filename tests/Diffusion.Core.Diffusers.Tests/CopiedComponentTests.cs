using Diffusion.Core.Testing;

namespace Diffusion.Core.Diffusers.Tests;

[Trait(Category.Name, Category.Fault)]
public sealed class CopiedComponentTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public CopiedComponentTests()
    {
        Write("pipeline/checker/config.json", "settings");
        Write("pipeline/checker/inner/words.txt", "words");
        Write("secret/key.txt", "private");
    }

    private string Component => _folder.File("pipeline/checker");

    private string Copied => _folder.File("copy");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Files_and_links_within_the_pipeline_are_copied()
    {
        Link("pipeline/checker/same.json", "config.json");
        Link("pipeline/checker/inner/shared.txt", _folder.File("pipeline/shared.txt"));
        Write("pipeline/shared.txt", "shared");

        ComponentFolder.Copy(Component, Copied);

        Read("config.json").Should().Be("settings");
        Read("inner/words.txt").Should().Be("words");
        Read("same.json").Should().Be("settings");
        Read("inner/shared.txt").Should().Be("shared");
        new FileInfo(Path.Combine(Copied, "same.json")).LinkTarget.Should().BeNull();
    }

    [Theory]
    [InlineData("pipeline/checker/key.txt", "../../secret/key.txt")]
    [InlineData("pipeline/checker/inner/more", "../../../secret")]
    [InlineData("pipeline/checker/up", "..")]
    [InlineData("pipeline/checker/loop", "loop")]
    [InlineData("pipeline/checker/zero", "/dev/zero")]
    public void A_link_out_of_the_pipeline_or_without_an_end_is_refused_with_its_name(string link, string target)
    {
        Link(link, target);

        FluentActions.Invoking(() => ComponentFolder.Copy(Component, Copied)).Should().Throw<IOException>().WithMessage($"*{Path.GetFileName(link)}*");
    }

    [Fact]
    public void A_component_that_is_itself_a_link_out_of_the_pipeline_is_refused()
    {
        Link("pipeline/other", "../secret");

        FluentActions.Invoking(() => ComponentFolder.Copy(_folder.File("pipeline/other"), Copied)).Should().Throw<IOException>().WithMessage("*other*secret*");
        Directory.Exists(Copied).Should().BeFalse();
    }

    [Fact]
    public void A_link_through_a_link_is_followed_to_its_end()
    {
        Link("pipeline/near", "../secret");
        Link("pipeline/checker/key.txt", "../near/key.txt");

        FluentActions.Invoking(() => ComponentFolder.Copy(Component, Copied)).Should().Throw<IOException>().WithMessage("*key.txt*secret*");
    }

    [Fact]
    public void The_links_of_the_cache_of_Hugging_Face_are_copied()
    {
        Write("models--x/blobs/abc", "blob");
        Write("models--x/snapshots/1/tokenizer/here.txt", "here");
        Link("models--x/snapshots/1/tokenizer/vocab.json", "../../../blobs/abc");

        ComponentFolder.Copy(_folder.File("models--x/snapshots/1/tokenizer"), Copied);

        Read("vocab.json").Should().Be("blob");
        Link("models--x/snapshots/1/tokenizer/key.txt", "../../../../secret/key.txt");
        FluentActions.Invoking(() => ComponentFolder.Copy(_folder.File("models--x/snapshots/1/tokenizer"), Copied)).Should().Throw<IOException>();
    }

    private string Read(string name) => File.ReadAllText(Path.Combine(Copied, name));

    private void Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(name))!);
        File.WriteAllText(_folder.File(name), text);
    }

    private void Link(string name, string target)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need rights there.");
        File.CreateSymbolicLink(_folder.File(name), target);
    }
}

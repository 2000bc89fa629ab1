using Diffusion.Core.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Diffusion.Core.Models.Tests;

/// <summary>Windows against what a token may see, told token by token.</summary>
public class WindowTests
{
    private const string Table = "relative_position_bias_table";

    /// <summary>Rows, columns, window, shifted: tiled, filled up, one side of a single window, windows larger than the grid.</summary>
    public static TheoryData<int, int, int, bool> Grids => new()
    {
        { 4, 4, 2, false },
        { 4, 4, 2, true },
        { 8, 6, 3, true },
        { 7, 5, 3, false },
        { 7, 5, 3, true },
        { 3, 9, 4, true },
        { 2, 3, 5, true },
        { 1, 1, 4, true },
        { 6, 6, 1, true },
    };

    [Theory]
    [MemberData(nameof(Grids))]
    public void Attention_in_windows_is_attention_with_all_else_hidden(int rows, int columns, int window, bool shifted)
    {
        using var scope = NewDisposeScope();
        random.manual_seed(2);
        using var block = new WindowBlock(Options, window, shifted).to(ScalarType.Float64);
        var table = block.get_parameter(Table)!;
        using (no_grad())
            table.mul_(50);
        var tokens = randn([2, rows * columns, 6], dtype: ScalarType.Float64);
        var span = (2 * window) - 1;
        var count = rows * columns;
        var values = table.Values();
        var bias = new double[2 * count * count];
        for (var index = 0; index < bias.Length; index++)
        {
            var (head, i, j) = (index / (count * count), index / count % count, index % count);
            var row = (((i / columns) - (j / columns) + window - 1) * span) + (i % columns) - (j % columns) + window - 1;
            bias[index] = ShareWindow(i, j, rows, columns, window, shifted) ? values[(2 * row) + head] : double.NegativeInfinity;
        }

        var actual = block.forward(tokens, null, rows, columns);

        RelativeError.OfSamples(actual, Plain(block, tokens, tensor(bias).view(1, 2, count, count))).Should().BeLessThan(1e-12);
    }

    [Fact]
    public void A_window_as_large_as_the_image_is_plain_attention_with_a_bias_whether_shifted_or_not()
    {
        using var scope = NewDisposeScope();
        using var whole = new WindowBlock(Options, 4).to(ScalarType.Float64);
        using var shifted = new WindowBlock(Options, 4, shifted: true).to(ScalarType.Float64);
        shifted.load_state_dict(whole.state_dict());
        var tokens = randn([2, 16, 6], dtype: ScalarType.Float64);

        whole.forward(tokens, null, 4, 4).ShouldBeIdentical(shifted.forward(tokens, null, 4, 4), "one window cannot be shifted");
        using (no_grad())
            whole.get_parameter(Table)!.fill_(3);
        RelativeError.OfSamples(whole.forward(tokens, null, 4, 4), Plain(whole, tokens, null)).Should().BeLessThan(1e-13);
    }

    [Fact]
    public void Without_positions_swapped_tokens_of_a_window_are_swapped_and_other_windows_do_not_notice()
    {
        using var scope = NewDisposeScope();
        using var block = new WindowBlock(Options, 2).to(ScalarType.Float64);
        using (no_grad())
            block.get_parameter(Table)!.fill_(0);
        var tokens = randn([1, 16, 6], dtype: ScalarType.Float64);
        var swap = tensor(new long[] { 5, 1, 2, 3, 4, 0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 });
        var moved = tokens.clone();
        moved[0, 0] = randn([6], dtype: ScalarType.Float64);

        var before = block.forward(tokens, null, 4, 4);
        var after = block.forward(tokens.index_select(1, swap), null, 4, 4);
        var change = block.forward(moved, null, 4, 4).sub(before).abs().sum(2);

        RelativeError.OfSamples(after, before.index_select(1, swap)).Should().BeLessThan(1e-13);
        Enumerable.Range(0, 16).Where(token => change.Values()[token] > 1e-9).Should().Equal(0, 1, 4, 5);
    }

    [Fact]
    public void A_shifted_window_lets_neighbours_of_two_windows_meet()
    {
        using var scope = NewDisposeScope();
        using var block = new WindowBlock(Options, 2, shifted: true).to(ScalarType.Float64);
        var tokens = randn([1, 16, 6], dtype: ScalarType.Float64);
        var moved = tokens.clone();
        moved[0, 5] = randn([6], dtype: ScalarType.Float64);

        var change = block.forward(moved, null, 4, 4).sub(block.forward(tokens, null, 4, 4)).abs().sum(2);

        Enumerable.Range(0, 16).Where(token => change.Values()[token] > 1e-9).Should().Equal(5, 6, 9, 10);
    }

    [Fact]
    public void Merging_and_expanding_keep_neighbours_together()
    {
        using var scope = NewDisposeScope();
        using var merging = new PatchMerging(2).to(ScalarType.Float64);
        using var expanding = new PatchExpanding(4).to(ScalarType.Float64);
        var tokens = randn([1, 24, 2], dtype: ScalarType.Float64);
        var merged = merging.forward(tokens, 4, 6);
        var expanded = expanding.forward(merged, 2, 3);

        merged.shape.Should().Equal(1, 6, 4);
        expanded.shape.Should().Equal(1, 24, 2);
        for (var token = 0; token < 24; token++)
        {
            var moved = tokens.clone();
            moved[0, token] = randn([2], dtype: ScalarType.Float64);
            var below = merging.forward(moved, 4, 6);
            var changed = below.sub(merged).abs().sum(2).Values();
            var spread = expanding.forward(below, 2, 3).sub(expanded).abs().sum(2).Values();

            int Parent(int child) => (child / 12 * 3) + (child % 6 / 2);
            Enumerable.Range(0, 6).Where(place => changed[place] > 1e-9).Should().Equal(Parent(token));
            Enumerable.Range(0, 24).Where(place => spread[place] > 1e-12).Select(Parent).Distinct().Should().Equal(Parent(token));
        }
    }

    [Fact]
    [Trait(Category.Name, Category.Fault)]
    public void Sizes_that_do_not_fit_are_refused()
    {
        using var scope = NewDisposeScope();
        using var block = new WindowBlock(Options, 2);
        using var merging = new PatchMerging(2);
        using var expanding = new PatchExpanding(2);
        Refusal.Expect(() => new WindowBlock(Options, 0), "*window*greater than 0*0*");
        Refusal.Expect(() => new WindowBlock(Options with { ContextWidth = 3 }, 2), "*no context*");
        Refusal.Expect(() => block.forward(zeros(1, 12, 6), null, 4, 4), "*[*, 16, 6]*[1, 12, 6]*");
        Refusal.Expect(() => block.forward(zeros(1, 12, 6), null, 0, 4), "*rows*greater than 0*");
        Refusal.Expect(() => block.forward(zeros(1, 12, 6), zeros(1, 3), 3, 4), "*takes no embedding*");
        Refusal.Expect(() => new PatchMerging(0), "*width*greater than 0*0*");
        Refusal.Expect(() => new PatchExpanding(3), "*even width*3*");
        Refusal.Expect(() => merging.forward(zeros(1, 12, 2), 3, 4), "*even sides*3 by 4*");
        Refusal.Expect(() => merging.forward(zeros(1, 12, 3), 2, 6), "*[*, 12, 2]*[1, 12, 3]*");
        Refusal.Expect(() => expanding.forward(zeros(1, 12, 3), 2, 6), "*[*, 12, 2]*[1, 12, 3]*");
    }

    private static TransformerBlockOptions Options => new() { Width = 6, Heads = 2, NormAffine = false };

    /// <summary>The block by its parts, with attention among all tokens.</summary>
    private static Tensor Plain(WindowBlock block, Tensor tokens, Tensor? bias)
    {
        using var attention = new MultiHeadAttention(new() { Width = 6, Heads = 2, HeadWidth = 3 }).to(ScalarType.Float64);
        using var forward = new FeedForward(6).to(ScalarType.Float64);
        Load(attention, "attn1.");
        Load(forward, "ff.");
        Tensor Norm(Tensor x)
        {
            var centred = x.sub(x.mean([2L], keepdim: true));
            return centred.div(centred.pow(2).mean([2L], keepdim: true).add(1e-5).sqrt());
        }

        var hidden = tokens.add(attention.call(Norm(tokens), null, bias));
        return hidden.add(forward.call(Norm(hidden)));

        void Load(nn.Module part, string prefix) => part.load_state_dict(block.state_dict()
            .Where(pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[prefix.Length..], pair => pair.Value));
    }

    /// <summary>
    /// The windows of the plane, of the grid's sides at most, begin at 0, or half a window before it; a side of one window is not shifted.
    /// </summary>
    private static bool ShareWindow(int i, int j, int rows, int columns, int window, bool shifted)
    {
        static bool Share(int a, int b, int length, int window, bool shifted)
        {
            var side = Math.Min(window, length);
            var start = shifted && length > side ? side - (side / 2) : 0;
            return (a + start) / side == (b + start) / side;
        }

        return Share(i / columns, j / columns, rows, window, shifted) && Share(i % columns, j % columns, columns, window, shifted);
    }
}

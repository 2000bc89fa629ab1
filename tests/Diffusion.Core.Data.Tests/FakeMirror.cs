using System.Net;

namespace Diffusion.Core.Data.Tests;

/// <summary>A web server that is a function; counts what it is asked for.</summary>
internal sealed class FakeMirror(Func<Uri, HttpContent?> answer) : HttpMessageHandler
{
    public List<string> Asked { get; } = [];

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var address = request.RequestUri!;
        Asked.Add(address.AbsoluteUri);
        return Task.FromResult(answer(address) is { } content
            ? new HttpResponseMessage(HttpStatusCode.OK) { Content = content }
            : new HttpResponseMessage(HttpStatusCode.NotFound));
    }
}

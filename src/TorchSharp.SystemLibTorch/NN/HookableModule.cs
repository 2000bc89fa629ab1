namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>A module whose <c>call</c> runs hooks, in the order of their registration; its <c>forward</c> does not.</summary>
        public class HookableModule<TPreHook, TPostHook> : Module
        {
            private readonly List<KeyValuePair<string, TPostHook>> _postHooks = [];

            protected HookableModule(string name)
                : base(name)
            {
            }

            private protected IEnumerable<TPostHook> PostHooks => _postHooks.Select(entry => entry.Value);

            public HookRemover register_forward_hook(TPostHook hook)
            {
                var key = Guid.NewGuid().ToString();
                _postHooks.Add(new(key, hook));
                return new HookRemover(this, key);
            }

            public class HookRemover(HookableModule<TPreHook, TPostHook> module, string key)
            {
                public void remove() => module._postHooks.RemoveAll(entry => entry.Key == key);
            }
        }
    }
}

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>A module whose <c>call</c> runs hooks, in the order of their registration; its <c>forward</c> does not.</summary>
        public class HookableModule<TPreHook, TPostHook> : Module
        {
            protected HookableModule(string name)
                : base(name)
            {
            }

            private protected List<KeyValuePair<string, TPostHook>> PostHooks { get; } = [];

            public HookRemover register_forward_hook(TPostHook hook)
            {
                var key = Guid.NewGuid().ToString();
                PostHooks.Add(new(key, hook));
                return new HookRemover(this, key);
            }

            public class HookRemover(HookableModule<TPreHook, TPostHook> module, string key)
            {
                public void remove() => module.PostHooks.RemoveAll(entry => entry.Key == key);
            }
        }
    }
}

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>What a fit or a load may be told, by name: <c>new Options { ["size"] = "320x240" }</c>. The names are those
    /// of npad_options_set in npad.h. Belongs to one thread at a time.</summary>
    public sealed unsafe class Options : IDisposable
    {
        /// <summary>Is told how far a fit is and returns whether to go on; <paramref name="total"/> is 0 where it is not
        /// known. An exception stops the fit.</summary>
        public delegate bool ProgressCallback(string stage, long done, long total);

        internal readonly OptionsHandle Handle = new OptionsHandle(NativeMethods.npad_options_new());

        // Lives as long as native code may call it: fits with these options hold on to them.
        private NativeMethods.npad_options_set_progress_callback_delegate callback;

        public string this[string name]
        {
            set => Set(name, value);
        }

        public Options Set(string name, string value)
        {
            npad_error* error = null;
            using (var options = Handle.Borrow())
            fixed (byte* key = Utf8.Bytes(name, nameof(name)), text = Utf8.Bytes(value, nameof(value)))
                NpadException.Check(
                    NativeMethods.npad_options_set((npad_options*)options.Pointer, key, text, &error), error);
            return this;
        }

        /// <summary>The region of interest that all images of a fit share; it is copied. Null for all of the image.</summary>
        public Options SetMask(Mask mask)
        {
            npad_error* error = null;
            var pins = new List<GCHandle>();
            try
            {
                var view = mask == null ? default(npad_mask) : Image.Pinned.Native(mask, pins);
                using (var options = Handle.Borrow())
                    NpadException.Check(NativeMethods.npad_options_set_mask(
                        (npad_options*)options.Pointer, mask == null ? null : &view, &error), error);
            }
            finally
            {
                pins.ForEach(pin => pin.Free());
            }
            return this;
        }

        /// <summary>Sets who is told of the progress of fits; null for nobody.</summary>
        public Options SetProgress(ProgressCallback progress)
        {
            npad_error* error = null;
            NativeMethods.npad_options_set_progress_callback_delegate native = null;
            if (progress != null)
                native = (stage, done, total, _) =>
                {
                    // No exception may pass through native code.
                    try { return progress(Utf8.Read(stage), (long)(ulong)done, (long)(ulong)total); }
                    catch (Exception) { return false; }
                };
            using (var options = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_options_set_progress(
                    (npad_options*)options.Pointer, native, null, &error), error);
            callback = native;
            return this;
        }

        /// <summary>What must live as long as something was made with these options.</summary>
        internal object Callback => callback;

        public void Dispose() => Handle.Dispose();
    }
}

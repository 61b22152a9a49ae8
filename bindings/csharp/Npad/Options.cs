using System;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Options for fitting and loading, by name: <c>new Options { ["size"] = "320x240" }</c>. Every option has a
    /// default; <see cref="Library.Options"/> lists them. Belongs to one thread at a time.</summary>
    public sealed unsafe class Options : IDisposable
    {
        /// <summary>Progress callback; <paramref name="total"/> is 0 where it is not known. Return false to cancel the fit. An
        /// exception cancels it too and is thrown again by the call.</summary>
        public delegate bool ProgressCallback(string stage, long done, long total);

        internal readonly OptionsHandle Handle = new OptionsHandle(NativeMethods.npad_options_new());

        // Lives as long as native code may call it: fits with these options hold on to them.
        private NativeMethods.npad_options_set_progress_callback_delegate callback;

        public string this[string name]
        {
            get => Get(name);
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

        /// <summary>The value of an option: what was set, else the default.</summary>
        public string Get(string name)
        {
            npad_error* error = null;
            byte* value = null;
            using (var options = Handle.Borrow())
            fixed (byte* key = Utf8.Bytes(name, nameof(name)))
            {
                NpadException.Check(
                    NativeMethods.npad_options_get((npad_options*)options.Pointer, key, &value, &error), error);
                return Utf8.Read(value);
            }
        }

        /// <summary>The rectangle that is the region of interest of all images of a fit; all 0 for none.</summary>
        public Options SetRoi(int x, int y, int width, int height)
        {
            npad_error* error = null;
            using (var options = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_options_set_roi(
                    (npad_options*)options.Pointer, x, y, width, height, &error), error);
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

        /// <summary>Sets the progress callback of fits that are started from now on; null for none.</summary>
        public Options SetProgress(ProgressCallback progress)
        {
            npad_error* error = null;
            NativeMethods.npad_options_set_progress_callback_delegate native = null;
            if (progress != null)
                native = (stage, done, total, _) =>
                {
                    // No exception may pass through native code.
                    try { return progress(Utf8.Read(stage), (long)(ulong)done, (long)(ulong)total); }
                    catch (Exception failure) { thrown = ExceptionDispatchInfo.Capture(failure); return false; }
                };
            using (var options = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_options_set_progress(
                    (npad_options*)options.Pointer, native, null, &error), error);
            callback = native;
            return this;
        }

        // npad calls the callback on the thread of the call in progress.
        [ThreadStatic] private static ExceptionDispatchInfo thrown;

        /// <summary>Throws again what the progress callback of this thread's call has thrown.</summary>
        internal static void Rethrow()
        {
            var caught = thrown;
            thrown = null;
            caught?.Throw();
        }

        /// <summary>What must live as long as something was made with these options.</summary>
        internal object Callback => callback;

        public void Dispose() => Handle.Dispose();
    }
}

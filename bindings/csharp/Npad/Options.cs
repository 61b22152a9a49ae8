using System;
using Npad.Native;

namespace Npad
{
    /// <summary>Options for fitting and loading, by name: <c>new Options { ["size"] = "320x240" }</c>. <see
    /// cref="Library.GetOptions"/> lists them; every option has a default. Only one thread at a time may use it.
    /// Methods that take options copy them.</summary>
    public sealed unsafe class Options : IDisposable
    {
        /// <summary>Progress callback. Return true to continue, false to cancel the fit or the load. <paramref name="done"/> of
        /// <paramref name="total"/> steps are complete; the total is 0 while it is unknown, see <see
        /// cref="Trainer.Expect"/>. An exception also cancels the call, which rethrows it. The callback must not use the
        /// <see cref="Trainer"/> that calls it, which throws an <see cref="NpadException"/> with the status <see
        /// cref="NpadStatus.WrongState"/>.</summary>
        public delegate bool ProgressCallback(string stage, long done, long total);

        internal readonly OptionsHandle Handle;

        // Native code may call it as long as these options or trainers created with them live.
        private NativeMethods.npad_options_set_progress_callback_delegate callback;

        public Options()
        {
            Library.CheckVersion();
            Handle = new OptionsHandle(NativeMethods.npad_options_new());
        }

        public string this[string name]
        {
            get => Get(name);
            set => Set(name, value);
        }

        /// <summary>The value of an option, set or default, as text.</summary>
        public string Get(string name)
        {
            byte* value = null;
            npad_error* error = null;
            using (var options = Handle.Borrow())
            fixed (byte* key = Utf8.Bytes(name, nameof(name)))
            {
                NpadException.Check(
                    NativeMethods.npad_options_get((npad_options*)options.Pointer, key, &value, &error), error);
                return Utf8.Read(value);
            }
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

        /// <summary>Sets the mask that all images of a fit share; it is copied. Null for none.</summary>
        public Options SetMask(Mask mask)
        {
            npad_error* error = null;
            using (var pins = new Pins())
            using (var options = Handle.Borrow())
            {
                var view = mask == null ? default(npad_mask) : mask.Native(pins);
                NpadException.Check(NativeMethods.npad_options_set_mask(
                    (npad_options*)options.Pointer, mask == null ? null : &view, &error), error);
            }
            return this;
        }

        /// <summary>Sets the rectangular region of interest that all images of a fit share; the default value for
        /// none.</summary>
        public Options SetRoi(Roi roi)
        {
            npad_error* error = null;
            using (var options = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_options_set_roi(
                    (npad_options*)options.Pointer, roi.X, roi.Y, roi.Width, roi.Height, &error), error);
            return this;
        }

        /// <summary>Sets the progress callback of fits and loads; null for none.</summary>
        public Options SetProgress(ProgressCallback progress)
        {
            npad_error* error = null;
            NativeMethods.npad_options_set_progress_callback_delegate native = null;
            if (progress != null)
                native = (stage, done, total, _) =>
                {
                    try
                    {
                        return progress(Utf8.Read(stage), (long)(ulong)done, (long)(ulong)total);
                    }
                    catch (Exception exception)
                    {
                        NpadException.Keep(exception);
                        return false;
                    }
                };
            using (var options = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_options_set_progress(
                    (npad_options*)options.Pointer, native, null, &error), error);
            callback = native;
            return this;
        }

        /// <summary>Sets a feature extractor, for a fit or for loading a model that was fitted with one. It is kept
        /// alive as long as options, trainers or models use it.</summary>
        public Options SetExtractor(IFeatureExtractor extractor)
        {
            NativeExtractor.Set(this, extractor);
            return this;
        }

        /// <summary>Objects that must outlive everything created with these options.</summary>
        internal object Callback => callback;

        public void Dispose() => Handle.Dispose();
    }

    /// <summary>Options for a native call, or null for the defaults.</summary>
    internal readonly unsafe struct Given : IDisposable
    {
        private readonly Handle.Use use;
        private readonly bool given;

        public Given(Options options)
        {
            Library.CheckVersion();
            given = options != null;
            use = given ? options.Handle.Borrow() : default(Handle.Use);
        }

        public npad_options* Pointer => given ? (npad_options*)use.Pointer : null;

        public void Dispose()
        {
            if (given) use.Dispose();
        }
    }
}

using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Npad.Native;

namespace Npad
{
    /// <summary>A feature extractor of your own, which replaces ONNX Runtime and the built-in backbone. The features must
    /// depend on the image alone.</summary>
    public interface IFeatureExtractor
    {
        /// <summary>1 to 64 lower-case letters, digits, '-' or '_'. A model can only be loaded with an extractor of the
        /// same name: choose another name whenever the features change.</summary>
        string Name { get; }

        /// <summary>Stride of each output: input pixels per position in each direction, 1 to 64.</summary>
        IReadOnlyList<int> Strides { get; }

        /// <summary>Number of planes of each output, 1 to 8192.</summary>
        IReadOnlyList<int> Channels { get; }

        /// <summary>Means of red, green and blue on a scale of 0 to 1, which are subtracted: three values.</summary>
        IReadOnlyList<float> Mean { get; }

        /// <summary>Standard deviations of red, green and blue on a scale of 0 to 1, which are the divisors: three
        /// values above 0.</summary>
        IReadOnlyList<float> StandardDeviation { get; }

        /// <summary>Computes features. <paramref name="input"/> holds three normalised planes, red, green and blue, of
        /// <paramref name="height"/> rows of <paramref name="width"/> values. <c>outputs[i]</c> receives
        /// <c>Channels[i]</c> planes of ceil(height / Strides[i]) rows of ceil(width / Strides[i]) finite values.
        /// Called from several threads at once. The call of npad rethrows its exceptions.</summary>
        void Extract(float[] input, int height, int width, float[][] outputs);
    }

    /// <summary>The extractor for native code, which lives from npad_options_set_extractor() until npad frees
    /// it.</summary>
    internal sealed unsafe class NativeExtractor
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int ExtractCallback(
            IntPtr data, float* input, int height, int width, float** outputs, npad_callback_error* error);

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate void FreeCallback(IntPtr data);

        // Native code calls these two as long as the process runs.
        private static readonly ExtractCallback ExtractDelegate = Extract;
        private static readonly FreeCallback FreeDelegate = Free;

        private readonly IFeatureExtractor extractor;
        private readonly int[] strides, channels;
        private readonly float[] mean, deviation;

        private NativeExtractor(IFeatureExtractor extractor)
        {
            this.extractor = extractor;
            strides = Values(extractor.Strides, nameof(extractor.Strides));
            channels = Values(extractor.Channels, nameof(extractor.Channels));
            mean = Values(extractor.Mean, nameof(extractor.Mean));
            deviation = Values(extractor.StandardDeviation, nameof(extractor.StandardDeviation));
            if (strides.Length != channels.Length)
                throw new ArgumentException("the extractor has " + strides.Length + " strides, but " + channels.Length +
                    " numbers of channels", nameof(extractor));
            if (mean.Length != 3 || deviation.Length != 3)
                throw new ArgumentException(
                    "the extractor needs three means and three standard deviations", nameof(extractor));
        }

        private static T[] Values<T>(IReadOnlyList<T> values, string property) => Given(values, property).ToArray();

        private static T Given<T>(T value, string property) where T : class =>
            value ?? throw new ArgumentNullException("extractor", "the extractor's " + property + " is null");

        public static void Set(Options options, IFeatureExtractor extractor)
        {
            if (extractor == null) throw new ArgumentNullException(nameof(extractor));
            var native = new NativeExtractor(extractor);
            npad_error* error = null;
            using (var use = options.Handle.Borrow())
            fixed (byte* name = Utf8.Bytes(Given(extractor.Name, nameof(extractor.Name)), nameof(extractor)))
            fixed (int* strides = native.strides, channels = native.channels)
            {
                var table = new npad_extractor
                {
                    size = (UIntPtr)(uint)sizeof(npad_extractor),
                    name = name,
                    tap_count = (UIntPtr)(uint)native.strides.Length,
                    strides = strides,
                    channels = channels,
                    extract = (void*)Marshal.GetFunctionPointerForDelegate(ExtractDelegate),
                    free = (void*)Marshal.GetFunctionPointerForDelegate(FreeDelegate),
                };
                for (var i = 0; i < 3; i++)
                {
                    table.mean[i] = native.mean[i];
                    table.std[i] = native.deviation[i];
                }
                var handle = GCHandle.Alloc(native);
                table.user_data = (void*)GCHandle.ToIntPtr(handle);
                var status = NativeMethods.npad_options_set_extractor((npad_options*)use.Pointer, &table, &error);
                if (status != Status.Ok) handle.Free();
                NpadException.Check(status, error);
            }
        }

        private static int Extract(
            IntPtr data, float* input, int height, int width, float** outputs, npad_callback_error* error)
        {
            try
            {
                ((NativeExtractor)GCHandle.FromIntPtr(data).Target).Run(input, height, width, outputs);
                return 0;
            }
            catch (Exception exception)
            {
                NpadException.Keep(exception);
                var bytes = Encoding.UTF8.GetBytes(exception.Message ?? "");
                var length = Math.Min(bytes.Length, 511);
                Marshal.Copy(bytes, 0, (IntPtr)error, length);
                ((byte*)error)[length] = 0;
                return 1;
            }
        }

        private static void Free(IntPtr data) => GCHandle.FromIntPtr(data).Free();

        private void Run(float* input, int height, int width, float** outputs)
        {
            var planes = new float[checked(3 * height * width)];
            Marshal.Copy((IntPtr)input, planes, 0, planes.Length);
            var arrays = new float[strides.Length][];
            for (var i = 0; i < arrays.Length; i++)
                arrays[i] = new float[checked(channels[i] * Steps(height, strides[i]) * Steps(width, strides[i]))];
            var lengths = arrays.Select(array => array.Length).ToArray();
            extractor.Extract(planes, height, width, arrays);
            for (var i = 0; i < arrays.Length; i++)
            {
                if (arrays[i] == null || arrays[i].Length != lengths[i])
                    throw new InvalidOperationException("the extractor replaced output " + i + " by an array of another length");
                Marshal.Copy(arrays[i], 0, (IntPtr)outputs[i], lengths[i]);
            }
        }

        private static int Steps(int side, int stride) => (side + stride - 1) / stride;
    }
}

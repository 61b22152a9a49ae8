using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>A fitted model. Any number of threads may score with it at once.</summary>
    public sealed unsafe partial class Model : IDisposable
    {
        internal readonly ModelHandle Handle;

        internal Model(npad_model* owned)
        {
            Handle = new ModelHandle(owned);
        }

        /// <summary>Fits a model to at least three good images; 20 or more are recommended. Each image is learnt before the
        /// next one is taken, so all may use one buffer. A message about an image names its index.</summary>
        public static Model Fit(IEnumerable<Image> images, Options options = null)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            using (var trainer = new Trainer(options))
            {
                if (images is IReadOnlyCollection<Image> known) trainer.Expect(known.Count);
                long index = 0;
                foreach (var image in images)
                {
                    var place = "image " + index++;
                    if (image == null) throw new ArgumentNullException(nameof(images), place + " is null");
                    trainer.Add(image, message => place + ": " + message);
                }
                return trainer.Finish();
            }
        }

        /// <summary>Loads a model from a file. Of the options, only "device", "device_cache", "scoring", "threads",
        /// "max_calls", "call_timeout", "trusted_keys", "foreign_backbones", the extractor and, on a device other than the CPU, the
        /// progress callback are used.</summary>
        public static Model Load(string path, Options options = null)
        {
            npad_model* model = null;
            npad_error* error = null;
            using (var given = new Given(options))
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_model_load(text, given.Pointer, &model, &error), error);
            return new Model(model);
        }

        /// <summary>Loads a model from the bytes of a model file.</summary>
        public static Model FromBytes(byte[] bytes, Options options = null)
        {
            if (bytes == null) throw new ArgumentNullException(nameof(bytes));
            fixed (byte* data = bytes) return FromBytes(data, bytes.Length, options);
        }

#if NETSTANDARD2_1_OR_GREATER || NETCOREAPP
        /// <summary>Loads a model from the bytes of a model file.</summary>
        public static Model FromBytes(ReadOnlySpan<byte> bytes, Options options = null)
        {
            fixed (byte* data = &MemoryMarshal.GetReference(bytes)) return FromBytes(data, bytes.Length, options);
        }
#endif

        private static Model FromBytes(byte* data, int length, Options options)
        {
            npad_model* model = null;
            npad_error* error = null;
            byte none = 0; // an empty array has no address, and is no model either
            using (var given = new Given(options))
                NpadException.Check(NativeMethods.npad_model_load_memory(
                    data == null ? &none : data, (UIntPtr)(uint)length, given.Pointer, &model, &error), error);
            return new Model(model);
        }

        /// <summary>Writes the model file atomically.</summary>
        public void Save(string path)
        {
            npad_error* error = null;
            using (var model = Handle.Borrow())
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_model_save((npad_model*)model.Pointer, text, &error), error);
        }

        /// <summary>Writes the model as an ONNX network, to a path that ends in ".onnx", and its description beside it, with the
        /// ending ".json": see npad_model_export() in npad.h. Of the options, those whose names start with "export_" are
        /// used.</summary>
        public void ExportOnnx(string path, Options options = null)
        {
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var given = new Given(options))
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(
                    NativeMethods.npad_model_export((npad_model*)model.Pointer, text, given.Pointer, &error), error);
        }

        /// <summary>The bytes of the model file.</summary>
        public byte[] ToBytes()
        {
            npad_buffer* buffer = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_model_save_memory((npad_model*)model.Pointer, &buffer, &error), error);
            return Memory.Take(buffer);
        }

        /// <summary>Prepares the model for images of one size, so that the first call is as fast as later ones. It
        /// counts as one call and prepares as many concurrent calls as there are cores, at most "max_calls".</summary>
        public void WarmUp(int width, int height)
        {
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_model_warm_up((npad_model*)model.Pointer, width, height, &error), error);
        }

        /// <summary>The model's metadata as JSON, and in "machine" what it runs on here.</summary>
        public string Info => Read(model => Utf8.Read(NativeMethods.npad_model_info(model)));

        /// <summary>The calibration card, plain text with one fact a line: the good images, thresholds and how they were
        /// derived, settings, backbone and npad's version. It depends on the model alone.</summary>
        public string Card => Read(model => Utf8.Read(NativeMethods.npad_model_card(model)));

        /// <summary>The name of the detection method.</summary>
        public string Method => Read(model => Utf8.Read(NativeMethods.npad_model_method(model)));

        /// <summary>The identity of the backbone, a name and a checksum.</summary>
        public string Backbone => Read(model => Utf8.Read(NativeMethods.npad_model_backbone(model)));

        /// <summary>The device that the networks run on, as the option "device" names it, for "auto" the one in use.</summary>
        public string Device => Read(model => Utf8.Read(NativeMethods.npad_model_device(model)));

        /// <summary>Width of the network's input in pixels; images of any size are resized to it.</summary>
        public int InputWidth => Read(model => NativeMethods.npad_model_input_width(model));

        /// <summary>Height of the network's input in pixels.</summary>
        public int InputHeight => Read(model => NativeMethods.npad_model_input_height(model));

        /// <summary>The number of good images that the model has learnt.</summary>
        public long ImageCount => Read(model => checked((long)(ulong)NativeMethods.npad_model_image_count(model)));

        /// <summary>The target false-alarm rate, from which the threshold was computed.</summary>
        public double FalseAlarmRate => Read(model => NativeMethods.npad_model_false_alarm_rate(model));

        /// <summary>The raw score above which an image is defective.</summary>
        public float Threshold => Read(model => NativeMethods.npad_model_threshold(model));

        /// <summary>The raw score above which an image is for review; equal to the threshold if there is no
        /// review.</summary>
        public float ReviewThreshold => Read(model => NativeMethods.npad_model_review_threshold(model));

        /// <summary>What the known defects of the fit say about thresholds, see <see cref="Trainer.AddDefect"/>; null
        /// without any.</summary>
        public KnownDefects KnownDefects
        {
            get
            {
                var known = new npad_known_defects { size = (UIntPtr)(uint)sizeof(npad_known_defects) };
                npad_error* error = null;
                using (var model = Handle.Borrow())
                    NpadException.Check(
                        NativeMethods.npad_model_known_defects((npad_model*)model.Pointer, &known, &error), error);
                return (ulong)known.count == 0 ? null : new KnownDefects(known);
            }
        }

        private delegate T Getter<T>(npad_model* model);

        private T Read<T>(Getter<T> getter)
        {
            using (var model = Handle.Borrow()) return getter((npad_model*)model.Pointer);
        }

        /// <summary>A copy of the model with other thresholds, in the units of raw scores. Both share memory; each must
        /// be disposed.</summary>
        public Model WithThresholds(float threshold, float review)
        {
            npad_model* changed = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
                NpadException.Check(NativeMethods.npad_model_with_thresholds(
                    (npad_model*)model.Pointer, threshold, review, &changed, &error), error);
            return new Model(changed);
        }

        /// <summary>A copy of the model that is signed with a secret key of 32 bytes whenever it is saved. Both share memory;
        /// each must be disposed.</summary>
        public Model WithSignature(byte[] key)
        {
            if (key == null) throw new ArgumentNullException(nameof(key));
            npad_model* changed = null;
            npad_error* error = null;
            // The address of an empty array is null.
            using (var model = Handle.Borrow())
                fixed (byte* bytes = key.Length == 0 ? new byte[1] : key)
                    NpadException.Check(NativeMethods.npad_model_with_signature(
                        (npad_model*)model.Pointer, bytes, (UIntPtr)(uint)key.Length, &changed, &error), error);
            return new Model(changed);
        }

        /// <summary>The public key of the model's signature, as "trusted_keys" takes it; empty if the model is not
        /// signed.</summary>
        public string Signer => Read(model => Utf8.Read(NativeMethods.npad_model_signer(model)));

        /// <summary>A copy of the model with thresholds computed from good images that are not among those of the fit:
        /// images that it has learnt are left out, and images that equal one another count once. Only "false_alarm_rate",
        /// "review_rate" and "date" of the options are used; null for the rates of the model and today. All images are read
        /// in one call, so each needs memory of its own. Both models share memory; each must be disposed.</summary>
        public Model Recalibrate(IReadOnlyList<Image> images, Options options = null)
        {
            if (images == null) throw new ArgumentNullException(nameof(images));
            npad_model* changed = null;
            npad_error* error = null;
            using (var model = Handle.Borrow())
            using (var given = new Given(options))
            using (var views = new Image.Pinned(images))
                NpadException.Check(NativeMethods.npad_model_recalibrate(
                    (npad_model*)model.Pointer, views.First, views.Count, given.Pointer, &changed, &error), error);
            return new Model(changed);
        }

        public void Dispose() => Handle.Dispose();
    }
}

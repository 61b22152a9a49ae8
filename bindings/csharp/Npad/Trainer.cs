using System;
using Npad.Native;

namespace Npad
{
    /// <summary>A fit in progress, which learns good images one at a time. Only one thread at a time may use it. Its
    /// progress callback must not use it: the call throws an <see cref="NpadException"/> with the status <see
    /// cref="NpadStatus.WrongState"/>.</summary>
    public sealed unsafe class Trainer : IDisposable
    {
        private readonly TrainerHandle handle;
        private readonly object callback;

        public Trainer(Options options = null)
        {
            npad_trainer* trainer = null;
            npad_error* error = null;
            using (var given = new Given(options))
                NpadException.Check(NativeMethods.npad_trainer_new(given.Pointer, &trainer, &error), error);
            handle = new TrainerHandle(trainer);
            callback = options?.Callback;
        }

        private Trainer(npad_trainer* owned, object callback)
        {
            handle = new TrainerHandle(owned);
            this.callback = callback;
        }

        /// <summary>Resumes the fit of a model, to compute a new model from further good images. Only "date" and the
        /// progress callback of the options are used and, where they have been set, "operating_point" and
        /// "miss_cost". Known defects must be added again.</summary>
        public static Trainer Resume(Model model, Options options = null)
        {
            if (model == null) throw new ArgumentNullException(nameof(model));
            npad_trainer* trainer = null;
            npad_error* error = null;
            using (var before = model.Handle.Borrow())
            using (var given = new Given(options))
                NpadException.Check(NativeMethods.npad_trainer_resume(
                    (npad_model*)before.Pointer, given.Pointer, &trainer, &error), error);
            return new Trainer(trainer, options?.Callback);
        }

        /// <summary>Goes on with a fit from the file of a trainer's state. The options that a model depends on, mask and region
        /// of interest are those of the state; others of the options must be unset or those of the state: see
        /// npad_trainer_load() in npad.h.</summary>
        public static Trainer Load(string path, Options options = null)
        {
            npad_trainer* trainer = null;
            npad_error* error = null;
            using (var given = new Given(options))
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_trainer_load(text, given.Pointer, &trainer, &error), error);
            return new Trainer(trainer, options?.Callback);
        }

        /// <summary>Goes on with a fit from the bytes of a trainer's state, see <see cref="Load"/>.</summary>
        public static Trainer FromBytes(byte[] bytes, Options options = null)
        {
            if (bytes == null) throw new ArgumentNullException(nameof(bytes));
            npad_trainer* trainer = null;
            npad_error* error = null;
            byte none = 0; // an empty array has no address, and is no state either
            using (var given = new Given(options))
            fixed (byte* data = bytes)
                NpadException.Check(NativeMethods.npad_trainer_load_memory(
                    data == null ? &none : data, (UIntPtr)(uint)bytes.Length, given.Pointer, &trainer, &error), error);
            return new Trainer(trainer, options?.Callback);
        }

        /// <summary>Writes the state to a file atomically: what the trainer has learnt so far, with which another one goes
        /// on.</summary>
        public void Save(string path)
        {
            npad_error* error = null;
            using (var trainer = handle.Borrow())
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(
                    NativeMethods.npad_trainer_save((npad_trainer*)trainer.Pointer, text, &error), error);
        }

        /// <summary>The bytes of the state, see <see cref="Save"/>.</summary>
        public byte[] ToBytes()
        {
            npad_buffer* buffer = null;
            npad_error* error = null;
            using (var trainer = handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_trainer_save_memory((npad_trainer*)trainer.Pointer, &buffer, &error), error);
            return Memory.Take(buffer);
        }

        /// <summary>Adds what another trainer with the same options has learnt, from the file of its state. The model is that of
        /// one fit of all images, to the last bit, however the images were divided and in whatever order states are merged: see
        /// npad_trainer_merge() in npad.h. On failure the trainer is unchanged.</summary>
        public void Merge(string path)
        {
            npad_error* error = null;
            using (var trainer = handle.Borrow())
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(
                    NativeMethods.npad_trainer_merge((npad_trainer*)trainer.Pointer, text, &error), error);
            GC.KeepAlive(callback);
        }

        /// <summary>Adds what another trainer has learnt, from the bytes of its state, see <see
        /// cref="Merge(string)"/>.</summary>
        public void Merge(byte[] bytes)
        {
            if (bytes == null) throw new ArgumentNullException(nameof(bytes));
            npad_error* error = null;
            byte none = 0;
            using (var trainer = handle.Borrow())
            fixed (byte* data = bytes)
                NpadException.Check(NativeMethods.npad_trainer_merge_memory(
                    (npad_trainer*)trainer.Pointer, data == null ? &none : data, (UIntPtr)(uint)bytes.Length, &error), error);
            GC.KeepAlive(callback);
        }

        /// <summary>Sets the number of images that will be added, for the progress callback; 0 means unknown.</summary>
        public void Expect(long count)
        {
            if (count < 0) throw new ArgumentOutOfRangeException(nameof(count), count, "must be 0 or more");
            npad_error* error = null;
            using (var trainer = handle.Borrow())
                NpadException.Check(NativeMethods.npad_trainer_expect(
                    (npad_trainer*)trainer.Pointer, (UIntPtr)(ulong)count, &error), error);
        }

        /// <summary>Learns one good image. On failure the trainer is unchanged.</summary>
        public void Add(Image image) => Add(image, null);

        /// <summary>Learns one good image and rewords the message of an error.</summary>
        internal void Add(Image image, Func<string, string> reword)
        {
            npad_error* error = null;
            using (var trainer = handle.Borrow())
            using (var view = new Image.Pinned(image))
                NpadException.Check(
                    NativeMethods.npad_trainer_add_image((npad_trainer*)trainer.Pointer, view.First, &error), error,
                    reword);
            GC.KeepAlive(callback);
        }

        /// <summary>Adds an image with a known defect, which is never learnt, after at least one good image. <see
        /// cref="Finish"/> scores it; <see cref="Model.KnownDefects"/> reports, and the option "operating_point" lets the
        /// known defects set the threshold. An image that has been learnt as a good one is refused. On failure the trainer
        /// is unchanged.</summary>
        public void AddDefect(Image image)
        {
            npad_error* error = null;
            using (var trainer = handle.Borrow())
            using (var view = new Image.Pinned(image))
                NpadException.Check(
                    NativeMethods.npad_trainer_add_defect((npad_trainer*)trainer.Pointer, view.First, &error), error);
            GC.KeepAlive(callback);
        }

        /// <summary>The number of good images that this trainer has learnt.</summary>
        public long Count
        {
            get
            {
                using (var trainer = handle.Borrow())
                    return checked((long)(ulong)NativeMethods.npad_trainer_image_count((npad_trainer*)trainer.Pointer));
            }
        }

        /// <summary>Finishes the fit. After a failure the trainer is unchanged: more images can be added, and the call
        /// can be repeated.</summary>
        public Model Finish()
        {
            npad_model* model = null;
            npad_error* error = null;
            using (var trainer = handle.Borrow())
                NpadException.Check(
                    NativeMethods.npad_trainer_finish((npad_trainer*)trainer.Pointer, &model, &error), error);
            GC.KeepAlive(callback);
            return new Model(model);
        }

        public void Dispose() => handle.Dispose();
    }
}

using System;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Owns a native handle and frees it once.</summary>
    internal abstract unsafe class Handle : SafeHandle
    {
        // A SafeHandle takes further calls until those that run have ended.
        private volatile bool disposed;

        protected Handle(void* value) : base(IntPtr.Zero, true)
        {
            if (value == null) throw new OutOfMemoryException("npad has no memory for another object");
            SetHandle((IntPtr)value);
        }

        public override bool IsInvalid => handle == IntPtr.Zero;

        protected override void Dispose(bool disposing)
        {
            disposed = true;
            base.Dispose(disposing);
        }

        /// <summary>Keeps the handle alive during a native call; throws if it has been disposed.</summary>
        public Use Borrow() => new Use(this);

        internal readonly struct Use : IDisposable
        {
            private readonly Handle owner;

            public Use(Handle owner)
            {
                if (owner.disposed) throw new ObjectDisposedException(owner.GetType().FullName);
                var added = false;
                owner.DangerousAddRef(ref added);
                this.owner = owner;
            }

            public void* Pointer => (void*)owner.DangerousGetHandle();

            public void Dispose() => owner.DangerousRelease();
        }
    }

    internal sealed unsafe class OptionsHandle : Handle
    {
        public OptionsHandle(npad_options* value) : base(value) { }

        protected override bool ReleaseHandle()
        {
            NativeMethods.npad_options_free((npad_options*)handle);
            return true;
        }
    }

    internal sealed unsafe class TrainerHandle : Handle
    {
        public TrainerHandle(npad_trainer* value) : base(value) { }

        protected override bool ReleaseHandle()
        {
            NativeMethods.npad_trainer_free((npad_trainer*)handle);
            return true;
        }
    }

    internal sealed unsafe class ModelHandle : Handle
    {
        public ModelHandle(npad_model* value) : base(value) { }

        protected override bool ReleaseHandle()
        {
            NativeMethods.npad_model_free((npad_model*)handle);
            return true;
        }
    }

    internal sealed unsafe class ResultHandle : Handle
    {
        public ResultHandle(npad_result* value) : base(value) { }

        protected override bool ReleaseHandle()
        {
            NativeMethods.npad_result_free((npad_result*)handle);
            return true;
        }
    }

    internal sealed unsafe class CancellationHandle : Handle
    {
        public CancellationHandle() : base(NativeMethods.npad_cancellation_new()) { }

        public void Cancel()
        {
            using (var request = Borrow()) NativeMethods.npad_cancellation_cancel((npad_cancellation*)request.Pointer);
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.npad_cancellation_free((npad_cancellation*)handle);
            return true;
        }
    }
}

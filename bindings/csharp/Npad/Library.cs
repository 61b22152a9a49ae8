using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Npad.Native;

namespace Npad
{
    /// <summary>Type of an option's value.</summary>
    public enum OptionType
    {
        Integer = 0,
        Number = 1,
        Choice = 2,
        /// <summary>Any of several words, joined by '+'.</summary>
        Flags = 3,
        Text = 4,
        Path = 5,
    }

    /// <summary>An option for fitting and loading.</summary>
    public sealed class OptionInfo
    {
        internal OptionInfo(string name, OptionType type, string @default, string range, string help)
        {
            (Name, Type, Default, Range, Help) = (name, type, @default, range, help);
        }

        public string Name { get; }
        public OptionType Type { get; }
        public string Default { get; }
        /// <summary>The values that the option takes, in words.</summary>
        public string Range { get; }
        public string Help { get; }
    }

    /// <summary>A detection method, a value of the option "method".</summary>
    public sealed class MethodInfo
    {
        internal MethodInfo(string name, string help)
        {
            (Name, Help) = (name, help);
        }

        public string Name { get; }
        public string Help { get; }
    }

    /// <summary>Severity of a log message.</summary>
    public enum LogLevel
    {
        Error = 1,
        Warning = 2,
        Info = 3,
        Debug = 4,
    }

    /// <summary>The native library as a whole. Any thread may use it.</summary>
    public static unsafe class Library
    {
        // The major and minor version of the interface that this assembly was written for.
        private const uint Major = 0, Minor = 2;

        private static readonly NativeMethods.npad_log_set_callback_delegate Receiver = Receive;
        private static readonly object LogLock = new object();
        private static GCHandle logHandler; // behind LogLock
        [ThreadStatic] private static bool insideLogHandler;
        private static volatile bool checkedVersion;

        /// <summary>The library's version, "MAJOR.MINOR.PATCH".</summary>
        public static string Version => Utf8.Read(NativeMethods.npad_version_string());

        /// <summary>Loads ONNX Runtime from a file or from the folder that contains it. Needed only if the default
        /// search does not find it.</summary>
        public static void OpenRuntime(string path)
        {
            CheckVersion();
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_runtime_open(text, &error), error);
        }

        /// <summary>Loads a plug-in with a detection method. It stays loaded until the process ends.</summary>
        public static void LoadPlugin(string path)
        {
            CheckVersion();
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_plugin_load(text, &error), error);
        }

        /// <summary>The options: first the general ones, then the parameters of every method, including those of loaded
        /// plug-ins.</summary>
        public static IReadOnlyList<OptionInfo> GetOptions()
        {
            CheckVersion();
            var options = new List<OptionInfo>();
            for (ulong i = 0; i < (ulong)NativeMethods.npad_option_count(); i++)
            {
                var index = (UIntPtr)i;
                options.Add(new OptionInfo(Utf8.Read(NativeMethods.npad_option_name(index)),
                    (OptionType)(int)NativeMethods.npad_option_get_type(index),
                    Utf8.Read(NativeMethods.npad_option_default(index)),
                    Utf8.Read(NativeMethods.npad_option_range(index)), Utf8.Read(NativeMethods.npad_option_help(index))));
            }
            return options;
        }

        /// <summary>The detection methods, including those of loaded plug-ins.</summary>
        public static IReadOnlyList<MethodInfo> GetMethods()
        {
            CheckVersion();
            var methods = new List<MethodInfo>();
            for (ulong i = 0; i < (ulong)NativeMethods.npad_method_count(); i++)
                methods.Add(new MethodInfo(Utf8.Read(NativeMethods.npad_method_name((UIntPtr)i)),
                    Utf8.Read(NativeMethods.npad_method_help((UIntPtr)i))));
            return methods;
        }

        /// <summary>The device types that the option "device" takes. The machine need not have them.</summary>
        public static IReadOnlyList<string> GetDevices()
        {
            CheckVersion();
            var devices = new List<string>();
            for (ulong i = 0; i < (ulong)NativeMethods.npad_device_count(); i++)
                devices.Add(Utf8.Read(NativeMethods.npad_device_name((UIntPtr)i)));
            return devices;
        }

        /// <summary>Checks that a fit or a load can use a device, a value of the option "device", by running a tiny network
        /// on it. Throws an NpadException with the cause and what to do if it cannot.</summary>
        public static void CheckDevice(string device)
        {
            CheckVersion();
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(device, nameof(device)))
                NpadException.Check(NativeMethods.npad_device_check(text, &error), error);
        }

        /// <summary>Sets the log handler of the process; null for none, the default. npad calls it from any thread,
        /// also from several at once, and ignores its exceptions. This method waits until running calls of the previous
        /// handler have returned, so the caller must not hold a lock that the handler takes. It must not be called from
        /// a handler. Any thread may call it; a call that fails changes nothing.</summary>
        public static void SetLogHandler(Action<LogLevel, string> handler, LogLevel level = LogLevel.Info)
        {
            CheckVersion();
            // Before the lock: another thread may hold it and wait for this handler to return.
            if (insideLogHandler)
                throw new NpadException(NpadStatus.WrongState,
                    "SetLogHandler was called from a log handler; call it after the handler has returned");
            lock (LogLock)
            {
                var next = handler == null ? default(GCHandle) : GCHandle.Alloc(handler);
                var data = handler == null ? null : (void*)GCHandle.ToIntPtr(next);
                npad_error* error = null;
                var status = NativeMethods.npad_log_set(handler == null ? null : Receiver, data, (int)level, &error);
                // The handle that native code does not have, or no longer has.
                var unused = status == Status.Ok ? logHandler : next;
                if (unused.IsAllocated) unused.Free();
                if (status == Status.Ok) logHandler = next;
                NpadException.Check(status, error);
            }
        }

        private static void Receive(int level, byte* message, void* data)
        {
            insideLogHandler = true;
            // No exception may pass through native code, and the thread may be one of npad's own.
            try
            {
                ((Action<LogLevel, string>)GCHandle.FromIntPtr((IntPtr)data).Target)((LogLevel)level, Utf8.Read(message));
            }
            catch (Exception) { }
            insideLogHandler = false;
        }

        /// <summary>Throws if the native library's version does not match this assembly.</summary>
        internal static void CheckVersion()
        {
            if (checkedVersion) return;
            CheckVersion(NativeMethods.npad_version_number());
            checkedVersion = true;
        }

        private static void CheckVersion(uint number)
        {
            uint major = number / 1000000, minor = number / 1000 % 1000, patch = number % 1000;
            if (major == Major && minor == Minor) return;
            throw new NpadException(NpadStatus.WrongState, "the native library has version " + major + "." + minor + "." +
                patch + ", but this assembly needs " + Major + "." + Minor +
                "; install the library and the assembly from one release");
        }
    }
}

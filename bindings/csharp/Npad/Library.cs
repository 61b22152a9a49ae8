using System;
using System.Collections.Generic;
using Npad.Native;

namespace Npad
{
    /// <summary>What values an option takes.</summary>
    public enum OptionType
    {
        Integer = 0,
        Number = 1,
        Choice = 2,
        /// <summary>Some words joined by '+'.</summary>
        Flags = 3,
        Text = 4,
        Path = 5,
    }

    /// <summary>An option, for programs that show or check what can be set.</summary>
    public sealed class OptionInfo
    {
        internal OptionInfo(string name, OptionType type, string defaultValue, string range, string help)
        {
            (Name, Type, Default, Range, Help) = (name, type, defaultValue, range, help);
        }

        public string Name { get; }
        public OptionType Type { get; }
        public string Default { get; }
        /// <summary>What values it takes, for people.</summary>
        public string Range { get; }
        public string Help { get; }
    }

    /// <summary>How much a message matters.</summary>
    public enum LogLevel
    {
        Error = 1,
        Warning = 2,
        Info = 3,
        Debug = 4,
    }

    /// <summary>The native library as a whole.</summary>
    public static unsafe class Library
    {
        /// <summary>Its version, "MAJOR.MINOR.PATCH".</summary>
        public static string Version => Utf8.Read(NativeMethods.npad_version_string());

        /// <summary>The version of npad.h that this assembly was written against: major and minor.</summary>
        private const uint Header = 0 * 1000 + 2;

        /// <summary>Refuses a library of another version, which may have other structs and functions.</summary>
        internal static void CheckVersion()
        {
            if (NativeMethods.npad_version_number() / 1000 == Header) return;
            throw new InvalidOperationException("this assembly is for npad " + Header / 1000 + "." + Header % 1000 +
                ", but the library is npad " + Version + ": install an assembly and a library of one version");
        }

        /// <summary>All options, those of every fit and load first, then the methods' parameters.</summary>
        public static IReadOnlyList<OptionInfo> Options
        {
            get
            {
                var options = new List<OptionInfo>();
                for (var i = 0u; i < (uint)NativeMethods.npad_option_count(); i++)
                    options.Add(new OptionInfo(
                        Utf8.Read(NativeMethods.npad_option_name((UIntPtr)i)),
                        (OptionType)(int)NativeMethods.npad_option_get_type((UIntPtr)i),
                        Utf8.Read(NativeMethods.npad_option_default((UIntPtr)i)),
                        Utf8.Read(NativeMethods.npad_option_range((UIntPtr)i)),
                        Utf8.Read(NativeMethods.npad_option_help((UIntPtr)i))));
                return options;
            }
        }

        /// <summary>The names of the detection methods.</summary>
        public static IReadOnlyList<string> Methods
        {
            get
            {
                var names = new List<string>();
                for (var i = 0u; i < (uint)NativeMethods.npad_method_count(); i++)
                    names.Add(Utf8.Read(NativeMethods.npad_method_name((UIntPtr)i)));
                return names;
            }
        }

        /// <summary>The devices that the option "device" takes.</summary>
        public static IReadOnlyList<string> Devices
        {
            get
            {
                var names = new List<string>();
                for (var i = 0u; i < (uint)NativeMethods.npad_device_count(); i++)
                    names.Add(Utf8.Read(NativeMethods.npad_device_name((UIntPtr)i)));
                return names;
            }
        }

        private static readonly object logging = new object();
        private static NativeMethods.npad_log_set_callback_delegate log;

        /// <summary>Sets the log callback of the process; null for none. Called from any thread, several at once; it must not
        /// call npad, and what it throws is dropped. Returns when nobody is in the old callback any more.</summary>
        public static void SetLog(Action<LogLevel, string> callback, LogLevel level = LogLevel.Warning)
        {
            NativeMethods.npad_log_set_callback_delegate native = null;
            if (callback != null)
                native = (severity, message, _) =>
                {
                    try { callback((LogLevel)severity, Utf8.Read(message)); }
                    catch (Exception) { }
                };
            npad_error* error = null;
            lock (logging)
            {
                NpadException.Check(NativeMethods.npad_log_set(native, null, (int)level, &error), error);
                GC.KeepAlive(log);
                log = native;
            }
        }

        /// <summary>Loads ONNX Runtime from a file or the folder that holds it, where the search would not find it.</summary>
        public static void OpenRuntime(string path)
        {
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_runtime_open(text, &error), error);
        }

        /// <summary>Loads a plug-in with a detection method of its own; it stays loaded until the process ends.</summary>
        public static void LoadPlugin(string path)
        {
            npad_error* error = null;
            fixed (byte* text = Utf8.Bytes(path, nameof(path)))
                NpadException.Check(NativeMethods.npad_plugin_load(text, &error), error);
        }
    }
}

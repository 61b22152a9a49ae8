import os
import re
from pathlib import Path

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import cross_building
from conan.tools.files import copy, load

required_conan_version = ">=2.4"


class Npad(ConanFile):
    """Builds npad from the repository that this file lies in. It takes cargo on PATH, and crates from crates.io.

    ONNX Runtime is not a requirement: npad loads it at run time, from where NPAD_ONNXRUNTIME says or from beside itself.
    """

    name = "npad"
    description = "Industrial visual anomaly detection: learns from good images in seconds, scores in milliseconds"
    license = "MIT OR Apache-2.0"
    topics = ("anomaly-detection", "machine-vision", "inspection")
    package_type = "library"
    languages = "C"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}
    no_copy_source = True

    def set_version(self):
        manifest = load(self, Path(self.recipe_folder).parents[1] / "Cargo.toml")
        self.version = re.search(r'^version = "(.*)"', manifest, re.MULTILINE)[1]

    def export_sources(self):
        # The manifest names some tests and benchmarks, and cargo wants all that it names.
        for files in ("Cargo.*", "build.rs", "src/*", "cli/*", "tests/*.rs", "benches/*.rs", "assets/*", "include/*", "LICENSE-*"):
            copy(self, files, Path(self.recipe_folder).parents[1], self.export_sources_folder)

    def validate(self):
        if self.settings.os == "Windows" and self.settings.compiler != "msvc":
            raise ConanInvalidConfiguration("on Windows this recipe takes msvc, and Rust's toolchain for it")
        if self.settings.get_safe("compiler.runtime") == "static" and not self.options.shared:
            raise ConanInvalidConfiguration("npad's static library uses the dynamic runtime: compiler.runtime=dynamic")

    def validate_build(self):
        if cross_building(self):
            raise ConanInvalidConfiguration("this recipe builds for the machine that it runs on")

    def package_id(self):
        # The interface is C, and cargo always builds the release profile.
        del self.info.settings.compiler
        del self.info.settings.build_type

    @property
    def _target(self):
        return Path(os.environ.get("CARGO_TARGET_DIR", Path(self.build_folder) / "target"))

    def build(self):
        self.run(f'cargo build --release --locked --package npad --lib --target-dir "{self._target}"', cwd=self.source_folder)

    def package(self):
        package, built = Path(self.package_folder), self._target / "release"
        copy(self, "LICENSE-*", self.source_folder, package / "licenses")
        copy(self, "*", Path(self.source_folder) / "include", package / "include")
        if not self.options.shared:
            copy(self, "npad.lib" if self.settings.os == "Windows" else "libnpad.a", built, package / "lib")
        elif self.settings.os == "Windows":
            copy(self, "npad.dll", built, package / "bin")
            copy(self, "npad.dll.lib", built, package / "lib")
        elif self.settings.os == "Macos":
            copy(self, "libnpad.dylib", built, package / "lib")
        else:
            copy(self, "libnpad.so", built, package / "lib")
            # The name by which programs find it at run time.
            (package / "lib" / f"libnpad.so.{self.version.rpartition('.')[0]}").symlink_to("libnpad.so")

    def package_info(self):
        self.cpp_info.libs = ["npad.dll" if self.options.shared and self.settings.os == "Windows" else "npad"]
        if not self.options.shared:
            self.cpp_info.system_libs = {
                "Linux": ["pthread", "dl", "m"],
                "Windows": ["ws2_32", "userenv", "ntdll", "bcrypt", "dbghelp"],
            }.get(str(self.settings.os), [])
        self.cpp_info.set_property("cmake_file_name", "npad")
        self.cpp_info.set_property("cmake_target_name", "npad::npad")
        self.cpp_info.set_property("pkg_config_name", "npad")

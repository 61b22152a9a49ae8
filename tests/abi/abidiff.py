#!/usr/bin/env python3
"""Compares include/npad.h with the headers of earlier releases: docs/abi.md.

Libabigail's abidiff compares libraries. These are stubs, compiled from each header, which have all its functions and
types and nothing else. The earlier headers are those of the folder tests/abi and, where the repository has tags, of the
last one. Where the versions promise it, whatever an earlier header declares must still be there, unchanged; new functions,
new fields at the ends of structs and new numbers of enums are left out before the comparison. Numbers of enums never
change.

    abidiff.py FOLDER      works in that folder; first shows that it notices what it is for
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

FUNCTION = re.compile(r"^(?!typedef)[a-z][\w *]*\bnpad_\w+\([^;{}]*\);", re.M)
STRUCT = re.compile(r"^typedef struct \{(.*?)^\} (npad_\w+);", re.M | re.S)
ENUM = re.compile(r"^enum (npad_\w+)\n(.*?)^ \{(.*?)^\};", re.M | re.S)
CALLBACK = re.compile(r"^typedef .*\(\*(npad_\w+)\)", re.M)
CONSTANT = re.compile(r"^#define (NPAD_\w+) (.+)$", re.M)


def parse(text):
    """A header without comments and empty lines."""
    return re.sub(r"\n\s*\n", "\n", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def version(header):
    return tuple(int(dict(CONSTANT.findall(header))[f"NPAD_VERSION_{part}"]) for part in ("MAJOR", "MINOR", "PATCH"))


def promised(old, new):
    """Whether programs of one version run with the library of another."""
    return old[0] == new[0] and (old[0] > 0 or old[1] == new[1])


def fields(body):
    return [field for field in re.split(r"(?<=;)", body) if field.strip()]


def numbers(header):
    """Names and numbers of each enum."""
    found = {}
    for enum, _, body in ENUM.findall(header):
        found[enum] = dict(map(str.strip, line.split("=")) for line in body.split(",") if line.strip())
    return found


def as_seen_by(old, new):
    """The new header without the fields and numbers that the old one lacks."""
    structs = {name: len(fields(body)) for body, name in STRUCT.findall(old)}
    enums = numbers(old)

    def cut_struct(match):
        body, name = match.groups()
        return f"typedef struct {{{''.join(fields(body)[:structs.get(name)])}\n}} {name};"

    def cut_enum(match):
        name, base, body = match.groups()
        known = [f"{key} = {number}" for key, number in numbers(match[0])[name].items() if key in enums.get(name, {})]
        return f"enum {name}\n{base} {{{', '.join(known) or body}\n}};"

    return ENUM.sub(cut_enum, STRUCT.sub(cut_struct, new))


def stub(header, folder, name):
    """Compiles a header's functions and types to a library; in C++, where functions return the enums themselves."""
    types = [struct for _, struct in STRUCT.findall(header)] + CALLBACK.findall(header) + list(numbers(header))
    functions = FUNCTION.findall(header)
    assert len(functions) > 20 and len(types) > 10, f"{name} has {len(functions)} functions and {len(types)} types"
    bodies = [function[:-1] + " { for (;;) {} }" for function in functions]
    bodies += [f"void type_{name}({name} *pointer) {{ static_cast<void>(pointer); }}" for name in types]
    source = "\n".join([header, 'extern "C" {', *bodies, "}\n"])
    path = folder / f"{name}.cpp"
    path.write_text(source)
    library = folder / f"{name}.so"
    subprocess.run(["c++", "-std=c++17", "-g", "-shared", "-fPIC", "-o", library, path], check=True)
    return library


def numbers_changed(old, new):
    """What has become of the numbers that an earlier release gave out, where they are not what they were."""
    changed = []
    for enum, then in numbers(old).items():
        now = numbers(new).get(enum, {})
        for name, number in then.items():
            if now.get(name, number) != number:
                changed.append(f"{name} was {number}, and is {now[name]}")
            elif name not in now:
                changed += [f"{other} has the number {number} of {name}" for other in now if now[other] == number]
    return changed


def differences(old, new, folder):
    """What a program that was compiled with the old header would find changed, as text; empty for nothing."""
    now, found = dict(CONSTANT.findall(new)), []
    for name, value in CONSTANT.findall(old):
        if not name.startswith("NPAD_VERSION") and now.get(name) != value:
            found.append(f"{name} was {value}, and is {now.get(name, 'gone')}\n")
    libraries = stub(old, folder, "old"), stub(as_seen_by(old, new), folder, "new")
    # Names of fields and const are not binary, but programs must also compile.
    run = subprocess.run(["abidiff", "--harmless", "--no-added-syms", *libraries], capture_output=True, text=True)
    assert run.returncode & 3 == 0, run.stderr
    return "".join(found) + (run.stdout if run.returncode else "")


# Changes of a header: what of the earlier one is replaced by what.
BREAKING = {
    "a function is removed": ("void npad_buffer_free(npad_buffer *buffer);", ""),
    "a parameter has another type": ("npad_trainer *trainer, size_t count", "npad_trainer *trainer, uint32_t count"),
    "a function returns another type": ("\nfloat npad_model_threshold", "\ndouble npad_model_threshold"),
    "a callback has another parameter": ("(const char *stage, size_t done", "(const char *stage, int32_t done"),
    "two fields are exchanged": ("int32_t x;\n  int32_t y;", "int32_t y;\n  int32_t x;"),
    "a field has another type": ("int32_t roi_width;", "uint32_t roi_width;"),
    "a field is inserted": ("int32_t roi_width;", "int64_t later;\n  int32_t roi_width;"),
    "a field is removed": ("int64_t area;", ""),
    "a status has another number": ("NPAD_STATUS_TIMED_OUT = 17", "NPAD_STATUS_TIMED_OUT = 18"),
    "a number that no function returns is another": ("NPAD_PIXEL_FORMAT_BGRA8 = 5", "NPAD_PIXEL_FORMAT_BGRA8 = 9"),
    "a number is removed": ("NPAD_LOG_LEVEL_DEBUG = 4,", ""),
    "a constant has another value": ("NPAD_MAX_SIDE 65535", "NPAD_MAX_SIDE 65536"),
}
ALLOWED = {
    "white space": ("\n", "\n\n"),
    "a new function": ("\nvoid npad_buffer_free", "\nvoid npad_new(void);\nvoid npad_buffer_free"),
    "a new status": ("TIMED_OUT = 17,", "TIMED_OUT = 17,\n  NPAD_STATUS_NEW = 18,"),
}


def changed(header, what, replaced, by):
    assert replaced in header, f"{what}: the header has no {replaced}"
    return header.replace(replaced, by)


def notices_what_it_is_for(header, folder):
    grown = STRUCT.sub(lambda struct: f"typedef struct {{{struct[1]}  int64_t later;\n}} {struct[2]};", header)
    for what, change in BREAKING.items():
        assert differences(header, changed(header, what, *change), folder), f"{what}: this is not noticed"
        assert differences(header, changed(grown, what, *change), folder), f"{what}, structs grow: this is not noticed"
    for what, change in ALLOWED.items():
        found = differences(header, changed(grown, what, *change), folder)
        assert not found, f"{what} and structs grow, which is allowed: {found}"
    renamed = changed(header, "a number has another name", "NPAD_STATUS_TIMED_OUT", "NPAD_STATUS_OTHER")
    moved = changed(header, "a name has another number", "TIMED_OUT = 17", "TIMED_OUT = 19")
    assert numbers_changed(header, renamed) and numbers_changed(header, moved) and not numbers_changed(header, header)


def releases():
    """Headers of earlier releases, by name."""
    found = {path.name: path.read_text() for path in sorted(HERE.glob("npad-*.h"))}
    git = ["git", "-C", str(ROOT)]
    describe = [*git, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]
    tag = subprocess.run(describe, capture_output=True, text=True)
    if tag.returncode == 0:
        name = tag.stdout.strip()
        found[name] = subprocess.check_output([*git, "show", f"{name}:include/npad.h"], text=True)
    return {name: parse(text) for name, text in found.items()}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    header = parse((ROOT / "include/npad.h").read_text())
    notices_what_it_is_for(header, folder)
    failed = False
    for name, old in releases().items():
        moved, found = numbers_changed(old, header), differences(old, header, folder)
        print(f"{name}, version {'.'.join(map(str, version(old)))}:")
        if moved:
            print("numbers that were given out have changed:", *moved, sep="\n  ")
        if not promised(version(old), version(header)):
            print("programs must be compiled anew", *re.findall(".*summary:.*", found), sep="\n  ")
        elif found:
            print(f"these changes break programs:\n{found}")
        else:
            print("programs run with this version")
        failed |= bool(moved) or (bool(found) and promised(version(old), version(header)))
    return failed


if __name__ == "__main__":
    sys.exit(main())

//! Whether a file is a shared library that this process can load.
//!
//! The system's loader maps a file before it knows whether it is whole: one that was cut short, say by an interrupted copy, ends
//! the process at the first page that is missing. Of one for another processor it says that there is no such file.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Enough for the headers of any library.
const BEGINNING: u64 = 64 * 1024;

/// A processor, and its number in ELF and in PE files.
type Machine = (&'static str, u64, u64);
const MACHINES: [Machine; 4] =
    [("x86-64", 62, 0x8664), ("aarch64", 183, 0xaa64), ("x86", 3, 0x014c), ("arm", 40, 0x01c4)];

/// The absolute name of a library's file, for the loader. A dot ends one without an extension on Windows, whose loader would append
/// its own.
///
/// # Errors
/// What is wrong with a file that the loader could not take.
pub fn check(path: &Path) -> Result<PathBuf, String> {
    let file = std::path::absolute(path).map_err(|error| error.to_string())?;
    let kind = file.metadata().map_err(|_| "there is no such file".to_owned())?;
    if !kind.is_file() {
        return Err(if kind.is_dir() { "it is a folder" } else { "it is not a file" }.to_owned());
    }
    let mut start = Vec::new();
    let opened = std::fs::File::open(&file).and_then(|file| file.take(BEGINNING).read_to_end(&mut start));
    opened.map_err(|error| error.to_string())?;
    if cfg!(windows) {
        pe(&start, kind.len())?;
    } else if cfg!(target_os = "linux") {
        elf(&start, kind.len())?;
        elf_end(&start, &file)?;
    }
    let ending = if cfg!(windows) && file.extension().is_none() { "." } else { "" };
    let mut name = file.into_os_string();
    name.push(ending);
    Ok(PathBuf::from(name))
}

/// The number of `size` bytes at an offset, with the lowest byte first.
fn number(start: &[u8], offset: u64, size: usize) -> Option<u64> {
    let bytes = start.get(usize::try_from(offset).ok()?..)?.get(..size)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn for_this_machine(found: u64, number: impl Fn(&Machine) -> u64) -> Result<(), String> {
    let this = std::env::consts::ARCH.replace('_', "-");
    match MACHINES.iter().find(|machine| number(machine) == found) {
        Some((name, ..)) if *name == this => Ok(()),
        Some((name, ..)) => Err(format!("it is for {name}, this process for {this}")),
        // Where `this` is not listed either, the loader decides.
        None if MACHINES.iter().all(|(name, ..)| *name != this) => Ok(()),
        None => Err(format!("it is for another processor than {this}")),
    }
}

/// The class of ELF files for processors of 64 bits.
const SIXTY_FOUR_BITS: u8 = 2;

fn incomplete(length: u64) -> String {
    format!("the file is incomplete: it has {length} bytes, and its headers speak of more; copy it again")
}

fn whole(end: Option<u64>, length: u64) -> Result<(), String> {
    end.filter(|end| *end <= length).map(drop).ok_or_else(|| incomplete(length))
}

/// Checks a library of Linux: processor, segments and the table of sections, which is the last part of most files.
fn elf(start: &[u8], length: u64) -> Result<(), String> {
    if !start.starts_with(b"\x7fELF") {
        return Err("it is not a shared library of Linux".to_owned());
    }
    let at = |offset, size| number(start, offset, size).ok_or_else(|| incomplete(length));
    for_this_machine(at(18, 2)?, |machine| machine.1)?;
    if start.get(4) != Some(&SIXTY_FOUR_BITS) {
        return Ok(());
    }
    let table = |offset: u64, size: u64, count: u64| size.checked_mul(count).and_then(|size| size.checked_add(offset));
    let (segments, size, count) = (at(32, 8)?, at(54, 2)?, at(56, 2)?);
    whole(table(segments, size, count), length)?;
    whole(table(at(40, 8)?, at(58, 2)?, at(60, 2)?), length)?;
    let headers = (0..count).map_while(|index| table(segments, size, index));
    for header in headers.take_while(|header| header.checked_add(56).is_some_and(|end| end <= BEGINNING)) {
        whole(at(header + 8, 8)?.checked_add(at(header + 32, 8)?), length)?;
    }
    Ok(())
}

/// Checks the last part of a library of Linux: after a loss of power, or an interrupted download, a file of the right length may
/// have zeros there, at which the loader would crash.
fn elf_end(start: &[u8], file: &Path) -> Result<(), String> {
    /// The type of the section that has the names of all.
    const NAMES: u64 = 3;
    let field = |offset| number(start, offset, 2).unwrap_or(0);
    let (size, count, names) = (field(58), field(60), field(62));
    let sections = number(start, 40, 8).filter(|_| start[4] == SIXTY_FOUR_BITS && (1..count).contains(&names));
    let Some(sections) = sections else { return Ok(()) };
    let mut kind = [0; 4];
    let read = std::fs::File::open(file).and_then(|mut file| {
        file.seek(SeekFrom::Start(sections + size * names + 4))?;
        file.read_exact(&mut kind)
    });
    read.map_err(|error| error.to_string())?;
    if number(&kind, 0, 4) != Some(NAMES) {
        return Err("the file is damaged: its last part is not what its headers say; copy it again".to_owned());
    }
    Ok(())
}

/// Checks a library of Windows: processor and sections.
fn pe(start: &[u8], length: u64) -> Result<(), String> {
    if !start.starts_with(b"MZ") {
        return Err("it is not a DLL".to_owned());
    }
    let at = |offset, size| number(start, offset, size).ok_or_else(|| incomplete(length));
    let header = at(0x3c, 4)?;
    if at(header, 4)? != u64::from(u32::from_le_bytes(*b"PE\0\0")) {
        return Err("it is not a DLL".to_owned());
    }
    for_this_machine(at(header + 4, 2)?, |machine| machine.2)?;
    let (sections, count) = (header + 24 + at(header + 20, 2)?, at(header + 6, 2)?);
    for section in (0..count).map(|index| sections + 40 * index).take_while(|section| section + 40 <= BEGINNING) {
        whole(at(section + 16, 4)?.checked_add(at(section + 20, 4)?), length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(check: fn(&[u8], u64) -> Result<(), String>, start: &[u8], length: usize) -> String {
        check(start, length as u64).err().unwrap_or_default()
    }

    /// A library with one segment of 1000 bytes after the headers, or one section.
    fn library(windows: bool, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 1200];
        let mut put = |offset: usize, value: &[u8]| bytes[offset..offset + value.len()].copy_from_slice(value);
        if windows {
            put(0, b"MZ");
            put(0x3c, &[0x80]);
            put(0x80, b"PE\0\0");
            put(0x84, &machine.to_le_bytes());
            put(0x86, &[1]);
            put(0x98 + 16, &1000u32.to_le_bytes());
            put(0x98 + 20, &200u32.to_le_bytes());
        } else {
            put(0, b"\x7fELF\x02");
            put(18, &machine.to_le_bytes());
            put(32, &[64]);
            put(54, &[56]);
            put(56, &[1]);
            put(64 + 8, &200u64.to_le_bytes());
            put(64 + 32, &1000u64.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn libraries_cut_short_or_of_another_processor_are_told() {
        let this = std::env::consts::ARCH.replace('_', "-");
        let other = if this == "aarch64" { MACHINES[0] } else { MACHINES[1] };
        let Some(this) = MACHINES.into_iter().find(|machine| machine.0 == this) else { return };
        let formats = [(false, elf as fn(&[u8], u64) -> _, this.1, other.1), (true, pe, this.2, other.2)];
        for (windows, check, this, other) in formats {
            let whole = library(windows, this as u16);
            assert_eq!(message(check, &whole, whole.len()), "");
            for length in (8..whole.len()).step_by(7) {
                let message = message(check, &whole[..length], length);
                assert!(message.contains("incomplete") || (windows && length < 0x84), "{length}: {message}");
            }
            assert!(message(check, &library(windows, other as u16), 1200).contains("it is for"));
            assert!(message(check, b"a text", 6).contains("it is not a"));
        }
    }

    #[test]
    fn this_program_is_whole() {
        let program = std::env::current_exe().unwrap();
        check(&program).unwrap();
        assert!(check(program.parent().unwrap()).unwrap_err().contains("folder"));
        assert!(check(&program.with_file_name("none")).unwrap_err().contains("no such file"));
    }
}

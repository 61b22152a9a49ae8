//! Atomic writing of files.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Writes `bytes` to the file at `path`, which holds either its old or all of its new contents at any time. The bytes are
/// written to a temporary file beside it, flushed to disk and renamed. Symbolic links are followed, an old file's
/// permissions stay, and devices and pipes are written directly.
///
/// # Errors
/// Those of the file system. The old file, if there is one, is unchanged then, and nothing else is left behind.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    write_files(&[(path, bytes)]).map_err(|(_, error)| error)
}

/// As [`write_file`] for files that belong together: all are on the disk before the first one takes its place.
///
/// # Errors
/// Those of the file system, and the path of the file. All old files are unchanged then, unless the failure was that of putting one
/// in its place.
pub fn write_files(files: &[(&Path, &[u8])]) -> std::result::Result<(), (PathBuf, Error)> {
    let mut staged: Vec<(NamedTempFile, PathBuf)> = Vec::new();
    for (path, bytes) in files {
        let stage = || {
            check_target(path)?;
            if std::fs::metadata(path).is_ok_and(|old| !old.is_file()) {
                open_beside_streams(OpenOptions::new().write(true), path)?.write_all(bytes)?;
                return Ok(None);
            }
            let path = followed(path)?;
            Ok(Some((stage(&path, bytes, File::sync_all)?, path)))
        };
        staged.extend(stage().map_err(|error| ((*path).to_owned(), error))?);
    }
    for (file, path) in staged {
        if let Err(error) = file.persist(&path) {
            return Err((path, error.error));
        }
        // The rename itself reaches the disk with its folder.
        #[cfg(unix)]
        if let Ok(folder) = File::open(folder_of(&path)) {
            let _ = folder.sync_all();
        }
    }
    Ok(())
}

/// Checks that what is at `path`, if anything is, can be written.
///
/// # Errors
/// Those of the file system.
pub fn check_target(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(old) if old.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // A file that must not be written is not replaced either. Opening a pipe would wait for its reader.
        Ok(old) if old.is_file() => check_access(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the file may be written. It is not opened, since its number might be that of a standard stream.
#[cfg(unix)]
fn check_access(path: &Path) -> Result<()> {
    Ok(rustix::fs::accessat(rustix::fs::CWD, path, rustix::fs::Access::WRITE_OK, rustix::fs::AtFlags::EACCESS)?)
}

/// Whether the file may be written.
#[cfg(not(unix))]
fn check_access(path: &Path) -> Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}

/// Replaces the file or symbolic link at `path` itself by a file of these bytes, whole or not at all, without waiting for
/// the disk.
///
/// # Errors
/// As [`write_file`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    stage(path, bytes, |_| Ok(()))?.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Writes what shall be at `path` to a temporary file beside it.
fn stage(path: &Path, bytes: &[u8], finish: impl FnOnce(&File) -> Result<()>) -> Result<NamedTempFile> {
    let mut options = OpenOptions::new();
    // With the permissions of a plain new file, to which the process's umask applies.
    options.write(true).create_new(true);
    // Errors with the system's code, and without the temporary file's name, which would say nothing to the user.
    let mut name = tempfile::Builder::new();
    name.prefix(".npad-").suffix(".tmp");
    let mut file = name.make_in(folder_of(path), |path| open_beside_streams(&options, path))?;
    file.as_file_mut().write_all(bytes)?;
    if let Some(permissions) = permissions(path) {
        file.as_file().set_permissions(permissions)?;
    }
    finish(file.as_file())?;
    Ok(file)
}

/// Opens a file to be written, empty and with a number that is not that of a standard stream: in a process that has closed its own, what
/// others print would end up in the file.
fn open_beside_streams(options: &OpenOptions, path: &Path) -> Result<File> {
    let file = options.open(path)?;
    #[cfg(unix)]
    if std::os::fd::AsRawFd::as_raw_fd(&file) <= 2 {
        // Duplicates never have such numbers.
        let mut moved = file.try_clone()?;
        drop(file);
        // What was printed meanwhile; a device keeps it.
        if moved.metadata()?.is_file() {
            moved.set_len(0)?;
            std::io::Seek::rewind(&mut moved)?;
        }
        return Ok(moved);
    }
    Ok(file)
}

/// Whether two paths lead to one file, which need not exist.
pub fn are_one(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        let path = followed(path).ok()?;
        Some(folder_of(&path).canonicalize().ok()?.join(path.file_name()?))
    };
    matches!((place(a), place(b)), (Some(a), Some(b)) if a == b)
}

/// Those of the file at `path`, if there is one.
fn permissions(path: &Path) -> Option<Permissions> {
    let old = std::fs::symlink_metadata(path).ok()?;
    old.is_file().then(|| old.permissions())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Where symbolic links lead, which need not exist.
fn followed(path: &Path) -> Result<PathBuf> {
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(Error::other("too many symbolic links"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for contents in [b"old", b"new"] {
            write_file(&path, contents).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), contents);
        }
        assert_eq!(write_file(folder.path(), b"x").unwrap_err().kind(), ErrorKind::IsADirectory);
        let error = write_file(&folder.path().join("none/file"), b"x").unwrap_err();
        let code = error.raw_os_error();
        assert!(
            error.kind() == ErrorKind::NotFound && code.is_some() && !error.to_string().contains(".npad-"),
            "{error}"
        );
        std::fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(replace_file(&folder.path().join("taken"), b"x").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_symbolic_links_and_devices_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "old").unwrap();
        std::fs::set_permissions(at("file"), Permissions::from_mode(0o640)).unwrap();
        symlink("file", at("link")).unwrap();
        symlink(at("link"), at("second")).unwrap();
        write_file(&at("second"), b"new").unwrap();
        assert_eq!(std::fs::read(at("file")).unwrap(), b"new");
        assert_eq!(std::fs::metadata(at("file")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!([at("link"), at("second")].iter().all(|link| link.is_symlink()));

        symlink("later", at("dangling")).unwrap();
        write_file(&at("dangling"), b"new").unwrap();
        assert_eq!(std::fs::read(at("later")).unwrap(), b"new");
        symlink("loop", at("loop")).unwrap();
        assert!(write_file(&at("loop"), b"new").is_err() && at("loop").is_symlink());

        let pair = |second: &Path| write_files(&[(&at("first"), b"new"), (second, b"new")]).map_err(|(path, _)| path);
        assert_eq!(pair(&at("none/file")), Err(at("none/file")));
        assert_eq!(pair(Path::new("/dev/full")), Err("/dev/full".into()));
        assert!(!at("first").exists(), "files that belong together are written together");
        assert_eq!(pair(&at("file")), Ok(()));
        assert!(are_one(&at("link"), &at("file")) && are_one(&at("dangling"), &at("later")));
        assert!(!are_one(&at("link"), &at("first")) && !are_one(&at("none"), &at("other")));
        let indirect = folder.path().join("../").join(folder.path().file_name().unwrap()).join("later");
        assert!(are_one(&at("dangling"), &indirect), "whatever the paths are called");

        replace_file(&at("link"), b"picture").unwrap();
        assert!(!at("link").is_symlink() && std::fs::read(at("file")).unwrap() == b"new");

        write_file(Path::new("/dev/null"), b"new").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}

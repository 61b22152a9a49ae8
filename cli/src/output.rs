//! Atomic writing of files.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use npad::error::{Error, Result, Status};
use npad::model::write_file;

/// The error of a file operation: [`Status::NotFound`] where the file or folder does not exist, else [`Status::Io`].
pub fn file_error(action: &str, path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound => {
            Error::new(Status::NotFound, format!("{action} {path}: there is no such file or folder"))
        }
        _ => Error::new(Status::Io, format!("{action} {path}: {error}")),
    }
}

/// Checks in advance that `path` can be written, so that long work does not fail at its end.
///
/// # Errors
/// [`Status::NotFound`] when its folder does not exist, [`Status::Io`] when it is a folder or must not be written.
pub fn check_writable(what: &str, path: &Path) -> Result<()> {
    let action = format!("cannot write {what} to");
    if path.is_dir() {
        let message = format!("{action} {}: this is a folder; give the name of a file", path.display());
        return Err(Error::new(Status::Io, message));
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        let message = format!("{action} {}: there is no such folder ({})", path.display(), folder.display());
        return Err(Error::new(Status::NotFound, message));
    }
    let tried = match std::fs::metadata(path) {
        // Opening a pipe would block, and a device needs no temporary file.
        Ok(old) if !old.is_file() => return Ok(()),
        Ok(_) => OpenOptions::new().write(true).open(path).map(drop),
        Err(_) => Ok(()),
    };
    tried
        .and_then(|()| tempfile::tempfile_in(folder_of(&resolved(path))).map(drop))
        .map_err(|e| file_error(&action, path, &e))
}

/// Checks that writing to `path` would overwrite none of the files that are read. Links are followed.
///
/// # Errors
/// [`Status::InvalidOption`] when it would.
pub fn check_not_read<'a>(what: &str, path: &Path, read: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    // A file that does not exist yet is not read.
    let Ok(target) = path.canonicalize() else { return Ok(()) };
    let Some(input) = read.into_iter().find(|input| input.canonicalize().is_ok_and(|input| input == target)) else {
        return Ok(());
    };
    let message = format!(
        "cannot write {what} to {}: this would overwrite {}, which is read; give the name of another file",
        path.display(),
        input.display()
    );
    Err(Error::new(Status::InvalidOption, message))
}

/// Whether two paths name one file, which need not exist yet. Devices and pipes take the output of both.
pub fn same_file(a: &Path, b: &Path) -> bool {
    let is_device = a.metadata().is_ok_and(|old| !old.is_file());
    let located = |path: &Path| {
        let folder = folder_of(path).canonicalize().ok()?;
        path.canonicalize().ok().or_else(|| Some(folder.join(path.file_name()?)))
    };
    !is_device && located(a).is_some_and(|a| located(b) == Some(a))
}

/// Writes a file as [`write_file`] does.
///
/// # Errors
/// [`Status::NotFound`] or [`Status::Io`] when it cannot be written; an old file is unchanged then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_file(path, bytes).map_err(|e| file_error("cannot write", path, &e))
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The target of symbolic links, or the path itself if there is no file yet.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn what_cannot_be_written_is_known_beforehand_and_checking_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let status = |path: &Path| check_writable("the report", path).map_err(|e| e.status());
        assert_eq!(status(folder.path()), Err(Status::Io));
        assert_eq!(status(&folder.path().join("none/report.html")), Err(Status::NotFound));
        let file = folder.path().join("file");
        assert_eq!(status(&file), Ok(()));
        assert!(names(folder.path()).is_empty());
        std::fs::write(&file, "old").unwrap();
        assert_eq!(status(&file), Ok(()));
        assert_eq!(status(&file.join("report.html")), Err(Status::NotFound), "a file is no folder");
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
    }

    #[test]
    fn files_are_the_same_by_whatever_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("sub")).unwrap();
        assert!(same_file(&path("new"), &path("sub/../new")) && !same_file(&path("new"), &path("sub/new")));
        std::fs::write(path("old"), "").unwrap();
        assert!(same_file(&path("old"), &path("./old")) && !same_file(&path("old"), &path("new")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("old"), path("link")).unwrap();
            assert!(same_file(&path("old"), &path("link")));
            let device = Path::new("/dev/null");
            assert!(!same_file(device, device));
        }
    }
}

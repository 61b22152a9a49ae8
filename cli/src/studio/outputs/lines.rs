//! Results in a file of JSON lines, which is put aside when it is large.

use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Files that are kept beside the one that is written.
const KEPT: usize = 9;

/// An open file.
pub struct Lines {
    path: PathBuf,
    file: File,
    largest: u64,
}

impl Lines {
    /// Opens the file to append to it. A file that would exceed `largest` bytes is put aside.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, largest: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        if !ends_a_line(&mut file)? {
            // What a crash has cut off stays a line of its own.
            file.write_all(b"\n")?;
        }
        Ok(Self { path: path.to_owned(), file, largest })
    }

    /// Appends a line. On failure the file ends with the line before it. A file that was moved away or deleted is made anew.
    ///
    /// # Errors
    /// When the line cannot be written, on a full disk for example.
    pub fn append(&mut self, line: &str) -> io::Result<()> {
        if !self.is_in_place() {
            *self = Self::open(&self.path, self.largest)?;
        }
        let mut length = self.file.metadata()?.len();
        if length > 0 && length + line.len() as u64 >= self.largest && self.put_aside().is_ok() {
            *self = Self::open(&self.path, self.largest)?;
            length = 0;
        }
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        if written.is_err() {
            let _ = self.file.set_len(length);
        }
        written
    }

    fn is_in_place(&self) -> bool {
        let Ok(there) = std::fs::metadata(&self.path) else { return false };
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let identity = |file: &std::fs::Metadata| (file.dev(), file.ino());
            self.file.metadata().is_ok_and(|own| identity(&own) == identity(&there))
        }
        #[cfg(not(unix))]
        there.is_file()
    }

    /// Renames the files so that `live.jsonl` becomes `live.1.jsonl`, that one `live.2.jsonl`, and the last one is lost.
    fn put_aside(&self) -> io::Result<()> {
        let aside = |number: usize| self.path.with_extension(format!("{number}.jsonl"));
        for number in (1..KEPT).rev() {
            match rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        rename(&self.path, aside(1))
    }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{read_to_string, write};

    #[test]
    fn large_files_are_put_aside_and_the_last_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.jsonl");
        let mut lines = Lines::open(&path, 10).unwrap();
        for number in 100..125 {
            lines.append(&format!("{number}")).unwrap();
        }
        assert_eq!(read_to_string(&path).unwrap(), "124\n");
        assert_eq!(read_to_string(folder.path().join("live.1.jsonl")).unwrap(), "122\n123\n");
        assert_eq!(read_to_string(folder.path().join("live.9.jsonl")).unwrap(), "106\n107\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT);
        // A line longer than the limit is written whole.
        lines.append("12345678901234567890").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "12345678901234567890\n");
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_is_taken_away_is_made_anew_and_those_aside_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.jsonl");
        let mut lines = Lines::open(&path, 10).unwrap();
        for number in 100..106 {
            lines.append(&format!("{number}")).unwrap();
        }
        let aside = || read_to_string(folder.path().join("live.1.jsonl")).unwrap();
        assert_eq!((read_to_string(&path).unwrap(), aside()), ("104\n105\n".to_owned(), "102\n103\n".to_owned()));
        std::fs::rename(&path, folder.path().join("mine")).unwrap();
        lines.append("106").unwrap();
        assert_eq!((read_to_string(&path).unwrap(), aside()), ("106\n".to_owned(), "102\n103\n".to_owned()));
        std::fs::remove_file(&path).unwrap();
        lines.append("107").unwrap();
        assert_eq!((read_to_string(&path).unwrap(), aside()), ("107\n".to_owned(), "102\n103\n".to_owned()));
    }

    #[test]
    fn a_line_that_was_cut_off_does_not_spoil_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("live.jsonl");
        write(&path, "1\n2").unwrap();
        Lines::open(&path, 1000).unwrap().append("3").unwrap();
        assert_eq!(read_to_string(&path).unwrap(), "1\n2\n3\n");
    }
}

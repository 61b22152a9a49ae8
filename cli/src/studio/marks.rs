//! What the operator has marked as good or defective.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::project::{Label, Project};
use crate::output::{file_error, write};
use npad::error::{Error, Result, Status};

/// Marks by the images' paths, in a file of the project.
#[derive(Clone)]
pub struct Marks {
    file: PathBuf,
    marks: BTreeMap<String, Label>,
}

impl Marks {
    /// Reads the marks of a project. There is no file before the first one.
    ///
    /// # Errors
    /// [`Status::Io`] when the file cannot be read.
    pub fn open(project: &Project) -> Result<Self> {
        let file = project.own("marks.json")?;
        let marks = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                let message =
                    format!("{} is damaged ({e}): mend it, or delete it and mark images again", file.display());
                Error::new(Status::Io, message)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(file_error("cannot read", &file, &error)),
        };
        Ok(Self { file, marks })
    }

    /// The mark of an image.
    pub fn get(&self, path: &str) -> Option<Label> {
        self.marks.get(path).copied()
    }

    /// The images that are marked so.
    pub fn of(&self, label: Label) -> impl Iterator<Item = &String> {
        self.marks.iter().filter(move |(_, mark)| **mark == label).map(|(path, _)| path)
    }

    /// Marks an image, or takes its mark back, and saves all marks. On failure nothing has changed.
    ///
    /// # Errors
    /// [`Status::Io`] when they cannot be saved.
    pub fn set(&mut self, path: &str, label: Option<Label>) -> Result<()> {
        let mut marks = self.marks.clone();
        match label {
            Some(label) => marks.insert(path.to_owned(), label),
            None => marks.remove(path),
        };
        let text = serde_json::to_vec_pretty(&marks).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        write(&self.file, &text)?;
        self.marks = marks;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_and_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::open(folder.path()).unwrap();
        let mut marks = Marks::open(&project).unwrap();
        marks.set("b.png", Some(Label::Good)).unwrap();
        marks.set("a.png", Some(Label::Good)).unwrap();
        marks.set("a.png", Some(Label::Defective)).unwrap();
        let again = Marks::open(&project).unwrap();
        assert_eq!((again.get("a.png"), again.get("b.png")), (Some(Label::Defective), Some(Label::Good)));
        assert_eq!(again.of(Label::Good).collect::<Vec<_>>(), ["b.png"]);
        marks.set("a.png", None).unwrap();
        assert_eq!(Marks::open(&project).unwrap().get("a.png"), None);
    }

    #[test]
    fn a_damaged_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::open(folder.path()).unwrap();
        std::fs::write(project.own("marks.json").unwrap(), "{").unwrap();
        assert!(Marks::open(&project).err().unwrap().message().contains("damaged"));
    }
}

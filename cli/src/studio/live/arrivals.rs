//! Which files of a watched folder are new and complete.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::studio::scores::Stamp;

/// A file that cannot be read is tried again for this long, since it may not be complete.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files that are remembered after they have left the folder, which a network share may show as empty for a moment.
const REMEMBERED: usize = 100_000;

/// The files that are known.
pub struct Arrivals {
    done: HashMap<PathBuf, Stamp>,
    /// Files whose writing may not have ended: their state, and since when they have it.
    coming: HashMap<PathBuf, (Stamp, Instant)>,
}

impl Arrivals {
    /// The files that are there at the start are not new.
    pub fn new(there: Vec<(PathBuf, Stamp)>) -> Self {
        Self { done: there.into_iter().collect(), coming: HashMap::new() }
    }

    /// The files that are new or have changed, and are the same as at the last look.
    pub fn look(&mut self, there: Vec<(PathBuf, Stamp)>) -> Vec<(PathBuf, Stamp)> {
        let Self { done, coming } = self;
        let present: HashSet<&PathBuf> = there.iter().map(|(file, _)| file).collect();
        coming.retain(|file, _| present.contains(file));
        if done.len() > REMEMBERED + there.len() {
            done.retain(|file, _| present.contains(file));
        }
        let mut is_settled = |(file, stamp): &(PathBuf, Stamp)| {
            if done.get(file) == Some(stamp) {
                return false;
            }
            let now = (*stamp, Instant::now());
            let settled = coming.get(file).is_some_and(|(last, _)| last == stamp);
            if !settled {
                coming.insert(file.clone(), now);
            }
            settled
        };
        there.iter().filter(|file| is_settled(file)).cloned().collect()
    }

    /// Whether a file that cannot be read may still become readable.
    pub fn may_be_incomplete(&self, file: &Path) -> bool {
        self.coming.get(file).is_some_and(|(_, since)| since.elapsed() < PATIENCE)
    }

    /// A file has been inspected.
    pub fn finish(&mut self, file: PathBuf, stamp: Stamp) {
        self.coming.remove(&file);
        self.done.insert(file, stamp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(PathBuf, Stamp)> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), Stamp::of(&path))).collect()
    }

    #[test]
    fn files_are_new_once_and_when_they_have_settled() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("old", "1");
        let mut arrivals = Arrivals::new(files(folder.path()));
        write("new", "1");
        assert!(arrivals.look(files(folder.path())).is_empty(), "it may still grow");
        write("new", "12");
        assert!(arrivals.look(files(folder.path())).is_empty(), "it has grown");
        let found = arrivals.look(files(folder.path()));
        assert_eq!(found.len(), 1);
        assert!(arrivals.may_be_incomplete(&found[0].0));
        arrivals.finish(found[0].0.clone(), found[0].1);
        assert!(arrivals.look(files(folder.path())).is_empty());
        // A share that is away for a moment.
        assert!(arrivals.look(Vec::new()).is_empty());
        for _ in 0..3 {
            assert!(arrivals.look(files(folder.path())).is_empty());
        }
        write("old", "changed");
        arrivals.look(files(folder.path()));
        assert_eq!(arrivals.look(files(folder.path())).len(), 1);
    }
}

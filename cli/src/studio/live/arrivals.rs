//! Which files of a watched folder are new and complete.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::studio::scores::Stamp;

/// Time for which a file stays as it is before it counts as complete.
pub const SETTLED: Duration = Duration::from_millis(300);
/// A file that cannot be read is tried again for this long all the same.
const PATIENCE: Duration = Duration::from_secs(10);
/// Files that are remembered after they have left the folder, which a network share may show as empty for a moment.
const REMEMBERED: usize = 100_000;

/// The files that are known.
pub struct Arrivals {
    done: HashMap<PathBuf, Stamp>,
    /// Files whose writing may not have ended.
    coming: HashMap<PathBuf, Coming>,
    skipped: usize,
    settled: Duration,
}

struct Coming {
    stamp: Stamp,
    /// Since when it has it.
    since: Instant,
    /// What tells a file from another one of its name, where the system says it.
    inode: u64,
    /// When it was read in vain for the first time.
    failed: Option<Instant>,
}

impl Arrivals {
    /// The files that are there at the start are not new. Others count as complete when they have not changed for a time.
    pub fn new(there: Vec<(PathBuf, Stamp)>, settled: Duration) -> Self {
        Self { done: there.into_iter().collect(), coming: HashMap::new(), skipped: 0, settled }
    }

    /// The files that are new or have changed, and are complete.
    pub fn look(&mut self, there: Vec<(PathBuf, Stamp)>) -> Vec<(PathBuf, Stamp)> {
        let Self { done, coming, skipped, settled } = self;
        let present: HashSet<&PathBuf> = there.iter().map(|(file, _)| file).collect();
        let before = coming.len();
        coming.retain(|file, _| present.contains(file));
        *skipped += before - coming.len();
        if done.len() > REMEMBERED + there.len() {
            done.retain(|file, _| present.contains(file));
        }
        let mut is_settled = |(file, stamp): &(PathBuf, Stamp)| {
            if done.get(file) == Some(stamp) {
                return false;
            }
            let inode = inode_of(file);
            let last = coming.get(file);
            if let Some(last) = last.filter(|last| last.stamp == *stamp) {
                return last.since.elapsed() >= *settled;
            }
            *skipped += usize::from(last.is_some_and(|last| last.inode != inode));
            coming.insert(file.clone(), Coming { stamp: *stamp, since: Instant::now(), inode, failed: None });
            false
        };
        there.iter().filter(|file| is_settled(file)).cloned().collect()
    }

    /// Whether a file that could not be read may still become readable.
    pub fn may_be_incomplete(&mut self, file: &Path) -> bool {
        let failed = self.coming.get_mut(file).map(|coming| *coming.failed.get_or_insert_with(Instant::now));
        failed.is_some_and(|failed| failed.elapsed() < PATIENCE)
    }

    /// A file is gone before it could be inspected.
    pub fn gone(&mut self, file: &Path) {
        self.skipped += usize::from(self.coming.remove(file).is_some());
    }

    /// Number of files that were gone or replaced before they could be inspected.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// A file has been inspected.
    pub fn finish(&mut self, file: PathBuf, stamp: Stamp) {
        self.coming.remove(&file);
        self.done.insert(file, stamp);
    }
}

#[cfg_attr(not(unix), expect(unused_variables, reason = "other systems have none"))]
fn inode_of(file: &Path) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(file).map_or(0, |facts| facts.ino())
    }
    #[cfg(not(unix))]
    0
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
        let mut arrivals = Arrivals::new(files(folder.path()), Duration::ZERO);
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
        assert_eq!(arrivals.skipped(), 0);
        // Gone, or replaced as a whole, too early.
        write("short", "1");
        arrivals.look(files(folder.path()));
        std::fs::remove_file(folder.path().join("short")).unwrap();
        arrivals.look(files(folder.path()));
        assert_eq!(arrivals.skipped(), 1);
        #[cfg(unix)]
        for number in 0..4 {
            write(".next", &"1".repeat(number + 1));
            std::fs::rename(folder.path().join(".next"), folder.path().join("latest")).unwrap();
            assert!(arrivals.look(files(folder.path())).is_empty());
            assert_eq!(arrivals.skipped(), 1 + number);
        }
        write("gone", "1");
        arrivals.look(files(folder.path()));
        let before = arrivals.skipped();
        arrivals.gone(&folder.path().join("gone"));
        assert_eq!(arrivals.skipped(), before + 1);
        // What has not changed, but only for a moment.
        let mut patient = Arrivals::new(Vec::new(), Duration::from_secs(1000));
        for _ in 0..3 {
            assert!(patient.look(files(folder.path())).is_empty());
        }
        write("old", "changed");
        arrivals.look(files(folder.path()));
        assert!(arrivals.look(files(folder.path())).iter().any(|(file, _)| file.ends_with("old")));
    }
}

//! The file in which a fit keeps its state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::container::{Container, Content};
use super::file::{read_if_plausible, write_file};
use crate::error::{Error, Result, Status};
use crate::method::{Checkpoint, State};

/// A checkpoint in a file, which is replaced atomically.
pub struct FileCheckpoint(PathBuf);

/// The metadata of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    /// What the fit depends on, as a checksum.
    fit: String,
}

impl FileCheckpoint {
    /// A checkpoint in the file at `path`, which need not exist.
    pub fn at(path: &Path) -> Arc<dyn Checkpoint> {
        Arc::new(Self(path.to_owned()))
    }
}

impl Checkpoint for FileCheckpoint {
    fn load(&self, identity: &[u8; 32]) -> Result<Option<State>> {
        let path = self.0.display();
        // Devices and pipes might never end.
        if std::fs::metadata(&self.0).is_ok_and(|found| !found.is_file()) {
            let message = format!("the checkpoint {path} is not a file; give the option checkpoint another path");
            return Err(Error::new(Status::InvalidArgument, message));
        }
        let bytes = match read_if_plausible(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format_args!("cannot read the checkpoint {path}"), &error)),
        };
        let header = |metadata: &str| serde_json::from_str::<Header>(metadata).ok();
        let found = Container::from_bytes(&bytes, Content::Model, &[])
            .ok()
            .and_then(|(file, _)| Some((header(&file.metadata)?, file.arrays)));
        let Some((header, arrays)) = found else {
            let message = format!(
                "{path} is no intact checkpoint of a fit; it is left as it is. Delete it, or give the option checkpoint \
                 another path"
            );
            return Err(Error::new(Status::InvalidModel, message));
        };
        if header.fit != hex(identity) {
            let message = format!(
                "the checkpoint {path} belongs to a fit with other images or options; it is left as it is. Delete it, or give \
                 the option checkpoint another path"
            );
            return Err(Error::new(Status::WrongState, message));
        }
        Ok(Some(State { arrays }))
    }

    fn save(&self, identity: &[u8; 32], state: State) -> Result<()> {
        let metadata = serde_json::to_string(&Header { fit: hex(identity) });
        let metadata = metadata.map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        let bytes = Container { metadata, arrays: state.arrays }.to_bytes(Content::Model, None)?;
        let what = || format!("cannot write the checkpoint {}; an existing file is unchanged", self.0.display());
        write_file(&self.0, &bytes).map_err(|e| Error::io(what(), &e))
    }

    fn part(&self, index: usize) -> Arc<dyn Checkpoint> {
        let mut name = self.0.clone().into_os_string();
        name.push(format!(".{index}"));
        Self::at(Path::new(&name))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

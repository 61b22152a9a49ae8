//! The report that `npad eval --report` writes, of a version and the labelled images.

use std::collections::HashSet;

use super::jobs::{Job, Outcome};
use super::project::Label;
use super::state::Studio;
use crate::dataset::{Dataset, TestImage};
use crate::eval;
use crate::output::write;
use npad::error::{Error, Result, Status};

/// Name of the report in the version's folder.
pub const FILE: &str = "report.html";

/// Writes the report. It measures what the version has not learnt.
///
/// # Errors
/// [`Status::WrongState`] when good or defective images are lacking, [`Status::Cancelled`], [`Status::Io`].
pub fn make(studio: &Studio, job: &Job, number: u32) -> Result<Outcome> {
    let model = studio.model(number)?;
    let origin = studio.versions().get(number)?.origin.clone();
    let learnt: HashSet<&String> = origin.learnt.iter().collect();
    let unseen = studio.project.all_images().into_iter().filter(|path| !learnt.contains(path));
    let test: Vec<TestImage> = unseen.filter_map(|path| test_image(studio, &path)).collect();
    let defective = test.iter().filter(|image| image.is_defective()).count();
    if defective == 0 || defective == test.len() {
        let good = test.len() - defective;
        let message = format!(
            "a report needs good and defective images that the model has not learnt, but there are {good} good and {defective} \
             defective ones: put images in the folders test/good and test/KIND-OF-DEFECT, or mark some"
        );
        return Err(Error::new(Status::WrongState, message));
    }
    let name = studio.project.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let has_masks = test.iter().all(|image| image.mask.is_some() || !image.is_defective());
    let train = origin.learnt.iter().map(|path| studio.project.root().join(path)).collect();
    let dataset = Dataset { name, train, test, has_masks };
    let page = eval::page(&model, &dataset, origin.seconds, &mut |done, total| job.report("measuring", done, total))?;
    let file = studio.versions().file(number, FILE);
    write(&file, page.as_bytes())?;
    Ok(Outcome { version: Some(number), remark: None })
}

fn test_image(studio: &Studio, path: &str) -> Option<TestImage> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let kind = match studio.label(path).0? {
        Label::Good => "good",
        Label::Defective if Label::of_folder(folder) == Some(Label::Defective) => folder.rsplit('/').next()?,
        Label::Defective => "marked",
    };
    let mask = studio.project.mask(path).filter(|_| kind != "good");
    Some(TestImage { path: studio.project.root().join(path), kind: kind.to_owned(), mask })
}

//! `npad fit`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::FitOptions;
use crate::dataset::images_in;
use crate::output::check_writable;
use crate::picture::{self, Picture};
use crate::terminal::{fit_progress, note};
use npad::error::Result;
use npad::image::{Mask, MaskView};
use npad::model::{Model, Options, Trainer};

#[derive(Args)]
#[command(after_help = picture::HELP)]
pub struct Arguments {
    /// Folder of good images
    image_dir: PathBuf,
    /// Model file to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Detection method [default: npad]
    #[arg(long)]
    method: Option<String>,
    /// Mask image of the size of all others: its black pixels are neither learnt nor scored
    #[arg(long, value_name = "IMAGE")]
    mask: Option<PathBuf>,
    #[command(flatten)]
    fit: FitOptions,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut options = arguments.fit.options()?;
    if let Some(path) = &arguments.mask {
        let picture = Picture::read_mask(path)?;
        let view = MaskView::new(&picture.pixels, picture.width, picture.height, picture.width);
        options.set_mask(Some(view.and_then(Mask::new).map_err(|e| e.context(path.display()))?));
    }
    if let Some(method) = &arguments.method {
        options.set("method", method)?;
    }
    check_writable("the model", &arguments.output)?;
    let start = Instant::now();
    let model = fit(&options, &images_in(&arguments.image_dir)?)?;
    model.save(&arguments.output)?;
    let settings = model.metadata();
    note(&format!(
        "learnt {} good images in {:.1} s; threshold {:.3} for a false-alarm rate of {} %",
        settings.images,
        start.elapsed().as_secs_f64(),
        settings.image.threshold,
        100.0 * settings.false_alarm_rate
    ));
    Ok(())
}

/// Maximum number of decoded images that wait for the trainer.
const AHEAD: usize = 4;

/// Learns image files; the next ones are decoded in parallel.
pub fn fit(options: &Options, images: &[PathBuf]) -> Result<Model> {
    let mut options = options.clone();
    options.set_progress(fit_progress());
    let mut trainer = Trainer::new(&options)?;
    trainer.expect(images.len())?;
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::sync_channel(AHEAD);
        scope.spawn(move || {
            // Sending fails once the trainer has failed.
            images.iter().map(|path| (path, Picture::read(path))).all(|picture| sender.send(picture).is_ok())
        });
        for (path, picture) in receiver {
            picture?.view().and_then(|view| trainer.add(&view)).map_err(|e| e.context(path.display()))?;
        }
        Ok(())
    })?;
    trainer.finish()
}

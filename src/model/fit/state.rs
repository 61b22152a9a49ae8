//! The state of a trainer as a file, in the format of models.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fit, MOST_IMAGES, most_sum};
use crate::error::{Error, Result, Status};
use crate::exec::memory::try_copy;
use crate::image::{Mask, Rectangle};
use crate::method::{Array, Sample, State, unfit};
use crate::model::defects::DefectImages;
use crate::model::file::container::{Container, Content};
use crate::model::image_ids::ImageIds;
use crate::model::{ImagesHash, Options};
use crate::preprocess::InputSize;

/// Names of arrays, or what those of a part start with.
const SAMPLE: &str = "sample.";
const STATISTICS: &str = "statistics.";
const DEFECTS: &str = "defects.";
const SUM: &str = "sum";
const LEARNT: &str = "learnt_images";
const MASK: &str = "mask";

/// What the model of a fit depends on besides its images. Only states with the same settings can be merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Options and the method's parameters, defaults included.
    options: BTreeMap<String, String>,
    /// Name and checksum of the backbone.
    backbone: String,
    /// Column, row, width and height of the region of interest that all images share.
    roi: Option<[usize; 4]>,
    /// Columns, rows and hash of the mask that all images share.
    mask: Option<(usize, usize, String)>,
}

impl Settings {
    /// Those of a fit with these options and this backbone.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub fn of(options: &Options, backbone: &str) -> Result<Self> {
        let hash = |mask: &Mask| -> Result<_> {
            let (width, height) = mask.size();
            Ok((width, height, blake3::hash(&mask.to_bits()?).to_hex().to_string()))
        };
        Ok(Self {
            options: options.fit_values(),
            backbone: backbone.to_owned(),
            roi: options.roi.map(|Rectangle { x, y, width, height }| [x, y, width, height]),
            mask: options.mask.as_deref().map(hash).transpose()?,
        })
    }

    /// Checks that a state with other settings belongs to the same fit.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] when it does not.
    pub fn check_same(&self, other: &Self) -> Result<()> {
        let refused = |what: String| {
            let message = format!("the trainer states are of different fits and cannot be merged: {what}");
            Err(Error::new(Status::InvalidArgument, message))
        };
        if self.backbone != other.backbone {
            return refused(format!("the backbone is {} here and {} there", self.backbone, other.backbone));
        }
        let names = self.options.keys().chain(other.options.keys());
        for name in names {
            let [own, others] =
                [self, other].map(|settings| settings.options.get(name).map_or("not known", String::as_str));
            if own != others {
                return refused(format!("the option {name} is {own} here and {others} there"));
            }
        }
        if (self.roi, &self.mask) != (other.roi, &other.mask) {
            return refused("their masks or regions of interest differ".to_owned());
        }
        Ok(())
    }
}

/// The metadata of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    npad_version: String,
    settings: Settings,
    /// Columns and rows of the first image, and the size of the network's input; none without images.
    first: Option<(usize, usize)>,
    input: Option<InputSize>,
    images: usize,
    images_hash: ImagesHash,
    copies: usize,
    summed: usize,
}

/// A state that has been read.
pub struct Saved {
    pub settings: Settings,
    pub first: Option<((usize, usize), InputSize)>,
    pub sample: Sample,
    /// Of the images that are not in the sample.
    pub statistics: State,
    pub defects: DefectImages,
    pub sum: Vec<i64>,
    pub summed: usize,
    pub learnt: ImageIds,
    pub images_hash: ImagesHash,
    pub copies: usize,
    mask: Option<Mask>,
}

impl Saved {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Status::InvalidModel`] or [`Status::UnsupportedModel`] when the bytes are not a state that this npad can use.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (Container { metadata, arrays }, _) = Container::from_bytes(bytes, Content::TrainerState, &[])?;
        let invalid =
            |what: &str| Error::new(Status::InvalidModel, format!("this is not an intact npad trainer state: {what}"));
        let header: Header = serde_json::from_str(&metadata).map_err(|e| invalid(&format!("its metadata: {e}")))?;
        let Header { settings, first, input, images, images_hash, copies, summed, .. } = header;
        let ([mut sample, mut statistics, mut defects], mut own) =
            (std::array::from_fn(|_| State::default()), State::default());
        for (name, array) in arrays {
            let parts = [(SAMPLE, &mut sample), (STATISTICS, &mut statistics), (DEFECTS, &mut defects)];
            let part = parts.into_iter().find_map(|(prefix, part)| Some((name.strip_prefix(prefix)?.to_owned(), part)));
            match part {
                Some((name, part)) => part.put(name, array),
                None => own.put(name, array),
            }
        }
        if images > MOST_IMAGES || summed > MOST_IMAGES || summed < images || copies > isize::MAX as usize {
            return Err(invalid("its numbers of images are out of range"));
        }
        let seed = settings.options.get("seed").and_then(|seed| seed.parse().ok());
        let seed = seed.ok_or_else(|| invalid("its seed is missing or no number"))?;
        let mask = match &settings.mask {
            None => None,
            Some((width, height, hash)) => {
                let bits = own.take_u8(MASK)?;
                let intact = *hash == *blake3::hash(&bits).to_hex();
                let mask = Mask::from_bits(&bits, *width, *height)?.filter(|_| intact);
                Some(mask.ok_or_else(|| invalid("its mask is out of range"))?)
            }
        };
        let learnt = ImageIds::from_words(&own.take_u32(LEARNT)?).filter(|ids| ids.len() <= images);
        let learnt = learnt.ok_or_else(|| unfit(LEARNT))?;
        let first = first.zip(input);
        let side = 1..=usize::from(u16::MAX);
        let sum = match first {
            None if images == 0 => Vec::new(),
            Some(((width, height), input)) if side.contains(&width) && side.contains(&height) && images > 0 => {
                let sum = own.take_i64(SUM, &[3, input.height, input.width])?;
                if sum.iter().any(|sum| sum.unsigned_abs() > most_sum(summed)) {
                    return Err(invalid("its sums of images are out of range"));
                }
                sum
            }
            _ => return Err(invalid("the size of its images is missing or out of range")),
        };
        let sample = Sample::load(sample, images, seed)?;
        if sample.images().len() < images && !sample.is_full() {
            return Err(invalid("its sample has too few images"));
        }
        let defects = DefectImages::load(defects)?;
        Ok(Self { settings, first, sample, statistics, defects, sum, summed, learnt, images_hash, copies, mask })
    }

    /// The options of the fit, with those of this machine.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] when an option has been set to another value than in the state.
    pub fn options(&self, machine: &Options) -> Result<Options> {
        let mut options = machine.with_fit_values(&self.settings.options)?;
        let roi = self.settings.roi.map(|[x, y, width, height]| Rectangle { x, y, width, height });
        if machine.roi.is_some_and(|own| Some(own) != roi)
            || machine.mask.as_deref().is_some_and(|own| Some(own) != self.mask.as_ref())
        {
            let message = "the mask or the region of interest of the options is not that of the trainer state: leave it unset, \
                           since a state brings its own";
            return Err(Error::new(Status::InvalidOption, message));
        }
        options.set_mask(self.mask.clone());
        options.set_roi(roi);
        Ok(options)
    }
}

impl Fit {
    /// The bytes of a file with the state.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] for a resumed fit, or when the method cannot save its statistics; [`Status::OutOfMemory`].
    pub fn save(&mut self) -> Result<Vec<u8>> {
        let (Some(settings), Some(images_hash)) = (&self.settings, self.images_hash) else { return Err(resumed()) };
        let mut arrays = BTreeMap::new();
        let mut put_all = |prefix: &str, state: State| {
            arrays.extend(state.arrays.into_iter().map(|(name, array)| (format!("{prefix}{name}"), array)));
        };
        put_all(SAMPLE, self.sample.save()?);
        put_all(DEFECTS, self.defects.save()?);
        if let Some(accumulator) = self.fitter.accumulator() {
            put_all(STATISTICS, accumulator.save(&self.threads)?);
        }
        let words = self.learnt.to_words()?;
        arrays.insert(LEARNT.to_owned(), Array::U32(vec![words.len() / 2, 2], words));
        if let Some(mask) = self.config.mask.as_deref() {
            let bits = mask.to_bits()?;
            arrays.insert(MASK.to_owned(), Array::U8(vec![bits.len()], bits));
        }
        let input = self.input.as_ref().map(|input| input.size);
        if let Some(InputSize { height, width }) = input {
            arrays.insert(SUM.to_owned(), Array::I64(vec![3, height, width], try_copy(&self.sum)?));
        }
        let header = Header {
            npad_version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings.clone(),
            first: self.input.as_ref().map(|input| input.first),
            input,
            images: self.sample.seen(),
            images_hash,
            copies: self.copies,
            summed: self.summed,
        };
        let metadata = serde_json::to_string(&header).map_err(|e| Error::new(Status::Internal, e.to_string()))?;
        Container { metadata, arrays }.to_bytes(Content::TrainerState, None)
    }
}

/// The error for a fit that resumes that of a model.
pub fn resumed() -> Error {
    let message = "the state of a resumed fit cannot be saved or merged, since it goes on from a model: save the states of fits \
                   that start from images, and merge them with that of the first fit";
    Error::new(Status::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::backbone::{FeatureExtractor, TapMap};
    use crate::image::{ImageView, PixelFormat};
    use crate::model::Trainer;
    use crate::preprocess::{InputSize, Normalisation};

    /// The image itself as one tap.
    struct Pixels;

    impl FeatureExtractor for Pixels {
        fn extract(
            &self,
            inputs: &[f32],
            size: InputSize,
            consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
        ) -> Result<()> {
            consume(0, &[TapMap { channels: 3, rows: size.height, cols: size.width, data: inputs }])
        }

        fn normalisation(&self) -> Normalisation {
            Normalisation { mean: [0.0; 3], std: [1.0; 3] }
        }

        fn identity(&self) -> &str {
            "host/pixels"
        }
    }

    const SIDE: usize = 32;

    fn options(settings: &[(&str, &str)]) -> Options {
        let mut options = Options::default();
        options.set_extractor(Arc::new(Pixels));
        settings.iter().for_each(|(key, value)| options.set(key, value).unwrap());
        options
    }

    const QUICK: [(&str, &str); 3] = [("size", "32x32"), ("threads", "1"), ("date", "none")];

    fn learn(trainer: &mut Trainer, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let pixels: Vec<u8> = (0..SIDE * SIDE).map(|i| (i * (number + 3) % 251 + i % 7) as u8).collect();
            trainer.add(&ImageView::new(&pixels, SIDE, SIDE, SIDE, PixelFormat::Gray8).unwrap()).unwrap();
        }
    }

    /// A state with other contents and a right checksum.
    fn changed(state: &[u8], change: impl FnOnce(&mut Value, &mut BTreeMap<String, Array>)) -> Vec<u8> {
        let Container { metadata, mut arrays } = Container::from_bytes(state, Content::TrainerState, &[]).unwrap().0;
        let mut metadata = serde_json::from_str(&metadata).unwrap();
        change(&mut metadata, &mut arrays);
        Container { metadata: metadata.to_string(), arrays }.to_bytes(Content::TrainerState, None).unwrap()
    }

    /// The state of a fit whose sample holds 16 images.
    fn full(settings: &[(&str, &str)], numbers: std::ops::Range<usize>) -> Vec<u8> {
        let mut trainer = Trainer::new(&options(&[&QUICK[..], settings].concat())).unwrap();
        learn(&mut trainer, numbers.start..numbers.start + 16);
        let small = changed(&trainer.to_bytes().unwrap(), |_, arrays| {
            arrays.insert("sample.capacity".to_owned(), Array::U32(vec![1], vec![16]));
        });
        let mut trainer = Trainer::from_bytes(&small, &options(&QUICK[1..])).unwrap();
        learn(&mut trainer, numbers);
        trainer.to_bytes().unwrap()
    }

    #[test]
    fn states_that_do_not_fit_are_refused_and_change_nothing() {
        let state = full(&[], 0..20);
        let mut trainer = Trainer::from_bytes(&full(&[], 40..60), &options(&QUICK)).unwrap();
        let before = trainer.to_bytes().unwrap();
        let mut refused = |what: &str, change: &dyn Fn(&mut Value, &mut BTreeMap<String, Array>)| {
            let bytes = changed(&state, change);
            let error = trainer.merge(&bytes).expect_err(what);
            assert!(matches!(error.status(), Status::InvalidModel | Status::InvalidArgument), "{what}: {error}");
            let error = Trainer::from_bytes(&bytes, &options(&QUICK)).err().expect(what);
            assert!(matches!(error.status(), Status::InvalidModel | Status::UnsupportedModel), "{what}: {error}");
            assert!(trainer.to_bytes().unwrap() == before, "{what}");
        };
        for (option, value) in
            [("threads", "512"), ("backbone", "/dev/zero"), ("device", "cuda"), ("nothing", "1"), ("seed", "x")]
        {
            refused(option, &|metadata, _| metadata["settings"]["options"][option] = json!(value));
        }
        for (field, value) in
            [("images", json!(1u64 << 40)), ("summed", json!(1)), ("first", json!([0, 9])), ("input", json!(null))]
        {
            refused(field, &|metadata, _| metadata[field] = value.clone());
        }
        let arrays = [
            ("sample.taps", Array::U32(vec![1, 2], vec![2, 1])),
            ("sample.taps", Array::U32(vec![2, 2], vec![1, 1, 2, 1])),
            ("sample.sizes", Array::U32(vec![16, 2], vec![65536; 32])),
            ("sample.hashes", Array::U32(vec![16, 2], (0..32).rev().collect())),
            ("sample.capacity", Array::U32(vec![1], vec![3])),
            ("statistics.shape", Array::U32(vec![4], vec![60_000, 60_000, 3, 4])),
            ("statistics.channels", Array::U32(vec![3], vec![0, 0, 1])),
            ("statistics.patch.weight", Array::F64(vec![256], vec![0.0; 256])),
            ("statistics.patch.sum", Array::F64(vec![1], vec![0.0])),
            ("sum", Array::I64(vec![3, 1, 1], vec![0; 3])),
        ];
        for (name, array) in arrays {
            refused(name, &|_, arrays| drop(arrays.insert(name.to_owned(), array.clone())));
            refused(name, &|_, arrays| drop(arrays.remove(name)));
        }
        refused("two maps an image", &|_, arrays| {
            let Some(Array::F16(shape, values)) = arrays.get_mut("sample.maps") else { panic!("maps") };
            (shape[0], shape[1]) = (shape[0] / 2, 2);
            assert!(!values.is_empty());
        });
        for sum in [i64::MIN, i64::MAX] {
            refused("sum", &|_, arrays| {
                let Some(Array::I64(_, values)) = arrays.get_mut("sum") else { panic!("sum") };
                values[0] = sum;
            });
        }
        learn(&mut trainer, 60..62);
        trainer.finish().unwrap();
    }

    #[test]
    fn a_refused_merge_changes_no_scale() {
        let settings = [("scales", "1+2"), ("npad.selection", "variance"), ("npad.channels", "1")];
        let mut trainer = Trainer::from_bytes(&full(&settings, 0..20), &options(&QUICK)).unwrap();
        let before = trainer.to_bytes().unwrap();
        let other = changed(&full(&settings, 40..60), |_, arrays| {
            let Some(Array::U32(_, own)) = arrays.get("statistics.0.channels").cloned() else { panic!("channels") };
            arrays.insert("statistics.1.channels".to_owned(), Array::U32(vec![1], vec![(own[0] + 1) % 3]));
            arrays.insert("statistics.0.channels".to_owned(), Array::U32(vec![1], own));
        });
        if let Err(error) = trainer.merge(&other) {
            assert!(error.message().contains("different channels"), "{error}");
            assert!(trainer.to_bytes().unwrap() == before);
        }
        let damaged = changed(&full(&settings, 40..60), |_, arrays| drop(arrays.remove("statistics.1.patch.sum")));
        let before = trainer.to_bytes().unwrap();
        assert_eq!(trainer.merge(&damaged).unwrap_err().status(), Status::InvalidModel);
        assert!(trainer.to_bytes().unwrap() == before);
        trainer.finish().unwrap();
    }
}

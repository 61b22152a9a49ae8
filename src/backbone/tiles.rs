//! Runs a backbone on tiles, so that its memory depends on the tile size instead of the image size.
//!
//! The widest layers of a network hold a hundred channels at half the image's resolution: 2 GB for 5 megapixels. The
//! outputs are small, so only the network's input is split into tiles, and their outputs are merged. Each tile has a
//! border of [`OVERLAP`] pixels whose outputs are dropped. The receptive field is larger, but pixels beyond the border
//! have little influence, and a model is fitted and used with the same tiles.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};

use super::{FeatureExtractor, MAX_TAPS, TapMap};
use crate::error::{Error, Result, Status};
use crate::exec::memory::{try_resize, try_vec};
use crate::exec::scratch::Pool;
use crate::preprocess::{InputSize, Normalisation};

/// Width of the border of a tile in pixels.
const OVERLAP: usize = 64;
/// Tiles start at multiples of this many pixels. Strides must be powers of two up to it.
const ALIGNMENT: usize = 64;

/// Minimum and maximum side of a tile.
const SIDES: RangeInclusive<usize> = 256..=8192;

/// Runs another extractor on tiles.
pub struct Tiled {
    inner: Arc<dyn FeatureExtractor>,
    tile: usize,
    scratch: Pool<Scratch>,
}

#[derive(Default)]
struct Scratch {
    window: Vec<f32>,
    /// Each tap's map of the whole image: planes x rows x columns.
    taps: Vec<Array3<f32>>,
}

/// Along one axis: the pixels of a tile without and with its border.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    core: Range<usize>,
    window: Range<usize>,
}

/// Splits an axis into the minimum number of tiles of at most `tile` pixels, of about equal length.
fn spans(length: usize, tile: usize) -> impl Iterator<Item = Span> {
    let core = length.div_ceil(length.div_ceil(tile)).next_multiple_of(ALIGNMENT);
    let span = move |start: usize| {
        let end = (start + core).min(length);
        Span { core: start..end, window: start.saturating_sub(OVERLAP)..(end + OVERLAP).min(length) }
    };
    (0..length).step_by(core).map(span)
}

impl Tiled {
    /// Whether a tile size is valid: 0 (no tiles), or a multiple of 64 from 256 to 8192.
    pub fn accepts(tile: usize) -> bool {
        tile == 0 || (SIDES.contains(&tile) && tile.is_multiple_of(ALIGNMENT))
    }

    /// Creates an extractor with tiles of at most `tile` x `tile` pixels; 0 for no tiles.
    pub fn over(inner: Arc<dyn FeatureExtractor>, tile: usize) -> Arc<dyn FeatureExtractor> {
        if tile == 0 { inner } else { Arc::new(Self { inner, tile, scratch: Pool::default() }) }
    }

    /// Whether an image fits in one tile.
    fn holds(&self, size: InputSize) -> bool {
        size.height.max(size.width) <= self.tile
    }

    /// Runs on all tiles of one image.
    fn run(
        &self,
        inputs: &[f32],
        size: InputSize,
        Scratch { window, taps }: &mut Scratch,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        let image = ArrayView3::from_shape((3, size.height, size.width), inputs)
            .map_err(|_| Error::new(Status::Internal, "the network's input is not three planes of its size"))?;
        for down in spans(size.height, self.tile) {
            for across in spans(size.width, self.tile) {
                cut(image, &down.window, &across.window, window)?;
                let tile = InputSize { height: down.window.len(), width: across.window.len() };
                let first = down.core.start == 0 && across.core.start == 0;
                self.inner.extract(window, tile, &mut |_, parts| {
                    if first {
                        taps.resize_with(parts.len(), || Array3::default((0, 0, 0)));
                    }
                    if taps.len() != parts.len() {
                        return Err(unfit(format!(
                            "{} outputs for one tile and {} for another",
                            taps.len(),
                            parts.len()
                        )));
                    }
                    taps.iter_mut().zip(parts).try_for_each(|(tap, part)| {
                        let place = Place::of(part, size, [&down, &across])?;
                        if first {
                            reshape(tap, place.shape)?;
                        }
                        place.put(part, tap)
                    })
                })?;
            }
        }
        let mut maps = [TapMap::default(); MAX_TAPS];
        maps.iter_mut().zip(taps.iter()).for_each(|(map, tap)| *map = tap_map(tap));
        consume(0, &maps[..taps.len()])
    }
}

impl FeatureExtractor for Tiled {
    fn extract(
        &self,
        inputs: &[f32],
        size: InputSize,
        consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
    ) -> Result<()> {
        if self.holds(size) {
            return self.inner.extract(inputs, size, consume);
        }
        self.scratch.try_with(|| Ok(Scratch::default()), |scratch| self.run(inputs, size, scratch, consume))
    }

    fn warm_up(&self, size: InputSize, images: usize, calls: usize) -> Result<()> {
        if self.holds(size) {
            return self.inner.warm_up(size, images, calls);
        }
        for down in spans(size.height, self.tile) {
            for across in spans(size.width, self.tile) {
                let tile = InputSize { height: down.window.len(), width: across.window.len() };
                self.inner.warm_up(tile, 1, calls)?;
            }
        }
        let inputs = try_vec(3 * size.height * size.width, 0.0)?;
        self.scratch.warm_up(
            calls,
            || Ok(Scratch::default()),
            |scratch| self.run(&inputs, size, scratch, &mut |_, _| Ok(())),
        )
    }

    fn max_batch(&self, size: InputSize) -> usize {
        if self.holds(size) { self.inner.max_batch(size) } else { 1 }
    }

    fn normalisation(&self) -> Normalisation {
        self.inner.normalisation()
    }

    fn identity(&self) -> &str {
        self.inner.identity()
    }
}

fn unfit(found: String) -> Error {
    let message = format!(
        "the backbone cannot run on tiles: it gave {found}. Its outputs must be the same for every tile, with strides that are \
         powers of two up to {ALIGNMENT}; leave the option tile at 0"
    );
    Error::new(Status::Backbone, message)
}

/// Copies a window of all planes.
fn cut(image: ArrayView3<'_, f32>, down: &Range<usize>, across: &Range<usize>, out: &mut Vec<f32>) -> Result<()> {
    let window = image.slice(s![.., down.clone(), across.clone()]);
    try_resize(out, window.len(), 0.0)?;
    ArrayViewMut3::from_shape(window.dim(), out).expect("as many values").assign(&window);
    Ok(())
}

/// Gives a tap's map of the whole image its shape: planes, rows, columns.
pub(super) fn reshape(tap: &mut Array3<f32>, shape: (usize, usize, usize)) -> Result<()> {
    if tap.dim() != shape {
        *tap = Array3::default((0, 0, 0));
        let values = try_vec(shape.0 * shape.1 * shape.2, 0.0)?;
        *tap = Array3::from_shape_vec(shape, values).expect("as many values");
    }
    Ok(())
}

pub(super) fn tap_map(tap: &Array3<f32>) -> TapMap<'_> {
    let (channels, rows, cols) = tap.dim();
    TapMap { channels, rows, cols, data: tap.as_slice().expect("made in standard layout") }
}

/// The part of a tile's output to keep, and its position in the whole output.
struct Place {
    /// Of the whole: planes, rows, columns.
    shape: (usize, usize, usize),
    /// Rows and columns of the whole.
    to: [Range<usize>; 2],
    /// Rows and columns of the tile's.
    from: [Range<usize>; 2],
}

impl Place {
    fn of(part: &TapMap<'_>, size: InputSize, [down, across]: [&Span; 2]) -> Result<Self> {
        let (rows, to_rows, from_rows) = Self::along(down, size.height, part.rows)?;
        let (cols, to_cols, from_cols) = Self::along(across, size.width, part.cols)?;
        Ok(Self { shape: (part.channels, rows, cols), to: [to_rows, to_cols], from: [from_rows, from_cols] })
    }

    /// Along one axis: cells of the whole output, those of the tile among them, and the same among the tile's `cells`.
    fn along(span: &Span, pixels: usize, cells: usize) -> Result<(usize, Range<usize>, Range<usize>)> {
        let mut strides = (0..=ALIGNMENT.ilog2()).map(|power| 1 << power);
        let stride = strides
            .find(|stride| span.window.len().div_ceil(*stride) == cells)
            .ok_or_else(|| unfit(format!("{cells} positions for {} pixels", span.window.len())))?;
        let to = span.core.start / stride..span.core.end.div_ceil(stride);
        let first = to.start - span.window.start / stride;
        Ok((pixels.div_ceil(stride), to.clone(), first..first + to.len()))
    }

    /// Copies the part of a tile's output to keep.
    fn put(&self, part: &TapMap<'_>, whole: &mut Array3<f32>) -> Result<()> {
        if whole.dim() != self.shape {
            return Err(unfit(format!(
                "an output of {} channels for one tile and {} for another, or of different strides",
                whole.dim().0,
                self.shape.0
            )));
        }
        let ([rows, cols], [from_rows, from_cols]) = (self.to.clone(), self.from.clone());
        whole.slice_mut(s![.., rows, cols]).assign(&part.view().slice(s![.., from_rows, from_cols]));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taps at strides 1 and 16 that say where they are.
    struct Where;

    impl FeatureExtractor for Where {
        fn extract(
            &self,
            inputs: &[f32],
            size: InputSize,
            consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
        ) -> Result<()> {
            let (rows, cols) = (size.height.div_ceil(16), size.width.div_ceil(16));
            let coarse: Vec<f32> =
                (0..rows * cols).map(|i| inputs[i / cols * 16 * size.width + i % cols * 16]).collect();
            let taps = [
                TapMap { channels: 3, rows: size.height, cols: size.width, data: inputs },
                TapMap { channels: 1, rows, cols, data: &coarse },
            ];
            consume(0, &taps)
        }

        fn normalisation(&self) -> Normalisation {
            Normalisation { mean: [0.0; 3], std: [1.0; 3] }
        }

        fn identity(&self) -> &str {
            "where"
        }
    }

    #[test]
    fn tiles_cover_an_axis_once_and_see_beyond_their_edges() {
        for (length, tile) in [(2448, 512), (100, 64), (64, 64), (65, 64), (1000, 8192), (200, 128)] {
            let spans: Vec<Span> = spans(length, tile).collect();
            assert!(spans.windows(2).all(|pair| pair[0].core.end == pair[1].core.start), "{spans:?}");
            assert_eq!((spans[0].core.start, spans[spans.len() - 1].core.end), (0, length));
            for Span { core, window } in &spans {
                assert!(core.len() <= tile && core.start % ALIGNMENT == 0 && window.start % ALIGNMENT == 0);
                assert!(core.start - window.start == OVERLAP.min(core.start));
                assert!(window.end - core.end == OVERLAP.min(length - core.end));
            }
        }
    }

    /// A stride of three, or another number of outputs for each size of tile.
    struct Bad(bool);

    impl FeatureExtractor for Bad {
        fn extract(
            &self,
            inputs: &[f32],
            size: InputSize,
            consume: &mut dyn FnMut(usize, &[TapMap<'_>]) -> Result<()>,
        ) -> Result<()> {
            let by = if self.0 { 3 } else { 1 };
            let (rows, cols) = (size.height.div_ceil(by), size.width.div_ceil(by));
            let tap = TapMap { channels: 1, rows, cols, data: &inputs[..rows * cols] };
            let count = if self.0 { 1 } else { 1 + usize::from(size.width == 128) };
            consume(0, &[tap; 2][..count])
        }

        fn normalisation(&self) -> Normalisation {
            Where.normalisation()
        }

        fn identity(&self) -> &str {
            "bad"
        }
    }

    #[test]
    fn outputs_that_cannot_be_put_together_are_an_error() {
        let size = InputSize { height: 100, width: 200 };
        for strange_stride in [false, true] {
            let tiled = Tiled::over(Arc::new(Bad(strange_stride)), 64);
            let error = tiled.extract(&vec![0.0; 3 * 100 * 200], size, &mut |_, _| Ok(())).unwrap_err();
            assert!(error.status() == Status::Backbone && error.message().contains("tile at 0"), "{error}");
        }
    }

    #[test]
    fn the_parts_are_put_together_as_the_whole() {
        for (height, width) in [(200, 330), (64, 129), (130, 100), (16, 16)] {
            let size = InputSize { height, width };
            let input: Vec<f32> = (0..3 * height * width).map(|i| i as f32).collect();
            let run = |extractor: &dyn FeatureExtractor| {
                let mut out = Vec::new();
                let mut keep = |_, taps: &[TapMap<'_>]| {
                    out.extend(taps.iter().map(|tap| (tap.channels, tap.rows, tap.cols, tap.data.to_vec())));
                    Ok(())
                };
                extractor.extract(&input, size, &mut keep).unwrap();
                out
            };
            let tiled = Tiled::over(Arc::new(Where), 64);
            assert!(run(&*tiled) == run(&Where) && run(&*tiled) == run(&Where), "{size:?}");
        }
    }
}

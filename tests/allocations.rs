//! Scoring into the caller's memory takes no memory of its own once it is warm, whatever else the machine does meanwhile.
//! (What ONNX Runtime does inside its library does not go through this allocator.)
//!
//! Without the test harness, whose own thread allocates when it likes.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gray, fit, good_images, options};
use npad::exec::Threads;
use npad::exec::progress::Cancellation;
use npad::exec::rows::RowsOut;
use npad::model::{Model, ScoreBuffers};

/// Counts what the process asks of the heap.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as asked.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Scores the same image again and again into the same memory.
struct Line<'a> {
    model: &'a Model,
    image: Gray,
    map: Vec<f32>,
}

impl<'a> Line<'a> {
    fn new(model: &'a Model, width: usize, height: usize) -> Self {
        Self { model, image: Gray::scratched(width, height, 50, (60, 50)), map: vec![0.0; width * height] }
    }

    fn score(&mut self) {
        let (width, height) = (self.image.width, self.image.height);
        let map = RowsOut::from_slice(&mut self.map, width, height, width).unwrap();
        let buffers = ScoreBuffers { map: Some(map), map_u8: None };
        self.model.score_into(&self.image.view(), buffers, |_| Ok(())).unwrap();
    }
}

/// Allocations of a hundred rounds after the first.
fn count_after_first(mut round: impl FnMut()) -> usize {
    round();
    let before = COUNT.load(Ordering::Relaxed);
    (0..100).for_each(|_| round());
    COUNT.load(Ordering::Relaxed) - before
}

fn main() {
    a_warm_score_allocates_nothing();
    models_of_different_sizes_take_turns_without_allocating();
    a_warm_up_prepares_for_concurrent_calls();
    a_cancelled_batch_allocates_no_maps();
}

fn a_warm_score_allocates_nothing() {
    // Five shifts of that size take a batch of three and one of two; the tiles are of several sizes.
    let one = [("npad.shifts", "1")];
    let five = [("npad.shifts", "5"), ("size", "200"), ("threads", "4")];
    let pixels = [("npad.levels", "pixel+patch+centroids")];
    let tiles = [("size", "320x288"), ("tile", "256")];
    let scales = [("scales", "1+1.6+2"), ("npad.shifts", "5")];
    let flow = [("method", "fastflow")];
    let flows = cfg!(feature = "flows").then_some(&flow[..]);
    for settings in [&one[..], &five, &pixels, &tiles, &scales].into_iter().chain(flows) {
        let model = fit(&options(settings), &good_images(10)).unwrap();
        let mut line = Line::new(&model, 160, 120);
        assert_eq!(count_after_first(|| line.score()), 0, "allocations for a hundred images with {settings:?}");
    }
}

fn models_of_different_sizes_take_turns_without_allocating() {
    let sizes = ["96", "64", "80x112", "128"];
    let models: Vec<Model> =
        sizes.iter().map(|size| fit(&options(&[("size", size)]), &good_images(10)).unwrap()).collect();
    let mut lines: Vec<Line<'_>> = models.iter().map(|model| Line::new(model, 160, 120)).collect();
    assert_eq!(count_after_first(|| lines.iter_mut().for_each(Line::score)), 0);
}

/// Two calls at once, many times, so that each kind of working memory is needed twice.
fn a_warm_up_prepares_for_concurrent_calls() {
    let calls = Threads::resolve(0).min(2);
    for scales in ["1", "1+1.6"] {
        let model = fit(&options(&[("max_calls", "2"), ("scales", scales)]), &good_images(10)).unwrap();
        let image = Gray::good(160, 120, 50);
        model.warm_up(160, 120).unwrap();
        let barrier = Barrier::new(calls + 1);
        std::thread::scope(|scope| {
            for _ in 0..calls {
                scope.spawn(|| {
                    barrier.wait();
                    barrier.wait();
                    for _ in 0..50 {
                        model.score_into(&image.view(), ScoreBuffers::default(), |_| Ok(())).unwrap();
                    }
                    barrier.wait();
                });
            }
            barrier.wait();
            let before = COUNT.load(Ordering::Relaxed);
            barrier.wait();
            barrier.wait();
            let count = COUNT.load(Ordering::Relaxed) - before;
            assert_eq!(count, 0, "allocations of {calls} concurrent calls with scales {scales}");
        });
    }
}

fn a_cancelled_batch_allocates_no_maps() {
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    let image = Gray::good(160, 120, 50);
    let (views, cancellation) = (vec![image.view(); 100], Cancellation::new());
    cancellation.cancel();
    let before = COUNT.load(Ordering::Relaxed);
    assert!(model.score_batch(&views, Some(&cancellation)).is_err());
    assert!(COUNT.load(Ordering::Relaxed) - before < 10, "it allocates no more than its error");
}

//! Calls of a model: batches that are cancelled, and working memory that is prepared.

mod common;

use common::{Gray, fit, good_images, options};
use npad::error::Status;
use npad::exec::progress::Cancellation;
use npad::model::ScoreBuffers;

#[test]
fn a_cancelled_batch_ends_after_the_image_in_progress() {
    let model = fit(&options(&[]), &good_images(10)).unwrap();
    let images: Vec<Gray> = (0..10).map(|seed| Gray::good(120, 100, seed)).collect();
    let views: Vec<_> = images.iter().map(Gray::view).collect();
    // In the middle and at the end of the images that are scored together, and at the end of the batch.
    for last in [0, 2, 7, 8, 9] {
        let (cancellation, mut seen) = (Cancellation::new(), 0);
        let buffers = views.iter().map(|_| ScoreBuffers::default()).collect();
        let outcome = model.score_batch_into(&views, Some(&cancellation), buffers, |index, _| {
            seen = index + 1;
            if index == last {
                cancellation.cancel();
            }
            Ok(())
        });
        assert_eq!(outcome.unwrap_err().status(), Status::Cancelled, "image {last}");
        assert_eq!(seen, last + 1);
        for count in [0, 1, 10] {
            let error = model.score_batch(&views[..count], Some(&cancellation)).unwrap_err();
            assert_eq!(error.status(), Status::Cancelled, "{count} images");
        }
    }
}

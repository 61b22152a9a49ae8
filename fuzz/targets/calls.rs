//! Any order of calls through the C interface, with handles that exist, are null or belong to something else's past.
#![no_main]

use std::ffi::CString;
use std::ptr::null_mut;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use npad::abi::image::{npad_image, npad_mask};
use npad_fuzz::c::*;
use npad_fuzz::{SIDE, good_images, keep_threads};

/// How many handles of each kind are kept.
const SLOTS: usize = 3;

#[derive(Arbitrary, Debug, Clone, Copy)]
struct Slot(u8);

#[derive(Arbitrary, Debug)]
enum Call {
    Options(Slot),
    Set(Slot, String, String),
    Method(Slot, u8),
    Mask(Slot, u8),
    Roi(Slot, i32, i32, i32, i32),
    FreeOptions(Slot),
    Trainer(Slot, Slot),
    Resume(Slot, Slot, Slot),
    Add(Slot, u8),
    Defect(Slot, u8),
    Expect(Slot, usize),
    Finish(Slot, Slot),
    FreeTrainer(Slot),
    GoOn(Slot, Slot, Slot),
    Merge(Slot, Slot),
    Fit(Slot, Slot, u8),
    Reload(Slot, Slot, Slot),
    WarmUp(Slot, i32, i32),
    Read(Slot),
    Score(Slot, Slot, u8),
    Batch(Slot, u8, bool),
    Regions(Slot, usize),
    FreeModel(Slot),
    FreeResult(Slot),
}

/// Handles of one kind, freed when they are replaced.
struct Handles {
    slots: [Handle; SLOTS + 1],
    free: unsafe extern "C" fn(Handle),
}

impl Handles {
    fn new(free: unsafe extern "C" fn(Handle)) -> Self {
        Self { slots: [null_mut(); SLOTS + 1], free }
    }

    /// The last one is always null.
    fn get(&self, slot: Slot) -> Handle {
        self.slots[slot.0 as usize % (SLOTS + 1)]
    }

    fn put(&mut self, slot: Slot, handle: Handle) {
        let at = slot.0 as usize % SLOTS;
        unsafe { (self.free)(std::mem::replace(&mut self.slots[at], handle)) };
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.slots.iter().for_each(|handle| unsafe { (self.free)(*handle) });
    }
}

fuzz_target!(|calls: Vec<Call>| {
    keep_threads();
    let pictures = good_images();
    let image = |number: u8| {
        // A few are of other sizes, or not there.
        let pixels = &pictures[number as usize % pictures.len()];
        let (width, height) = [(SIDE, SIDE), (SIDE, SIDE / 2), (7, 9), (0, SIDE)][number as usize / 64];
        let mut image: npad_image = unsafe { std::mem::zeroed() };
        (image.size, image.data[0]) = (size_of::<npad_image>(), pixels.as_ptr());
        (image.width, image.height) = (width as i32, height as i32);
        image
    };
    let (mut options, mut trainers) = (Handles::new(npad_options_free), Handles::new(npad_trainer_free));
    let (mut models, mut results) = (Handles::new(npad_model_free), Handles::new(npad_result_free));
    let mut fits = 0;
    for call in calls.into_iter().take(60) {
        let mut error = null_mut();
        let mut out = null_mut();
        let status = unsafe {
            match call {
                Call::Options(slot) => {
                    let new = npad_options_new();
                    for (key, value) in [(c"threads", c"1"), (c"size", c"32x32"), (c"date", c"none")] {
                        let status = npad_options_set(new, key.as_ptr(), value.as_ptr(), &mut error);
                        assert_eq!(status, 0);
                    }
                    assert_eq!(npad_options_set_extractor(new, &extractor(), &mut error), 0);
                    options.put(slot, new);
                    0
                }
                Call::Set(slot, key, value) => {
                    // What takes long, needs files or prints is left alone.
                    let slow =
                        ["size", "scales", "threads", "epochs", "backbone", "device", "checkpoint", "method", "images"];
                    let (Ok(name), Ok(text)) = (CString::new(key.clone()), CString::new(value)) else { continue };
                    if slow.iter().any(|slow| key.contains(slow)) {
                        continue;
                    }
                    npad_options_set(options.get(slot), name.as_ptr(), text.as_ptr(), &mut error)
                }
                Call::Method(slot, number) => {
                    let methods = [c"npad", c"padim", c"patchcore", c"spade", c"none"];
                    let method = methods[number as usize % methods.len()];
                    npad_options_set(options.get(slot), c"method".as_ptr(), method.as_ptr(), &mut error)
                }
                Call::Mask(slot, value) => {
                    let data = vec![value; SIDE * SIDE];
                    let mut mask: npad_mask = std::mem::zeroed();
                    (mask.size, mask.data) = (size_of::<npad_mask>(), data.as_ptr());
                    (mask.width, mask.height) = (SIDE as i32, SIDE as i32);
                    npad_options_set_mask(options.get(slot), &mask, &mut error)
                }
                Call::Roi(slot, x, y, width, height) => {
                    npad_options_set_roi(options.get(slot), x, y, width, height, &mut error)
                }
                Call::FreeOptions(slot) => {
                    options.put(slot, null_mut());
                    0
                }
                Call::Trainer(slot, from) => {
                    let status = npad_trainer_new(options.get(from), &mut out, &mut error);
                    trainers.put(slot, out);
                    status
                }
                Call::Resume(slot, model, from) => {
                    let status = npad_trainer_resume(models.get(model), options.get(from), &mut out, &mut error);
                    trainers.put(slot, out);
                    status
                }
                Call::Add(slot, number) => npad_trainer_add_image(trainers.get(slot), &image(number), &mut error),
                Call::Defect(slot, number) => npad_trainer_add_defect(trainers.get(slot), &image(number), &mut error),
                Call::Expect(slot, count) => npad_trainer_expect(trainers.get(slot), count, &mut error),
                Call::Finish(slot, model) if fits < 3 => {
                    fits += 1;
                    let status = npad_trainer_finish(trainers.get(slot), &mut out, &mut error);
                    models.put(model, out);
                    status
                }
                Call::GoOn(slot, trainer, from) => {
                    let mut buffer = null_mut();
                    let mut status = npad_trainer_save_memory(trainers.get(trainer), &mut buffer, &mut error);
                    if status == 0 {
                        let (data, size) = (npad_buffer_data(buffer), npad_buffer_size(buffer));
                        status = npad_trainer_load_memory(data, size, options.get(from), &mut out, &mut error);
                        trainers.put(slot, out);
                    }
                    npad_buffer_free(buffer);
                    status
                }
                Call::Merge(slot, other) => {
                    let mut buffer = null_mut();
                    let mut status = npad_trainer_save_memory(trainers.get(other), &mut buffer, &mut error);
                    if status == 0 {
                        let (data, size) = (npad_buffer_data(buffer), npad_buffer_size(buffer));
                        status = npad_trainer_merge_memory(trainers.get(slot), data, size, &mut error);
                    }
                    npad_buffer_free(buffer);
                    status
                }
                Call::FreeTrainer(slot) => {
                    trainers.put(slot, null_mut());
                    0
                }
                Call::Fit(slot, from, count) if fits < 3 => {
                    fits += 1;
                    let images: Vec<npad_image> = (0..count % 12).map(image).collect();
                    let status = npad_fit(images.as_ptr(), images.len(), options.get(from), &mut out, &mut error);
                    models.put(slot, out);
                    status
                }
                Call::Finish(..) | Call::Fit(..) => 0,
                Call::Reload(slot, model, from) => {
                    let mut buffer = null_mut();
                    let mut status = npad_model_save_memory(models.get(model), &mut buffer, &mut error);
                    if status == 0 {
                        let (data, size, from) =
                            (npad_buffer_data(buffer), npad_buffer_size(buffer), options.get(from));
                        status = npad_model_load_memory(data, size, from, &mut out, &mut error);
                        // Without options the extractor of the model is missing.
                        assert!(status == 0 || from.is_null(), "what was saved loads");
                        models.put(slot, out);
                    }
                    npad_buffer_free(buffer);
                    status
                }
                Call::WarmUp(slot, width, height) => {
                    npad_model_warm_up(models.get(slot), width % 4096, height % 4096, &mut error)
                }
                Call::Read(slot) => {
                    let texts = [npad_model_info(models.get(slot)), npad_model_card(models.get(slot))];
                    texts.iter().for_each(|text| assert!(!text.is_null()));
                    0
                }
                Call::Score(slot, model, number) => {
                    let status = npad_score(models.get(model), &image(number), &mut out, &mut error);
                    results.put(slot, out);
                    status
                }
                Call::Batch(model, count, cancelled) => {
                    let images: Vec<npad_image> = (0..count % 5).map(image).collect();
                    let mut found = vec![null_mut(); images.len()];
                    let cancellation = npad_cancellation_new();
                    if cancelled {
                        npad_cancellation_cancel(cancellation);
                    }
                    let (model, into) = (models.get(model), found.as_mut_ptr());
                    let status = npad_score_batch(model, images.as_ptr(), images.len(), cancellation, into, &mut error);
                    found.into_iter().for_each(|result| {
                        assert_eq!(status == 0, !result.is_null());
                        npad_result_free(result);
                    });
                    npad_cancellation_free(cancellation);
                    status
                }
                Call::Regions(slot, index) => {
                    let result = results.get(slot);
                    let index = index % (npad_result_region_count(result) + 2);
                    let mut count = 0;
                    for read in [npad_result_region_runs, npad_result_region_contour] {
                        let numbers = read(result, index, &mut count);
                        assert!(count == 0 || !numbers.is_null());
                    }
                    let mut mask = vec![0; SIDE * SIDE];
                    check(npad_result_map_u8(result, mask.as_mut_ptr(), 0, &mut error), error);
                    error = null_mut();
                    npad_result_region_mask(result, index, mask.as_mut_ptr(), 0, &mut error)
                }
                Call::FreeModel(slot) => {
                    models.put(slot, null_mut());
                    0
                }
                Call::FreeResult(slot) => {
                    results.put(slot, null_mut());
                    0
                }
            }
        };
        check(status, error);
    }
});

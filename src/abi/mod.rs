//! Structs, callback types and constants of the C interface, with the documentation that `include/npad.h` shows. The
//! only logic is in [`sized`]: structs that later versions may extend.
//!
//! safer-ffi's derive checks at compile time that every type may cross the boundary; cbindgen reads the same definitions.
#![allow(unsafe_code, non_camel_case_types)]

pub mod callbacks;
pub mod extractor;
pub mod image;
pub mod output;
pub mod plugin;
pub mod sized;
pub mod version;

use std::ffi::c_void;

/// The `user_data` of a callback. The callback's documentation says which threads use it.
#[derive(Clone, Copy)]
pub struct UserData(*mut c_void);

// SAFETY: the host guarantees it, by the documentation of the callback.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    /// Wraps the host's pointer.
    pub fn new(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    /// The host's pointer.
    pub fn get(self) -> *mut c_void {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::callbacks::npad_callback_error;
    use super::extractor::npad_extractor;
    use super::image::{npad_image, npad_mask};
    use super::output::{npad_drift, npad_known_defects, npad_output, npad_region};
    use super::plugin::{npad_features, npad_plugin, npad_plugin_parameter};

    macro_rules! layout {
        ($text:ident, $name:ident: $($field:ident),+) => {
            writeln!($text, "{} {}", stringify!($name), size_of::<$name>()).unwrap();
            $(writeln!($text, "{}.{} {}", stringify!($name), stringify!($field), std::mem::offset_of!($name, $field))
                .unwrap();)+
        };
    }

    /// The C side of the same file is checked in tests/header.rs.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn structs_lie_in_memory_as_they_always_did() {
        let mut text = String::new();
        layout!(text, npad_mask: size, data, width, height, stride);
        layout!(text, npad_image: size, data, width, height, stride, format, significant_bits, mask, roi_x, roi_y, roi_width, roi_height);
        layout!(text, npad_region: x, y, width, height, area, centroid_x, centroid_y, peak, calibrated_peak);
        layout!(text, npad_output: size, map, map_stride, map_u8, map_u8_stride, regions, region_size, region_capacity, score, calibrated_score, verdict, reserved, region_count);
        layout!(text, npad_known_defects: size, count, missed, rate_missed, cost_missed, false_alarm_rate, rate_false_alarm_rate, catch_all_false_alarm_rate, cost_false_alarm_rate, threshold, rate_threshold, catch_all_threshold, cost_threshold);
        layout!(text, npad_drift: size, good_count, recent_count, above_count, effect, least_effect, p_value, above_share, above_low, above_high, false_alarm_rate, good_median, recent_median, drifted, reserved);
        layout!(text, npad_callback_error: message);
        layout!(text, npad_extractor: size, name, tap_count, strides, channels, mean, std, extract, free, user_data);
        layout!(text, npad_features: rows, cols, channels, reserved, data);
        layout!(text, npad_plugin_parameter: name, default_value, help);
        layout!(text, npad_plugin: size, abi_version, reserved, name, parameters, parameter_count, parameter_size, fitter_new, fitter_observe, fitter_finish, fitter_free, scorer_score, scorer_save, scorer_load, scorer_free);
        assert_eq!(text, include_str!("../../tests/abi/layout.txt"));
    }
}

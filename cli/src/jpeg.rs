//! Whether a JPEG file is whole. Its decoder fills what is missing with grey, without an error.

/// Whether the file is a JPEG file that ends before its image does: after the header segments, whose lengths are followed
/// and which may contain thumbnails, a scan and then the end-of-image marker must come. Bytes after it are allowed.
pub fn is_truncated(file: &[u8]) -> bool {
    const START_OF_IMAGE: [u8; 2] = [0xFF, 0xD8];
    let mut scanned = false;
    let mut at = START_OF_IMAGE.len();
    while let Some(marker) = next_marker(file, at) {
        match file[marker + 1] {
            0xD9 if scanned => return false,
            0xDA => scanned = true,
            _ => {}
        }
        let length =
            file.get(marker + 2..marker + 4).map_or(0, |bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
        at = marker + 2 + length;
    }
    file.starts_with(&START_OF_IMAGE)
}

/// Position of the next marker that is not a restart marker, which stands inside a scan. In a scan's data 0 follows 0xFF;
/// before a marker 0xFF may be repeated.
fn next_marker(file: &[u8], from: usize) -> Option<usize> {
    let pairs = file.get(from..)?.windows(2);
    let mut markers =
        pairs.enumerate().filter(|(_, pair)| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF | 0xD0..=0xD7));
    Some(from + markers.next()?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &[u8] = &[0xFF, 0xD8];
    const END: &[u8] = &[0xFF, 0xD9];
    /// A scan's header and data, which contain a stuffed 0xFF and a restart marker.
    const SCAN: &[u8] = &[0xFF, 0xDA, 0, 3, 9, 1, 2, 0xFF, 0, 3, 0xFF, 0xD0, 4];

    #[test]
    fn a_file_is_whole_exactly_if_its_last_scan_has_an_end() {
        // A header segment with a whole thumbnail.
        let thumbnail = [START, SCAN, END].concat();
        let header = [&[0xFF, 0xE1, 0, thumbnail.len() as u8 + 2], &thumbnail[..]].concat();
        // Two scans with a table between them, as in a progressive file, and a repeated 0xFF before a marker.
        let table = [0xFF, 0xFF, 0xC4, 0, 4, 0xFF, 0xD9];
        let file = [START, &header, SCAN, &table, SCAN, END].concat();
        assert!(!is_truncated(&file));
        for length in START.len()..file.len() {
            assert!(is_truncated(&file[..length]), "{length} of {} bytes", file.len());
        }
        let followed = [&file[..], &[0; 9], START, SCAN].concat();
        assert!(!is_truncated(&followed), "bytes after the end are allowed");
        assert!(!is_truncated(b"") && !is_truncated(b"not a JPEG file"));
    }
}

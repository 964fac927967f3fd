//! Settings that one side of a connection has announced.

/// The first number after those that h2 knows. h2 ignores others, and they are not kept.
const NUMBERS: usize = 16;
/// The length of one setting: its number and its value.
const SETTING: usize = 6;
/// Their length at most.
pub(super) const MOST: usize = (NUMBERS - 1) * SETTING;

/// The setting for the size of a compressor's table.
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
/// Its default.
pub(super) const USUAL_TABLE_SIZE: u32 = 4096;

/// The settings that are in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Settings([Option<u32>; NUMBERS]);

impl Settings {
    /// Takes the payload of a frame: settings that it does not name stay.
    pub(super) fn merge(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(SETTING) {
            let number = u16::from_be_bytes([setting[0], setting[1]]);
            let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
            self.set(number, value);
        }
    }

    pub(super) fn set(&mut self, number: u16, value: u32) {
        if let Some(place) = self.0.get_mut(usize::from(number)) {
            *place = Some(value);
        }
    }

    /// All except this one.
    pub(super) fn without(mut self, number: u16) -> Self {
        if let Some(place) = self.0.get_mut(usize::from(number)) {
            *place = None;
        }
        self
    }

    pub(super) fn get(&self, number: u16) -> Option<u32> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    /// The payload of a frame with all of them, in a fixed order.
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(MOST);
        for (number, value) in (0_u16..).zip(self.0) {
            if let Some(value) = value {
                payload.extend_from_slice(&number.to_be_bytes());
                payload.extend_from_slice(&value.to_be_bytes());
            }
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_unknown_numbers_do_not() {
        let mut settings = Settings::default();
        settings.merge(b"\0\x01\0\0\x10\0\0\x04\0\0\0\x09\x7f\xff\0\0\0\x01");
        settings.merge(b"\0\x01\0\0\0\0");
        assert_eq!(settings.get(HEADER_TABLE_SIZE), Some(0));
        assert_eq!(settings.payload(), b"\0\x01\0\0\0\0\0\x04\0\0\0\x09");
        let mut again = Settings::default();
        again.merge(&settings.payload());
        assert_eq!(again, settings);
    }
}

//! Downcast of a value whose type is a parameter.

use std::any::Any;

/// `value` as a `Known`, if it is one. Costs nothing: the compiler knows the answer for each type.
pub(super) fn downcast<Known: 'static, T: 'static>(value: T) -> Result<Known, T> {
    let mut value = Some(value);
    let slot: &mut dyn Any = &mut value;
    if let Some(known) = slot.downcast_mut::<Option<Known>>().and_then(Option::take) {
        return Ok(known);
    }
    value.map_or_else(|| unreachable!("it is taken only if it is returned"), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_it_is_or_comes_back() {
        assert_eq!(downcast::<u8, _>(7_u8), Ok(7));
        assert_eq!(downcast::<u8, _>("seven"), Err("seven"));
    }
}

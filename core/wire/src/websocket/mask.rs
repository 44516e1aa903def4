//! Masking: XOR with a key of four bytes, eight bytes at a time.

/// Applies (or takes off) the mask `key`. `offset` is the position of `data` within its frame's payload, so that
/// a payload may be unmasked piece by piece.
pub fn apply_mask(data: &mut [u8], key: [u8; 4], offset: usize) {
    let turned: [u8; 4] = std::array::from_fn(|i| key[(offset + i) % 4]);
    let word = u64::from(u32::from_ne_bytes(turned));
    let word = word | word << 32;
    let (words, rest) = data.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (i, byte) in rest.iter_mut().enumerate() {
        *byte ^= turned[i % 4];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_bytewise_definition(data: Vec<u8>, key: [u8; 4], offset in 0usize..9) {
            let mut fast = data.clone();
            apply_mask(&mut fast, key, offset);
            let slow: Vec<u8> = data.iter().enumerate().map(|(i, b)| b ^ key[(offset + i) % 4]).collect();
            prop_assert_eq!(fast, slow);
        }
    }
}

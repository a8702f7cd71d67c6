//! Names for messages whose sender gave none: unique, and later ones sort after earlier ones.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
};

/// Crockford's alphabet, whose order is the bytes'.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

thread_local! {
    /// The instance's own random number, in 64 bits, and how many ids it has made.
    static MAKER: u64 = RandomState::new().hash_one("id");
    static MADE: Cell<u32> = const { Cell::new(0) };
}

/// 26 characters: the time in milliseconds (10), a counter (6), which instance made it (10).
pub fn message_id(at: u64) -> String {
    let count = MADE.get();
    MADE.set(count.wrapping_add(1));
    let mut id = String::with_capacity(26);
    append(&mut id, at, 10);
    append(&mut id, count.into(), 6);
    append(&mut id, MAKER.with(|maker| *maker), 10);
    id
}

/// The low `digits` × 5 bits.
fn append(id: &mut String, number: u64, digits: u32) {
    for digit in (0..digits).rev() {
        let place = (number >> (digit * 5)) & 31;
        id.push(ALPHABET[place as usize].into());
    }
}

#[cfg(test)]
mod tests {
    use super::message_id;

    #[test]
    fn ids_differ_and_sort_by_time() {
        let ids = [
            message_id(1),
            message_id(1),
            message_id(2),
            message_id(1 << 40),
        ];
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 26));
    }
}

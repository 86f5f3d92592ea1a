//! Tokens and their ids, in few allocations: a vocabulary is read once and looked up millions of
//! times.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Tokens by number, concatenated in one string.
#[derive(Clone, Default)]
pub(super) struct TokenList {
    text: String,
    ends: Vec<usize>,
}

impl TokenList {
    pub(super) fn push(&mut self, token: &str) {
        self.text.push_str(token);
        self.ends.push(self.text.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.text[start..end])
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<T: AsRef<str>> FromIterator<T> for TokenList {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        let mut list = Self::default();
        for token in tokens {
            list.push(token.as_ref());
        }
        list
    }
}

impl fmt::Debug for TokenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.len())
    }
}

/// Tokens whose ids are their indices in a list, and the reverse map from token to id.
///
/// The table is open-addressed: the search for a token runs from the slot given by its hash to the
/// first free one. At most half of the slots are taken.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    tokens: TokenList,
    slots: Vec<Slot>,
    /// Randomly keyed, so that no file can be crafted to fill neighbouring slots.
    hasher: RandomState,
}

/// An id with the upper half of its token's hash, which rules out most other tokens without
/// comparing the text.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    tag: u32,
    id: u32,
}

const FREE: Slot = Slot {
    tag: 0,
    id: u32::MAX,
};

impl Vocabulary {
    /// The vocabulary of these tokens, fewer than 2^32; `None` if one of them occurs twice.
    pub(super) fn new(tokens: TokenList) -> Option<Self> {
        let mut slots = vec![FREE; (2 * tokens.len()).next_power_of_two()];
        let hasher = RandomState::new();
        for (token, id) in tokens.iter().zip(0..) {
            match find(&tokens, &slots, &hasher, token) {
                Ok(_) => return None,
                Err((index, tag)) => slots[index] = Slot { tag, id },
            }
        }
        Some(Self {
            tokens,
            slots,
            hasher,
        })
    }

    /// The tokens in the order of their ids.
    pub(super) fn tokens(&self) -> &TokenList {
        &self.tokens
    }

    /// The id of a token.
    pub(super) fn id(&self, token: &str) -> Option<u32> {
        find(&self.tokens, &self.slots, &self.hasher, token).ok()
    }
}

/// The id of a token, or its slot for insertion and its tag.
fn find(
    tokens: &TokenList,
    slots: &[Slot],
    hasher: &RandomState,
    token: &str,
) -> Result<u32, (usize, u32)> {
    let hash = hasher.hash_one(token.as_bytes());
    let tag = (hash >> 32) as u32;
    // Valid because the number of slots is a power of two.
    let mask = slots.len() - 1;
    let mut index = hash as usize & mask;
    loop {
        let slot = slots[index];
        if slot == FREE {
            return Err((index, tag));
        }
        if slot.tag == tag && tokens.get(slot.id as usize) == Some(token) {
            return Ok(slot.id);
        }
        index = (index + 1) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indices_and_back() {
        for count in [1, 2, 3, 1000] {
            let names: Vec<String> = (0..count).map(|i| format!("w{}", i * i)).collect();
            let vocabulary = Vocabulary::new(names.iter().collect()).unwrap();
            assert_eq!(vocabulary.tokens().len(), count as usize);
            for (name, id) in names.iter().zip(0..) {
                assert_eq!(vocabulary.id(name), Some(id));
                assert_eq!(vocabulary.tokens().get(id as usize), Some(name.as_str()));
            }
            assert_eq!(vocabulary.id("w"), None);
            assert_eq!(vocabulary.id(""), None);
            assert_eq!(vocabulary.tokens().get(count as usize), None);
        }
        let with_empty = Vocabulary::new(["", "a"].iter().collect()).unwrap();
        assert_eq!(with_empty.id(""), Some(0));
    }

    #[test]
    fn duplicate_tokens_are_refused() {
        assert!(Vocabulary::new(["a", "b", "a"].iter().collect()).is_none());
        assert!(Vocabulary::new(["a", "b", "ab"].iter().collect()).is_some());
    }
}

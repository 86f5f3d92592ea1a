//! What keeps the dropouts of different modules apart.

use birnn_kernels::random::{GOLDEN, mix};
use candle_nn::VarBuilder;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A module whose dropouts are numbered: modules that are used in the same step draw different masks.
///
/// A module is known by the prefix of its parameters (`encoder`), so its masks are the same after saving and resuming.
/// Modules with the same prefix that exist at the same time are numbered in the order in which their thread built them;
/// the number of a module that has been dropped is free again. The first module without a prefix has the plain numbers.
#[derive(Debug, Clone)]
pub struct Scope {
    prefix: u64,
    place: Arc<Place>,
}

/// The numbers in use for a prefix.
type Taken = Arc<Mutex<BTreeSet<u64>>>;

/// The number of a module among those of its prefix, given back when the last clone of the module is dropped.
#[derive(Debug)]
struct Place {
    number: u64,
    taken: Taken,
}

thread_local! {
    /// By prefix. Threads do not count together, as the order in which they build would change the masks.
    static TAKEN: RefCell<HashMap<u64, Taken>> = RefCell::default();
}

fn lock(taken: &Taken) -> MutexGuard<'_, BTreeSet<u64>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).remove(&self.number);
    }
}

impl Scope {
    /// The scope of a module that is built from this builder.
    pub fn of(builder: &VarBuilder) -> Self {
        let prefix = hash(&builder.prefix());
        let taken = TAKEN.with_borrow_mut(|taken| taken.entry(prefix).or_default().clone());
        let mut numbers = lock(&taken);
        let number = (0..).find(|number| !numbers.contains(number));
        let number = number.unwrap_or(u64::MAX);
        numbers.insert(number);
        drop(numbers);
        let place = Arc::new(Place { number, taken });
        Self { prefix, place }
    }

    /// The number of a dropout of this module, for its `draw`-th mask in a step.
    pub(super) fn number(&self, dropout: u64, draw: u64) -> u64 {
        joined(
            joined(self.by_prefix(dropout), self.place.number),
            draw << 32,
        )
    }

    /// The same for the first mask in a step of the first module of this prefix.
    pub(super) fn by_prefix(&self, dropout: u64) -> u64 {
        joined(dropout, self.prefix)
    }
}

/// Another number for each `part` but 0, which changes nothing.
pub(super) fn joined(number: u64, part: u64) -> u64 {
    match part {
        0 => number,
        part => mix(number ^ mix(part.wrapping_add(GOLDEN))),
    }
}

/// FNV-1a without its offset: that of nothing is 0.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0, |hash, byte| {
        (hash ^ (u64::from(byte) + 1)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn builder() -> VarBuilder<'static> {
        VarBuilder::zeros(DType::F32, &Device::Cpu)
    }

    #[test]
    fn modules_of_one_prefix_are_counted_while_they_exist() {
        let [first, second] = [Scope::of(&builder()), Scope::of(&builder())];
        assert_eq!((first.place.number, second.place.number), (0, 1));
        let clone = first.clone();
        drop(first);
        assert_eq!(Scope::of(&builder()).place.number, 2);
        drop(clone);
        assert_eq!(Scope::of(&builder()).place.number, 0);
        assert_eq!(Scope::of(&builder().pp("encoder")).place.number, 0);
    }

    #[test]
    fn only_the_first_module_without_a_prefix_has_the_plain_numbers() {
        let scope = Scope::of(&builder());
        assert_eq!((scope.number(3, 0), scope.by_prefix(3)), (3, 3));
        let other = Scope::of(&builder().pp("encoder"));
        let numbers = [
            scope.number(3, 0),
            scope.number(3, 1),
            scope.number(4, 1),
            other.number(3, 0),
            other.number(3, 1),
            Scope::of(&builder()).number(3, 0),
            Scope::of(&builder().pp("decoder")).number(3, 0),
        ];
        assert_eq!(BTreeSet::from(numbers).len(), numbers.len());
    }
}

//! Layers that were built once, kept while there is room.
//!
//! A bank knows values by text keys and does not know what they are. Values are handed out as shared pointers: one
//! that goes from the bank lives on until the last pass that uses it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps values under a budget of bytes; the least recently used value goes first.
///
/// A value that the current pass has used never goes for another value of the same pass. So a part of a model larger
/// than the budget stays, and the rest is built and dropped in each pass; plain least-recent-use would keep nothing.
#[derive(Debug)]
pub(crate) struct Bank<T> {
    /// The most bytes kept.
    budget: usize,
    contents: Mutex<BankContents<T>>,
}

/// What a bank keeps, under one lock.
#[derive(Debug)]
struct BankContents<T> {
    /// By key, as [`layer_ir::ValidRecipe::layer_key`] writes it.
    kept: HashMap<String, KeptValue<T>>,
    /// The sum over all values.
    bytes: usize,
    /// How many passes have begun.
    passes: u64,
    /// Counts uses.
    clock: u64,
}

/// A value with what decides when it goes.
#[derive(Debug)]
struct KeptValue<T> {
    value: Arc<T>,
    /// As `build` said.
    bytes: usize,
    /// The last pass that used it.
    pass: u64,
    /// When it was last used, by the clock.
    used: u64,
}

/// Names a pass through a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass(u64);

impl<T> Bank<T> {
    /// An empty bank for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        let contents = BankContents { kept: HashMap::new(), bytes: 0, passes: 0, clock: 0 };
        Self { budget, contents: Mutex::new(contents) }
    }

    /// Begins a new pass.
    pub fn pass(&self) -> Pass {
        let mut state = self.lock();
        state.passes += 1;
        Pass(state.passes)
    }

    /// The value of a key, from the bank or built by `build`, which also says its bytes. Two threads may build the
    /// same value at the same time.
    ///
    /// # Errors
    /// Those of `build`; then nothing is kept.
    pub fn get_or_build<E>(
        &self,
        pass: Pass,
        key: &str,
        build: impl FnOnce() -> Result<(T, usize), E>,
    ) -> Result<Arc<T>, E> {
        if let Some(value) = self.lock().touch(key, pass) {
            return Ok(value);
        }
        let (value, bytes) = build()?;
        let value = Arc::new(value);
        let mut state = self.lock();
        if state.touch(key, pass).is_none() && state.make_room(bytes, self.budget, pass) {
            state.insert(key, Arc::clone(&value), bytes, pass);
        }
        Ok(value)
    }

    /// The bytes kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The contents, also after a thread has panicked with them.
    fn lock(&self) -> MutexGuard<'_, BankContents<T>> {
        // Nothing panics while the contents are half changed.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> BankContents<T> {
    /// The value of a key, if it is kept; notes that `pass` has used it.
    fn touch(&mut self, key: &str, pass: Pass) -> Option<Arc<T>> {
        self.clock += 1;
        let kept = self.kept.get_mut(key)?;
        kept.used = self.clock;
        kept.pass = kept.pass.max(pass.0);
        Some(Arc::clone(&kept.value))
    }

    /// Keeps a value in the room that was made for it.
    fn insert(&mut self, key: &str, value: Arc<T>, bytes: usize, pass: Pass) {
        self.bytes += bytes;
        self.kept.insert(key.to_owned(), KeptValue { value, bytes, pass: pass.0, used: self.clock });
    }

    /// Lets values of earlier passes go until so many bytes fit. False: they do not fit.
    fn make_room(&mut self, bytes: usize, budget: usize, pass: Pass) -> bool {
        if bytes > budget {
            return false;
        }
        while self.bytes + bytes > budget {
            let earlier = self.kept.iter().filter(|(_, kept)| kept.pass < pass.0);
            let Some(oldest) = earlier.min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone()) else {
                return false;
            };
            if let Some(gone) = self.kept.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each pass over `keys` has to build, every value taking one byte.
    fn built(bank: &Bank<char>, keys: &str) -> String {
        let pass = bank.pass();
        let mut built = String::new();
        for key in keys.chars() {
            let value = bank.get_or_build(pass, &key.to_string(), || {
                built.push(key);
                Ok::<_, std::convert::Infallible>((key, 1))
            });
            assert_eq!(value.as_deref(), Ok(&key));
        }
        assert!(bank.bytes() <= 3, "{} bytes", bank.bytes());
        built
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let bank = Bank::new(3);
        assert_eq!(built(&bank, "abc"), "abc");
        assert_eq!(built(&bank, "a"), "");
        assert_eq!(built(&bank, "d"), "d");
        assert_eq!(built(&bank, "acd"), "", "b was the oldest");
    }

    #[test]
    fn of_a_model_larger_than_the_bank_a_part_stays() {
        let bank = Bank::new(3);
        assert_eq!(built(&bank, "abcde"), "abcde");
        assert_eq!(built(&bank, "abcde"), "de");
    }

    #[test]
    fn a_value_larger_than_the_bank_is_built_and_dropped() {
        let bank = Bank::new(0);
        assert_eq!(built(&bank, "aa"), "aa");
    }
}

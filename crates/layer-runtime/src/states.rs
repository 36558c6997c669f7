//! Residual streams that were computed once: what a recipe's first layers make of a batch, kept for recipes that
//! begin alike.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names the stream of a batch after an embedding and some layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StateKey([u8; 32]);

impl StateKey {
    /// The stream of a batch after a prefix of layers, both given by hashes.
    pub fn new(batch: &[u8; 32], prefix: &[u8; 32]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(batch).update(prefix);
        Self(*hash.finalize().as_bytes())
    }
}

/// Keeps states under a budget of bytes; an engine says what a state is (`S`), and cloning one is cheap.
///
/// The state that goes first is the one that would save least: GreedyDual-Size-Frequency (Cherkasova 1998) with the
/// layers saved as the cost. All states of a batch have one size and a layer costs its tokens, so cost by size is the
/// depth. A state's priority is the clock when it was last used plus depth times uses; the clock is the priority of
/// the state that went last.
#[derive(Debug)]
pub(crate) struct StateBank<S> {
    /// The most bytes kept.
    budget: usize,
    kept: Mutex<KeptStates<S>>,
}

/// What a bank keeps, under one lock.
#[derive(Debug)]
struct KeptStates<S> {
    states: HashMap<StateKey, State<S>>,
    /// By priority.
    queue: BTreeSet<(u64, StateKey)>,
    /// The sum over all states.
    bytes: usize,
    /// The priority of the state that went last.
    clock: u64,
}

/// A state with what decides when it goes.
#[derive(Debug)]
struct State<S> {
    value: S,
    /// What it takes of the budget.
    bytes: usize,
    /// Layers before it.
    depth: u64,
    /// How often it was handed out, and 1.
    uses: u64,
    /// Its place in the queue; the lowest goes first.
    priority: u64,
}

impl<S: Clone> StateBank<S> {
    /// An empty bank for at most `budget` bytes.
    pub fn new(budget: usize) -> Self {
        let kept = KeptStates { states: HashMap::new(), queue: BTreeSet::new(), bytes: 0, clock: 0 };
        Self { budget, kept: Mutex::new(kept) }
    }

    /// The bytes kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// A state that is kept, if it is. It is a cheap clone: whoever copies its numbers does so without holding the
    /// bank's lock, and the bank has it still if that fails.
    pub fn get(&self, key: StateKey) -> Option<S> {
        let kept = &mut *self.lock();
        let state = kept.states.get_mut(&key)?;
        kept.queue.remove(&(state.priority, key));
        state.uses += 1;
        state.priority = kept.clock + state.depth * state.uses;
        kept.queue.insert((state.priority, key));
        Some(state.value.clone())
    }

    /// Makes room for a state of so many bytes and hands out the states that go for it. `None`: it is not to be kept,
    /// as it is there already or larger than the budget.
    pub fn make_room(&self, key: StateKey, bytes: usize) -> Option<Vec<S>> {
        let kept = &mut *self.lock();
        if bytes > self.budget || kept.states.contains_key(&key) {
            return None;
        }
        let mut gone = Vec::new();
        while kept.bytes + bytes > self.budget {
            let (priority, oldest) = kept.queue.pop_first()?;
            kept.clock = priority;
            if let Some(state) = kept.states.remove(&oldest) {
                kept.bytes -= state.bytes;
                gone.push(state.value);
            }
        }
        Some(gone)
    }

    /// Keeps a state after `depth` layers in the room that was made for it.
    pub fn keep(&self, key: StateKey, depth: usize, value: S, bytes: usize) {
        let kept = &mut *self.lock();
        // Another thread may have been faster.
        if kept.bytes + bytes > self.budget || kept.states.contains_key(&key) {
            return;
        }
        let depth = depth as u64;
        let priority = kept.clock + depth;
        kept.bytes += bytes;
        kept.queue.insert((priority, key));
        kept.states.insert(key, State { value, bytes, depth, uses: 1, priority });
    }

    /// The states, also after a thread has panicked with them.
    fn lock(&self) -> MutexGuard<'_, KeptStates<S>> {
        // Nothing panics while the states are half changed.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn key(name: u8) -> StateKey {
        StateKey::new(&[name; 32], &[0; 32])
    }

    fn keep(bank: &StateBank<()>, name: u8, depth: usize) {
        if bank.make_room(key(name), 4).is_some() {
            bank.keep(key(name), depth, (), 4);
        }
        assert!(bank.bytes() <= bank.budget);
    }

    fn used(bank: &StateBank<()>, name: u8) -> bool {
        bank.get(key(name)).is_some()
    }

    fn known(bank: &StateBank<()>, names: &[u8]) -> Vec<u8> {
        let kept = bank.lock();
        names.iter().copied().filter(|name| kept.states.contains_key(&key(*name))).collect()
    }

    #[test]
    fn what_is_used_again_outlives_what_is_not() {
        let bank = StateBank::new(12);
        keep(&bank, 0, 2);
        assert!(used(&bank, 0));
        for name in 1..8 {
            keep(&bank, name, 2);
            assert!(used(&bank, 0), "after {name}");
        }
        assert_eq!(known(&bank, &[0, 1, 2, 3, 4, 5]).first(), Some(&0));
    }

    #[test]
    fn of_unused_states_the_shallow_go_first_and_the_old_follow() {
        let bank = StateBank::new(8);
        keep(&bank, 0, 5);
        keep(&bank, 1, 1);
        keep(&bank, 2, 3);
        assert_eq!(known(&bank, &[0, 1, 2]), [0, 2]);
        for name in 3..9 {
            keep(&bank, name, 3);
        }
        assert_eq!(known(&bank, &[0, 2]), [0_u8; 0], "deep, but not used for long");
    }

    /// Whoever copies a state of megabytes holds no lock, and a copy that fails takes nothing from the bank.
    #[test]
    fn a_state_is_handed_out_uncopied_and_stays() {
        let bank = StateBank::new(8);
        let numbers = Arc::new(vec![1.0_f32; 2]);
        assert!(bank.make_room(key(0), 8).is_some());
        bank.keep(key(0), 1, Arc::clone(&numbers), 8);
        for _ in 0..2 {
            let found = bank.get(key(0));
            assert!(found.is_some_and(|found| Arc::ptr_eq(&found, &numbers)));
            assert!(bank.kept.try_lock().is_ok());
        }
    }

    #[test]
    fn nothing_is_kept_beyond_the_budget() {
        let bank = StateBank::new(3);
        keep(&bank, 0, 5);
        assert!(!used(&bank, 0));
    }
}

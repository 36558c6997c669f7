//! Residual streams that were computed once: what a recipe's first layers make of a batch, for recipes that begin alike.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Tensor;

/// Names a batch after an embedding and some layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StateKey([u8; 32]);

impl StateKey {
    /// A batch behind a prefix of layers.
    pub fn new(batch: &[u8; 32], prefix: &[u8; 32]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(batch).update(prefix);
        Self(*hash.finalize().as_bytes())
    }
}

/// Keeps states under a budget of bytes. The state that goes first is the one that would save least: GreedyDual-Size-Frequency
/// (Cherkasova 1998) with the layers saved as the cost. All states of a batch are of one size and a layer costs its tokens, so cost by
/// size is the depth: a state's priority is the clock when it was last used plus depth times uses, and the clock is the
/// priority of the state that went last.
#[derive(Debug)]
pub(crate) struct StateBank {
    budget: usize,
    state: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    states: HashMap<StateKey, State>,
    queue: BTreeSet<(u64, StateKey)>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct State {
    tensor: Tensor<2>,
    bytes: usize,
    depth: u64,
    uses: u64,
    priority: u64,
}

impl StateBank {
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self { budget, state: Mutex::default() })
    }

    pub fn budget(&self) -> usize {
        self.budget
    }

    /// The bytes kept.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// A kept state, doubled: the bank keeps one, the other is the answer.
    pub fn get<E>(
        &self,
        key: StateKey,
        double: impl FnOnce(Tensor<2>) -> Result<[Tensor<2>; 2], E>,
    ) -> Result<Option<Tensor<2>>, E> {
        let kept = &mut *self.lock();
        let Some(mut state) = kept.states.remove(&key) else { return Ok(None) };
        kept.queue.remove(&(state.priority, key));
        kept.bytes -= state.bytes;
        let [tensor, answer] = double(state.tensor)?;
        state.uses += 1;
        state.priority = kept.clock + state.depth * state.uses;
        kept.bytes += state.bytes;
        kept.queue.insert((state.priority, key));
        kept.states.insert(key, State { tensor, ..state });
        Ok(Some(answer))
    }

    /// Makes room for a state of so many bytes: the states that go for it, or none if it is not to be kept, as it is there already or
    /// larger than the budget.
    pub fn make_room(&self, key: StateKey, bytes: usize) -> Option<Vec<Tensor<2>>> {
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
                gone.push(state.tensor);
            }
        }
        Some(gone)
    }

    /// Keeps a state after `depth` layers in the room that was made for it.
    pub fn keep(&self, key: StateKey, depth: usize, tensor: Tensor<2>, bytes: usize) {
        let kept = &mut *self.lock();
        // Another thread may have been faster.
        if kept.bytes + bytes > self.budget || kept.states.contains_key(&key) {
            return;
        }
        let depth = depth as u64;
        let priority = kept.clock + depth;
        kept.bytes += bytes;
        kept.queue.insert((priority, key));
        kept.states.insert(key, State { tensor, bytes, depth, uses: 1, priority });
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while the state is half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn key(name: u8) -> StateKey {
        StateKey::new(&[name; 32], &[0; 32])
    }

    fn keep(bank: &StateBank, name: u8, depth: usize) {
        if bank.make_room(key(name), 4).is_some() {
            bank.keep(key(name), depth, Tensor::zeros([1, 1], &Device::flex()), 4);
        }
        assert!(bank.bytes() <= bank.budget());
    }

    fn used(bank: &StateBank, name: u8) -> bool {
        let double = |x: Tensor<2>| Ok::<_, std::convert::Infallible>([x.clone(), x]);
        bank.get(key(name), double).is_ok_and(|state| state.is_some())
    }

    fn known(bank: &StateBank, names: &[u8]) -> Vec<u8> {
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

    #[test]
    fn nothing_is_kept_beyond_the_budget() {
        let bank = StateBank::new(3);
        keep(&bank, 0, 5);
        assert!(!used(&bank, 0));
    }
}

//! Instructions that make tuples, lists and dictionaries and fill them.

use super::{Machine, Value};
use crate::checkpoint::pickle::PickleError;

impl Machine<'_> {
    /// BUILD: the attributes of a dictionary, which say nothing of tensors (`_metadata`: versions of modules).
    pub(super) fn build(&mut self) -> Result<(), PickleError> {
        self.pop()?;
        match self.value(self.top()?) {
            Value::Dict(_) => Ok(()),
            _ => Err(self.damaged("something else than a dictionary gets attributes")),
        }
    }

    /// EMPTY_TUPLE, TUPLE1 to TUPLE3, TUPLE.
    pub(super) fn tuple(&mut self, opcode: u8) -> Result<(), PickleError> {
        let items = if opcode == b't' {
            self.pop_mark()?
        } else {
            let count = if opcode == b')' { 0 } else { usize::from(opcode - 0x84) };
            let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
            items.reverse();
            items
        };
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// APPEND, and APPENDS for all values above the mark.
    pub(super) fn append(&mut self, all: bool) -> Result<(), PickleError> {
        let items = if all { self.pop_mark()? } else { vec![self.pop()?] };
        let list = self.top()?;
        match &mut self.values[list as usize] {
            Value::List(list) => list.extend(items),
            _ => return Err(self.damaged("something else than a list is appended to")),
        }
        Ok(())
    }

    /// SETITEM, and SETITEMS for all pairs above the mark.
    pub(super) fn set(&mut self, all: bool) -> Result<(), PickleError> {
        let items = if all {
            self.pop_mark()?
        } else {
            let (value, key) = (self.pop()?, self.pop()?);
            vec![key, value]
        };
        let dictionary = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[dictionary as usize] {
            Value::Dict(entries) if rest.is_empty() => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.damaged("a dictionary is filled in a way that makes no sense")),
        }
        Ok(())
    }
}

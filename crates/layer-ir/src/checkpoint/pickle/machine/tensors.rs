//! Instructions that name functions and classes, call them, and make storages and tensors so.

use super::globals::Global;
use super::{Index, MAX_DIMENSIONS, MAX_TENSORS, Machine, Storage, Value};
use crate::checkpoint::pickle::PickleError;
use crate::checkpoint::pickle::tensor::View;

impl<'a> Machine<'a> {
    /// GLOBAL and STACK_GLOBAL: a function or a class by its name.
    pub(super) fn global(&mut self, opcode: u8) -> Result<(), PickleError> {
        let (module, name) = if opcode == b'c' {
            (self.reader.line()?, self.reader.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (self.value(module), self.value(name)) {
                (Value::Str(module), Value::Str(name)) => (*module, *name),
                _ => return Err(self.damaged("a name is no text")),
            }
        };
        let global = Global::named(module, name)?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// BINPERSID: the storage that a tuple describes, `('storage', kind, key, device, numbers)`, in the old form with
    /// `None` behind.
    pub(super) fn persistent(&mut self) -> Result<(), PickleError> {
        let id = self.pop()?;
        let strange = "a storage is described in a way that torch does not";
        let Value::Tuple(parts) = self.value(id) else { return Err(self.damaged(strange)) };
        let parts: Vec<&Value<'a>> = parts.iter().take(6).map(|part| self.value(*part)).collect();
        let storage = match parts[..] {
            [Value::Str("storage"), Value::Global(Global::Storage(kind)), Value::Str(key), _, Value::Int(numbers)]
            | [
                Value::Str("storage"),
                Value::Global(Global::Storage(kind)),
                Value::Str(key),
                _,
                Value::Int(numbers),
                Value::None,
            ] => usize::try_from(*numbers).ok().map(|numbers| Storage { kind: *kind, key, numbers }),
            _ => None,
        };
        let storage = storage.ok_or_else(|| self.damaged(strange))?;
        self.storages.push(storage);
        self.push(Value::Storage(self.storages.len() - 1));
        Ok(())
    }

    /// REDUCE: calls a function of the table.
    pub(super) fn reduce(&mut self) -> Result<(), PickleError> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(function)) = (self.value(arguments), self.value(function)) else {
            return Err(self.damaged("what is called is no function"));
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                let tensor = self.tensor(*storage, *offset, *shape, *strides);
                let tensor =
                    tensor.ok_or_else(|| self.damaged("a tensor is described in a way that torch does not"))?;
                if self.tensors.len() == MAX_TENSORS {
                    return Err(PickleError::TooMany { what: "tensors", limit: MAX_TENSORS });
                }
                self.tensors.push(tensor);
                self.push(Value::Tensor(self.tensors.len() - 1));
            }
            (Global::RebuildParameter, [tensor, ..]) if matches!(self.value(*tensor), Value::Tensor(_)) => {
                let tensor = *tensor;
                self.stack.push(tensor);
            }
            _ => return Err(self.damaged("a function is called with other arguments than torch gives it")),
        }
        Ok(())
    }

    /// A tensor of the arguments of `_rebuild_tensor_v2`; `None` if they are of another kind.
    fn tensor(&self, storage: Index, offset: Index, shape: Index, strides: Index) -> Option<View> {
        let (Value::Storage(storage), Value::Int(offset)) = (self.value(storage), self.value(offset)) else {
            return None;
        };
        let (shape, strides) = (self.dimensions(shape)?, self.dimensions(strides)?);
        let offset = usize::try_from(*offset).ok()?;
        (shape.len() == strides.len()).then_some(View { storage: *storage, offset, shape, strides })
    }

    /// A tuple of a few numbers from 0 on.
    fn dimensions(&self, tuple: Index) -> Option<Vec<usize>> {
        let Value::Tuple(sizes) = self.value(tuple) else { return None };
        let size = |index: &Index| match self.value(*index) {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        sizes.iter().map(size).collect::<Option<Vec<_>>>().filter(|sizes| sizes.len() <= MAX_DIMENSIONS)
    }
}

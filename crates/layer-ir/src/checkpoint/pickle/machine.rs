//! A pickle's program, run with what tensors need: numbers, texts, tuples, lists, dictionaries, and of all functions
//! and classes those of the table in `globals.rs`.
//!
//! Instructions: `pickletools` of Python, protocols 2 to 5; what torch never writes is refused. Values lie in one list
//! and name each other by their place in it, so that nothing is copied and nothing nests. Steps are counted: each makes
//! at most one value, so memory and time are bounded by [`MAX_STEPS`] whatever the file says.

mod containers;
mod globals;
mod loaded;
mod reader;
mod tensors;

use std::collections::HashMap;

use super::PickleError;
use super::tensor::View;
use globals::Global;
pub(super) use globals::StorageKind;
pub(super) use loaded::Loaded;
use reader::Reader;

/// How many instructions are run: about 60,000 tensors have so many.
const MAX_STEPS: usize = 1 << 21;
/// How many tensors are made.
const MAX_TENSORS: usize = 1 << 16;
/// How many dimensions a tensor may have.
const MAX_DIMENSIONS: usize = 8;

/// The place of a value in the list of all.
pub(super) type Index = u32;

/// What a pickle makes.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits, little-endian.
    Long(&'a [u8]),
    Str(&'a str),
    /// What a tensor does not need, such as a float; its name for messages.
    Other(&'static str),
    Tuple(Vec<Index>),
    List(Vec<Index>),
    Dict(Vec<(Index, Index)>),
    Global(Global),
    /// Its number among the storages.
    Storage(usize),
    /// Its number among the tensors.
    Tensor(usize),
}

impl Value<'_> {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::Long(_) => "a number",
            Self::Str(_) => "a text",
            Self::Other(kind) => kind,
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::Dict(_) => "a dictionary",
            Self::Global(_) => "a class or function",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// Numbers that tensors are views of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage<'a> {
    pub kind: StorageKind,
    /// Its name within the file.
    pub key: &'a str,
    /// How many numbers it has.
    pub numbers: usize,
}

impl Storage<'_> {
    /// How many bytes it has; `None` beyond what can be counted.
    pub fn bytes(&self) -> Option<usize> {
        self.numbers.checked_mul(self.kind.size)
    }
}

/// The state of a run.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    reader: Reader<'a>,
    values: Vec<Value<'a>>,
    storages: Vec<Storage<'a>>,
    tensors: Vec<View>,
    stack: Vec<Index>,
    /// How high the stack was at each open mark.
    marks: Vec<usize>,
    /// Values by the numbers that the pickle gives them.
    memo: HashMap<u64, Index>,
    steps: usize,
}

impl<'a> Machine<'a> {
    /// A machine at the beginning of some pickles.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            values: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            steps: 0,
        }
    }

    /// Runs the next pickle: what it makes.
    pub fn load(&mut self) -> Result<Index, PickleError> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(PickleError::TooMany { what: "instructions", limit: MAX_STEPS });
            }
            let opcode = self.reader.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    /// Runs the only pickle.
    pub fn load_one(mut self) -> Result<Loaded<'a>, PickleError> {
        let root = self.load()?;
        Ok(self.finish(root))
    }

    /// What was made, with one of the values as the whole.
    pub fn finish(self, root: Index) -> Loaded<'a> {
        Loaded { root, values: self.values, storages: self.storages, tensors: self.tensors }
    }

    /// A value.
    pub fn value(&self, index: Index) -> &Value<'a> {
        &self.values[index as usize]
    }

    /// What a dictionary has for a key.
    pub fn entry(&self, dictionary: Index, key: &str) -> Option<&Value<'a>> {
        let Value::Dict(entries) = self.value(dictionary) else { return None };
        let found = entries.iter().find(|(name, _)| matches!(self.value(*name), Value::Str(name) if *name == key));
        found.map(|(_, value)| self.value(*value))
    }

    /// The storages that were named.
    pub fn storages(&self) -> &[Storage<'a>] {
        &self.storages
    }

    /// The place of the next instruction.
    pub fn position(&self) -> usize {
        self.reader.position()
    }

    /// Runs one instruction.
    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            // PROTO, FRAME: nothing that matters here.
            0x80 => drop(self.reader.byte()?),
            0x95 => drop(self.reader.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET.
            b'q' => self.put_number(1)?,
            b'r' => self.put_number(4)?,
            0x94 => self.put(self.memo.len() as u64)?,
            b'h' => self.get(1)?,
            b'j' => self.get(4)?,
            b'c' | 0x93 => self.global(opcode)?,
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b')' | 0x85..=0x87 | b't' => self.tuple(opcode)?,
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'a' | b'e' => self.append(opcode == b'e')?,
            b's' | b'u' => self.set(opcode == b'u')?,
            _ => {
                let value = self.reader.constant(opcode)?;
                self.push(value);
            }
        }
        Ok(())
    }

    /// The error of a pickle that makes no sense at this place.
    fn damaged(&self, problem: &'static str) -> PickleError {
        PickleError::Damaged { at: self.reader.position(), problem }
    }

    fn push(&mut self, value: Value<'a>) {
        // Fewer than there are steps.
        self.stack.push(self.values.len() as Index);
        self.values.push(value);
    }

    /// The topmost value above the last mark.
    fn top(&self) -> Result<Index, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[Index]>::last);
        top.copied().ok_or_else(|| self.damaged("an instruction lacks a value"))
    }

    fn pop(&mut self) -> Result<Index, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// All values above the last mark, and the mark.
    fn pop_mark(&mut self) -> Result<Vec<Index>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged("an instruction lacks its mark"))?;
        Ok(self.stack.split_off(mark))
    }

    /// Remembers the top under a number of so many bytes.
    fn put_number(&mut self, bytes: usize) -> Result<(), PickleError> {
        let number = self.reader.number(bytes)?;
        self.put(number)
    }

    fn put(&mut self, number: u64) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(number, top);
        Ok(())
    }

    fn get(&mut self, bytes: usize) -> Result<(), PickleError> {
        let number = self.reader.number(bytes)?;
        let value = self.memo.get(&number).ok_or_else(|| self.damaged("a value is asked for that is not there"))?;
        self.stack.push(*value);
        Ok(())
    }
}

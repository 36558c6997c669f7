//! The bytes of a pickle: instructions, their arguments, and the constants that they make.

use super::Value;
use crate::checkpoint::pickle::PickleError;

/// A place in the bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn damaged(&self, problem: &'static str) -> PickleError {
        PickleError::Damaged { at: self.at, problem }
    }

    pub fn byte(&mut self) -> Result<u8, PickleError> {
        Ok(self.take(1)?[0])
    }

    /// The next bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.damaged("it ends here"))?;
        self.at += count;
        Ok(taken)
    }

    /// A number of up to eight bytes, little-endian, without sign.
    pub fn number(&mut self, bytes: usize) -> Result<u64, PickleError> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// As many bytes as a number of so many bytes says.
    fn counted(&mut self, bytes: usize) -> Result<&'a [u8], PickleError> {
        let count = self.number(bytes)?;
        self.take(usize::try_from(count).map_err(|_| self.damaged("a length is beyond all memory"))?)
    }

    /// The text up to the end of the line.
    pub fn line(&mut self) -> Result<&'a str, PickleError> {
        // Names are short; without a bound a damaged file would be searched to its end.
        const LONGEST: usize = 1 << 12;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(LONGEST).position(|byte| *byte == b'\n');
        let line = &rest[..end.ok_or_else(|| self.damaged("a name has no end"))?];
        let text = std::str::from_utf8(line).map_err(|_| self.damaged("a name is no text"))?;
        self.at += line.len() + 1;
        Ok(text)
    }

    /// The value that an instruction makes of its own argument.
    ///
    /// # Errors
    /// [`PickleError::Opcode`] for an instruction that is none of these.
    pub fn constant(&mut self, opcode: u8) -> Result<Value<'a>, PickleError> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            // BININT has a sign, BININT1 and BININT2 have none.
            b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            0x8a => long(self.counted(1)?),
            0x8b => long(self.counted(4)?),
            // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8.
            0x8c => self.text(1)?,
            b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'G' => {
                self.take(8)?;
                Value::Other("a float")
            }
            // SHORT_BINSTRING, SHORT_BINBYTES, BINBYTES.
            b'U' | b'C' => self.bytes(1)?,
            b'B' => self.bytes(4)?,
            _ => return Err(PickleError::Opcode { opcode, at: self.at - 1 }),
        })
    }

    fn text(&mut self, bytes: usize) -> Result<Value<'a>, PickleError> {
        let text = self.counted(bytes)?;
        Ok(Value::Str(std::str::from_utf8(text).map_err(|_| self.damaged("a text is not UTF-8"))?))
    }

    fn bytes(&mut self, bytes: usize) -> Result<Value<'a>, PickleError> {
        self.counted(bytes)?;
        Ok(Value::Other("a string of bytes"))
    }
}

/// A whole number of any length, little-endian, in two's complement.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > size_of::<i64>() {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut whole = if negative { [0xff; 8] } else { [0; 8] };
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(whole))
}

//! The tokens of a SentencePiece model, `tokenizer.model`: a protocol buffer of which only the pieces are read.

/// The pieces in the order of their ids; `None` if it is no such file.
///
/// `ModelProto` has them as its field 1, each a message whose field 1 is the text (`sentencepiece_model.proto`).
pub(super) fn pieces(bytes: &[u8]) -> Option<Vec<String>> {
    let pieces: Option<Vec<String>> = Fields(bytes)
        .filter(|field| !matches!(field, Some((number, _)) if *number != 1))
        .map(|field| {
            let text = Fields(field?.1).find(|field| !matches!(field, Some((number, _)) if *number != 1));
            Some(std::str::from_utf8(text??.1).ok()?.to_owned())
        })
        .collect();
    pieces.filter(|pieces| !pieces.is_empty())
}

/// The fields of a message: number, and content where it has a length. `None` where the bytes are none.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    /// The next field: a key of number and wire type, then its content. Only the wire types of proto2 without groups.
    fn field(&mut self) -> Option<(u64, &'a [u8])> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => self.varint().map(|_| [].as_slice()),
            1 => self.take(8),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length)
            }
            5 => self.take(4),
            _ => None,
        };
        Some((key >> 3, content?))
    }

    /// A number of seven bits a byte, the lowest first, of at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// So many bytes; `None` where there are fewer.
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces with score and type, and settings of the trainer behind them.
    const MODEL: &[u8] = b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x08\x0a\x01a\x15\0\0\x80\xbf\x12\x02\x18\x01";

    #[test]
    fn pieces_stand_in_the_order_of_their_ids() {
        assert_eq!(pieces(MODEL), Some(vec!["<unk>".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn what_is_no_model_is_none() {
        for bytes in [
            b"".as_slice(),
            b"{}",
            &MODEL[..20],
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0a\x02\x0a\x07",
        ] {
            assert_eq!(pieces(bytes), None, "{bytes:?}");
        }
    }
}

//! A SentencePiece model, `tokenizer.model`: its pieces, and how a text is prepared for them.
//!
//! The file is a protocol buffer, `sentencepiece_model.proto`; what is not said there has that file's default.
//! `wire.rs` reads the bytes, `convert.rs` makes a `tokenizer.json` of the model, `merges.rs` the merges of a BPE one.

mod convert;
mod merges;
mod wire;

pub use convert::{ConvertedTokenizer, convert_tokenizer};
use wire::{Content, Fields};

/// A model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentencePiece {
    /// By their ids.
    pub pieces: Vec<Piece>,
    kind: Kind,
    /// Whether a character that no piece has becomes its bytes, `<0x0A>`, and not the unknown piece.
    byte_fallback: bool,
    /// Whether the sign for a space stands behind a word.
    space_behind: bool,
    /// The texts of the begin and end pieces; `None` where the model has none.
    bos: Option<String>,
    eos: Option<String>,
    normalizer: Normalizer,
}

/// One piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub text: String,
    /// Of BPE: higher ones are merged first. Of unigram: a log-probability.
    score: f32,
    pub role: PieceRole,
}

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceRole {
    Normal,
    /// For characters that no piece has.
    Unknown,
    /// Such as the begin piece: never found in a text.
    Control,
    /// Found in a text before anything else.
    UserDefined,
    /// A byte.
    Byte,
    /// Taken out of use.
    Unused,
}

/// How a model cuts texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unigram,
    Bpe,
    /// Words or characters.
    Other,
}

/// How a text is prepared.
#[derive(Debug, Clone, PartialEq)]
struct Normalizer {
    /// A table of replacements as SentencePiece compiles it; empty for none.
    charsmap: Vec<u8>,
    /// Whether a space is put before the text.
    add_dummy_prefix: bool,
    /// Whether spaces at both ends go, and of several in a row all but one.
    remove_extra_whitespaces: bool,
    /// Whether a space becomes `▁`.
    escape_whitespaces: bool,
}

impl SentencePiece {
    /// Reads a model; `None` if it is no such file.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            kind: Kind::Unigram,
            byte_fallback: false,
            space_behind: false,
            bos: Some("<s>".to_owned()),
            eos: Some("</s>".to_owned()),
            normalizer: Normalizer {
                charsmap: Vec::new(),
                add_dummy_prefix: true,
                remove_extra_whitespaces: true,
                escape_whitespaces: true,
            },
        };
        for field in Fields::of(bytes) {
            match field? {
                (1, Content::Bytes(piece)) => model.pieces.push(Piece::parse(piece)?),
                (2, Content::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Content::Bytes(normalizer)) => model.normalizer.read(normalizer)?,
                _ => {}
            }
        }
        let control =
            |text: &String| model.pieces.iter().any(|piece| piece.role == PieceRole::Control && piece.text == *text);
        (model.bos, model.eos) = (model.bos.clone().filter(control), model.eos.clone().filter(control));
        Some(model).filter(|model| !model.pieces.is_empty())
    }

    /// Reads the settings of the training that matter afterwards.
    fn read_trainer(&mut self, bytes: &[u8]) -> Option<()> {
        for field in Fields::of(bytes) {
            match field? {
                (3, Content::Number(kind)) => {
                    self.kind = match kind {
                        1 => Kind::Unigram,
                        2 => Kind::Bpe,
                        _ => Kind::Other,
                    };
                }
                (24, Content::Number(flag)) => self.space_behind = flag != 0,
                (35, Content::Number(flag)) => self.byte_fallback = flag != 0,
                (46, Content::Bytes(text)) => self.bos = Some(std::str::from_utf8(text).ok()?.to_owned()),
                (47, Content::Bytes(text)) => self.eos = Some(std::str::from_utf8(text).ok()?.to_owned()),
                _ => {}
            }
        }
        Some(())
    }

    /// The id of the piece for what is unknown.
    fn unknown(&self) -> Option<usize> {
        self.pieces.iter().position(|piece| piece.role == PieceRole::Unknown)
    }
}

impl Piece {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut piece = Self { text: String::new(), score: 0.0, role: PieceRole::Normal };
        let mut named = false;
        for field in Fields::of(bytes) {
            match field? {
                (1, Content::Bytes(text)) => {
                    std::str::from_utf8(text).ok()?.clone_into(&mut piece.text);
                    named = true;
                }
                (2, Content::Bytes(score)) => piece.score = f32::from_le_bytes(score.try_into().ok()?),
                (3, Content::Number(role)) => {
                    piece.role = match role {
                        1 => PieceRole::Normal,
                        2 => PieceRole::Unknown,
                        3 => PieceRole::Control,
                        4 => PieceRole::UserDefined,
                        5 => PieceRole::Unused,
                        6 => PieceRole::Byte,
                        _ => return None,
                    };
                }
                _ => {}
            }
        }
        Some(piece).filter(|piece| named && piece.score.is_finite())
    }
}

impl Normalizer {
    fn read(&mut self, bytes: &[u8]) -> Option<()> {
        for field in Fields::of(bytes) {
            match field? {
                (2, Content::Bytes(charsmap)) => self.charsmap = charsmap.to_owned(),
                (3, Content::Number(flag)) => self.add_dummy_prefix = flag != 0,
                (4, Content::Number(flag)) => self.remove_extra_whitespaces = flag != 0,
                (5, Content::Number(flag)) => self.escape_whitespaces = flag != 0,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pieces with score and type, and settings of the trainer and the normaliser behind them.
    const MODEL: &[u8] = b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02\x0a\x08\x0a\x01a\x15\0\0\x80\xbf\
                           \x12\x05\x18\x02\x98\x02\x01\x1a\x04\x18\0\x20\0";

    #[test]
    fn pieces_stand_in_the_order_of_their_ids() -> Result<(), &'static str> {
        let model = SentencePiece::parse(MODEL).ok_or("no model")?;
        let pieces: Vec<_> = model.pieces.iter().map(|piece| (piece.text.as_str(), piece.score, piece.role)).collect();
        assert_eq!(pieces, [("<unk>", 0.0, PieceRole::Unknown), ("a", -1.0, PieceRole::Normal)]);
        assert_eq!((model.kind, model.byte_fallback, model.unknown()), (Kind::Bpe, true, Some(0)));
        assert_eq!((model.bos, model.eos), (None, None), "there is no piece of their names");
        assert!(!model.normalizer.add_dummy_prefix && model.normalizer.escape_whitespaces);
        Ok(())
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
            assert_eq!(SentencePiece::parse(bytes), None, "{bytes:?}");
        }
    }
}

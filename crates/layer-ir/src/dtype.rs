//! The number formats that checkpoints store weights in, all little-endian.

use serde::{Deserialize, Serialize};

/// How a weight is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dtype {
    /// bfloat16: 8 bits of exponent, 7 of fraction. The range of f32 at a precision of about 3 digits.
    #[serde(rename = "bf16", alias = "bfloat16", alias = "torch.bfloat16")]
    BF16,
    /// IEEE half precision: 5 bits of exponent, 10 of fraction. At most 65504.
    #[serde(rename = "f16", alias = "float16", alias = "torch.float16")]
    F16,
    /// IEEE single precision: 8 bits of exponent, 23 of fraction.
    #[serde(rename = "f32", alias = "float32", alias = "torch.float32")]
    F32,
}

impl Dtype {
    /// Bytes of one number: 2 or 4.
    #[must_use]
    pub fn size_in_bytes(self) -> usize {
        match self {
            Self::BF16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// The name that torch and `config.json` have for it, such as `bfloat16`.
    #[must_use]
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::BF16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
        }
    }

    /// Reads little-endian numbers as f32; a last incomplete number is left out. Every value of the three formats is an
    /// f32, so nothing is rounded.
    /// ```
    /// assert_eq!(layer_ir::Dtype::BF16.to_f32(&[0x80, 0x3f, 0x00, 0xc0]), [1.0, -2.0]);
    /// ```
    #[must_use]
    pub fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::BF16 => bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect(),
            Self::F16 => bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect(),
            Self::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_dtype_is_read() -> Result<(), serde_json::Error> {
        for (spelling, dtype) in [("bf16", Dtype::BF16), ("torch.float16", Dtype::F16), ("float32", Dtype::F32)] {
            assert_eq!(serde_json::from_value::<Dtype>(spelling.into())?, dtype);
        }
        assert!(serde_json::from_str::<Dtype>("\"int4\"").is_err());
        Ok(())
    }

    #[test]
    fn numbers_keep_their_values() {
        assert_eq!(Dtype::F32.to_f32(&1.5_f32.to_le_bytes()), [1.5]);
        assert_eq!(Dtype::F16.to_f32(&half::f16::from_f32(-0.25).to_le_bytes()), [-0.25]);
        assert_eq!(Dtype::F32.to_f32(&[0, 0, 128]), [] as [f32; 0]);
    }
}

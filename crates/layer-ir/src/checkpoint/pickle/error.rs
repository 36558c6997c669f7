//! What can be wrong with a `pytorch_model.bin`.

/// What can be wrong with a file of `torch.save`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// Neither of the two forms.
    #[error("not a file of torch.save, or the beginning is damaged; download or copy it again")]
    NotTorch,
    /// A damaged or truncated archive.
    #[error("not a whole file of torch.save (zip archive: {0}); download or copy it again")]
    Zip(#[source] rawzip::Error),
    /// An archive without the pickle, or with several.
    #[error("the zip archive does not have one data.pkl; it is not of torch.save, or damaged")]
    NoPickle,
    /// An archive that something else than torch has packed.
    #[error("`{entry}` is compressed in the zip archive; torch.save compresses nothing: save it again with torch")]
    Compressed {
        /// The entry of the archive.
        entry: String,
    },
    /// A file of a machine with another order of bytes.
    #[error("its numbers are big-endian; load and save it with torch on this machine")]
    BigEndian,
    /// A function or a class that is not needed for tensors.
    #[error(
        "it asks for `{name}`; a pickle can run any program, so only tensors in a dictionary are read. If you trust \
         the file, load it with torch and save its state_dict() as safetensors"
    )]
    Global {
        /// Module and name.
        name: String,
    },
    /// An instruction that torch does not write.
    #[error("the pickle has the instruction {opcode:#04x} at byte {at}, which no dictionary of tensors needs")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Its place in the pickle.
        at: usize,
    },
    /// A pickle that is cut off or makes no sense.
    #[error("the pickle is damaged at byte {at}: {problem}; download or copy the file again")]
    Damaged {
        /// The place in the pickle.
        at: usize,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A file that would take more memory than any checkpoint.
    #[error("it has more than {limit} {what}; no checkpoint needs so many")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are read.
        limit: usize,
    },
    /// A pickle of something else.
    #[error("it holds {found}, not a dictionary of tensors; save the model's state_dict() alone")]
    NotDictionary {
        /// What it holds.
        found: &'static str,
    },
    /// A key that is no name.
    #[error("a key of its dictionary is {found}, not a tensor's name; save the model's state_dict() alone")]
    Key {
        /// What the key is.
        found: &'static str,
    },
    /// An entry that is no tensor.
    #[error("`{key}` is {found}, not a tensor; save the model's state_dict() alone")]
    NotTensor {
        /// The entry's key.
        key: String,
        /// What it is.
        found: &'static str,
    },
    /// Numbers that are not in the file.
    #[error("the numbers of storage `{key}` are not there, or not all; download or copy the file again")]
    NoStorage {
        /// The storage's key.
        key: String,
    },
    /// A tensor that does not lie within its storage.
    #[error(
        "tensor `{name}` of shape {shape:?} does not lie within its storage of {numbers} numbers; the file is damaged"
    )]
    Outside {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The numbers of its storage.
        numbers: usize,
    },
    /// A tensor that uses numbers of its storage several times.
    #[error("tensor `{name}` is a view with strides {strides:?} that repeats numbers; save it with .contiguous()")]
    Repeats {
        /// The tensor.
        name: String,
        /// The distance from one number to the next in each dimension, in numbers.
        strides: Vec<usize>,
    },
}

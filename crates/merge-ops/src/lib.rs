//! How do several tensors become one? Merge methods of mergekit and GPTailor on burn tensors, and a streaming export.

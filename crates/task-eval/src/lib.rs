//! What is a language model worth? The numbers of lm-evaluation-harness, without Python.

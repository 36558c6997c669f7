//! Find and write the best recipe: cut and stitch a base LLM and its fine-tunes into one smaller model.
